"""Learning curves group the seeds of a strategy, and a diverged seed spoils neither the mean nor the scale."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.plots import plot_curves, style


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines(ax):
    return [line for line in ax.lines if line.get_marker() == "None"]


def test_one_line_a_strategy_best_first():
    curves = samples.curves()
    ax = plot_curves(curves)
    assert len(lines(ax)) == len(samples.FINALISTS)
    assert labels(ax)[0] == "AdamW one_cycle 0.01"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("step", "loss", "log")


def test_scores_are_dots_when_there_is_more_than_one_point():
    curves = samples.curves(points=5)
    dots = [line for line in plot_curves(curves).lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [5] * 6
    np.testing.assert_allclose(dots[0].get_ydata(), curves.scores[:, :5].mean(axis=1))
    once = replace(curves, score_steps=curves.score_steps[-1:], scores=curves.scores[-1:])
    assert len(plot_curves(once).lines) == 6


def test_a_diverged_seed_is_named_and_left_out_of_the_mean():
    ax = plot_curves(samples.curves())
    assert labels(ax)[-1] == "Momentum triangular 3.16 (2 of 5 diverged)"
    assert np.isfinite(lines(ax)[-1].get_ydata()).all()
    assert ax.get_ylim()[1] < 5


def test_a_strategy_that_diverged_whole_stops_where_half_of_it_died():
    curves = samples.curves()
    losses = curves.losses.copy()
    losses[100:, :5] = np.inf
    ax = plot_curves(replace(curves, losses=losses), names=["AdamW one_cycle 0.01"])
    drawn = lines(ax)[0]
    assert drawn.get_xdata()[np.isfinite(drawn.get_ydata())].max() < 100
    assert labels(ax) == ["AdamW one_cycle 0.01 (diverged)"]


def test_names_choose_and_order():
    names = ["RMSProp cosine 0.001", "AdamW one_cycle 0.01", "nobody"]
    assert labels(plot_curves(samples.curves(), names=names)) == names[:2]


def test_all_nan_can_be_drawn():
    curves = samples.curves()
    ax = plot_curves(replace(curves, losses=np.full_like(curves.losses, np.nan)))
    ax.figure.draw_without_rendering()
    assert all("diverged" in label for label in labels(ax))


def test_losses_of_zero_and_below_stay_on_a_plain_axis():
    curves = samples.curves()
    ax = plot_curves(replace(curves, losses=curves.losses - 1))
    assert ax.get_yscale() == "linear"


def test_a_record_without_scores_keeps_the_order_of_its_trials():
    curves = samples.curves()
    bare = replace(curves, score_steps=curves.score_steps[:0], scores=curves.scores[:0])
    assert labels(plot_curves(bare))[0] == "AdamW one_cycle 0.01"


def test_bins_are_exact_means_and_nan_where_a_run_died():
    middles, means = style.binned(np.array([[1.0], [3.0], [5.0], [np.inf]]), 2)
    assert middles.tolist() == [0.5, 2.5]
    np.testing.assert_array_equal(means, [[2.0], [np.nan]])


@pytest.mark.parametrize("steps", [1, 2, 7, 199, 201])
def test_runs_of_any_length_can_be_drawn(steps):
    curves = samples.curves()
    ax = plot_curves(replace(curves, losses=curves.losses[:steps], steps=steps))
    assert len(lines(ax)[0].get_xdata()) == min(steps, 200)
