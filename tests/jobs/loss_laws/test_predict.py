"""Predictions: right on curves that a law made, held to what was not fitted, refused where they cannot be ranked."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.jobs import add_warmup, predict, predict_task
from stepsize.jobs.loss_laws.predict import apart
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.policies import Policy, constant, cosine, linear_to_zero, triangular, wsd
from stepsize.results import Estimate, Forecast, LossCurve
from stepsize.rules import SGD
from stepsize.schedules import Linear
from stepsize.theory import Annealing

TINY = Path(__file__).parents[2] / "problems" / "tiny.py"
STEPS, PEAK = 600, 0.01
RIGHT = [2.0, 0.3, 0.5, 0.4, 50.0]


def curve(name, shape, *, noise=1e-4, steps=STEPS, peak=PEAK):
    t = np.arange(steps)
    rates = peak * np.minimum(1, (t + 1) / 20) * shape(t / steps)
    at = np.arange(6.0, steps + 1, 6)
    wobble = noise * np.random.default_rng(len(name)).standard_normal(len(at))
    return LossCurve(name, rates, at, Annealing()(RIGHT, rates, at) + wobble)


RUNS = (
    curve("constant", np.ones_like), curve("cosine", lambda u: (1 + np.cos(np.pi * u)) / 2),
    curve("drop", lambda u: np.where(u < 0.55, 1.0, 0.3)),
)  # fmt: skip
WSD = curve("wsd", lambda u: np.minimum(1, 5 * (1 - u)))
ASKED = {
    name: add_warmup(policy, RUNS[0])
    for name, policy in {
        "wsd": wsd(PEAK, warmup=1, shape="linear"), "linear": linear_to_zero(PEAK), "constant": constant(PEAK),
    }.items()
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return predict(RUNS, ASKED, laws=["annealing", "functional"])


def test_the_law_that_made_the_curves_tells_the_one_that_it_has_not_seen(found):
    (forecast,) = [each for each in found.forecasts if each.name == "wsd"]
    assert abs(forecast.losses[0, -1] - WSD.losses[-1]) < 0.002
    assert found.fits[0].error < 5e-4


def test_schedules_far_apart_are_ranked_and_the_best_is_first(found):
    assert found.forecasts[-1].name == "constant"
    assert not found.forecasts[-1].tied
    assert math.isfinite(found.error)
    finals = [each.final.value for each in found.forecasts]
    assert finals == sorted(finals)


def test_schedules_closer_than_the_error_are_not_ranked():
    twins = {"one": ASKED["linear"], "other": add_warmup(linear_to_zero(1.00001 * PEAK), RUNS[0])}
    found = predict(RUNS, twins, laws=["annealing"])
    assert found.forecasts[1].tied
    assert "no schedule is predicted best" in found.verdict


def test_one_run_is_warned_of_and_ranks_nothing():
    found = predict(RUNS[1:2], ASKED, laws=["annealing"])
    assert math.isinf(found.error)
    assert found.verdict.startswith("no ranking: no run was held out")
    assert found.warnings[0].startswith("one run alone")
    assert all(each.tied for each in found.forecasts[1:])


def test_a_horizon_far_beyond_the_runs_ranks_nothing():
    found = predict(RUNS, ASKED, steps=5 * STEPS, laws=["annealing"])
    assert "no ranking: the horizon is 5 times the longest recorded run" in found.verdict
    assert int(found.forecasts[0].at[-1]) == 5 * STEPS
    assert any("the error is that of shorter runs" in warning for warning in found.warnings)


def test_runs_that_are_held_out_are_what_the_error_is_of(found):
    held = predict(RUNS, ASKED, laws=["annealing"], held_out=[WSD])
    (fit,) = held.fits
    assert held.error == fit.final_error < 0.003
    assert held.held_out == (WSD,)
    assert held.measured(held.forecasts[0]) is None or held.measured(held.forecasts[0]).name in {"wsd", "constant"}


def test_what_was_recorded_is_found_by_its_rates(found):
    (forecast,) = [each for each in found.forecasts if each.name == "constant"]
    assert found.measured(forecast).name == "constant"
    assert found.measured(next(each for each in found.forecasts if each.name == "linear")) is None


def test_a_known_parameter_is_held():
    found = predict(RUNS, ASKED, laws=["annealing"], fixed={"annealing": {"h": 50.0}})
    assert dict(found.fits[0].parameters)["h"] == pytest.approx(50.0)


def test_another_peak_is_warned_of():
    found = predict(RUNS, {"cosine": cosine(3 * PEAK)}, laws=["annealing"])
    assert "the peak of cosine is far" in found.warnings[0]
    assert found.verdict.startswith("cosine is predicted to end at")


def forecast(*finals):
    losses = np.array([[2.0, final] for final in finals])
    return Forecast(
        name="x",
        policy=constant(1.0).over(2),
        at=np.array([1, 2]),
        losses=losses,
        final=Estimate.of(losses[:, -1]),
        tied=False,
    )


@pytest.mark.parametrize(
    ("first", "second", "error", "ranked"),
    [
        ((1.0, 1.0), (2.0, 2.0), 0.5, True),
        ((1.0, 1.0), (2.0, 2.0), 1.5, False),  # closer than the error
        ((1.0, 3.0), (2.0, 2.5), 0.1, False),  # the laws disagree
        ((1.0, 1.0), (2.0, 2.0), math.inf, False),
    ],
)
def test_two_are_ranked_where_all_laws_agree_beyond_the_error(first, second, error, ranked):
    assert apart(forecast(*first), forecast(*second), error) is ranked
    assert apart(forecast(*second), forecast(*first), error) is ranked


def test_a_policy_by_name_gets_the_warmup_of_the_runs():
    policy = add_warmup(constant(2 * PEAK), RUNS[0]).over(STEPS)
    np.testing.assert_allclose(policy["lr"].table(0, STEPS), 2 * RUNS[0].rates, rtol=1e-12)
    own = Policy(lr=Linear(0.0, 1.0, "10%") >> Linear(1.0, 0.0))
    assert add_warmup(own, RUNS[0]) is own
    bound = constant(PEAK).over(STEPS)
    assert add_warmup(bound, RUNS[0]) is bound


@pytest.mark.parametrize(
    ("runs", "asked", "options", "error", "words"),
    [
        ([], ASKED, {}, BudgetError, "needs a recorded run"),
        (RUNS, {}, {}, BudgetError, "nothing is asked about"),
        (RUNS, ASKED, {"laws": ["anealing"]}, ParameterError, "Did you mean 'annealing'"),
        (RUNS, ASKED, {"laws": []}, ParameterError, "at least one law"),
        (RUNS[:1], ASKED, {}, ParameterError, "falls in none of these runs"),
        (RUNS, {"cycles": triangular(PEAK)}, {}, ParameterError, "'cycles' rises again after it fell"),
        (RUNS, ASKED, {"skip": 0.95}, BudgetError, "too few to fit a law to"),
        ([replace(RUNS[1], losses=-RUNS[1].losses)], ASKED, {}, ParameterError, "has a loss of -"),
        ([replace(RUNS[1], losses=np.nan * RUNS[1].losses)], ASKED, {}, ParameterError, "has a loss of nan"),
    ],
)
def test_what_cannot_be_predicted_is_refused(runs, asked, options, error, words):
    with pytest.raises(error, match=words):
        predict(runs, asked, **options)


@pytest.mark.parametrize(
    ("at", "losses", "words"),
    [([1, 2], [1.0], "a loss for each"), ([0, 1], [1.0, 1], "must rise, from 1"), ([2, 2], [1.0, 1], "must rise"),
     ([1, 4], [1.0, 1], "up to 3 updates")],
)  # fmt: skip
def test_a_curve_that_does_not_fit_is_refused(at, losses, words):
    with pytest.raises(ParameterError, match=words):
        LossCurve("x", np.ones(3), np.array(at), np.array(losses))


def test_a_task_is_recorded_predicted_and_checked():
    task, seen = load_task(str(TINY)), []
    asked = {"linear_to_zero": linear_to_zero(0.1), "constant": constant(0.1)}
    found = predict_task(
        task, SGD(), 0.1, asked, steps=80, laws=["annealing"], seeds=(0, 1), check=True,
        progress=lambda *report: seen.append(report),
    )  # fmt: skip
    assert [run.name for run in found.runs] == ["constant", "cosine", "drop"]
    assert {run.name for run in found.held_out} == set(asked)
    assert all(found.measured(each).name == each.name for each in found.forecasts)
    assert sum(updates for _, updates in seen) == (3 + 2) * 2 * 80
    with pytest.raises(BudgetError, match="runs of 30 steps are too short"):
        predict_task(task, SGD(), 0.1, asked, recorded=30)
    with pytest.raises(BudgetError, match="at least one seed"):
        predict_task(task, SGD(), 0.1, asked, seeds=())
    seen.clear()
    with pytest.raises(ParameterError, match="no law is called 'anealing'"):
        predict_task(task, SGD(), 0.1, asked, laws=["anealing"], progress=lambda *report: seen.append(report))
    assert not seen


def test_a_recorded_run_that_diverges_is_refused():
    from torch import nn  # noqa: PLC0415  (the rest needs no model)

    task = replace(load_task(str(TINY)), model=lambda: nn.Linear(6, 3), loss=lambda p, _: (p**2).mean())
    with pytest.raises(TaskError, match="constant diverges on"):
        predict_task(task, SGD(), 1e38, {"constant": constant(1e38)}, seeds=(0,))
