"""The figures of the article: each is drawn, the same each time, and shows what the library computes."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from stepsize.figures import FIGURES, descents, draw_figure, moves
from stepsize.kernel.errors import ParameterError
from stepsize.policies import RECIPES
from stepsize.problems.landscapes import Rastrigin

FOLDER = Path(__file__).parents[2] / "docs" / "figures"
SLOW = {"escape", "range_test"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few starts and few seeds: the code is the same."""
    monkeypatch.setattr(descents, "STARTS", 20)
    monkeypatch.setattr(descents, "FRESH", 60)
    monkeypatch.setattr(descents, "STEPS", 30)
    monkeypatch.setattr(moves, "SEEDS", 2)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_small_picture_that_is_well_formed(name):
    drawing = draw_figure(name)
    assert ET.fromstring(drawing).tag.endswith("svg")  # noqa: S314  (our own text)
    assert not re.search(rb'="[^"]*\b(nan|inf)\b', re.sub(rb'"data:[^"]*"', b"", drawing))
    assert len(drawing) < 150_000


@pytest.mark.parametrize("name", sorted(set(FIGURES) - SLOW))
def test_a_figure_in_the_docs_shows_what_the_code_draws_today(name):
    """The titles alone: the last digits of a coordinate are matplotlib's business."""
    kept = (FOLDER / f"{name}.svg").read_bytes()
    assert titles(draw_figure(name)) == titles(kept), "run: stepsize figures --out docs/figures"


def titles(drawing):
    return [text.strip() for text in ET.fromstring(drawing).itertext() if text.strip()]  # noqa: S314  (our own text)


def test_the_same_figure_is_the_same_bytes():
    assert draw_figure("rmsprop") == draw_figure("rmsprop")
    assert draw_figure("decays", "png") == draw_figure("decays", "png")


def test_another_ending_is_refused():
    with pytest.raises(ParameterError, match=r"cannot be written as 'pgn'\. Did you mean 'png'"):
        draw_figure("decays", "pgn")


def test_the_decays_are_the_policies():
    lines = {line.get_label(): line for line in moves.decays().lines}
    for name in moves.DECAYS:
        x, y = lines[name].get_data()
        table = RECIPES[name](1.0).over(moves.STEPS).table(0, moves.STEPS)["lr"]
        np.testing.assert_allclose(y, table[x.astype(int)])


def test_every_panel_says_what_is_seen():
    for name in set(FIGURES) - SLOW:
        figure = FIGURES[name]().figure
        titled = [ax for ax in figure.axes if ax.get_xlabel()]
        assert titled
        assert all(len(ax.get_title(loc="left").split()) >= 3 for ax in titled), name


def test_convex_descents_end_at_the_minimum_and_others_where_they_began():
    left, right = descents.convex().figure.axes
    last = [next(line for line in ax.lines if line.get_label() == "end").get_xdata() for ax in (left, right)]
    assert np.abs(last[0]).max() < 1e-2
    assert np.abs(last[1] - [-4, -2, 0, 3, 4]).max() < 0.05


def test_what_the_titles_claim_of_rmsprop_and_adam_is_so():
    """RMSProp's rate is smaller in the steep coordinate, x2; Adam's first step is its rate in both."""
    lines = {line.get_label(): line.get_ydata() for line in descents.rmsprop().figure.axes[1].lines}
    assert (lines["RMSProp 0.05: x2"] < 0.1 * lines["RMSProp 0.05: x1"]).all()
    np.testing.assert_allclose(lines["SGD 0.009: x1"], 0.009, rtol=1e-9)
    np.testing.assert_allclose(lines["SGD 0.009: x2"], 0.009, rtol=1e-9)
    lines = {line.get_label(): line.get_ydata() for line in descents.adam().figure.axes[1].lines}
    assert [lines[f"Adam 0.2: x{i}"][0] for i in (1, 2)] == pytest.approx([0.2, 0.2], rel=1e-6)
    assert max(lines["SGD 0.01: x1"][0], lines["SGD 0.01: x2"][0]) > 1


def test_the_best_rate_is_one_that_was_tried_and_it_beats_the_others(monkeypatch):
    monkeypatch.setattr(descents, "STARTS", 200)
    monkeypatch.setattr(descents, "STEPS", 100)
    monkeypatch.setitem(descents.RATES, descents.SGD, (1e-4, 0.015))
    assert descents.best_rate(Rastrigin(), descents.SGD(), "cosine", None).peak == 0.015
