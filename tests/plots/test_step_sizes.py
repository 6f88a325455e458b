"""The fan of step sizes: bands in pairs, the median, and the scheduled rate beside them."""

from dataclasses import replace

import numpy as np
import pytest

from stepsize.kernel.errors import ParameterError
from stepsize.plots import plot_step_sizes
from stepsize.results import StepSizes

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FAN = np.geomspace(1e-4, 1e-1, 7) * np.linspace(1, 2, 30)[:, None]
SIZES = StepSizes(
    "Adam", LEVELS, np.arange(30), FAN, 10 * FAN, np.linspace(0.1, 0.01, 30)[:, None], np.zeros(30), np.zeros(30)
)


def drawn(ax):
    return {line.get_label(): line.get_ydata() for line in ax.lines}


@pytest.mark.parametrize(("what", "factor"), [("rates", 10), ("moves", 1)])
def test_the_median_and_the_schedule_are_lines_and_the_quantiles_bands(what, factor):
    ax = SIZES.plot(what)
    np.testing.assert_allclose(drawn(ax)["median"], factor * FAN[:, 3])
    np.testing.assert_array_equal(drawn(ax)["scheduled rate"], SIZES.lr[:, 0])
    assert [band.get_label() for band in ax.collections] == ["1 to 99 %", "5 to 95 %", "25 to 75 %"]
    assert ax.get_yscale() == "log"
    assert ax.get_title(loc="left").startswith("Adam: ")


def test_groups_with_several_rates_show_the_lowest_and_the_highest():
    ax = plot_step_sizes(replace(SIZES, lr=SIZES.lr * np.array([1.0, 5.0, 2.0])))
    dashed = [line.get_ydata() for line in ax.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed, [SIZES.lr[:, 0], 5 * SIZES.lr[:, 0]])
    assert "lowest and highest rate" in drawn(ax)


@pytest.mark.parametrize("points", [0, 1, 2])
def test_short_records_can_be_drawn(points):
    cut = {name: getattr(SIZES, name)[:points] for name in ("steps", "moves", "rates", "lr", "silent", "stuck")}
    plot_step_sizes(replace(SIZES, **cut)).figure.draw_without_rendering()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_steps_of_nothing_can_be_drawn(value):
    plot_step_sizes(replace(SIZES, rates=np.full_like(FAN, value), lr=0 * SIZES.lr)).figure.draw_without_rendering()


def test_what_is_neither_is_refused():
    with pytest.raises(ParameterError, match=r"what cannot be 'rate'. Did you mean 'rates'"):
        plot_step_sizes(SIZES, "rate")


def test_records_that_do_not_fit_are_refused():
    with pytest.raises(ParameterError, match="must rise and hold the median"):
        replace(SIZES, levels=LEVELS[::-1])
    with pytest.raises(ParameterError, match=r"must be of shape \(30, 7\)"):
        replace(SIZES, moves=FAN[1:])
