"""The journal: killed at any moment, the same call runs what is missing and gives the same numbers, bit for bit."""

import base64
import io
import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import forked
import numpy as np
import pytest

from stepsize import Task, load_task
from stepsize.engines import Ensemble, Loop
from stepsize.execution import journal_store
from stepsize.execution.sealed_rows import VERSION
from stepsize.execution.status import read_status
from stepsize.jobs import Journal, Runner, race
from stepsize.kernel.errors import FormatError, JournalError
from stepsize.policies import recipe
from stepsize.results.io import dumps
from stepsize.rules import SGD, AdamW
from stepsize.strategy import Strategy

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS, SEEDS = 20, (0, 1, 2)
BATCHES = 4  # 2 rules x 2 rates x 3 seeds, three at a time


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:batchnorm")


class Counting(Ensemble):
    """An ensemble of three that counts its batches, and is interrupted in the middle of one."""

    def __init__(self, stop_at=None, **arguments):
        super().__init__(size=3, **arguments)
        self.stop_at, self.runs, self.trials = stop_at, 0, 0

    def run(self, task, trials, steps, *, score_every=None, progress=None):
        self.runs += 1
        self.trials += len(trials)
        done = 0

        def count(updates):
            nonlocal done
            done += updates
            if self.runs == self.stop_at and done > len(trials) * steps // 2:
                raise KeyboardInterrupt
            progress(updates)

        return super().run(task, trials, steps, score_every=score_every, progress=count)


def field():
    return [
        Strategy(rule, recipe("one_cycle")(rate).only(rule.hyperparameters))
        for rule in (SGD(), AdamW())
        for rate in (0.01, 0.1)
    ]


def run(task, path, engine, *, steps=STEPS, seeds=SEEDS, strategies=None, renew=None):
    with Journal(path, renew=renew) as journal:
        return race(
            task,
            strategies or field(),
            steps=steps,
            seeds=seeds,
            tune_seeds=0,
            runner=Runner(task, engine=engine, journal=journal),
        )


def numbers(record):
    """Everything in a record but the wall time."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key != "seconds"}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(json.loads(dumps(record)))


def scores(record):
    """The final scores in the numbers of a record."""
    return np.load(io.BytesIO(base64.b64decode(record["value"]["rungs"][-1]["scores"]["npy"])))


@pytest.fixture(scope="module")
def whole(task):
    engine = Counting()
    return numbers(race(task, field(), steps=STEPS, seeds=SEEDS, tune_seeds=0, runner=Runner(task, engine=engine)))


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_an_interrupted_race_goes_on_with_the_missing_batches(task, whole, tmp_path, stop_at):
    path = tmp_path / "j.sqlite"
    with pytest.raises(KeyboardInterrupt):
        run(task, path, Counting(stop_at))
    with Journal(path) as kept:
        assert len(kept) == 3 * (stop_at - 1)
    engine = Counting()
    record = run(task, path, engine)
    assert engine.runs == BATCHES - (stop_at - 1)
    assert numbers(record) == whole


def test_it_goes_on_as_often_as_it_is_interrupted(task, whole, tmp_path):
    path = tmp_path / "j.sqlite"
    for _ in range(BATCHES - 1):
        with pytest.raises(KeyboardInterrupt):
            run(task, path, Counting(2))
    assert numbers(run(task, path, Counting())) == whole


def test_a_finished_race_runs_nothing_again(task, whole, tmp_path):
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting()
    assert numbers(run(task, tmp_path / "j.sqlite", engine)) == whole
    assert engine.runs == 0


KILLED = """
import os, signal
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
    code = KILLED.format(task=f"{TINY}:batchnorm", path=str(path))
    code = "import torch\ntorch.set_num_threads(1)\n" + code
    (tmp_path / "killed.py").write_text(code, encoding="utf-8")
    folders = (Path(__file__).parent, Path(forked.__file__).parent)
    (done,) = forked.run([tmp_path / "killed.py"], tmp_path, {"PYTHONPATH": os.pathsep.join(map(str, folders))})
    assert done.returncode == -signal.SIGKILL, done.stderr
    engine = Counting()
    assert numbers(run(task, path, engine)) == whole
    assert engine.runs == BATCHES - 2


