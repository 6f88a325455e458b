"""The picture of a range test marks the bounds where they are, and survives what diverges."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.plots import plot_sweep
from stepsize.results import Estimate
from stepsize.rules import SGD


def bounds(ax):
    """The x of every vertical line, by its label."""
    return {line.get_label(): line.get_xdata()[0] for line in ax.lines if line.get_label().startswith(("min", "max"))}


def test_every_seed_is_thin_and_the_median_is_bold():
    sweep = samples.sweep()
    ax = plot_sweep(sweep)
    *seeds, median = ax.lines
    assert len(seeds) == len(sweep.seeds)
    assert all(line.get_linewidth() < median.get_linewidth() for line in seeds)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss")
    assert not bounds(ax)


def test_the_bounds_stand_at_their_rates_with_their_spread():
    sweep = samples.sweep()
    found = samples.suggestion(sweep)
    ax = plot_sweep(sweep, found)
    assert bounds(ax) == {"min 0.00042": 4.2e-4, "max 0.17": 0.17}
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert [(span.x0, span.x1) for span in spans] == [pytest.approx((3.1e-4, 5.5e-4)), pytest.approx((0.12, 0.21))]
    assert {"min 0.00042", "max 0.17"} <= {text.get_text() for text in ax.texts}
    assert ax.get_title(loc="left") == "AdamW learns from 0.00042 to 0.17"


def test_the_bold_curve_is_the_median_of_the_suggestions_smoothing():
    sweep = samples.sweep(seeds=3)
    found = samples.suggestion(sweep)
    drawn = plot_sweep(sweep, found).lines[3].get_ydata()
    np.testing.assert_allclose(drawn[:100], np.median(found.smooth[:100], axis=1))


def test_no_clear_answer_is_said_and_marks_nothing():
    sweep = samples.sweep(SGD(), clear=False)
    ax = plot_sweep(sweep, samples.suggestion(sweep, clear=False))
    assert ax.get_title(loc="left") == "SGD: no clear answer"
    assert not bounds(ax)


def test_an_explosion_does_not_set_the_scale():
    sweep = samples.sweep()
    assert np.isnan(sweep.losses).any()
    low, high = plot_sweep(sweep, samples.suggestion(sweep)).get_ylim()
    assert -0.5 < low < 0.5
    assert 2.3 < high < 3.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_losses_of_any_value_can_be_drawn(value):
    sweep = samples.sweep()
    losses = np.full_like(sweep.losses, value)
    ax = plot_sweep(replace(sweep, losses=losses))
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()


def test_one_bound_alone_is_drawn_alone():
    sweep = samples.sweep()
    found = replace(samples.suggestion(sweep), min_lr=None)
    ax = plot_sweep(sweep, found)
    assert list(bounds(ax)) == ["max 0.17"]
    assert ax.get_title(loc="left") == "AdamW learns up to 0.17"


def test_a_bound_that_is_not_finite_is_left_out():
    sweep = samples.sweep()
    found = replace(samples.suggestion(sweep), min_lr=Estimate(np.nan, np.nan, np.nan))
    assert list(bounds(plot_sweep(sweep, found))) == ["max 0.17"]


def test_a_sweep_of_one_step_and_one_seed_can_be_drawn():
    plot_sweep(samples.sweep(steps=1, seeds=1)).figure.canvas.draw()
