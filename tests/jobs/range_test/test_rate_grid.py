"""Grids, range tests and sweeps on small tasks: each run equals its trial, and costs add up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from teacher import teacher

from stepsize import Task
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import Runner, estimate_rate, range_test, rate_grid, suggest, sweep_hyperparameter
from stepsize.jobs.range_test.stability_limit import stable_rates
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import constant, one_cycle
from stepsize.problems import load_task
from stepsize.rules import SGD, Adam, AdamW, Lion, Momentum, Nesterov, RMSProp
from stepsize.strategy import Strategy, Trial
from stepsize.theory import middle_exponent

TINY = "tests/problems/tiny.py"


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


def quadratic(steps=200, curvature=(1.0, 10.0)):
    """The mean of c * w**2 / 2 over coordinates that all samples share: a Hessian that is known."""
    scale = torch.tensor(curvature)
    data = (scale.sqrt().diag().repeat(32, 1), torch.zeros(32 * len(curvature), 1))

    def model():
        layer = torch.nn.Linear(len(curvature), 1, bias=False)
        torch.nn.init.ones_(layer.weight)
        return layer

    return Task(model, torch.nn.functional.mse_loss, data, data, 32, steps, "quadratic")


def test_each_run_of_a_grid_is_its_own_trial(task):
    policy = one_cycle(1.0)
    sweep = rate_grid(task, Momentum(), (0.01, 0.1), policy=policy, steps=20, seeds=(3, 4), engine=Ensemble())
    alone = Trial(Strategy(Momentum(), policy.scaled(0.1)), 4)
    record = Ensemble().run(task, [alone], 20)
    assert sweep.held_out[1, 1] == pytest.approx(record.final[0], rel=1e-4)
    assert sweep.losses[1, 1] == pytest.approx(record.losses[-2:, 0].mean(), rel=1e-4)
    assert sweep.before.tolist() == pytest.approx([task.score(task.build(seed)) for seed in (3, 4)])
    assert (sweep.steps, sweep.cost, sweep.horizon) == (20, 80, task.steps)


def test_a_grid_says_which_runs_diverged():
    sweep = rate_grid(quadratic(), SGD(), (0.1, 1e30), steps=10, seeds=(0,))
    assert np.isfinite(sweep.held_out[0, 0])
    assert not np.isfinite(sweep.held_out[1, 0])
    assert np.isnan(sweep.losses[1, 0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rates": ()}, ParameterError, "rise, from above 0"),
        ({"rates": (0.1, 0.1)}, ParameterError, "rise, from above 0"),
        ({"rates": (0.0, 0.1)}, ParameterError, "rise, from above 0"),
        ({"rates": (0.1, np.inf)}, ParameterError, "rise, from above 0"),
        ({"rates": (0.1,), "steps": 7}, BudgetError, "at least 8"),
        ({"rates": (0.1,), "seeds": ()}, BudgetError, "at least one seed"),
    ],
)
def test_a_grid_that_shows_nothing_is_refused(task, arguments, error, message):
    with pytest.raises(error, match=message):
        rate_grid(task, SGD(), **arguments)


def test_the_rate_of_a_range_test_alone_has_two_digits_or_is_refused():
    task = teacher(120)
    tested = suggest(range_test(task, Momentum(), low=1e-4, high=10.0), "cosine")
    rate = estimate_rate(task, Momentum(), "cosine", low=1e-4, high=10.0)
    assert rate == float(f"{tested.lr.value:.2g}")
    with pytest.raises(
        ParameterError, match=r"no rate to run at: no clear answer: no drop.*Give one .range-test: --lr"
    ):
        estimate_rate(quadratic(40, (1e-12, 1e-12)), SGD(), low=1e-3, high=1e-1, widen=False)


def test_a_range_that_is_too_narrow_is_widened():
    task = quadratic()
    narrow = range_test(task, SGD(), low=1e-5, high=1e-3, seeds=(0,), curvature=False)
    assert narrow.rates[-1] > 0.5
    assert narrow.cost > len(narrow.rates)
    assert range_test(task, SGD(), low=1e-5, high=1e-3, seeds=(0,), widen=False, curvature=False).rates[-1] < 1e-3
    too_fast = range_test(task, SGD(), low=1e6, high=1e9, seeds=(0,), curvature=False)
    assert too_fast.rates[0] < 1.0


def test_a_linear_range_test_climbs_as_smith_has_it(task):
    sweep = range_test(
        task, SGD(), low=0.1, high=1.1, steps=20, spacing="linear", seeds=(0,), widen=False, curvature=False
    )
    np.testing.assert_allclose(sweep.rates, 0.1 + 0.05 * np.arange(20))


@pytest.mark.parametrize(
    ("rule", "limit"),
    [(SGD(), 2 / 10), (Momentum(momentum=0.9), 3.8 / 10), (Nesterov(momentum=0.9), 3.8 / 2.8 / 10)],
)
def test_the_limit_of_a_quadratic_is_its_threshold_over_its_curvature(rule, limit):
    """The loss is the mean over the rows of (sqrt(c) w)**2, so a coordinate's curvature is c."""
    assert stable_rates(quadratic(), rule, (0,)) == pytest.approx([limit], rel=0.01)