def changed(task, **fields):
    parts = ("model", "loss", "train", "validation", "batch_size", "steps", "name", "source")
    return Task(**{part: getattr(task, part) for part in parts} | fields)


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({"train": "data"}, "training data"),
        ({"validation": "data"}, "validation data"),
        ({"batch_size": 8}, "batch size"),
        ({"loss": lambda outputs, targets: 2 * outputs.logsumexp(1).mean()}, "loss"),
        ({"model": lambda: load_task(f"{TINY}:perceptron").model()}, "model"),
    ],
    ids=["train", "validation", "batch size", "loss", "model"],
)
def test_a_changed_task_is_refused_or_run_anew_and_what_changed_is_said(task, tmp_path, fields, differs):
    if "data" in fields.values():
        x, y = task.train
        fields = dict.fromkeys(fields, (x * 1.001, y))
    run(task, tmp_path / "j", Counting())
    engine, sentences = Counting(), []
    with pytest.raises(JournalError, match=rf"batchnorm is not what it was .*another {differs}\), .* another folder"):
        run(changed(task, **fields), tmp_path / "j", engine)
    assert engine.runs == 0
    run(changed(task, **fields), tmp_path / "j", engine, renew=sentences.append)
    assert engine.runs == BATCHES
    run(changed(task, **fields), tmp_path / "j", engine)
    assert engine.runs == BATCHES
    assert len(sentences) == 1
    assert sentences[0].endswith("so its trials are run anew.")


def test_a_task_that_never_ran_may_be_changed(task, tmp_path):
    with Journal(tmp_path / "j") as journal:
        first = journal.recognise(task)
        assert journal.recognise(changed(task, batch_size=8)) != first


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
    assert engine.runs == BATCHES


def test_another_engine_is_another_race(task, tmp_path):
    torch = pytest.importorskip("torch")
    run(task, tmp_path / "j.sqlite", Counting())
    engine = Counting(dtype=torch.float64)
    run(task, tmp_path / "j.sqlite", engine)
    assert engine.runs == BATCHES
    losses = run(task, tmp_path / "j.sqlite", Loop()).curves.losses
    assert losses.dtype == np.float32


def test_the_journal_makes_its_folder(tmp_path):
    with Journal(tmp_path / "a" / "b" / "j.sqlite") as journal:
        assert len(journal) == 0


@pytest.mark.parametrize(
    "content", [b"no database at all, but text\n" * 50, b"\x00" * 5000, b"SQLite format 3\x00garbage" * 99]
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_was(tmp_path, content):
    path = tmp_path / "j" / "journal.sqlite"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"j is not a journal of stepsize.*another folder"):
        Journal(path.parent)
    assert path.read_bytes() == content


def test_a_journal_of_one_file_is_refused_with_a_sentence(tmp_path):
    path = tmp_path / "j.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE trials (key TEXT PRIMARY KEY, losses BLOB)")
    base.close()
    with pytest.raises(FormatError, match=r"an earlier version of stepsize wrote, and a journal is a folder now"):
        Journal(path)
    with pytest.raises(FormatError, match="not a journal"):
        Journal(path / "below")


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE trials (id INTEGER, name TEXT)")
    base.close()
    with pytest.raises(FormatError, match=r"table 'trials' of another program"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (VERSION + 1, f"a newer stepsize wrote it, version {VERSION + 1}, and this one reads {VERSION}"),
        (VERSION - 1, f"an earlier version of stepsize wrote it, {VERSION - 1}, and this one reads {VERSION}"),
    ],
)
def test_a_journal_of_another_version_is_refused(tmp_path, version, reason):
    with Journal(tmp_path / "j"):
        pass
    with sqlite3.connect(tmp_path / "j" / "journal.sqlite") as base:
        base.execute(f"PRAGMA user_version={version}")
    base.close()
    with pytest.raises(FormatError, match=reason):
        Journal(tmp_path / "j")


def test_a_journal_whose_making_was_cut_off_is_made_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(journal_store, "TABLES", f"{journal_store.TABLES} SELECT 1 FROM nowhere;")  # noqa: S608  (our own words)
        with pytest.raises(FormatError, match="no such table: nowhere"):
            Journal(tmp_path)
    with Journal(tmp_path) as journal:
        assert len(journal) == 0


def test_a_second_driver_is_refused_until_the_first_has_closed(tmp_path):
    with (
        Journal(tmp_path / "j"),
        pytest.raises(JournalError, match=rf"in use by process {os.getpid()} on \S+ since \d{{4}}-.*another folder"),
    ):
        Journal(tmp_path / "j")
    Journal(tmp_path / "j").close()


