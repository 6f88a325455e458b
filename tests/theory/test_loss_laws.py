"""The laws of the loss curve: against METHODS 6(c)-(e), sums over every step, and their own slopes; and their fit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.theory import LAWS, Annealing, Functional, MultiPower, Run, fit
from stepsize.theory.loss_laws import at_peak, path

VALUES = {
    "annealing": [1.0, 0.3, 0.5, 3.0, 30.0],
    "multi-power": [1.0, 0.3, 0.5, 20.0, 2.0, 0.6, 0.65],
    "functional": [1.0, 0.3, 0.5, 20.0, 0.5, 9.0, 0.6],
}
MEMORY = -1 / math.log(0.999)
"""The authors' lambda of .999."""


def tables(steps=600, peak=3e-3, warmup=30):
    t = np.arange(steps)
    warm = peak * np.minimum(1, (t + 1) / warmup)
    shapes = {
        "constant": np.ones(steps), "cosine": (1 + np.cos(np.pi * t / steps)) / 2,
        "drop": np.where(t < 0.55 * steps, 1.0, 0.3), "wsd": np.minimum(1, (steps - t) / (0.2 * steps)),
    }  # fmt: skip
    return {name: warm * shape for name, shape in shapes.items()}


def cosine_run():
    """METHODS 6(c): cosine to 0, peak 2e-4, 20 000 steps of which 500 warm up and count at the peak."""
    t = np.arange(19_500)
    return np.concatenate([2e-4 * np.arange(500) / 500, 1e-4 * (1 + np.cos(np.pi * t / 19_500))])


def test_the_area_and_the_momentum_of_the_annealing_oracle():
    table = at_peak(cosine_run())
    seen = path(table, [20_000], most=20_000)
    assert float(seen.areas[0]) == pytest.approx(2.0501, abs=5e-5)
    gain, _ = Annealing().gain(np.log([1, 1, 1, 1, MEMORY]), seen)
    assert float(gain[0]) == pytest.approx(0.197474, abs=1e-5)  # the sheet has one step more or less


def test_the_fit_of_the_annealing_oracle_comes_back():
    """METHODS 6(c)'s own parameters make 40 points of cosine and constant; the fit finds them."""
    right = [2.6278, 0.42966, 0.54985, 0.41077]
    at = np.linspace(1000, 20_000, 20).round()
    found = [cosine_run(), np.minimum(2e-4, 2e-4 * np.arange(20_000) / 500)]
    runs = [Run(table, at, Annealing()([*right, MEMORY], table, at)) for table in found]
    assert fit(Annealing(), runs, {"h": MEMORY})[:4] == pytest.approx(right, rel=1e-3)


def brute_annealing(values, table, t):
    base, amount, alpha, gain, h = values
    rates, keep = at_peak(table), math.exp(-1 / h)
    momentum = total = 0.0
    for k in range(1, t):
        momentum = keep * momentum + rates[k - 1] - rates[k]
        total += momentum
    return base + amount * rates[:t].sum() ** -alpha - gain * total


def brute_multi_power(values, table, t):
    base, amount, alpha, gain, pace, beta, gamma = values
    area = table[:t].sum()
    total = sum(
        (table[k] - table[k - 1]) * (1 - (1 + pace * table[k] ** -gamma * (area - table[:k].sum())) ** -beta)
        for k in range(1, t)
    )
    return base + amount * area**-alpha + gain * total


def brute_functional(values, table, t):
    base, amount, alpha, gain, floor, pace, gamma = values
    area = table[:t].sum()
    total = sum(
        (table[k - 1] - table[k])
        * (floor + table[:k].sum() ** -alpha)
        * (1 - (1 + pace * (area - table[:k].sum())) ** -gamma)
        for k in range(1, t)
        if table[k] < table[k - 1]
    )
    return base + amount * area**-alpha - gain * total


@pytest.mark.parametrize("name", tables())
@pytest.mark.parametrize(
    ("law", "brute"),
    [(Annealing(), brute_annealing), (MultiPower(rises=True), brute_multi_power), (Functional(), brute_functional)],
    ids=LAWS,
)
def test_a_law_is_its_formula_summed_over_every_step(law, brute, name):
    """Changes that lie close are put together; the rest of 2e-4 is what that costs."""
    table = tables()[name]
    for t in (50, 330, 335, 600):
        told = float(law(VALUES[law.name], table, [t])[0])
        assert told == pytest.approx(brute(VALUES[law.name], table, t), rel=2e-4)


