"""Logs of the values in force: a CSV file, TensorBoard, any function; each update once, in each of a driver's ways."""

import csv
import errno
import io
import math
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from stepsize import Policy, drive
from stepsize.adapters.torch import csv_log, tensorboard_log
from stepsize.jobs.logs.read import read_rates
from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups, one_cycle
from stepsize.schedules import Linear, Plateau

STEPS = 12
POLICY = one_cycle(0.1)
LINE = Policy(lr=Linear(1.0, 0.0))


def optimizer_of(*groups, kind="AdamW", **arguments):
    made = [{"params": [torch.nn.Parameter(torch.ones(2))], **group} for group in groups or [{}]]
    return getattr(torch.optim, kind)(made, **{"lr": 0.5, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.1)
    optimizer.step()


def recorded():
    """A log that is a function, and what it was given."""
    rows = []
    return (lambda step, values: rows.append((step, values))), rows


def read(path):
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["step", "name", "value"]
    return [(int(step), name, float(value)) for step, name, value in lines]


def table(policy=POLICY, steps=STEPS):
    """Step, name and value of each update, in the order in which they are logged."""
    found = policy.over(steps).table(0, steps)
    return [(step, name, found[name][step]) for step in range(steps) for name in found]


def run(optimizer, driver, stop=STEPS):
    for step in driver:
        update(optimizer)
        if step + 1 == stop:
            break


@pytest.mark.parametrize("attached", [False, True])
def test_the_file_is_the_table(attached, tmp_path):
    """Every digit: what is read is what was in force."""
    optimizer, path = optimizer_of(), tmp_path / "log.csv"
    driver = drive(optimizer, POLICY, STEPS, log=csv_log(path))
    run(optimizer, driver.attach() if attached else driver)
    assert read(path) == table()


def test_a_driver_that_is_told_its_step_logs_it():
    optimizer, (log, rows) = optimizer_of(), recorded()
    driver = drive(optimizer, LINE, 4, log=log)
    for step in (0, 2, 3):
        driver.set(step)
        update(optimizer)
    assert rows == [(0, {"lr": 1.0}), (2, {"lr": 0.5}), (3, {"lr": 0.25})]


def test_groups_are_logged_by_their_place_or_name():
    for groups, names in (([{}, {"lr": 0.25}], ["0", "1"]), ([{"name": "head"}, {"lr": 0.25}], ["head", "1"])):
        optimizer, (log, rows) = optimizer_of(*groups), recorded()
        run(optimizer, drive(optimizer, LINE, 2, log=log))
        first, second = (f"lr/{name}" for name in names)
        assert rows == [(0, {first: 1.0, second: 0.5}), (1, {first: 0.5, second: 0.25})]


def test_groups_of_one_name_are_all_logged(tmp_path):
    """The halves of one block with and without decay are often called alike; and the job for logs reads the file."""
    groups = ({"name": "blocks", "weight_decay": 0.1}, {"name": "blocks", "lr": 0.05})
    optimizer, path = optimizer_of(*groups), tmp_path / "log.csv"
    run(optimizer, drive(optimizer, LINE, 2, log=csv_log(path)), stop=2)
    first, second = "lr/blocks", "lr/blocks (2)"
    assert read(path) == [(0, first, 1.0), (0, second, 0.1), (1, first, 0.5), (1, second, 0.05)]
    assert read_rates(path, lr=second).tolist() == [0.1, 0.05]


def test_declared_groups_are_logged():
    optimizer, (log, rows) = optimizer_of({"name": "head"}, {"name": "body"}), recorded()
    run(optimizer, drive(optimizer, Groups(LINE, {"body": {"lr": 0.5}, "head": {}}), 1, log=log))
    assert rows == [(0, {"lr/head": 1.0, "lr/body": 0.5})]


def test_a_group_that_is_added_needs_no_new_column(tmp_path):
    optimizer, path = optimizer_of({}, {}), tmp_path / "log.csv"
    for step in drive(optimizer, LINE, 2, log=csv_log(path)):
        update(optimizer)
        if step == 0:
            optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "name": "new, later"})
    assert read(path) == [
        (0, "lr/0", 1.0),
        (0, "lr/1", 1.0),
        (1, "lr/0", 0.5),
        (1, "lr/1", 0.5),
        (1, "lr/new, later", 0.5),
    ]


