"""Greedy against the method written again as a plain loop over floats, with a deque and ifs."""

import math
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.schedules import Greedy, Listener


class Loop:
    """GreedyLR as METHODS 1.9 words it, for one run."""

    def __init__(self, g):
        self.g, self.multiplier, self.pause = g, 1.0, 0
        self.anew()

    def anew(self):
        self.best = math.inf if self.g.mode == "min" else -math.inf
        self.good = self.bad = self.floor = 0
        self.recent = deque(maxlen=self.g.window)

    def better(self, metric):
        gap = self.g.threshold * (abs(self.best) if self.g.relative else 1.0)
        if math.isinf(self.best):
            return metric != self.best and not math.isnan(metric)
        return metric < self.best - gap if self.g.mode == "min" else metric > self.best + gap

    def __call__(self, loss):
        self.recent.appendleft(loss)
        if self.pause:
            self.pause -= 1
            self.good = self.bad = 0
            return self.multiplier
        metric = sum(self.recent) / len(self.recent)
        if self.better(metric):
            self.best, self.good, self.bad = metric, self.good + 1, 0
        else:
            self.good, self.bad = 0, self.bad + 1
        if self.good > self.g.patience:
            self.multiplier = min(self.multiplier / self.g.factor, self.g.most)
            self.good, self.floor, self.pause = 0, 0, self.g.warmup
        elif self.bad > self.g.patience:
            self.reduce()
        return self.multiplier

    def reduce(self):
        self.multiplier = max(self.multiplier * self.g.factor, self.g.least)
        self.bad, self.pause = 0, self.g.cooldown
        self.floor += self.multiplier <= self.g.least
        if self.g.reset and self.floor >= self.g.reset:
            self.multiplier = 1.0
            self.anew()


greedies = st.builds(
    Greedy,
    factor=st.floats(0.1, 0.95),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-6, 0.125]),
    relative=st.booleans(),
    cooldown=st.integers(0, 3),
    warmup=st.integers(0, 3),
    least=st.sampled_from([0.01, 0.5, 1.0]),
    most=st.sampled_from([1.0, 3.0, 10.0]),
    window=st.integers(1, 4),
    reset=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]),
)
quarters = st.integers(-40, 40).map(lambda n: n / 4)
"""Few values, which repeat, and whose means and gaps are exact."""


@settings(max_examples=300)
@given(greedy=greedies, losses=st.lists(quarters, min_size=1, max_size=60))
def test_it_is_the_plain_loop(greedy, losses):
    if greedy.relative:
        losses = [loss + 0.1 for loss in losses]
    loop, listen = Loop(greedy), Listener(greedy)
    assert [listen(loss) for loss in losses] == [loop(loss) for loss in losses]


@given(greedy=greedies, losses=st.lists(quarters | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=60))
def test_the_multiplier_stays_inside_its_bounds(greedy, losses):
    listen = Listener(greedy)
    assert all(greedy.least <= listen(loss) <= greedy.most for loss in losses)


def test_it_raises_while_the_loss_improves_up_to_the_most():
    listen = Listener(Greedy(factor=0.5, patience=0, most=4.0))
    assert [listen(-float(k)) for k in range(5)] == [2.0, 4.0, 4.0, 4.0, 4.0]


def test_it_begins_anew_after_reductions_at_the_floor():
    listen = Listener(Greedy(factor=0.5, patience=0, least=0.5, reset=2))
    assert [listen(loss) for loss in (math.nan, math.nan, math.nan)] == [0.5, 1.0, 0.5]


def test_the_window_forgets_a_nan():
    """A running sum would hold it for ever."""
    listen = Listener(Greedy(factor=0.5, patience=0, window=2))
    assert [listen(loss) for loss in (math.nan, 2.0, 1.0)] == [0.5, 0.25, 0.5]


def test_a_window_hides_one_bad_loss():
    alone, window = (Listener(Greedy(factor=0.5, patience=0, window=n)) for n in (1, 4))
    for listen in (alone, window):
        for loss in (10.0, 8.0, 6.0, 4.0, 4.5):
            listen(loss)
    assert alone.changes[-1].after < alone.changes[-1].before
    assert window.changes[-1].after > window.changes[-1].before


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("factor", 1.0, r"Greedy\.factor must be a number above 0 and below 1, not 1\.0"),
        ("most", 0.5, r"Greedy\.most must be a number of at least 1, not 0\.5"),
        ("least", 1.5, r"Greedy\.least must be a number from 0 to 1, not 1\.5"),
        ("window", 0, r"Greedy\.window must be a whole number of at least 1, not 0"),
        ("reset", -1, r"Greedy\.reset must be a whole number of at least 0, not -1"),
        ("warmup", True, r"Greedy\.warmup must be a whole number, not True"),
    ],
)
def test_what_makes_no_sense_is_refused(field, value, words):
    with pytest.raises(ParameterError, match=words):
        Greedy(**{field: value})
