"""One start, closely: graphs, routes, and how far each coordinate moves."""

import numpy as np
import pytest

from stepsize.engines.landscape.descend import descend
from stepsize.kernel.errors import ParameterError
from stepsize.plots import plot_coordinates, plot_profile, plot_routes, style
from stepsize.policies import constant
from stepsize.problems.landscapes import Booth, DoubleWell, Ellipsoid, Rastrigin
from stepsize.rules import SGD, Adam
from stepsize.strategy import Strategy

PAIR = (Strategy(SGD(), constant(0.002), "plain"), Strategy(Adam(), constant(0.1), "adaptive"))


def record(surface, **options):
    return descend(surface, PAIR, **{"starts": 3, "steps": 20, "watched": 2, **options})


def test_a_profile_is_the_graph_with_the_trajectories_on_it():
    found = record(DoubleWell(tilt=0.3), starts=np.array([[-1.5], [0.4]]))
    ax = plot_profile(found, 1)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("x", "f(x)", "adaptive")
    marks = {line.get_label(): line.get_xydata() for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_array_equal(marks["start"][:, 0], found.starts[:, 0])
    np.testing.assert_array_equal(marks["end"][:, 0], found.last[1, :, 0])
    np.testing.assert_allclose(marks["global minimum"][0], [found.landscape.best[0, 0], found.landscape.lowest])
    for line in ax.lines:
        x, y = line.get_data()
        np.testing.assert_allclose(y, found.landscape.value(x[:, None], np))


def test_a_profile_of_two_dimensions_is_refused():
    with pytest.raises(ParameterError, match="a graph needs one dimension, and this Rastrigin has 2"):
        plot_profile(record(Rastrigin()))


@pytest.mark.parametrize("surface", [Booth(), Ellipsoid(3)], ids=repr)
def test_the_routes_are_the_paths_of_one_start_a_colour_a_strategy(surface):
    found = record(surface)
    ax = plot_routes(found, 1)
    for index, name in enumerate(("plain", "adaptive")):
        (line,) = [line for line in ax.lines if line.get_label() == name]
        np.testing.assert_array_equal(line.get_xydata(), found.paths[index, :, 1, :2])
        assert line.get_color() == style.PALETTE[index]


def test_plain_descent_has_the_same_rate_in_every_coordinate_and_the_moves_are_those_of_the_path():
    found = record(Ellipsoid(2, 50.0))
    rates = {line.get_label(): line.get_ydata() for line in plot_coordinates(found).lines}
    np.testing.assert_allclose(rates["plain: x1"], 0.002)
    np.testing.assert_allclose(rates["plain: x2"], 0.002)
    moves = {line.get_label(): line.get_ydata() for line in plot_coordinates(found, "moves", 1).lines}
    np.testing.assert_allclose(moves["adaptive: x2"], np.abs(np.diff(found.paths[1, :, 1, 1])))
    assert plot_coordinates(found).get_yscale() == "log"


def test_only_updates_that_were_all_recorded_are_drawn():
    """A long run is looked at ever more rarely: a difference over several updates is no step."""
    long = record(Ellipsoid(), steps=2000)
    (first, *_) = plot_coordinates(long).lines
    gaps = np.diff(long.path_steps)
    assert len(first.get_ydata()) == int((gaps == 1).argmin()) < len(gaps)
    whole = record(Ellipsoid(), steps=200, points=401)
    assert len(plot_coordinates(whole).lines[0].get_ydata()) == 200


def test_a_trajectory_that_stands_still_or_diverges_leaves_a_gap():
    still = record(Ellipsoid(), starts=np.zeros((1, 2)))
    assert all(np.isnan(line.get_ydata()).all() for line in plot_coordinates(still).lines)
    died = descend(Booth(), (Strategy(SGD(), constant(1.0)),), starts=np.array([[-3.0, -3.0]]), steps=300)
    assert died.died_at[0, 0] >= 0
    assert not np.isfinite(plot_coordinates(died).lines[0].get_ydata()[died.died_at[0, 0] :]).any()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_routes(record(DoubleWell())), "routes need two dimensions"),
        (lambda: plot_routes(record(Booth()), 2), "start 2 was not recorded; take one of the first 2"),
        (lambda: plot_coordinates(record(Booth()), "rates", -1), "start -1 was not recorded"),
        (lambda: plot_coordinates(record(Booth()), "rate"), "what cannot be 'rate'. Did you mean 'rates'"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw, message):
    with pytest.raises(ParameterError, match=message):
        draw()
