"""Refined schedules and predicted curves: what is drawn is what the result says, whatever its size."""

import numpy as np
import pytest

from stepsize.jobs import refine
from stepsize.plots import plot_norms, plot_prediction, plot_refinement
from stepsize.policies import Policy
from stepsize.results import Estimate, Forecast, LawFit, LossCurve, Prediction
from stepsize.schedules import Table

STEPS = 200


def curve(name, rate=0.1):
    return LossCurve(name, np.full(STEPS, rate), np.arange(5.0, STEPS + 1, 5), 2 + 1 / np.arange(5.0, STEPS + 1, 5))


def forecast(name, rate=0.1, level=2.0):
    at = np.arange(10.0, STEPS + 1, 10)
    losses = level + np.stack([1 / at, 2 / at, 3 / at])
    policy = Policy(lr=Table((rate,) * STEPS, STEPS))
    return Forecast(name=name, policy=policy, at=at, losses=losses, final=Estimate.of(losses[:, -1]), tied=False)


def prediction(count=2, error=0.01):
    fits = tuple(LawFit(law=name, parameters=(), error=0.1, curve_error=0.1, final_error=error) for name in "abc")
    forecasts = tuple(forecast(f"_policy ${i}$", 0.1 * (i + 1), 2 + 0.01 * i) for i in range(count))
    return Prediction(
        name="log",
        steps=STEPS,
        runs=(curve("constant"),),
        held_out=(curve("other", 0.5),),
        fits=fits,
        forecasts=forecasts,
        error=error,
        verdict="none",
    )


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_a_refined_schedule_stands_beside_linear_decay_and_the_original():
    rates = np.linspace(0.1, 0.05, STEPS)
    found = refine(np.arange(STEPS), np.linspace(1, 2, STEPS), rates=rates)
    drawn = lines(found.plot())
    assert set(drawn) == {"linear decay", "recorded run", "refined"}
    np.testing.assert_array_equal(drawn["refined"].get_ydata(), found.shape)
    np.testing.assert_allclose(drawn["recorded run"].get_ydata(), rates / 0.1)
    assert "recorded run" not in lines(plot_refinement(refine(np.arange(STEPS), np.ones(STEPS))))


@pytest.mark.parametrize(("top", "scale"), [(2.0, "linear"), (100.0, "log")])
def test_norms_that_span_much_are_on_a_logarithmic_axis(top, scale):
    found = refine(np.arange(STEPS), np.geomspace(1, top, STEPS))
    ax = plot_norms(found)
    assert ax.get_yscale() == scale
    np.testing.assert_array_equal(lines(ax)["running median"].get_ydata(), found.smooth)


def test_a_prediction_draws_the_median_its_range_and_what_was_recorded():
    found = prediction()
    ax = found.plot()
    drawn = lines(ax)
    assert {"constant, fitted", "other, held out"} <= set(drawn)
    medians = [line.get_ydata() for label, line in drawn.items() if "policy" in label]
    np.testing.assert_allclose(medians[0], found.forecasts[0].losses[1])
    assert len(ax.collections) == 2
    assert ax.get_title(loc="left") == "Predicted by 3 laws, error 0.01"


def test_a_recorded_run_has_the_colour_of_the_schedule_that_it_followed():
    drawn = lines(plot_prediction(prediction()))
    first = next(line for label, line in drawn.items() if "policy" in label)
    assert drawn["constant, fitted"].get_color() == first.get_color()
    assert drawn["other, held out"].get_color() != first.get_color()


def test_many_schedules_are_cut_to_the_best_seven():
    drawn = lines(plot_prediction(prediction(12, np.inf)))
    assert sum("policy" in label for label in drawn) == 7
