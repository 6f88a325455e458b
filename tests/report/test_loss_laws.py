"""Pages of refined schedules and predictions: the numbers are there, and so is every warning."""

import tracemalloc
from dataclasses import replace

import numpy as np
import samples

from stepsize.jobs import refine
from stepsize.policies import linear_to_zero
from stepsize.report import render
from stepsize.results import Estimate, Forecast, LawFit, LossCurve, Prediction


def test_a_refinement_has_its_schedule_its_norms_and_its_warnings():
    found = refine(np.arange(100), np.ones(100), name="<log>")
    page = render(found)
    assert "Refined schedule" in page
    assert "&lt;log&gt;" in page
    assert "no learning rate was recorded" in page
    assert page.count("<svg") == 2


def test_a_raced_refinement_has_its_standings():

    found = replace(refine(np.arange(100), np.ones(100)), race=samples.final())
    assert samples.final().best.name in render(found)


def test_a_prediction_has_its_verdict_and_says_what_cannot_be_ranked():
    at = np.arange(1.0, 101)
    curve = LossCurve("run", np.full(100, 0.1), at, 2 + 1 / at)
    forecasts = [
        Forecast(
            name=name,
            policy=linear_to_zero(0.1).over(100),
            at=at,
            losses=2 + 1 / at[None],
            final=Estimate(2.01, 2.0, 2.02),
            tied=tied,
        )
        for name, tied in (("best", False), ("second", True))
    ]
    fit = LawFit(law="annealing", parameters=(("L0", 2.0),), error=0.001, curve_error=0.004, final_error=0.05)
    found = Prediction(
        name="log",
        steps=100,
        runs=(curve,),
        held_out=(),
        fits=(fit,),
        forecasts=tuple(forecasts),
        error=0.05,
        verdict="no schedule is predicted best",
        warnings=("careful",),
    )
    page = render(found)
    for text in (
        "no schedule is predicted best.",
        "tied with the best",
        "annealing",
        "careful",
        "2.01",
    ):
        assert text in page
    unknown = Prediction(
        name="log",
        steps=100,
        runs=(curve,),
        held_out=(),
        fits=(fit,),
        forecasts=tuple(forecasts),
        error=np.inf,
        verdict="no ranking",
    )
    assert "not known" in render(unknown)
    assert "tied with the best" not in render(unknown)


def test_the_page_of_a_refinement_takes_memory_by_its_points_and_not_by_its_steps():
    """Three thousand million steps, as of a log that counts tokens; a table of them took 24 GB."""
    steps = np.linspace(0, 2_999_999_999, 200).astype(np.int64)
    found = refine(steps, np.ones(200), total=3_000_000_000)
    tracemalloc.start()
    page = render(found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "Refined schedule" in page
    assert peak < 200_000_000
