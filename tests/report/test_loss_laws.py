"""Pages of refined schedules and predictions: the numbers are there, and so is every warning."""

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
        Forecast(name, linear_to_zero(0.1).over(100), at, 2 + 1 / at[None], Estimate(2.01, 2.0, 2.02), tied=tied)
        for name, tied in (("best", False), ("second", True))
    ]
    fit = LawFit("annealing", (("L0", 2.0),), 0.001, 0.004, 0.05)
    found = Prediction(
        "log", 100, (curve,), (), (fit,), tuple(forecasts), 0.05, "no schedule is predicted best", ("careful",)
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
    unknown = Prediction("log", 100, (curve,), (), (fit,), tuple(forecasts), np.inf, "no ranking")
    assert "not known" in render(unknown)
    assert "tied with the best" not in render(unknown)