def test_accumulated_batches_are_logged_once():
    optimizer, (log, rows) = optimizer_of(), recorded()
    for turn, _ in enumerate(drive(optimizer, LINE, 4, log=log).attach()):
        if turn % 3 == 2:
            update(optimizer)
    assert rows == [(step, {"lr": value}) for step, value in enumerate([1.0, 0.75, 0.5, 0.25])]


@pytest.mark.parametrize("fused", [False, True])
def test_skipped_updates_are_not_logged(fused):
    optimizer, (log, rows) = optimizer_of(fused=fused), recorded()
    (weight,) = optimizer.param_groups[0]["params"]
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for turn, _ in enumerate(drive(optimizer, LINE, 4, log=log).attach()):
        optimizer.zero_grad()
        scaler.scale(weight.sum() * (math.inf if turn in (0, 2) else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
    assert rows == [(step, {"lr": value}) for step, value in enumerate([1.0, 0.75, 0.5, 0.25])]


def test_what_the_loss_has_changed_is_logged_as_it_was_used():
    """`tell` sets an attached driver's rate at once, after the schedule has set it and before the update."""
    optimizer, (log, rows) = optimizer_of(), recorded()
    driver = drive(optimizer, Policy(lr=1.0), 3, feedback=Plateau(factor=0.5, patience=0), log=log).attach()
    used = []
    optimizer.register_step_pre_hook(lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"]))
    for _ in driver:
        driver.tell(1.0)
        update(optimizer)
    assert used == [values["lr"] for _, values in rows] == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("attached_first", [False, True])
def test_a_resumed_run_goes_on_in_the_file(attached_first, tmp_path):
    """Whether a checkpoint is loaded before or after a driver is attached: no step is missing and none too many."""
    path = tmp_path / "log.csv"
    optimizer = optimizer_of()
    driver = drive(optimizer, POLICY, STEPS, log=csv_log(path))
    run(optimizer, driver, stop=5)
    again = optimizer_of()
    resumed = drive(again, POLICY, STEPS, log=csv_log(path))
    if attached_first:
        resumed.attach()
    resumed.load_state_dict(driver.state_dict())
    again.load_state_dict(optimizer.state_dict())
    run(again, resumed.attach())
    assert read(path) == table()


def test_steps_since_the_checkpoint_are_written_again(tmp_path):
    path = tmp_path / "log.csv"
    for start, stop in ((0, 7), (5, 12)):
        optimizer = optimizer_of()
        run(optimizer, drive(optimizer, LINE, STEPS, start=start, log=csv_log(path)), stop=stop)
    assert [step for step, *_ in read(path)] == [*range(7), *range(5, 12)]


KILLED = """
import sys, torch
from stepsize import Policy, drive
from stepsize.adapters.torch import csv_log
optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "name": "g" * 90 + str(i)} for i in range(200)], lr=0.1)
driver = drive(optimizer, Policy(lr=0.1), 10**9, log=csv_log(sys.argv[1]))
for step in driver:
    if step == 20:
        print("running", flush=True)
"""


def test_a_killed_run_leaves_whole_updates(tmp_path):
    """200 groups are 20 kB an update, more than any buffer of Python's."""
    path = tmp_path / "log.csv"
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "running\n"
        finally:
            os.kill(process.pid, signal.SIGKILL)
    csv_log(path)  # a system that kills may take a write page by page
    assert path.read_bytes().endswith(b"\n")
    rows = read(path)
    assert len(rows) >= 20 * 200
    assert len(rows) % 200 == 0
    assert all(after - before in (0, 1) for (before, *_), (after, *_) in pairwise(rows))


WHOLE = "step,name,value\n8,lr/0,0.1\n8,lr/1,0.1\n9,lr/0,0.1\n9,lr/1,0.1\n"


@pytest.mark.parametrize(
    "torn", ["1", "10,l", "10,lr/0,0.1\n1", "10,lr/0,0.1\n10", "10,lr/0,0.1\n10,lr/1,", "10,lr/0,0.1\n10,lr/1,0.1"]
)
def test_an_update_that_was_torn_is_cut_off_when_the_log_is_opened_again(tmp_path, torn):
    path = tmp_path / "log.csv"
    path.write_text(WHOLE + torn)
    csv_log(path)
    assert path.read_text() == WHOLE
    csv_log(path)(10, {"lr/0": 0.2, "lr/1": 0.3})
    assert path.read_text() == WHOLE + "10,lr/0,0.2\n10,lr/1,0.3\n"


def test_names_of_columns_that_lack_the_end_of_their_line_get_it(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,name,value")
    csv_log(path)(0, {"lr": 0.1})
    assert path.read_text() == "step,name,value\n0,lr,0.1\n"


def test_a_log_whose_columns_were_torn_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,name,val")
    with pytest.raises(DriveError, match="give another file"):
        csv_log(path)


def test_tensorboard_reads_the_table_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writers = pytest.importorskip("torch.utils.tensorboard")
    optimizer = optimizer_of({}, {"weight_decay": 0.0}, weight_decay=0.1)
    policy = POLICY.replace(weight_decay=Linear(0.1, 0.0))
    with writers.SummaryWriter(tmp_path) as writer:
        run(optimizer, drive(optimizer, policy, STEPS, log=tensorboard_log(writer, "train/")).attach())
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    names = [f"train/{name}/{group}" for name in policy for group in (0, 1)]
    assert sorted(events.Tags()["scalars"]) == sorted(names)
    rows = policy.over(STEPS).table(0, STEPS)
    for name in policy:
        for group in (0, 1):
            found = events.Scalars(f"train/{name}/{group}")
            expected = rows[name] * (0.0 if (name, group) == ("weight_decay", 1) else 1.0)
            assert [scalar.step for scalar in found] == list(range(STEPS))
            assert [scalar.value for scalar in found] == pytest.approx(expected.tolist(), rel=1e-7)  # it has float32


@pytest.mark.parametrize("writer", [None, "folder", object()])
def test_what_is_no_writer_is_refused(writer):
    with pytest.raises(DriveError, match=r"add_scalar\(tag, value, step\)"):
        tensorboard_log(writer)


@pytest.mark.parametrize("content", [b"step,loss\n", b"\x89PNG\r\n\xff\n", b"\n", b"step,name,values\n", b"x" * 10**6])
def test_another_file_is_refused_and_left_as_it_is(content, tmp_path):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(DriveError, match=r"begins with .*give another file"):
        csv_log(path)
    assert path.read_bytes() == content


def test_a_full_disk_is_said_and_leaves_whole_updates(tmp_path, monkeypatch):
    """A disk takes a part of what is written, and raises for the rest."""
    path = tmp_path / "log.csv"
    log = csv_log(path)
    log(0, {"lr": 0.1, "momentum": 0.9})

    class Full(io.FileIO):
        def write(self, lines):
            if len(lines) < 15:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(lines[:15])

    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: Full(path, mode))
    with pytest.raises(DriveError, match=r"cannot write .*log\.csv: No space left on device"):
        log(1, {"lr": 0.1, "momentum": 0.9})
    monkeypatch.undo()
    assert read(path) == [(0, "lr", 0.1), (0, "momentum", 0.9)]


def test_a_log_stays_where_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = csv_log("log.csv")
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    log(0, {"lr": 0.1})
    assert read(tmp_path / "log.csv") == [(0, "lr", 0.1)]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DriveError, match=r"there is no folder .*log\.csv; make it first"):
        csv_log(tmp_path / "runs" / "log.csv")


def test_an_empty_file_and_a_path_as_text_are_fine(tmp_path):
    path = tmp_path / "log.csv"
    path.touch()
    csv_log(str(path))(0, {"lr": 0.1})
    assert read(path) == [(0, "lr", 0.1)]


def test_an_error_of_the_log_is_not_hidden():
    def full(step, values):
        raise OSError("no space left")

    optimizer = optimizer_of()
    with pytest.raises(OSError, match="no space left"):
        run(optimizer, drive(optimizer, LINE, 4, log=full).attach())
