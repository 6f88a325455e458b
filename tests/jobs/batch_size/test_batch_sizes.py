"""Batch sizes at equal running time, each at its own rate; and the largest one that fits."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from teacher import teacher

from stepsize import FunctionTask
from stepsize.engines import Loop
from stepsize.jobs import Runner, compare_batch_sizes, largest_batch, suggest
from stepsize.jobs.batch_size.running_time import UPDATES, seconds_per_update, updates_at_equal_time
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.policies import constant
from stepsize.results import load, save
from stepsize.rules import SGD, Momentum
from stepsize.strategy import Strategy, Trial


def timing(per_sample, fixed=1.0):
    """A machine on which an update takes so long."""
    return lambda task, rule: fixed + per_sample * task.batch_size


@pytest.fixture(scope="module")
def task():
    return replace(teacher(80), batch_size=16)


@pytest.fixture(scope="module")
def sweep(task):
    return compare_batch_sizes(
        task, (32, 8), rule=Momentum(), steps=40, seeds=(0, 1), seconds_of=timing(1.0, 0.0), engine=Loop()
    )


@pytest.mark.parametrize(
    ("seconds_of", "expected"),
    [
        (timing(1.0, 0.0), {8: 200, 32: 50}),  # as many samples, where a sample costs time
        (timing(0.0), {8: 100, 32: 100}),  # as many updates, where an update does
        (timing(0.1), {8: round(100 * 2**0.5), 32: round(100 * 2**-0.75)}),  # to a quarter of a power of two
    ],
)
def test_updates_at_equal_time_are_those_of_the_ratio_of_times(task, seconds_of, expected):
    updates, seconds = updates_at_equal_time(task, (8, 32), 100, SGD(), least=8, seconds_of=seconds_of)
    assert updates == expected
    assert seconds[16] == seconds_of(task, SGD())
    for size, count in updates.items():  # n * t(size) is steps * t(own), as far as the rounding goes
        assert abs(np.log2(count * seconds[size] / (100 * seconds[16]))) < 0.125 + 0.01


def test_the_time_of_an_update_is_the_median_between_two_of_them(task):
    ticks = iter([0.0, 5.0, *(5.0 + 0.25 * i for i in range(1, UPDATES)), 99.0])
    assert seconds_per_update(task, SGD(), clock=lambda: next(ticks)) == 0.25


def test_a_slow_timing_of_three_does_not_count(task):
    calls = iter([9.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # sizes in turn, 8 and 16
    updates, _ = updates_at_equal_time(task, (8,), 50, SGD(), least=8, seconds_of=lambda *_: next(calls))
    assert updates == {8: 50}


def test_each_size_runs_at_its_best_rate_for_the_same_time(task, sweep):
    assert (sweep.values.tolist(), sweep.updates, sweep.speeds.tolist()) == ([8.0, 32.0], (80, 20), [1.0, 1.0])
    for row, (size, steps) in enumerate(((8, 80), (32, 20))):
        trials = [Trial(Strategy(Momentum(), constant(float(sweep.rates[row]))), seed) for seed in (0, 1)]
        alone = Loop().run(replace(task, batch_size=size), trials, steps)
        np.testing.assert_allclose(sweep.held_out[row], alone.final, rtol=1e-6)
        for factor in (1 / 3, 3.0):  # neighbours are no better
            other = constant(float(f"{sweep.rates[row] * factor:.3g}"))
            trials = [Trial(Strategy(Momentum(), other), seed) for seed in (0, 1)]
            beside = Loop().run(replace(task, batch_size=size), trials, steps)
            assert not beside.final.mean() < sweep.held_out[row].mean() * 0.999


def test_the_answer_says_at_which_rate_and_is_kept_in_a_file(sweep, tmp_path):
    better = replace(sweep, held_out=np.array([[1.0, 1.1], [0.5, 0.6]]))
    found = suggest(better)
    assert found.lr.value == 32
    assert re.match(r"runs of equal time, each size at its own rate, end lowest at batch_size 32, with", found.reason)
    assert found.policy.peak == pytest.approx(sweep.rates[1])
    again = load(save(better, tmp_path / "sizes.json"))
    assert (again.updates, again.rates.tolist()) == (sweep.updates, sweep.rates.tolist())


def test_the_rate_that_a_policy_has_changes_nothing(task):
    one, other = (
        compare_batch_sizes(
            task, (8, 32), policy=constant(rate), rule=Momentum(), steps=32, seeds=(0,), seconds_of=timing(0.0),
            engine=Loop(),
        )
        for rate in (0.03, 0.3)
    )  # fmt: skip
    np.testing.assert_array_equal(one.held_out, other.held_out)
    assert one.rates.tolist() == other.rates.tolist()


def test_costs_are_those_of_all_runs(task):
    runner = Runner(task, engine=Loop())
    found = compare_batch_sizes(
        task, (8, 16), rule=SGD(), steps=10, seeds=(0,), seconds_of=timing(0.0), runner=runner
    )  # fmt: skip
    assert runner.updates == found.cost


def test_the_samples_of_a_run_are_those_of_all_its_micro_batches(task):
    found = compare_batch_sizes(
        replace(task, accumulate=2), (8, 16), rule=SGD(), steps=10, seeds=(0,), seconds_of=timing(0.0), engine=Loop()
    )  # fmt: skip
    head, first, _ = found.table
    row = dict(zip(head, first, strict=True))
    assert (row["updates"], row["samples"]) == (str(found.updates[0]), str(found.updates[0] * 8 * 2))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"sizes": (8, 24.5)}, ParameterError, "a list of whole numbers"),
        ({"sizes": (8,)}, ParameterError, "at least two values"),
        ({"sizes": (8, 8)}, ParameterError, "distinct"),
        ({"sizes": (8, 10**6)}, ParameterError, "more than the .* training samples"),
        ({"sizes": (8, 16), "seeds": ()}, BudgetError, "at least one seed"),
        ({"sizes": (8, 128), "steps": 20}, BudgetError, "with batches of 128, .* too few; raise the steps to 64"),
    ],
)
def test_sizes_that_cannot_be_compared_are_refused(task, asked, error, message):
    with pytest.raises(error, match=message):
        compare_batch_sizes(task, **asked, seconds_of=timing(1.0, 0.0))
    with pytest.raises(ParameterError, match="own affair"):
        compare_batch_sizes(FunctionTask(lambda _: None), (8, 16))


ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
)  # fmt: skip


@pytest.mark.parametrize(
    ("error", "room"), [(ERRORS[0], 1), (ERRORS[1], 7), (ERRORS[2], 16), (ERRORS[0], 23), (ERRORS[0], 10**6)]
)
def test_the_largest_batch_is_found_by_doubling_and_bisection(task, error, room):
    tried = []

    def attempt(task, rule):
        tried.append(task.batch_size)
        if task.batch_size > room:
            raise error

    samples = len(task)
    assert largest_batch(task, SGD(), attempt=attempt) == min(room, samples)
    assert tried[0] == task.batch_size
    assert len(tried) <= 2 * np.log2(samples)
    assert len(tried) == len(set(tried))


def test_memory_that_runs_out_inside_of_the_model_is_seen_and_other_errors_are_raised(task):
    class Greedy(torch.nn.Linear):
        def forward(self, x):
            if len(x) > 20:
                raise MemoryError
            return super().forward(x)

    width, outputs = task.train[0].shape[1], task.train[1].shape[1]
    assert largest_batch(replace(task, model=lambda: Greedy(width, outputs)), SGD()) == 20
    with pytest.raises(TaskError, match="not even a batch of one sample"):
        largest_batch(task, attempt=lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(ZeroDivisionError):
        largest_batch(task, attempt=lambda *_: 1 / 0)
    with pytest.raises(ParameterError, match="own affair"):
        largest_batch(FunctionTask(lambda _: None))
