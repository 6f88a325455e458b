"""A descent, a slice and step sizes on the page: what was counted, every picture, and what it takes to repeat it."""

import html
import re

import numpy as np
import pytest

from stepsize.engines.landscape.descend import descend
from stepsize.policies import constant, cosine
from stepsize.problems.landscapes import DoubleWell, MonkeySaddle, Rastrigin, SixHumpCamel
from stepsize.problems.noise import Gaussian
from stepsize.report import render
from stepsize.results import Slice, StepSizes
from stepsize.results.io import dumps, loads
from stepsize.rules import SGD, Adam
from stepsize.strategy import Strategy

PAIR = (Strategy(SGD(), constant(0.002), "slow"), Strategy(Adam(), cosine(0.3), "fast <b>"))
TITLES = [
    "Who gets to a global minimum", "When they come near", "Trajectories", "Basins", "Strategies", "How to repeat it",
]  # fmt: skip


def record(surface, **options):
    return descend(surface, PAIR, **{"starts": 60, "steps": 40, "watched": 5, **options})


@pytest.fixture(scope="module")
def found():
    return record(SixHumpCamel(), noise=Gaussian(0.1), seed=3)


@pytest.fixture(scope="module")
def page(found):
    return render(found)


def text(page):
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", page).split()))


def test_the_best_strategy_is_the_answer_and_its_numbers_stand_beside_it(page, found):
    best = max(found.outcomes, key=lambda outcome: outcome.share.mean)
    assert f'<h1 class="answer">{html.escape(best.strategy.name)}</h1>' in page
    assert "Descent · SixHumpCamel in 2 dimensions, Gaussian noise of scale 0.1 · 40 steps" in text(page)
    share = best.share
    words = f"{100 * share.mean:.2f} % ({100 * share.low:.2f} to {100 * share.high:.2f})"
    assert f"Ends at a global minimum {words}" in text(page)


def test_every_outcome_is_a_row_with_intervals(page, found):
    rows = re.findall(r'<th scope="row" class="words">(.*?)</th>\n<td>(.*?)</td>\n<td>(.*?)</td>', page)
    for (name, share, escape), outcome in zip(rows, found.outcomes, strict=True):
        assert html.unescape(name) == outcome.strategy.name
        for cell, interval in ((share, outcome.share), (escape, outcome.escape)):
            numbers = [float(number) for number in re.findall(r"[\d.]+", cell)]
            assert numbers == pytest.approx([100 * interval.mean, 100 * interval.low, 100 * interval.high], abs=0.006)


def test_all_pictures_are_there_and_nothing_outside_is_referred_to(page):
    assert re.findall(r"<h2>(.*?)</h2>", page) == TITLES
    assert page.count("<svg") == page.count("<figcaption>") == 4 + len(PAIR)
    links = re.findall(r'(?:href|src)="([^"]{1,30})', page)
    assert all(link.startswith(("#", "data:image/png;base64")) for link in links)
    assert "<b>" not in page


def test_the_strategies_and_the_landscape_can_be_read_back_from_the_page(page, found):
    folded = [html.unescape(code) for code in re.findall(r"<details>.*?<code>(.*?)</code>", page, flags=re.DOTALL)]
    assert [loads(code) for code in folded] == [*found.strategies, found.landscape]
    assert "Seed of starts and noise 3" in text(page)


def test_a_reopened_descent_makes_the_same_page(page, found):
    assert render(loads(dumps(found))) == page


def test_of_many_dimensions_there_is_no_map_of_basins():
    page = render(record(Rastrigin(3)))
    assert re.findall(r"<h2>(.*?)</h2>", page) == [title for title in TITLES if title != "Basins"]


def test_where_nobody_arrives_the_page_says_so():
    assert '<h1 class="answer">No strategy got to a global minimum</h1>' in render(record(MonkeySaddle()))


def test_where_nothing_is_to_be_escaped_from_there_is_a_dash():
    page = text(render(record(DoubleWell(tilt=2.0))))
    assert "Escapes from elsewhere —" in page


def test_a_page_of_a_descent_is_light_enough(page):
    assert len(page.encode()) < 700_000


def test_a_line_and_a_plane_of_the_loss_have_a_page():
    x, none = np.linspace(-1, 1, 9), np.empty((0, 2))
    line = Slice("random direction", ("t",), x, np.empty(0), 1 + x**2, 1.0, none, np.empty(0, dtype=int))
    page = text(render(line))
    assert "The loss along a random direction Loss of the model 1 Lowest loss in the slice 1" in page
    path = np.array([[0.5, 0.5], [0.0, 0.0]])
    plane = Slice("the trail", ("a", "b"), x, x, 1 + x[:, None] ** 2 + x**2, 1.0, path, np.array([0, 7]), (0.9, 0.1))
    assert "Of the path's variance along the axes 90 % and 10 %" in text(render(plane))
    nothing = Slice("random direction", ("t",), x, np.empty(0), x * np.nan, np.nan, none, np.empty(0, dtype=int))
    assert "Lowest loss in the slice —" in text(render(nothing))


def test_step_sizes_have_a_page_with_rates_and_moves():
    steps, levels = np.arange(5), (0.25, 0.5, 0.75)
    spread = np.outer(np.linspace(1, 2, 5), [0.01, 0.02, 0.03])
    sizes = StepSizes("Adam", levels, steps, spread, 10 * spread, np.full((5, 1), 0.1), np.full(5, 0.25), np.zeros(5))
    page = render(sizes)
    assert page.count("<svg") == 2
    assert "Adam Updates that were recorded 5 Parameters without a gradient, at most 25 %" in text(page)
    none = StepSizes(
        "Adam", levels, steps[:0], spread[:0], spread[:0], np.empty((0, 1)), np.empty(0), np.empty(0)
    )  # fmt: skip
    assert "Updates that were recorded 0" in text(render(none))
