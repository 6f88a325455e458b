"""Disks that are full: what was computed is printed whatever becomes of its files, and no such end is 0."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize.kernel.errors import FormatError, JournalError

SCRIPT = Path(sys.executable).with_name("stepsize")
RACE = ("race", "../tiny.py", "--steps", "12", "--seeds", "1", "--rules", "SGD", "--policies", "constant",
        "--tune-seeds", "0", "--rates", "0.01,0.02")  # fmt: skip
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
COMMANDS = {
    "race": (RACE, "SGD constant 0.01"),
    "range-test": (("range-test", "../tiny.py", "--steps", "40", "--seeds", "1"), "max_lr"),
    "advise": (("advise", "../tiny.py", "--steps", "40", "--budget", "2", "--rules", "SGD", "--policies", "constant"),
               "advise ../tiny.py --steps 40 --seed 0"),
    "refine": (("refine", "log.csv"), "Refined from"),
    "landscape": (("landscape", "Rastrigin", "--starts", "4", "--steps", "4"), "4 starts"),
    "transfer": (("transfer", "SGD cosine 0.1", "--from", "100", "--to", "400"), "the peak to use in 400 steps"),
}  # fmt: skip


@pytest.fixture
def log(folder):
    rows = [f"{step},{0.1 * (1 - step / 100)},1" for step in range(100)]
    (folder / "log.csv").write_text("\n".join(["step,lr,grad_norm", *rows]))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_is_printed_although_its_file_cannot_be_written(stepsize, folder, log, monkeypatch, command):
    def full(path, content):
        raise FormatError(f"cannot write {path}: {FULL.strerror}.")

    monkeypatch.setattr("stepsize.results.io.write", full)
    arguments, answer = COMMANDS[command]
    done = stepsize(*arguments, "--save", "a.json")
    assert done.code == 2
    assert answer in done.out
    assert "Wrote" not in done.out
    assert done.err.splitlines()[-1] == f"Error: cannot write {folder / 'a.json'}: No space left on device."
    assert not Path("a.json").exists()


def test_a_file_is_written_although_another_cannot_be(stepsize, monkeypatch):
    def full(path, content):
        raise FormatError(f"cannot write {path}.")

    monkeypatch.setattr("stepsize.results.io.write", full)
    done = stepsize(*RACE, "--save", "a.json", "--csv", "b.csv")
    assert done.code == 2
    assert "Wrote b.csv" in done.out
    assert Path("b.csv").read_text().startswith("rank,strategy,")


def test_logs_for_tensorboard_that_cannot_be_written_take_no_answer_along(stepsize, folder, monkeypatch):
    class Full:
        def __init__(self, folder):
            pass

        def add_scalar(self, *_):
            raise FULL

        flush = close = add_scalar

    pytest.importorskip("tensorboard")
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Full)
    done = stepsize(*RACE, "--tensorboard", "logs")
    assert done.code == 2
    assert "SGD constant 0.01" in done.out
    assert done.err.splitlines()[-1] == f"Error: cannot write all of {folder / 'logs'}: No space left on device."


def test_a_journal_that_is_full_leaves_the_answer_so_far(stepsize, monkeypatch):
    from stepsize.jobs import Journal  # noqa: PLC0415  (as the command does)

    keep, kept = Journal.put, []

    def full(journal, keys, curves):
        kept.append(keys)
        if len(kept) > 2:
            raise JournalError("the journal cannot be written.")
        keep(journal, keys, curves)

    monkeypatch.setattr(Journal, "put", full)
    done = stepsize("advise", "../tiny.py", "--steps", "40", "--budget", "9", "--rules", "SGD", "--policies", "cosine")
    assert done.code == 2
    assert "recommendation" in done.out or "nothing has learned" in done.out
    assert done.err.splitlines()[-1] == "Error: the journal cannot be written."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
@pytest.mark.parametrize("command", [("list",), ("show", "cosine")], ids=" ".join)
def test_an_answer_that_cannot_be_printed_is_no_success(command):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([SCRIPT, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: what was printed could not be written: No space left on device.\n"


def test_a_picture_is_not_named_within_json(stepsize):
    done = stepsize("show", "cosine", "--json", "--plot", "a.png")
    assert json.loads(done.out)
    assert Path("a.png").exists()
