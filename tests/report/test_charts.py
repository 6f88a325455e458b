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
from stepsize.plots.curves import lines_of
from stepsize.policies import one_cycle
from stepsize.report import render
from stepsize.report.charts import learning_chart, sensitivity_chart, standings_chart
from stepsize.results import Interval

VENDOR = Path(stepsize.report.__file__).parent / "vendor"


@pytest.fixture(scope="module")
def page():
    return render(samples.advice())


def aligned(chart):
    """Whether every line has a column for every head, and a number or None at every x."""
    return all(
        len(line.columns) == len(chart.heads) == len(chart.marks) and all(len(c) == len(chart.x) for c in line.columns)
        for line in chart.lines
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
    charts = (standings_chart(advice.final), learning_chart(advice.final.curves), sensitivity_chart(advice.search))
    assert found == [json.loads(chart.json) for chart in charts]
    assert all(map(aligned, charts))


def test_a_learning_curve_has_the_losses_that_are_drawn():
    curves = samples.curves()
    steps, lines = lines_of(curves)
    chart = learning_chart(curves)
    assert [line.name for line in chart.lines] == [line.label for line in lines]
    for line, drawn in zip(chart.lines, lines, strict=True):
        training, validation = line.columns
        at = [chart.x.index(step) for step in steps]
        assert [training[i] for i in at] == pytest.approx(drawn.losses, rel=1e-3)
        at = [chart.x.index(step) for step in curves.score_steps]
        assert [validation[i] for i in at] == pytest.approx(drawn.scores, rel=1e-3)
        assert sum(value is not None for value in validation) == len(at)


def test_a_record_that_was_scored_once_has_training_losses_alone():
    chart = learning_chart(samples.curves(points=1))
    assert chart.heads == ("training loss",)
    assert aligned(chart)


def test_standings_are_dots_with_their_intervals_and_ties_are_blue():
    race = samples.final()
    chart = standings_chart(race)
    for i, (line, standing) in enumerate(zip(chart.lines, race.standings, strict=False)):
        score = standing.score
        assert [column[i] for column in line.columns] == pytest.approx([score.mean, score.low, score.high], rel=1e-3)
        assert (line.color == "#0072B2") == (i == 0 or standing.tied)
    assert chart.names[0] == "1. AdamW one_cycle 0.01"
    assert len(chart.x) == 5  # the sixth diverged


def test_endless_whiskers_do_not_hide_the_dots():
    race = samples.final()
    wide = replace(race.standings[1], score=Interval(0.067, -100.0, 100.0))
    chart = standings_chart(replace(race, standings=(race.standings[0], wide, *race.standings[2:])))
    assert -0.1 < min(line.low for line in chart.lines) < max(line.high for line in chart.lines) < 0.3
    assert chart.lines[1].columns[1][1] == -100.0
    assert chart.floor > 0


def test_sensitivity_marks_what_diverged_and_has_no_such_column_where_nothing_did():
    race = samples.search()
    chart = sensitivity_chart(race)
    scores, crosses = chart.lines[1].columns
    dead = [i for i, value in enumerate(crosses) if value is not None]
    assert all(scores[i] is None for i in dead)
    finite = replace(race.rungs[0], scores=np.where(np.isfinite(race.rungs[0].scores), race.rungs[0].scores, 0.3))
    calm = sensitivity_chart(replace(race, rungs=(finite, *race.rungs[1:])))
    assert calm.heads == ("validation loss",)
    assert aligned(calm)


def test_where_everything_diverged_there_is_no_chart():
    race = samples.final()
    lost = Interval(np.inf, np.inf, np.inf)
    assert standings_chart(replace(race, standings=tuple(replace(s, score=lost) for s in race.standings))) is None
    curves = samples.curves()
    assert learning_chart(replace(curves, losses=np.full_like(curves.losses, np.nan))) is None
    rung = replace(race.rungs[0], scores=np.full_like(race.rungs[0].scores, np.inf))
    assert sensitivity_chart(replace(race, rungs=(rung,))) is None


def test_losses_below_zero_have_no_logarithmic_axis():
    curves = samples.curves()
    assert learning_chart(replace(curves, losses=curves.losses - 3)).floor == 0
