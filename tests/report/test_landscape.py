"""A descent on the page: what was counted, every picture, and what it takes to repeat it."""

import html
import re

import numpy as np
import pytest

from stepsize.engines.landscape.descend import descend
from stepsize.policies import constant, cosine
from stepsize.problems.landscapes import DoubleWell, MonkeySaddle, Rastrigin, SixHumpCamel
from stepsize.problems.noise import Gaussian
from stepsize.report import render
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
    share_of_all = f"{100 * share.mean:.2f} % ({100 * share.low:.2f} to {100 * share.high:.2f})"
    assert f"Ends at a global minimum {share_of_all}" in text(page)


def test_every_outcome_is_a_row_with_intervals(page, found):
    rows = re.findall(r'<th scope="row" class="text">(.*?)</th>\n<td>(.*?)</td>\n<td>(.*?)</td>', page)
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
    page = render(record(MonkeySaddle(), starts=np.zeros((3, 2))))
    assert '<h1 class="answer">No strategy left the saddle</h1>' in page
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Who leaves the saddle", "When they leave", *(title for title in TITLES[2:] if title != "Basins")
    ]  # fmt: skip
    assert "Leaves the saddle 0.00 %" in text(page)
    assert "global minimum" not in text(page)


def test_where_nothing_is_to_be_escaped_from_there_is_a_dash():
    page = text(render(record(DoubleWell(tilt=2.0))))
    assert "Escapes from elsewhere —" in page


def test_a_page_of_a_descent_is_light_enough(page):
    assert len(page.encode()) < 700_000