def test_more_seeds_and_more_strategies_run_only_what_is_new(task, whole, tmp_path):
    run(task, tmp_path / "j", Counting(), seeds=SEEDS[:2], strategies=field()[:3])
    counting = Counting()
    updates = []
    with Journal(tmp_path / "j") as journal:
        runner = Runner(task, engine=counting, journal=journal, progress=lambda stage, done: updates.append(done))
        record = race(task, field(), steps=STEPS, seeds=SEEDS, tune_seeds=0, runner=runner)
    assert sum(updates) == len(field()) * len(SEEDS) * STEPS
    assert counting.trials == len(field()) * len(SEEDS) - 6
    np.testing.assert_allclose(record.rungs[-1].scores, scores(whole), rtol=1e-5)


def test_a_longer_race_keeps_the_shorter_one(task, whole, tmp_path):
    run(task, tmp_path / "j", Counting())
    run(task, tmp_path / "j", Counting(), steps=2 * STEPS)
    engine = Counting()
    assert numbers(run(task, tmp_path / "j", engine)) == whole
    assert engine.runs == 0


def test_a_long_trial_lies_in_a_file_of_its_own_and_is_run_again_without_it(task, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_store, "LARGE", 8)
    first = numbers(run(task, tmp_path / "j", Counting()))
    arrays = sorted((tmp_path / "j" / "arrays").iterdir())
    assert len(arrays) == BATCHES * 3
    engine = Counting()
    assert numbers(run(task, tmp_path / "j", engine)) == first
    assert engine.runs == 0
    arrays[0].unlink()
    arrays[1].write_bytes(arrays[1].read_bytes()[:-9])
    with pytest.warns(UserWarning, match=r"2 trials in .* cannot be believed .* run again"):
        again = numbers(run(task, tmp_path / "j", engine))
    np.testing.assert_allclose(scores(again), scores(first), rtol=1e-5)
    assert engine.trials == 2


def test_the_status_says_how_far_a_race_is_while_it_runs(task, tmp_path, monkeypatch):
    monkeypatch.setattr("stepsize.execution.journal.BEAT", 0.0)
    seen = []

    def look(stage, done):
        seen.extend(read_status(tmp_path / "j").stages)

    with Journal(tmp_path / "j") as journal:
        race(
            task,
            field(),
            steps=STEPS,
            seeds=SEEDS,
            tune_seeds=0,
            runner=Runner(task, engine=Counting(), journal=journal, progress=look),
        )
    assert [stage.done for stage in seen] == sorted(stage.done for stage in seen)
    assert {stage.done for stage in seen} == set(range(BATCHES))
    (last,) = read_status(tmp_path / "j").stages
    assert (last.stage, last.done, last.total) == (f"rung 1: 4 strategies, {STEPS} steps", BATCHES, BATCHES)
    assert last.began <= seen[0].beat <= last.beat <= time.time()


def test_a_stage_that_is_resumed_begins_anew_for_the_time_that_is_left(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("stepsize.execution.journal_store.time.time", lambda: now)
    for hours in (0, 5):
        with Journal(tmp_path / "j") as journal:
            now = 1000.0 + 3600 * hours
            journal.report("rung 1", 0, 4)
            now += 60
            journal.report("rung 1", 1, 4)
    (last,) = read_status(tmp_path / "j").stages
    assert (last.began, last.beat) == (19000, 19060)
    with Journal(tmp_path / "j") as journal:  # nothing is left to do: what it took stays
        journal.report("rung 1", 0, 0)
    assert read_status(tmp_path / "j").stages[0].began == 19000


def test_no_journal_has_no_status(tmp_path):
    with pytest.raises(FormatError, match="not a journal"):
        read_status(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_job_stays_with_the_engine_that_it_began_with(task, tmp_path, monkeypatch):
    """Another version may choose otherwise, and the trials of one engine are not those of another."""
    for fewest in (99, 1):
        monkeypatch.setattr("stepsize.engines.choice.FEWEST", fewest)
        with Journal(tmp_path / "journal") as journal:
            runner = Runner(task, journal=journal)
            assert isinstance(runner.engine, Loop)
            assert "its steps are large" in runner.why
    assert isinstance(Runner(task).engine, Ensemble)
