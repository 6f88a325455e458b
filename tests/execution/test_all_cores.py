"""Workers are taken unasked where they pay, and change no number: shown by workers that play their part in a test."""

import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from stepsize import Task, load_task
from stepsize.engines import Ensemble, threads
from stepsize.execution import all_cores
from stepsize.execution.all_cores import AllCores, Beside, worth
from stepsize.execution.executor import BatchRun
from stepsize.jobs import Runner
from stepsize.kernel.errors import PoolError, TaskError
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

STEPS = 8
TRIALS = [Trial(Strategy(SGD(), constant(0.1)), seed) for seed in range(8)]


@pytest.fixture(scope="module")
def task():
    return load_task(f"{Path(__file__).parents[1] / 'problems' / 'tiny.py'}:perceptron")


@pytest.fixture(scope="module")
def alone(task):
    return Runner(task, engine=Ensemble(2), workers=1).run("stage", TRIALS, STEPS)


class Workers(Beside):
    """Run batches in this process, every other time that they are asked; or do what `answer` says with them instead."""

    answer = None

    def __init__(self, threads):
        super().__init__(threads)
        self.given, self.ran, self.busy = [], [], False

    @property
    def free(self):
        return self.count - len(self.given)

    @property
    def pids(self):
        return list(range(self.count))

    def submit(self, key, run, notify):
        self.given.append((key, run, notify))

    def poll(self, seconds):
        self.busy = not self.busy
        if self.busy:
            return []
        given, self.given = self.given, []
        if given and self.answer is not None:
            return [self.answer(key) for key, *_ in given]
        self.ran += [key for key, *_ in given]
        return [(key, "ok", run.run(notify)) for key, run, notify in given]


@pytest.fixture
def eager(monkeypatch):
    """Have three cores, and take workers as soon as a batch waits; return those that were taken."""
    taken = []

    def take(threads):
        taken.append(Workers(threads))
        return taken[-1]

    for name, value in {"PAYS": 0.0, "KNOWN": 0.0, "CHECK": 0.0, "cores": lambda: 3, "available": lambda: 1e12,
                        "Beside": take}.items():  # fmt: skip
        monkeypatch.setattr(all_cores, name, value)
    monkeypatch.setattr(all_cores, "worth", lambda count, used, seconds, left: worth(count, 1.0, seconds, left))
    return taken


def run(task, trials=TRIALS):
    updates = []
    runner = Runner(task, engine=Ensemble(2), progress=lambda stage, done: updates.append(done))
    curves = runner.run("stage", trials, STEPS)
    assert sum(updates) == len(trials) * STEPS
    return runner, curves


def test_what_waits_pays_for_workers_on_the_cores_that_are_free():
    assert worth(4, 1.0, 60.0, 9) == 3
    assert worth(4, 2.0, 60.0, 9) == 1
    assert worth(4, 3.0, 60.0, 9) == 0  # this process uses the cores already
    assert worth(4, 1.0, 60.0, 1) == 1  # nothing more to share
    assert worth(4, 1.0, 10.0, 9) == 0  # over before they have begun
    assert worth(1, 1.0, 60.0, 9) == 0


def test_a_short_job_starts_no_worker(task, alone):
    runner, curves = run(task)
    assert isinstance(runner.executor, AllCores)
    assert runner.executor.pids == []
    assert runner.executor.label == ""
    np.testing.assert_array_equal(curves.losses, alone.losses)


def test_workers_share_the_batches_and_stay_for_the_next_stage(task, alone, eager):
    runner, curves = run(task)
    np.testing.assert_array_equal(curves.losses, alone.losses)
    (workers,) = eager
    assert workers.ran
    assert runner.executor.label == "in 3 processes"
    before = len(workers.ran)
    np.testing.assert_array_equal(runner.run("next", TRIALS, STEPS).scores, alone.scores)
    assert len(eager) == 1
    assert len(workers.ran) > before


def test_more_workers_are_taken_when_more_waits(task, eager):
    runner, _ = run(task, TRIALS[:4])
    assert runner.executor.label == "in 2 processes"
    runner.run("next", TRIALS, STEPS)
    assert runner.executor.label == "in 3 processes"


def unread(key):
    return key, "unread", TaskError("its file is not there")


def dead(key):
    raise PoolError("they died")


@pytest.mark.parametrize("answer", [unread, dead])
def test_what_workers_cannot_do_is_done_here(task, alone, eager, monkeypatch, answer):
    monkeypatch.setattr(Workers, "answer", staticmethod(answer))
    runner, curves = run(task)
    np.testing.assert_array_equal(curves.losses, alone.losses)
    assert len(eager) == 1
    assert runner.executor.label == ""
    assert runner.failures == {}


def test_a_task_that_cannot_be_sent_stays_here(task, alone, eager):
    own = Task(task.model, task.loss, task.train, task.validation, task.batch_size, task.steps, "tiny")
    runner, curves = run(own)
    np.testing.assert_array_equal(curves.losses, alone.losses)
    assert not eager[0].ran
    assert runner.executor.label == ""


class Locked:
    """A loss with a lock, which no process can send to another."""

    def __init__(self, loss):
        self.loss, self.lock = loss, multiprocessing.Lock()

    def __call__(self, outputs, targets):
        return self.loss(outputs, targets)


def test_a_task_that_holds_a_lock_stays_here(task, eager):
    held = dataclasses.replace(task, loss=Locked(task.loss), source="")
    alone = Runner(held, engine=Ensemble(2), workers=1).run("stage", TRIALS, STEPS)
    runner, curves = run(held)
    np.testing.assert_array_equal(curves.losses, alone.losses)
    assert runner.executor.pids == []
    assert not runner.failures


def test_what_is_defined_in_the_script_stays_here(task, eager, monkeypatch):
    monkeypatch.setattr(SGD, "__module__", "__main__")
    monkeypatch.setattr("__main__.SGD", SGD, raising=False)
    runner, _ = run(task)
    assert not eager[0].ran
    assert runner.executor.label == ""


def test_an_error_that_is_no_trials_fault_ends_the_run_at_once(task, eager, monkeypatch):
    monkeypatch.setattr(Workers, "answer", staticmethod(lambda key: (key, "error", PoolError("gone"))))
    with pytest.raises(PoolError, match="gone"):
        run(task)


class Counting:
    """An engine that only says on how many threads it runs."""

    def run(self, *given, **named):
        return torch.get_num_threads()


def test_several_trials_at_once_have_one_thread_and_one_by_itself_has_torchs(task, monkeypatch):
    for name in threads.ASKED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert [BatchRun(task, Counting(), tuple(TRIALS[:count]), STEPS).run() for count in (1, 2)] == [3, 1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
