"""The pictures of a descent: scales, text, marks, and files that can be opened."""

import numpy as np
import pytest
from PIL import Image

from stepsize.engines.landscape.descend import descend
from stepsize.kernel.errors import FormatError, ParameterError
from stepsize.plots import animate, plot_arrivals, plot_basins, plot_paths, plot_rates, side_by_side, style
from stepsize.plots.landscape import basin_colors, heights, levels
from stepsize.policies import constant, cosine
from stepsize.problems.landscapes import (
    DoubleWell,
    GoldsteinPrice,
    MatrixFactorisation,
    MonkeySaddle,
    Rastrigin,
    Reddi,
    SixHumpCamel,
)
from stepsize.problems.noise import Gaussian
from stepsize.rules import SGD, Adam
from stepsize.strategy import Strategy

PAIR = (Strategy(SGD(), constant(0.002)), Strategy(Adam(), cosine(0.3)))
SURFACES = [
    SixHumpCamel(), Rastrigin(), Rastrigin(3), DoubleWell(tilt=0.2), MonkeySaddle(), Reddi(), MatrixFactorisation(),
]  # fmt: skip


def record(surface, **options):
    return descend(surface, PAIR, starts=60, steps=30, watched=20, **options)


@pytest.fixture(scope="module")
def camel():
    return record(SixHumpCamel(), noise=Gaussian(0.1))


@pytest.mark.parametrize("surface", SURFACES, ids=repr)
def test_every_picture_of_every_landscape_can_be_drawn(surface, tmp_path):
    found = record(surface)
    panels = side_by_side(found, plot_paths)
    assert len(panels) == 2
    assert all(ax.get_xlabel() and ax.get_ylabel() and ax.get_title(loc="left") for ax in panels)
    drawn = [panels[0], plot_rates(found), plot_arrivals(found)]
    if surface.dimensions <= 2:
        drawn.append(side_by_side(found, plot_basins, flow=True)[0])
    for panel, ax in enumerate(drawn):
        ax.figure.savefig(tmp_path / f"{panel}.png")
        assert (tmp_path / f"{panel}.png").stat().st_size > 5000


def test_the_ground_is_logarithmic_and_spans_what_the_eye_separates():
    _, _, above = heights(GoldsteinPrice(), GoldsteinPrice().best[0])
    at = levels(above)
    assert np.allclose(np.diff(np.log(at)), np.log(at[1] / at[0]))
    assert above.min() <= at[0] < 10
    assert at[-1] == pytest.approx(above.max())


def test_flat_ground_has_levels_too():
    assert (np.diff(levels(np.full((3, 3), 0.2))) > 0).all()
    assert (np.diff(levels(np.zeros((3, 3)))) > 0).all()


def test_the_minima_are_marked_where_they_are(camel):
    ax = plot_paths(camel)
    marks = {line.get_label(): line.get_xydata() for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_array_equal(marks["global minimum"], SixHumpCamel().best)
    np.testing.assert_array_equal(marks["other known minimum"], SixHumpCamel().minima[2:])
    np.testing.assert_array_equal(marks["start"], camel.starts[:10])
    np.testing.assert_array_equal(marks["end"], camel.last[0, :10])


def test_a_point_has_the_colour_of_the_basin_of_its_start(camel):
    (image,) = plot_basins(camel, None).images
    pixels = np.asarray(image.get_array())
    (left, right), (bottom, top) = camel.landscape.box
    colors = basin_colors(camel)
    for start, basin in zip(camel.starts, camel.home, strict=True):
        column = int((start[0] - left) / (right - left) * pixels.shape[1])
        row = int((start[1] - bottom) / (top - bottom) * pixels.shape[0])
        assert tuple(pixels[row, column]) == tuple(colors[basin])


def test_colours_of_basins_differ_and_unknown_is_dark():
    few, many = record(SixHumpCamel()), record(Rastrigin())
    assert len({tuple(color) for color in basin_colors(few)}) == 8
    shades = basin_colors(many)
    assert len(shades) == 123
    assert shades[-2].sum() < shades[-1].sum()
    darkness = [color.sum() for color in shades[1:121]]
    assert darkness == sorted(darkness, reverse=True)  # the higher the minimum, the darker


def test_the_bars_are_the_rates_with_their_intervals(camel):
    ax = plot_rates(camel)
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == [rate.mean for outcome in camel.outcomes for rate in (outcome.share, outcome.escape)]
    assert [label.get_text() for label in ax.get_yticklabels()] == [s.name for s in camel.strategies]
    assert ax.get_xlabel() == "share, with 95 % interval"
    assert ax.get_xlim()[0] == 0


def test_the_arrivals_end_at_the_share_that_ever_came(camel):
    ax = plot_arrivals(camel)
    assert ax.get_xscale() == "log"
    lines = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert [line.get_ydata()[-1] for line in lines] == [(times >= 0).mean() for times in camel.entered]
    assert all((np.diff(line.get_ydata()) >= 0).all() for line in lines)
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 2
    assert {line.get_color() for line in lines} <= set(style.PALETTE)


def test_one_dimension_is_drawn_against_the_step():
    found = record(DoubleWell())
    ax = plot_paths(found)
    assert (ax.get_xlabel(), ax.get_xscale()) == ("step", "symlog")
    assert (plot_basins(found, 1).get_xlabel(), plot_basins(found, 1).get_ylabel()) == ("start", "end")


def test_a_map_of_more_than_two_dimensions_is_refused():
    with pytest.raises(ParameterError, match="needs one or two dimensions, and this Rastrigin has 3"):
        plot_basins(record(Rastrigin(3)))


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animation_moves(camel, tmp_path, ending):
    file = animate(camel, tmp_path / f"paths.{ending}")
    with Image.open(file) as film:
        assert film.n_frames == len(camel.path_steps[::2])
        first = np.asarray(film.convert("RGB"), dtype=int)
        film.seek(film.n_frames - 1)
        assert np.abs(np.asarray(film.convert("RGB"), dtype=int) - first).max() > 50


def test_another_kind_of_animation_is_refused(camel, tmp_path):
    with pytest.raises(ParameterError, match="'avi' is no such format"):
        animate(camel, tmp_path / "paths.avi")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FormatError, match="cannot write"):
        animate(camel, tmp_path / "file" / "paths.gif")


def test_a_record_draws_itself(camel):
    assert (
        camel.plot().get_title(loc="left")
        == "SixHumpCamel in 2 dimensions, Gaussian noise of scale 0.1: who gets to a global minimum"
    )