@pytest.mark.parametrize("rule", [RMSProp(), Adam(), AdamW()])
def test_an_adaptive_rule_has_the_limit_of_its_own_metric(rule):
    """The gradient of w = 1 is c, so P = c + eps and the curvature of P**-1 H is 1 in every coordinate."""
    threshold = 2 if isinstance(rule, RMSProp) else 38
    decay = rule.weight_decay / 2 * isinstance(rule, AdamW)
    assert stable_rates(quadratic(), rule, (0,)) == pytest.approx([1 / (1 / threshold + decay)], rel=0.2)


def test_a_rule_without_a_theory_has_no_limit(task):
    assert stable_rates(task, Lion(), (0, 1)) is None
    assert range_test(task, Lion(), steps=20, seeds=(0,), widen=False).limits is None


def test_runs_at_fixed_values_differ_in_the_value_alone(task):
    sweep = sweep_hyperparameter(
        task, "momentum", (0.5, 0.9), policy=one_cycle(0.1), rule=Momentum(), steps=20, seeds=(0, 1)
    )
    rates = one_cycle(0.1).only({"lr"})
    expected = [Trial(Strategy(Momentum(momentum=value), rates), 1) for value in (0.5, 0.9)]
    np.testing.assert_allclose(sweep.held_out[:, 1], Ensemble().run(task, expected, 20).final, rtol=1e-4)
    assert (sweep.hyperparameter, sweep.values.tolist()) == ("momentum", [0.5, 0.9])


def test_weight_decay_is_bisected_in_the_exponent_around_the_best_of_smiths_values(task):
    runner = Runner(task, engine=Loop())
    sweep = sweep_hyperparameter(
        task, "weight_decay", policy=constant(0.1), rule=Momentum(), steps=20, seeds=(0, 1), runner=runner
    )
    first = [0.0, 1e-5, 1e-4, 1e-3]
    assert set(first) <= set(sweep.values)
    assert (np.diff(sweep.values) > 0).all()
    assert runner.updates == sweep.cost == len(sweep.values) * 2 * 20
    means = dict(zip(sweep.values.tolist(), sweep.held_out.mean(axis=1).tolist(), strict=True))
    third = middle_exponent(np.array(first), np.array([means[value] for value in first]))
    if third is not None:
        assert float(f"{third:.3g}") in means
    for row, value in enumerate(sweep.values.tolist()):
        alone = Loop().run(task, [Trial(Strategy(Momentum(weight_decay=value), constant(0.1)), 1)], 20)
        assert sweep.held_out[row, 1] == pytest.approx(alone.final[0], rel=1e-6)
    named = sweep_hyperparameter(task, "weight_decay", first, policy=constant(0.1), steps=8, seeds=(0,))
    assert named.values.tolist() == first


def test_the_best_value_is_named_with_those_that_do_as_well(task):
    sweep = sweep_hyperparameter(task, "momentum", (0.0, 0.5, 0.9), policy=constant(0.05), rule=Momentum(), steps=20)
    finals = np.array([[1.0, 1.1, 0.9], [0.5, 0.6, 0.4], [0.51, 0.58, 0.42]])
    found = suggest(replace(sweep, held_out=finals))
    assert found.lr.value == 0.5
    assert found.reason == "runs of 20 steps end lowest at momentum 0.5; as good, as far as the seeds tell: 0.9"
    edge = suggest(replace(sweep, held_out=finals[::-1]))
    assert edge.warnings == ()
    assert suggest(replace(sweep, held_out=finals[[1, 2, 0]])).warnings == (
        "the best momentum is at the edge of the values; try some beyond it",
    )
    assert "the values cannot be distinguished on 3 seeds" in suggest(replace(sweep, held_out=finals[[1, 2, 1]])).reason
    assert "every run diverged" in suggest(replace(sweep, held_out=np.full((3, 3), np.inf))).reason


@pytest.mark.parametrize(
    ("of", "values", "message"),
    [
        ("lr", (0.1, 0.2), "'lr' is found by range_test"),
        ("mometum", (0.1, 0.2), "no hyperparameter of SGD. Did you mean 'momentum'|no hyperparameter of SGD"),
        ("weight_decay", (0.1,), "at least two values"),
        ("weight_decay", (0.1, -1.0), "at least 0"),
        ("batch_size", (16, 24), "'batch_size' is compared by compare_batch_sizes"),
    ],
)
def test_a_test_of_nothing_is_refused(task, of, values, message):
    with pytest.raises(ParameterError, match=message):
        sweep_hyperparameter(task, of, values, policy=constant(0.1), rule=SGD())
