"""The picture of a grid shows every run: those that end, and those that diverge."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.jobs.range_test.rate_grid import lowest_rates
from stepsize.plots import plot_rate_grid
from stepsize.results import Estimate


def line(ax, label):
    (found,) = (line for line in ax.lines if line.get_label() == label)
    return found


def test_the_mean_over_seeds_is_bold_and_each_seed_a_point():
    grid = samples.grid(seeds=3, diverged=False)
    ax = plot_rate_grid(grid)
    bold = line(ax, "200 steps")
    np.testing.assert_allclose(bold.get_ydata(), grid.held_out.mean(axis=1))
    points = [each for each in ax.lines if each.get_linestyle() == "None" and each.get_alpha()]
    assert len(points) == 3
    assert ax.get_ylabel() == "validation loss at the end"
    assert ax.get_xscale() == "log"


def test_losses_of_batches_are_drawn_where_none_was_held_out():
    grid = replace(samples.grid(diverged=False), held_out=None)
    ax = plot_rate_grid(grid)
    assert ax.get_ylabel() == "training loss at the end"
    np.testing.assert_allclose(line(ax, "200 steps").get_ydata(), grid.losses.mean(axis=1), rtol=1e-6)


def test_a_run_that_diverged_is_a_cross_at_the_top_of_its_rate():
    ax = plot_rate_grid(samples.grid())
    crosses = [each for each in ax.lines if each.get_marker() == "x" and len(each.get_xdata())]
    assert [list(each.get_xdata()) for each in crosses] == [[0.3]]
    assert crosses[0].get_ydata()[0] > 0.9
    assert np.isnan(line(ax, "200 steps").get_ydata()[-1])
    assert "diverged" in {text.get_text() for text in ax.get_legend().get_texts()}


def test_an_end_far_above_the_start_is_a_triangle_and_sets_no_scale():
    grid = samples.grid(diverged=False)
    grid.held_out[-1] = 1e9
    ax = plot_rate_grid(grid)
    assert [list(each.get_xdata()) for each in ax.lines if each.get_marker() == "^"] == [[0.3]]
    assert ax.get_ylim()[1] < 10
    assert "higher" in {text.get_text() for text in ax.get_legend().get_texts()}


def test_the_loss_before_training_is_a_level():
    assert set(line(plot_rate_grid(samples.grid()), "before training").get_ydata()) == {2.3}
    without = plot_rate_grid(replace(samples.grid(), before=None))
    assert "before training" not in {text.get_text() for text in without.get_legend().get_texts()}


def test_the_suggestion_is_a_line_with_its_spread_and_the_title():
    sweep, found = samples.searched()
    ax = plot_rate_grid(sweep, found)
    assert line(ax, "lr 0.024").get_xdata()[0] == 0.024
    (span,) = (patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches)
    assert (span.x0, span.x1) == pytest.approx((0.02, 0.03))
    assert ax.get_title(loc="left") == "AdamW: use 0.024"
    assert plot_rate_grid(sweep, replace(found, lr=None)).get_title(loc="left") == "AdamW: no clear answer"
    assert plot_rate_grid(sweep).get_title(loc="left") == "AdamW: where runs of 200 steps end"


@pytest.mark.parametrize(
    ("of", "values", "scale"),
    [
        ("momentum", (0.8, 0.9, 0.95, 0.99), "linear"),
        ("weight_decay", (0.0, 0.01, 0.1, 1.0), "log"),
        ("weight_decay", (1e-4, 1e-3, 1e-2, 1e-1), "log"),
        ("batch_size", (16.0, 64.0, 256.0), "log"),
    ],
)
def test_another_hyperparameter_has_its_name_and_scale(of, values, scale):
    sweep = samples.hyperparameter_sweep(
        hyperparameter=of, values=tuple(value or 1e-3 for value in values), best=max(values) / 2
    )
    ax = plot_rate_grid(replace(sweep, values=np.array(values)))
    assert ax.get_xlabel() == of.replace("_", " ")
    assert ax.get_xscale() == scale
    low, high = ax.get_xlim()
    assert low < (min(values) or 1e-3) < max(values) < high  # 0 is a decade below the least of the others


def test_a_suggested_value_of_another_hyperparameter_is_named_by_it():
    sweep = samples.hyperparameter_sweep(hyperparameter="momentum", values=(0.8, 0.9, 0.95), best=0.9)
    _, found = samples.searched()
    found = replace(found, lr=Estimate(0.9, 0.9, 0.9))
    ax = plot_rate_grid(sweep, found)
    assert ax.get_title(loc="left") == "AdamW: use momentum of 0.9"
    assert "momentum 0.9" in {text.get_text() for text in ax.get_legend().get_texts()}


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -1.0, 0.0])
def test_losses_of_any_value_can_be_drawn(value):
    grid = samples.grid()
    ax = plot_rate_grid(replace(grid, held_out=np.full_like(grid.held_out, value)))
    ax.figure.draw_without_rendering()
    assert np.isfinite(ax.get_ylim()).all()


def test_a_grid_of_one_rate_and_one_seed_can_be_drawn():
    plot_rate_grid(samples.grid(rates=(0.1,), seeds=1, diverged=False)).figure.draw_without_rendering()


def test_the_lowest_point_of_the_picture_is_the_one_that_decides():
    """Where short runs have hardly lowered the validation loss, the training loss decides, and is what is drawn."""
    grid = samples.grid(diverged=False, best=0.1)
    grid.held_out[:] = [[2.29], [2.28], [2.27], [2.28], [2.29]]  # lowest at 0.03, and next to nothing below 2.3
    ax = plot_rate_grid(grid)
    drawn = line(ax, "200 steps")
    rates, trouble = lowest_rates(grid)
    assert trouble == ""
    assert drawn.get_xdata()[np.nanargmin(drawn.get_ydata())] == pytest.approx(rates[0], rel=0.01) == 0.1
    assert ax.get_ylabel() == "training loss at the end"
