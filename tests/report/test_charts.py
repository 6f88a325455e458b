"""The numbers that the page's script gets are those of the pictures, and the script is the only one that may run."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import samples

import stepsize.report
from stepsize.plots import plot_curves, plot_race, plot_sensitivity
from stepsize.plots.curves import learning_graph
from stepsize.plots.race import sensitivity_graph, standings_graph
from stepsize.policies import one_cycle
from stepsize.report import render
from stepsize.report.pictures import chart_json
from stepsize.results import Interval

VENDOR = Path(stepsize.report.__file__).parent / "vendor"


@pytest.fixture(scope="module")
def page():
    return render(samples.advice())


def chart(graph):
    """What the page's script gets of a picture."""
    return json.loads(chart_json(graph))


def aligned(chart):
    """Whether every line has a column for every head, and a number or None at every x."""
    return all(
        len(line["columns"]) == len(chart["heads"]) == len(chart["marks"])
        and all(len(column) == len(chart["x"]) for column in line["columns"])
        for line in chart["lines"]
    )


def test_the_policy_allows_the_one_script_by_its_hash_and_nothing_else(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )  # fmt: skip


def test_the_library_is_whole_and_comes_with_its_licence(page):
    assert (VENDOR / "uPlot.iife.min.js").read_text().strip() in page
    assert (VENDOR / "uPlot.LICENSE").read_text().strip() in page
    library = hashlib.sha256((VENDOR / "uPlot.iife.min.js").read_bytes()).hexdigest()
    assert (
        library == "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    )  # of uPlot 1.6.32, as published


def test_a_page_without_a_chart_has_no_script():
    page = render(one_cycle(0.1))
    assert "<script" not in page
    assert "script-src" not in page


def test_the_page_carries_the_numbers_of_its_pictures(page):
    found = [json.loads(html.unescape(text)) for text in re.findall(r'data-chart="([^"]*)"', page)]
    advice = samples.advice()
    graphs = (standings_graph(advice.final), learning_graph(advice.final.curves))
    assert found == [chart(graph) for graph in graphs]
    assert all(map(aligned, found))


def drawn(ax, color, *, label=None, marker=None):
    """The lines of a picture in one colour, by their label or their marker."""
    return [
        line for line in ax.lines
        if line.get_color() == color and (line.get_label() == label if label else line.get_marker() == marker)
    ]  # fmt: skip


def points(chart, line, column):
    """The x and y of a column, without what is not there."""
    pairs = [(x, y) for x, y in zip(chart["x"], line["columns"][column], strict=True) if y is not None]
    return np.array(pairs).reshape(-1, 2).T


def test_learning_curves_are_the_lines_and_dots_that_are_drawn():
    curves = samples.curves(points=5)
    ax, shown = plot_curves(curves), chart(learning_graph(curves))
    for line in shown["lines"]:
        (curve,), (dots,) = drawn(ax, line["color"], label=line["name"]), drawn(ax, line["color"], marker="o")
        x, y = points(shown, line, 0)
        assert y == pytest.approx(np.interp(x, *curve.get_data()), rel=1e-3)
        assert set(curve.get_xdata()) <= set(x)
        assert points(shown, line, 1) == pytest.approx(np.array(dots.get_data()), rel=1e-3)
    assert len(shown["lines"]) == sum(line.get_marker() == "o" for line in ax.lines) == 6


def test_a_record_that_was_scored_once_has_training_losses_alone():
    shown = chart(learning_graph(samples.curves(points=1)))
    assert shown["heads"] == ["training loss"]
    assert aligned(shown)


def test_a_strategy_without_a_finite_loss_has_the_same_colour_in_both():
    curves = samples.curves()
    losses = curves.losses.copy()
    losses[:, :5] = np.nan
    curves = replace(curves, losses=losses)
    ax, shown = plot_curves(curves), chart(learning_graph(curves))
    colors = [line.get_color() for line in ax.lines if line.get_marker() == "None"]
    assert [line["color"] for line in shown["lines"]] == colors
    (lost,) = [line for line in shown["lines"] if set(line["columns"][0]) == {None}]
    assert lost["low"] > 0


def test_standings_are_the_dots_and_intervals_that_are_drawn():
    race = samples.final()
    ax, shown = plot_race(race), chart(standings_graph(race))
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    whiskers = [line for line in ax.lines if line.get_marker() == "|"]
    assert len(shown["lines"]) == len(dots) == len(whiskers) == 5  # the sixth diverged
    for i, (line, dot, whisker) in enumerate(zip(shown["lines"], dots, whiskers, strict=True)):
        mean, low, high = (column[i] for column in line["columns"])
        assert mean == pytest.approx(dot.get_xdata()[0], rel=1e-3)
        assert [low, high] == pytest.approx(list(whisker.get_xdata()), rel=1e-3)
        assert dot.get_ydata()[0] == shown["x"][i] - 1
        assert line["color"] == dot.get_color()
        assert (line["color"] == "#0072B2") == (i == 0 or race.standings[i].tied)
    assert shown["names"][0] == "1. AdamW one_cycle 0.01"
    assert shown["log"] is False


def test_endless_whiskers_do_not_hide_the_dots():
    race = samples.final()
    wide = replace(race.standings[1], score=Interval(0.067, -100.0, 100.0))
    race = replace(race, standings=(race.standings[0], wide, *race.standings[2:]))
    shown = chart(standings_graph(race))
    low, high = min(line["low"] for line in shown["lines"]), max(line["high"] for line in shown["lines"])
    assert -0.1 < low < high < 0.3
    room = 0.04 * (high - low)
    assert plot_race(race).get_xlim() == pytest.approx((low - room, high + room), rel=1e-2)
    assert shown["lines"][1]["columns"][1][1] == -100.0
    assert shown["floor"] > 0


def test_sensitivity_is_the_scores_and_the_crosses_that_are_drawn():
    race = samples.search()
    ax, shown = plot_sensitivity(race), chart(sensitivity_graph(race))
    rows = [line for line in ax.lines if line.get_marker() == "x"]
    for line, crosses in zip(shown["lines"], rows, strict=True):
        (curve,) = drawn(ax, line["color"], label=line["name"])
        assert points(shown, line, 0) == pytest.approx(np.array(curve.get_data()), rel=1e-3)
        assert points(shown, line, 1)[0] == pytest.approx(np.array(crosses.get_xdata()), rel=1e-3)
    assert shown["heads"] == ["validation loss", "diverged"]
    assert (ax.get_yscale() == "log") == shown["log"]


def test_a_race_in_which_nothing_diverged_has_no_column_for_it():
    race = samples.search()
    finite = replace(race.rungs[0], scores=np.where(np.isfinite(race.rungs[0].scores), race.rungs[0].scores, 0.3))
    calm = chart(sensitivity_graph(replace(race, rungs=(finite, *race.rungs[1:]))))
    assert calm["heads"] == ["validation loss"]
    assert aligned(calm)


def test_where_everything_diverged_there_is_no_chart():
    race = samples.final()
    lost = Interval(np.inf, np.inf, np.inf)
    all_lost = replace(race, standings=tuple(replace(s, score=lost) for s in race.standings))
    assert chart_json(standings_graph(all_lost)) == ""
    curves = samples.curves()
    assert chart_json(learning_graph(replace(curves, losses=np.full_like(curves.losses, np.nan)))) == ""
    rung = replace(race.rungs[0], scores=np.full_like(race.rungs[0].scores, np.inf))
    assert chart_json(sensitivity_graph(replace(race, rungs=(rung,)))) == ""


def test_losses_below_zero_have_no_logarithmic_axis():
    curves = samples.curves()
    assert chart(learning_graph(replace(curves, losses=curves.losses - 3)))["floor"] == 0
