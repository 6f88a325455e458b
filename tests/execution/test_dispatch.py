"""Lost batches come back, bad trials are left out, late ones are ended: shown by an executor that plays a part."""

from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.engines import Ensemble
from stepsize.execution import dispatch
from stepsize.execution.dispatch import Deadline
from stepsize.execution.executor import ThisProcess
from stepsize.jobs import Journal, Runner
from stepsize.kernel.errors import ParameterError, SpecError, TaskError
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

STEPS = 8


@pytest.fixture(scope="module")
def task():
    return load_task(f"{Path(__file__).parents[1] / 'problems' / 'tiny.py'}:perceptron")


class Playing(ThisProcess):
    """Runs batches of this process, but for those that its `part` answers otherwise: ("lost" | "error", payload)."""

    label = "on a stage"

    def __init__(self, part):
        super().__init__()
        self.part, self.runs, self.abandoned = part, [], []

    def submit(self, key, run, notify):
        self.runs.append(tuple(trial.seed for trial in run.trials))
        super().submit(key, run, notify)
        answer = self.part(self.runs[-1])
        self.answer = None if answer is None else [(key, *answer)]

    def poll(self, seconds):
        if self.answer is None:
            return super().poll(seconds)
        answer, self.answer, self._batch = self.answer, None, None
        return answer


def trials(count=6):
    return [Trial(Strategy(SGD(), constant(0.1)), seed) for seed in range(count)]


def played(task, part, *, count=6, **options):
    executor = Playing(part)
    updates = []

    def listen(stage, done):
        updates.append(done)

    runner = Runner(task, engine=Ensemble(3), executor=executor, progress=listen, **options)
    return runner, executor, runner.run("stage", trials(count), STEPS), sum(updates)


@pytest.fixture(scope="module")
def whole(task):
    return Runner(task, engine=Ensemble(3)).run("stage", trials(), STEPS)


@pytest.mark.parametrize("times", [1, 2])
def test_a_batch_that_is_lost_is_run_again_whole(task, whole, times):
    left = [times]

    def part(seeds):
        if seeds[0] == 0 and left[0]:
            left[0] -= 1
            return "lost", "gone"
        return None

    runner, executor, curves, updates = played(task, part)
    np.testing.assert_array_equal(curves.losses, whole.losses)
    assert sorted(executor.runs) == [(0, 1, 2)] * (1 + times) + [(3, 4, 5)]
    assert updates == 6 * STEPS
    assert runner.failures == {}
    assert runner.executor.label == "on a stage"


def test_a_bad_trial_is_found_and_takes_no_other_with_it(task, whole, tmp_path):
    def part(seeds):
        return ("lost", "gone") if 1 in seeds else None

    with Journal(tmp_path) as journal:
        runner, executor, curves, _ = played(task, part, journal=journal)
        assert len(journal) == 5
        assert journal.failures() == [("SGD Constant 0.1, seed 1", "gone")]
    assert executor.runs.count((0, 1, 2)) == 3
    assert executor.runs.count((1,)) == 3
    assert executor.runs.count((0,)) == executor.runs.count((2,)) == executor.runs.count((3, 4, 5)) == 1
    others = [0, 2, 3, 4, 5]
    np.testing.assert_allclose(curves.select(others).losses, whole.select(others).losses, rtol=1e-5)
    assert curves.final[1] == np.inf
    assert curves.died_at[1] == 0
    assert curves.losses.dtype == whole.losses.dtype
    assert runner.failures == {trials()[1]: "gone"}


def test_a_batch_that_raises_is_split_at_once(task, whole):
    def part(seeds):
        return ("error", TaskError("bad")) if 4 in seeds else None

    runner, executor, curves, _ = played(task, part)
    assert sorted(executor.runs) == [(0, 1, 2), (3,), (3, 4, 5), (4,), (5,)]
    assert runner.failures == {trials()[4]: "bad"}
    assert list(np.isfinite(curves.final)) == [True, True, True, True, False, True]


def test_when_nothing_runs_the_first_error_is_raised(task):
    with pytest.raises(TaskError, match=r"^bad$"):
        played(task, lambda seeds: ("error", TaskError("bad")))
    with pytest.raises(TaskError, match="'tiny' fails: gone"):
        played(task, lambda seeds: ("lost", "gone"))


def test_an_error_that_is_no_trials_fault_is_raised_at_once(task):
    with pytest.raises(SpecError, match=r"^ours$"):
        played(task, lambda seeds: ("error", SpecError("ours")) if 3 in seeds else None)


def test_a_failed_trial_is_tried_again_by_the_next_run(task, tmp_path):
    with Journal(tmp_path) as journal:
        played(task, lambda seeds: ("error", TaskError("bad")) if 4 in seeds else None, journal=journal)
        runner, executor, curves, _ = played(task, lambda seeds: None, journal=journal)
        assert executor.runs == [(4,)]
        assert np.isfinite(curves.final).all()
        assert runner.failures == {}
        assert journal.failures() == []


class Hanging(Playing):
    """A batch with a bad seed never ends by itself."""

    def poll(self, seconds):
        if self.answer and self.answer[0][1] == "hang":
            return []
        return super().poll(seconds)

    def abandon(self, key, reason):
        self.answer = [(key, "lost", reason)]
        self.abandoned.append(reason)


def test_a_batch_that_hangs_is_ended_and_its_bad_trial_found(task, monkeypatch):
    monkeypatch.setattr(dispatch, "CHECK", 0.0)
    executor = Hanging(lambda seeds: ("hang", "") if 1 in seeds else None)
    runner = Runner(task, engine=Ensemble(3), executor=executor, time_limit=0.0)
    curves = runner.run("stage", trials(), STEPS)
    assert list(np.isfinite(curves.final)) == [True, False, True, True, True, True]
    assert runner.failures == {trials()[1]: "it ran for longer than its 0 seconds"}
    assert len(executor.abandoned) == 4  # twice as a batch, twice by itself


def test_an_interrupt_ends_what_runs(task):
    class Interrupted(Hanging):
        def poll(self, seconds):
            raise KeyboardInterrupt

    executor = Interrupted(lambda seeds: None)
    with pytest.raises(KeyboardInterrupt):
        Runner(task, engine=Ensemble(3), executor=executor).run("stage", trials(), STEPS)
    assert executor.abandoned == ["the race has ended"]


def test_a_limit_is_learned_from_the_slowest_batch():
    deadline = Deadline(None)
    assert deadline.limit(100) == float("inf")
    deadline.learn(1.0, 100)
    deadline.learn(200.0, 100)
    assert deadline.limit(50) == 2000.0
    assert deadline.limit(1) == 60.0
    assert Deadline(7.0).limit(100) == 7.0


@pytest.mark.parametrize("workers", [0, -1, 1.5, "many", None])
def test_a_wrong_number_of_workers_is_refused(task, workers):
    with pytest.raises(ParameterError, match=r'workers must be a whole number of at least 1, or "auto"'):
        Runner(task, workers=workers)