@pytest.mark.parametrize("name", LAWS)
@given(data=st.data())
def test_the_slopes_are_those_of_the_losses(name, data):
    law = LAWS[name]
    logs = np.log(VALUES[name]) + np.array([data.draw(st.floats(-0.5, 0.5)) for _ in law.parameters])
    seen = law.path(tables()["cosine"], [40.0, 300.0, 600.0])
    _, slopes = law.losses(logs, seen)
    for i, step in enumerate(1e-6 * np.eye(len(logs))):
        told = (law.losses(logs + step, seen)[0] - law.losses(logs - step, seen)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, i], told, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_without_a_change_of_the_rate_only_the_area_counts(name):
    base, amount, alpha = VALUES[name][:3]
    at = np.array([10.0, 200.0])
    told = LAWS[name](VALUES[name], np.full(200, 0.01), at)
    np.testing.assert_allclose(told, base + amount * (0.01 * at) ** -alpha, rtol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_a_drop_pays_off_from_where_it_is_on(name):
    """Before it nothing is known of it; after it the loss is below that of the area alone."""
    table = np.where(np.arange(400) < 200, 0.01, 0.002)
    law, plain = LAWS[name], VALUES[name][:3]
    at = np.array([150.0, 200.0, 230.0, 300.0, 400.0])
    base = plain[0] + plain[1] * np.cumsum(table)[at.astype(int) - 1] ** -plain[2]
    gain = base - law(VALUES[name], table, at)
    assert gain[:2] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert (np.diff(gain[1:]) > 0).all()


def test_rises_of_the_warmup_count_only_when_asked():
    table = tables()["constant"]
    plain, counted = (law(VALUES["multi-power"], table, [600])[0] for law in (MultiPower(), MultiPower(rises=True)))
    assert counted > plain + 0.02


def test_changes_are_put_together_without_losing_a_jump():
    table = np.concatenate([np.linspace(1, 0.9, 1000), np.linspace(0.5, 0.4, 1000)])
    seen = path(table, [2000], most=50)
    assert len(seen.drops) <= 50
    assert seen.drops.sum() == pytest.approx(0.6)
    assert seen.drops.max() >= 0.4
    assert abs(seen.since[seen.drops.argmax()] - 1000) < 1


@pytest.mark.parametrize("name", LAWS)
def test_a_fit_of_a_laws_own_curves_tells_an_unseen_schedule(name):
    law, at = LAWS[name], np.arange(40.0, 601, 8)
    runs = {each: Run(table, at, law(VALUES[name], table, at)) for each, table in tables().items()}
    found = fit(law, [runs["constant"], runs["cosine"], runs["drop"]])
    told = law(found, runs["wsd"].table, at)
    assert np.abs(told - runs["wsd"].losses).max() < 2e-3 * np.ptp(runs["wsd"].losses)


def test_a_wild_row_moves_the_fit_by_little():
    law, at = Annealing(), np.arange(40.0, 601, 8)
    runs = [Run(table, at, law(VALUES["annealing"], table, at)) for table in tables().values()]
    clean = fit(law, runs)
    runs[1].losses[30] *= 3
    wild = fit(law, runs)
    table = tables()["wsd"]
    assert np.abs(law(wild, table, at) - law(clean, table, at)).max() < 1e-3


def run_of(table, losses):
    return Run(table, np.arange(1.0, len(losses) + 1), np.asarray(losses, dtype=float))


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "0 losses are too few"),
        ([run_of(tables()["cosine"], np.ones(10))], "10 losses are too few"),
        ([run_of(tables()["cosine"], np.zeros(60))], "above 0, and one is 0.0"),
        ([run_of(tables()["cosine"], np.full(60, math.nan))], "finite"),
        ([run_of(tables()["constant"], np.ones(60))], "falls in none of these runs"),
    ],
)
def test_what_cannot_be_fitted_is_refused(runs, words):
    with pytest.raises(ParameterError, match=words):
        fit(Annealing(), runs)


def test_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="no parameter 'lambda'"):
        fit(Annealing(), [run_of(tables()["cosine"], np.ones(60))], {"lambda": 0.999})


@pytest.mark.parametrize(
    ("table", "at", "words"),
    [
        ([], [1], "finite rates"), ([0.0, 0.0], [1], "not all 0"), ([-1.0, 1.0], [1], "at least 0"),
        ([1.0, math.nan], [1], "finite rates"), ([1.0], [2], "1 to 1 updates"), ([1.0], [0], "1 to 1 updates"),
        ([1.0], [], "1 to 1 updates"), ([0.0, 1.0], [1], "nothing was learned yet"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(table, at, words):
    with pytest.raises(ParameterError, match=words):
        path(table, at)
