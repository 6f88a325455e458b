"""Slices are drawn with every number in its place, also those that are not finite."""

from dataclasses import replace

import numpy as np
import pytest

from stepsize.plots import plot_slice
from stepsize.plots.slices import contours
from stepsize.results import Slice

X, Y = np.linspace(-1, 1, 9), np.linspace(-2, 2, 7)
HEIGHT = 0.01 + X[None, :] ** 2 + Y[:, None] ** 2
LINE = Slice("random direction", ("direction",), X, np.empty(0), HEIGHT[3], 0.01, np.empty((0, 2)), np.empty(0))
PLANE = replace(LINE, labels=("first", "second"), y=Y, losses=HEIGHT)
PATH = replace(
    PLANE, name="the plane of training", path=np.array([[-0.5, 1.0], [0.2, 0.5], [0.0, 0.0]]),
    steps=np.array([0, 10, 20]), explained=(0.8, 0.15),
)  # fmt: skip


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_line_marks_the_model():
    ax = LINE.plot()
    line, dot = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), LINE.losses)
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.0, 0.01)
    assert "0.01" in dot.get_label()
    assert ax.get_yscale() == "log"


def test_losses_of_zero_and_below_stay_on_a_plain_axis():
    assert plot_slice(replace(LINE, losses=LINE.losses - 1)).get_yscale() == "linear"


def test_a_plane_has_its_model_and_a_bar_of_losses():
    ax = plot_slice(PLANE)
    assert texts(ax) == ["model"]
    assert ax.figure.axes[-1].get_ylabel() == "loss"
    assert "plane" in ax.get_title(loc="left")


def test_a_path_has_its_ends_marked_and_its_variance_on_the_axes():
    ax = plot_slice(PATH)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), PATH.path)
    assert texts(ax) == ["start", "end"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("first (80 %)", "second (15 %)")
    assert ax.get_title(loc="left") == "20 updates in the plane of training"


def test_levels_are_even_in_the_logarithm_and_never_beyond_six_decades():
    levels = contours(HEIGHT)
    np.testing.assert_allclose(np.diff(np.log(levels)), np.log(HEIGHT.max() / HEIGHT.min()) / 18)
    far = contours(np.array([[1e-3, 1e30]]))
    assert far[-1] == pytest.approx(1e3)
    below = contours(HEIGHT - 1)
    assert (np.diff(below) > 0).all()
    assert below[[0, -1]] == pytest.approx([-0.99, HEIGHT.max() - 1])


@pytest.mark.parametrize("fill", [np.nan, np.inf, 1.0])
def test_what_is_flat_or_not_finite_can_be_drawn(fill):
    for found in (replace(PATH, losses=np.full_like(HEIGHT, fill)), replace(LINE, losses=np.full(9, fill))):
        plot_slice(found).figure.draw_without_rendering()
    holed = HEIGHT.copy()
    holed[0, :4] = fill
    plot_slice(replace(PATH, losses=holed)).figure.draw_without_rendering()
