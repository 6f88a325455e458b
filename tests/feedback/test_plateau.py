"""Plateau is torch's ReduceLROnPlateau, exactly, but for the metrics below 0 that torch gets wrong."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.schedules import Cosine, Linear, Listener, Plateau

NAN = math.nan


def torch_says(metrics, *, factor, patience, threshold, relative, cooldown, least, mode):
    """torch's rates after each call, from a rate of 1."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode=mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode="rel" if relative else "abs",
        cooldown=cooldown,
        min_lr=least,
        eps=0,
    )
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


settings_of_any_kind = st.fixed_dictionaries(
    {
        "factor": st.floats(0.01, 0.99),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 0.01, 0.2]),
        "relative": st.booleans(),
        "cooldown": st.integers(0, 3),
        "least": st.sampled_from([0.0, 1e-3, 0.3, 1.0]),
        "mode": st.sampled_from(["min", "max"]),
    }
)
some = st.sampled_from([0.5, 0.9, 0.95, 0.99995, 1.0, 1.1, NAN, math.inf]) | st.floats(0, 100, allow_subnormal=False)


@settings(max_examples=200)
@given(metrics=st.lists(some, min_size=1, max_size=40), given=settings_of_any_kind)
def test_on_metrics_of_at_least_0_it_is_torchs_to_the_last_bit(metrics, given):
    listen = Listener(Plateau(**given))
    assert [listen(metric) for metric in metrics] == torch_says(metrics, **given)


@given(metrics=st.lists(st.floats(-100, 100), min_size=1, max_size=40), given=settings_of_any_kind)
def test_with_an_absolute_threshold_it_is_torchs_below_0_too(metrics, given):
    given = given | {"relative": False}
    listen = Listener(Plateau(**given))
    assert [listen(metric) for metric in metrics] == torch_says(metrics, **given)


def test_the_fixture_drops_at_the_5th_and_the_9th_call():
    listen = Listener(Plateau(factor=0.1, patience=2, cooldown=1))
    for metric in [1.0, *[0.9] * 8, NAN, 0.9]:
        listen(metric)
    assert [change.call + 1 for change in listen.changes] == [5, 9]


def test_a_worse_negative_metric_is_no_improvement():
    """torch accepts -0.99995 as better than -1, since it compares with -1 * (1 - 1e-4)."""
    metrics = [-1.0, -0.99995, -0.9999, -0.99985]
    given = Plateau(factor=0.5, patience=1).spec_fields()
    assert torch_says(metrics, **given)[-1] == 1.0
    listen = Listener(Plateau(factor=0.5, patience=1))
    assert [listen(metric) for metric in metrics] == [1.0, 1.0, 0.5, 0.5]


def test_a_better_negative_metric_must_be_better_by_the_threshold():
    plateau = Plateau(threshold=0.1)
    state, _ = plateau.update(plateau.init(), -1.0)
    assert plateau.update(state, -1.05)[0].bad == 1
    assert plateau.update(state, -1.15)[0].bad == 0


@given(metrics=st.lists(st.floats(-100, 100), min_size=1, max_size=40), given=settings_of_any_kind)
def test_more_is_better_is_less_is_better_of_the_other_sign(metrics, given):
    least, most = (Listener(Plateau(**given | {"mode": mode})) for mode in ("min", "max"))
    assert [least(metric) for metric in metrics] == [most(-metric) for metric in metrics]


@given(metrics=st.lists(st.floats(0.1, 100), min_size=1, max_size=40), given=settings_of_any_kind)
def test_best_only_ever_gets_better(metrics, given):
    plateau = Plateau(**given)
    state = plateau.init()
    for metric in metrics:
        before, (state, _) = state.best, plateau.update(state, metric)
        assert state.best <= before if plateau.mode == "min" else state.best >= before


def test_nan_is_a_bad_call_and_never_the_best():
    plateau = Plateau(patience=1)
    state = plateau.init()
    for metric in (NAN, NAN):
        state, multiplier = plateau.update(state, metric)
    assert multiplier == 0.1
    assert state.best == math.inf


def test_from_the_floor_there_is_no_further_drop():
    listen = Listener(Plateau(factor=0.1, patience=0, least=0.05))
    assert [listen(1.0) for _ in range(5)] == [1.0, 0.1, 0.05, 0.05, 0.05]
    assert len(listen.changes) == 2


def test_it_multiplies_any_schedule():
    schedule = (Linear(0.0, 1.0, 10) >> Cosine(1.0, 0.0)).over(100)
    listen = Listener(Plateau(factor=0.5, patience=0))
    listen(1.0)
    assert schedule(40) * listen(1.0) == schedule(40) * 0.5
    assert np.array_equal(schedule.table(0, 100) * listen.multiplier, 0.5 * schedule.table(0, 100))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("factor", 1.0, r"Plateau\.factor must be a number above 0 and below 1, not 1\.0"),
        ("factor", 0.0, r"Plateau\.factor must be a number above 0 and below 1, not 0\.0"),
        ("patience", -1, r"Plateau\.patience must be a whole number of at least 0, not -1"),
        ("patience", 1.5, r"Plateau\.patience must be a whole number, not 1\.5"),
        ("threshold", 1.0, r"Plateau\.threshold must be a number from 0 up to, but not including, 1, not 1\.0"),
        ("cooldown", -2, r"Plateau\.cooldown must be a whole number of at least 0, not -2"),
        ("least", 2.0, r"Plateau\.least must be a number from 0 to 1, not 2\.0"),
        ("mode", "mim", r"Plateau\.mode cannot be 'mim'\. Did you mean \"'min'\"\?"),
    ],
)
def test_what_makes_no_sense_is_refused(field, value, words):
    with pytest.raises(ParameterError, match=words):
        Plateau(**{field: value})
