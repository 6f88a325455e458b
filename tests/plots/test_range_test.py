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
    kinds = ("min", "max", "lr", "base", "limit")
    lines = [line for line in ax.lines if line.get_label().startswith(kinds) and len(line.get_xdata())]
    return {line.get_label(): line.get_xdata()[0] for line in lines}


def legend(ax):
    return {text.get_text() for text in ax.get_legend().get_texts()}


def test_every_seed_is_thin_and_the_median_is_bold():
    sweep = samples.range_test()
    ax = plot_sweep(sweep)
    *seeds, median = ax.lines
    assert len(seeds) == len(sweep.seeds)
    assert all(line.get_linewidth() < median.get_linewidth() for line in seeds)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss")
    assert not bounds(ax)


def test_the_bounds_stand_at_their_rates_with_their_spread():
    sweep = samples.range_test()
    found = samples.suggestion(sweep)
    ax = plot_sweep(sweep, found)
    assert bounds(ax) == {"min 0.00042": 4.2e-4, "max 0.17": 0.17}
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert [(span.x0, span.x1) for span in spans] == [pytest.approx((3.1e-4, 5.5e-4)), pytest.approx((0.12, 0.21))]
    assert {"min 0.00042", "max 0.17"} <= legend(ax)
    assert ax.get_title(loc="left") == "AdamW learns from 0.00042 to 0.17"


def test_the_bold_curve_is_the_median_of_the_suggestions_smoothing():
    sweep = samples.range_test(seeds=3)
    found = samples.suggestion(sweep)
    drawn = plot_sweep(sweep, found).lines[3].get_ydata()
    np.testing.assert_allclose(drawn[:100], np.median(found.smooth[:100], axis=1))


def test_no_clear_answer_is_said_and_marks_nothing():
    sweep = samples.range_test(SGD(), clear=False)
    ax = plot_sweep(sweep, samples.suggestion(sweep, clear=False))
    assert ax.get_title(loc="left") == "SGD: no clear answer"
    assert not bounds(ax)


def test_an_explosion_does_not_set_the_scale():
    sweep = samples.range_test()
    assert np.isnan(sweep.losses).any()
    low, high = plot_sweep(sweep, samples.suggestion(sweep)).get_ylim()
    assert -0.5 < low < 0.5
    assert 2.3 < high < 3.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_losses_of_any_value_can_be_drawn(value):
    sweep = samples.range_test()
    losses = np.full_like(sweep.losses, value)
    ax = plot_sweep(replace(sweep, losses=losses))
    ax.figure.draw_without_rendering()
    assert np.isfinite(ax.get_ylim()).all()


def test_one_bound_alone_is_drawn_alone():
    sweep = samples.range_test()
    found = replace(samples.suggestion(sweep), min_lr=None)
    ax = plot_sweep(sweep, found)
    assert list(bounds(ax)) == ["max 0.17"]
    assert ax.get_title(loc="left") == "AdamW learns up to 0.17"


def test_a_bound_that_is_not_finite_is_left_out():
    sweep = samples.range_test()
    found = replace(samples.suggestion(sweep), min_lr=Estimate(np.nan, np.nan, np.nan))
    assert list(bounds(plot_sweep(sweep, found))) == ["max 0.17"]


def test_a_sweep_of_one_step_and_one_seed_can_be_drawn():
    plot_sweep(samples.range_test(steps=1, seeds=1)).figure.draw_without_rendering()


def one(value):
    return Estimate(value, value, value)


def test_every_number_of_a_suggestion_is_a_line_distinct_without_colour():
    sweep = samples.range_test()
    found = replace(samples.suggestion(sweep), lr=one(0.05), base=one(0.002), limit=one(0.6))
    ax = plot_sweep(sweep, found)
    assert bounds(ax) == {
        "min 0.00042": 4.2e-4,
        "max 0.17": 0.17,
        "base 0.002": 2e-3,
        "lr 0.05": 0.05,
        "limit 0.6": 0.6,
    }
    dashes = {str(line._unscaled_dash_pattern) for line in ax.lines if line.get_label() in bounds(ax)}
    assert len(dashes) == 5


def test_a_rate_far_outside_is_named_with_an_arrow_and_not_drawn():
    sweep = samples.range_test()
    ax = plot_sweep(sweep, replace(samples.suggestion(sweep), limit=one(3e6)))
    assert "limit 3e6 →" in legend(ax)
    assert "limit 3e6" not in bounds(ax)
    assert ax.get_xlim()[1] < 100


def test_the_band_is_the_range_of_the_smoothed_curves():
    sweep = samples.range_test()
    found = samples.suggestion(sweep)
    (band,) = plot_sweep(sweep, found).collections
    corners = band.get_paths()[0].vertices
    alive = np.isfinite(found.smooth).all(axis=1)
    assert corners[:, 1].max() == pytest.approx(found.smooth[alive].max())
    assert corners[:, 1].min() == pytest.approx(found.smooth[alive].min())


def test_validation_losses_are_drawn_where_they_were_taken():
    sweep = samples.range_test(steps=100)
    held_out = np.full(sweep.losses.shape, np.nan)
    held_out[::20] = 1.5
    ax = plot_sweep(replace(sweep, held_out=held_out))
    (line,) = (line for line in ax.lines if line.get_label() == "validation")
    np.testing.assert_array_equal(line.get_xdata(), sweep.rates[::20])


@pytest.mark.parametrize(("floor", "scale"), [(0.01, "log"), (1.0, "linear"), (-0.5, "linear")])
def test_losses_are_logarithmic_when_what_was_learnt_spans_a_decade(floor, scale):
    sweep = samples.range_test(seeds=1)
    fall = floor + (2.3 - floor) / (1 + (sweep.rates / 1e-3) ** 3)
    ax = plot_sweep(replace(sweep, losses=fall[:, None].astype(np.float32)))
    assert ax.get_yscale() == scale
    low, high = ax.get_ylim()
    assert low < fall.min() < fall.max() < high


def test_a_result_draws_itself_by_what_it_is():
    assert samples.range_test().plot().get_xlabel() == "learning rate"
    assert samples.grid().plot().get_xlabel() == "peak learning rate"
