"""The journal: killed at any moment, the same call runs what is missing and gives the same numbers, bit for bit."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stepsize import Task, load_task
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import Journal, race
from stepsize.kernel.errors import FormatError
from stepsize.policies import recipe
from stepsize.results.io import dumps
from stepsize.rules import SGD, AdamW
from stepsize.strategy import Strategy

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS, SEEDS = 20, (0, 1, 2)
WAVES = 4  # 2 rules x 2 rates x 3 seeds, three at a time


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:batchnorm")


class Counting(Ensemble):
    """An ensemble of three that counts its waves, and is interrupted in the middle of one."""

    def __init__(self, stop_at=None, **arguments):
        super().__init__(size=3, **arguments)
        self.stop_at, self.runs = stop_at, 0

    def run(self, task, trials, steps, *, score_every=None, progress=None):
        self.runs += 1
        done = 0

        def told(updates):
            nonlocal done
            done += updates
            if self.runs == self.stop_at and done > len(trials) * steps // 2:
                raise KeyboardInterrupt
            progress(updates)

        return super().run(task, trials, steps, score_every=score_every, progress=told)


def field():
    return [
        Strategy(rule, recipe("one_cycle")(rate).only(rule.hyperparameters))
        for rule in (SGD(), AdamW())
        for rate in (0.01, 0.1)
    ]


def run(task, path, engine, *, steps=STEPS, seeds=SEEDS, strategies=None):
    with Journal(path) as journal:
        return race(task, strategies or field(), steps=steps, seeds=seeds, engine=engine, journal=journal)


def numbers(record):
    """Everything in a record but the wall time."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key != "seconds"}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(json.loads(dumps(record)))


@pytest.fixture(scope="module")
def whole(task):
    engine = Counting()
    return numbers(race(task, field(), steps=STEPS, seeds=SEEDS, engine=engine))


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_an_interrupted_race_goes_on_with_the_missing_waves(task, whole, tmp_path, stop_at):
    path = tmp_path / "j.sqlite"
    with pytest.raises(KeyboardInterrupt):
        run(task, path, Counting(stop_at))
    with Journal(path) as kept:
        assert len(kept) == 3 * (stop_at - 1)
    engine = Counting()
    record = run(task, path, engine)
    assert engine.runs == WAVES - (stop_at - 1)
    assert numbers(record) == whole


def test_it_goes_on_as_often_as_it_is_interrupted(task, whole, tmp_path):
    path = tmp_path / "j.sqlite"
    for _ in range(WAVES - 1):
        with pytest.raises(KeyboardInterrupt):
            run(task, path, Counting(2))
    assert numbers(run(task, path, Counting())) == whole


def test_a_finished_race_runs_nothing_again(task, whole, tmp_path):
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting()
    assert numbers(run(task, tmp_path / "j.sqlite", engine)) == whole
    assert engine.runs == 0


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, str(Path({tests!r})))
import test_journal
from stepsize import load_task

class Killed(test_journal.Counting):
    def run(self, *arguments, **options):
        if self.runs == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(*arguments, **options)

test_journal.run(load_task({task!r}), {path!r}, Killed())
"""


def test_a_killed_process_loses_only_the_wave_in_flight(task, whole, tmp_path):
    path = tmp_path / "j.sqlite"
    code = KILLED.format(tests=str(Path(__file__).parent), task=f"{TINY}:batchnorm", path=str(path))
    code = "import torch\ntorch.set_num_threads(1)\n" + code
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    engine = Counting()
    assert numbers(run(task, path, engine)) == whole
    assert engine.runs == WAVES - 2


def changed(task, **fields):
    parts = ("model", "loss", "train", "validation", "batch_size", "steps", "name")
    return Task(**{part: getattr(task, part) for part in parts} | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"train": "data"},
        {"validation": "data"},
        {"batch_size": 8},
        {"loss": lambda outputs, targets: 2 * outputs.logsumexp(1).mean()},
        {"model": lambda: load_task(f"{TINY}:perceptron").model()},
    ],
    ids=["train", "validation", "batch size", "loss", "model"],
)
def test_a_changed_task_never_meets_old_numbers(task, tmp_path, fields):
    if "data" in fields.values():
        x, y = task.train
        fields = dict.fromkeys(fields, (x * 1.001, y))
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting()
    run(changed(task, **fields), tmp_path / "j.sqlite", engine)
    assert engine.runs == WAVES


def test_a_task_that_is_only_called_otherwise_is_the_same(task, whole, tmp_path):
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting()
    run(changed(task, name="other", steps=7), tmp_path / "j.sqlite", engine)
    assert engine.runs == 0


@pytest.mark.parametrize(
    "other",
    [
        {"steps": STEPS + 1},
        {"seeds": (3, 4, 5)},
        {"strategies": [strategy.scaled(1.5) for strategy in field()]},
        {"strategies": [Strategy(type(s.rule)(weight_decay=0.3), s.policy) for s in field()]},
    ],
    ids=["horizon", "seeds", "rates", "weight decay"],
)
def test_another_race_is_another_race(task, tmp_path, other):
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting()
    run(task, tmp_path / "j.sqlite", engine, **other)
    assert engine.runs == WAVES


def test_another_engine_is_another_race(task, tmp_path):
    torch = pytest.importorskip("torch")
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting(dtype=torch.float64)
    run(task, tmp_path / "j.sqlite", engine)
    assert engine.runs == WAVES
    losses = run(task, tmp_path / "j.sqlite", Loop()).curves.losses
    assert losses.dtype == np.float32


def test_the_journal_makes_its_folder(tmp_path):
    with Journal(tmp_path / "a" / "b" / "j.sqlite") as journal:
        assert len(journal) == 0


@pytest.mark.parametrize(
    "content", [b"no database at all, but text\n" * 50, b"\x00" * 5000, b"SQLite format 3\x00garbage" * 99]
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_was(tmp_path, content):
    path = tmp_path / "j.sqlite"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"j\.sqlite is not a journal of stepsize.*another folder"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(FormatError, match="not a journal"):
        Journal(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="not a journal"):
        Journal(tmp_path / "file" / "j.sqlite")


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "j.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE trials (id INTEGER, name TEXT)")
    base.close()
    with pytest.raises(FormatError, match="not a journal"), Journal(path) as journal:
        journal.get(["key"], [], 1, "")
