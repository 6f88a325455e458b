"""Several range tests over one axis."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.plots import plot_four_steps, plot_range_tests, plot_sweep
from stepsize.results import RangeTests


@pytest.fixture
def tests():
    one, other = samples.range_test(), samples.range_test(steps=200, seeds=2)
    found = (samples.suggestion(one), samples.suggestion(other, clear=False))
    return RangeTests(compared="weight_decay", names=("0.01", "0.1"), tests=(one, other), found=found)


def test_each_has_a_curve_and_a_point_at_its_largest_rate(tests):
    ax = plot_range_tests(tests)
    curve, point, other = ax.lines
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0.01: to 0.17", "0.1: no clear answer"]
    assert point.get_xdata().tolist() == [0.17]
    assert curve.get_color() == point.get_color() != other.get_color()
    assert (ax.get_xlim(), ax.get_ylabel()) == ((1e-5, 10.0), "loss")
    assert ax.get_title(loc="left") == "Range tests by weight decay"


def test_what_was_a_negative_is_drawn_with_its_own_sign(tests):
    one = tests.tests[0]
    scores = np.where(np.isfinite(one.losses), -one.losses.astype(float) / 4, np.inf)
    watched = replace(one, held_out=scores, scored="negative validation accuracy")
    found = replace(tests.found[0], smooth=scores)
    for ax in (
        plot_sweep(watched, found),
        plot_range_tests(RangeTests(compared="rule", names=("a",), tests=(watched,), found=(found,))),
    ):
        assert ax.get_ylabel() == "validation accuracy"
        assert max(np.nanmax(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) > 9) > 0.3


def test_the_gap_is_shaded_between_validation_and_training_loss():
    one = samples.range_test()
    scores = np.full(one.losses.shape, np.nan)
    scores[::4] = 1.2 * one.losses[::4]
    ax = plot_sweep(replace(one, held_out=scores), samples.suggestion(one))
    labels = {text.get_text() for text in ax.get_legend().get_texts()}
    assert {"gap", "validation loss, median", "training loss, median", "training loss, each seed"} <= labels


def test_the_four_steps_have_a_panel_each():
    steps = samples.four_steps()
    titles = [ax.get_title(loc="left") for ax in plot_four_steps(steps).figure.axes]
    assert titles == ["1. AdamW learns from 0.00042 to 0.17", "2. AdamW: no clear answer for the momentum"]
    alone = plot_sweep(steps.parts[0].sweep)
    assert plot_four_steps(steps, ax=alone) is alone
