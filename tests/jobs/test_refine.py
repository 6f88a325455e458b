"""Refinement of norms and of a task: linear decay for constant norms, the length of a run, and the race."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stepsize import load_task
from stepsize.diagnostics import record_norms
from stepsize.jobs import refine, refine_task
from stepsize.jobs.refine import FRESH, TUNING, norm_of
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.policies import Policy, linear_to_zero, one_cycle
from stepsize.results import Refinement
from stepsize.rules import SGD, Adam, AdamW, ClipNorm, Nesterov
from stepsize.schedules import Linear
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"


def tiny():
    return load_task(str(TINY))


@settings(max_examples=15)
@given(steps=st.integers(30, 300), norm=st.floats(0.01, 100), kind=st.sampled_from(["l1", "l2"]))
def test_constant_norms_give_the_linear_schedule_itself(steps, norm, kind):
    found = refine(np.arange(steps), np.full(steps, norm), norm=kind)
    assert found.steps == steps
    np.testing.assert_allclose(
        found.policy["lr"].table(0, steps), Linear(1.0, 0.0).over(steps).table(0, steps), rtol=0, atol=1e-9
    )
    assert found.gain == pytest.approx(1.0)
    assert found.warmup == 0


@pytest.mark.parametrize("first", [9, 10, 0, 1])
def test_however_the_steps_are_counted_the_run_has_its_length(first):
    found = refine(np.arange(first, 1001 if first == 10 else 1000, 10), np.ones(100))
    assert found.steps == 1000
    np.testing.assert_allclose(found.policy["lr"].table(0, 1000), 1 - np.arange(1000) / 1000, atol=1e-9)


def test_sparse_norms_give_a_rate_for_every_step():
    steps = np.arange(0, 1000, 10)
    found = refine(steps, 1 + 5 * np.exp(-steps / 60))
    rates = found.policy["lr"].table(0, 1000)
    assert found.steps == len(found.shape) == 1000
    assert 0 < found.warmup < 400
    assert rates.argmax() == found.warmup
    assert found.gain < 1


def test_a_long_run_plays_ten_thousand_rates_slower():
    found = refine(np.arange(0, 50_000, 50), np.ones(1000))
    assert len(found.shape) == 10_000
    np.testing.assert_allclose(found.policy["lr"](np.array([0, 25_000, 49_999])), [1, 0.5, 0], atol=2e-4)


def test_the_first_and_the_last_norms_weigh_nothing():
    norms = np.ones(100)
    norms[[0, 1, 98, 99]] = [50, 20, 9, 9]
    np.testing.assert_allclose(refine(np.arange(100), norms, share=0.0).shape, 1 - np.arange(100) / 100, atol=1e-12)


def test_infinite_norms_are_left_out_and_counted():
    norms = np.ones(100)
    norms[[5, 50]] = [np.inf, np.nan]
    found = refine(np.arange(100), norms)
    assert "2 norms were no finite numbers" in found.warnings[0]


def test_a_known_rate_moves_the_peak_by_the_bound_and_not_far():
    rates = np.full(200, 0.1)
    found = refine(np.arange(200), np.ones(200), rates=rates)
    peak = found.policy["lr"].table(0, 200).max()
    assert 0.2 < peak < 0.3  # the bound's shift from a constant to linear decay is 2.45 at 200 steps
    assert not found.warnings
    assert (found.original == 1).all()


def test_norms_that_vanish_are_warned_of():
    found = refine(np.arange(400), np.exp(-np.arange(400) / 40))
    assert "does not hold" in found.warnings[-1]


@pytest.mark.parametrize(
    ("steps", "norms", "options", "error", "words"),
    [
        (range(10), np.ones(10), {}, BudgetError, "10 gradient norms are too few"),
        (range(50), np.zeros(50), {}, ParameterError, "a gradient norm is 0"),
        (range(50), -np.ones(50), {}, ParameterError, "a gradient norm is -1"),
        (range(50), np.ones(49), {}, ParameterError, "as many steps as norms"),
        ([*range(49), 48], np.ones(50), {}, ParameterError, "must rise"),
        (range(50), np.ones(50), {"total": 40}, ParameterError, "goes on to step 49, beyond a run of 40"),
        (range(50), np.ones(50), {"total": 100}, BudgetError, "ends at step 49 of 100"),
        (range(50), np.ones(50), {"norm": "l3"}, ParameterError, "norm must be 'l2' or 'l1', not 'l3'"),
        (range(50), np.ones(50), {"rates": np.ones(20)}, ParameterError, "rate of each of the 50 updates"),
        (range(50), np.ones(50), {"share": 2.0}, ParameterError, "share must be"),
    ],
)
def test_what_cannot_be_refined_is_refused(steps, norms, options, error, words):
    with pytest.raises(error, match=words):
        refine(np.array(steps), norms, **options)


def test_a_result_whose_arrays_do_not_fit_is_refused():
    found = refine(np.arange(50), np.ones(50))
    with pytest.raises(ParameterError, match="as many norms as recorded steps"):
        replace(found, norms=np.ones(3))


@pytest.mark.parametrize(
    ("rule", "norm"), [(SGD(), "l2"), (Nesterov(), "l2"), (ClipNorm(SGD()), "l2"), (AdamW(), "l1"), (Adam(), "l1")]
)
def test_the_norm_follows_the_rule(rule, norm):
    assert norm_of(rule) == norm


def test_recorded_norms_are_those_of_the_gradients():
    """Of plain SGD every move is rate times gradient, so the first move has the first norm."""
    task, rate = tiny(), 0.05
    strategy = Strategy(SGD(), Policy(lr=rate))
    norms = record_norms(task, Trial(strategy, 3), 4)
    model = task.build(3)
    x, y = task.batch(0, 3)
    task.loss(model(x), y).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).double()
    assert norms.l2[0] == pytest.approx(float(gradient.norm()), rel=1e-5)
    assert norms.l1[0] == pytest.approx(float(gradient.abs().sum()), rel=1e-5)
    assert norms.l2.shape == norms.l1.shape == (4,)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulated_batches_have_the_norms_of_the_batch_that_they_are(clip_norm):
    whole = replace(tiny(), batch_size=8, clip_norm=clip_norm)
    trial = Trial(Strategy(SGD(), Policy(lr=0.05)), 3)
    expected, found = (record_norms(task, trial, 4) for task in (whole, replace(whole, batch_size=2, accumulate=4)))
    np.testing.assert_allclose(found.l2, expected.l2, rtol=1e-4)
    np.testing.assert_allclose(found.l1, expected.l1, rtol=1e-4)


def test_a_task_is_recorded_refined_and_raced():
    seen = []
    found = refine_task(
        tiny(), Strategy(SGD(), linear_to_zero(0.1)), steps=60, race=True, progress=lambda *report: seen.append(report)
    )
    assert isinstance(found, Refinement)
    assert (found.norm, found.steps, len(found.norms)) == ("l2", 60, 56)
    names = [standing.strategy.name.partition(" ")[0] for standing in found.race.standings]
    assert sorted(names) == ["original", "refined"]
    assert found.race.rungs[0].seeds == TUNING
    assert found.race.rungs[-1].seeds == FRESH
    assert found.race.cost == pytest.approx(2 * 5 * len(TUNING) + 2 * len(FRESH))
    assert {stage.partition(":")[0] for stage, _ in seen} >= {"recording", "peaks, rung 1", "fresh seeds, rung 1"}


def test_other_hyperparameters_stay_as_they_were():
    found = refine_task(tiny(), Strategy(Nesterov(), one_cycle(0.1)), steps=40)
    assert found.race is None
    assert found.strategy.policy["momentum"] == one_cycle(0.1)["momentum"]


def test_a_run_that_diverges_is_refused():
    explosive = replace(tiny(), model=lambda: nn.Linear(6, 3), loss=lambda p, _: (p**2).mean())
    with pytest.raises(TaskError, match=r"diverges on .* give it a smaller rate"):
        refine_task(explosive, Strategy(SGD(), linear_to_zero(1e9)), steps=40)
