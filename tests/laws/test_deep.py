"""Depth costs no more than it holds: every schedule that holds others, sixty deep, is as good as any.

The calls are counted and not the seconds, so that this says the same on every machine.
"""

import copy
import pickle
import sys
from contextlib import contextmanager
from dataclasses import fields

import pytest

from stepsize.kernel.errors import ParameterError
from stepsize.policies import Clock, Policy, in_updates
from stepsize.results.io import CATALOGUE, dumps, loads
from stepsize.schedules import (
    Chain,
    Clipped,
    Constant,
    Linear,
    Product,
    Repeat,
    Reversed,
    Scaled,
    Schedule,
    Stepped,
    Stretched,
    Sum,
    Until,
    with_horizon,
)

DEEP = 60
CALLS = 1_000_000
"""The most calls of Python functions that one use may make; the cheapest doubling at every level makes 2**60."""

HOLDERS = {
    Chain: [lambda inner: Chain((inner, Constant(0.1, 1)))],
    Scaled: [lambda inner: Scaled(inner, 0.9)],
    Sum: [lambda inner: Sum(inner, Linear(0.1, 0.0)), lambda inner: Sum(Linear(0.1, 0.0), inner)],
    Product: [lambda inner: Product(inner, Linear(1.0, 0.5)), lambda inner: Product(Linear(1.0, 0.5), inner)],
    Clipped: [lambda inner: Clipped(inner, low=0.01)],
    Reversed: [Reversed],
    Stepped: [lambda inner: Stepped(inner, 2)],
    Until: [lambda inner: Until(inner, 50)],
    Stretched: [lambda inner: Stretched(inner, 100)],
    Repeat: [lambda inner: Repeat(inner, steps=200), lambda inner: Repeat(inner, stretch=2, scale=0.9, steps=200)],
}
"""How each kind that holds schedules is put around another."""

CASES = [(kind, number) for kind, makers in HOLDERS.items() for number in range(len(makers))]

USES = {
    "value": lambda bound: bound(3),
    "table": lambda bound: bound.table(0, 300).tolist(),
    "text": repr,
    "outline": lambda bound: bound.outline,
    "hash": hash,
    "copy": copy.deepcopy,
    "pickle": lambda bound: pickle.loads(pickle.dumps(bound)),  # noqa: S301  (our own)
    "horizon": lambda bound: with_horizon(bound, 2 * bound.steps),
    "units": lambda bound: in_updates(bound, Clock()),
    "JSON": lambda bound: loads(dumps(Policy(lr=bound))),
}


@contextmanager
def few_calls():
    """Fail as soon as more than `CALLS` functions were called."""
    made = 0

    def count(_, event, __):
        nonlocal made
        made += event == "call"
        assert made <= CALLS, "the work doubles at every level"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def test_every_kind_that_holds_schedules_is_here():
    kinds = CATALOGUE.of(Schedule).values()
    assert {kind for kind in kinds if any("Schedule" in str(each.type) for each in fields(kind))} == set(HOLDERS)


@pytest.mark.parametrize("leaf", [Linear(0.1, 0.0, 100), Linear(0.1, 0.0)], ids=["of 100 steps", "of the rest"])
@pytest.mark.parametrize(("kind", "number"), CASES, ids=[f"{kind.__name__}-{number}" for kind, number in CASES])
def test_sixty_deep_costs_sixty_times_one(kind, number, leaf):
    with few_calls():
        deep = leaf
        for _ in range(DEEP):
            deep = HOLDERS[kind][number](deep)
        bound = deep.over(deep.steps if isinstance(deep.steps, int) else 100)
    for use in USES.values():
        with few_calls():
            use(bound)
    assert loads(dumps(bound)) == bound == copy.deepcopy(bound)


TWICE = {
    "sum": lambda s: s + s,
    "product": lambda s: s * s,
    "chain": lambda s: s >> s,
    "scaled": lambda s: 0.5 * (s + s),
    "repeated": lambda s: Repeat(s + s, steps=100),
    "clipped": lambda s: Clipped(s * s, low=0.01),
}


@pytest.mark.parametrize("twice", TWICE)
def test_a_schedule_that_is_in_itself_many_times_is_refused_before_it_costs_anything(twice):
    def build():
        schedule = Linear(0.1, 0.0, 10)
        for _ in range(DEEP):
            schedule = TWICE[twice](schedule)

    with few_calls(), pytest.raises(ParameterError, match=r"would hold \d+ schedules.*at most 5000"):
        build()


def test_what_is_just_small_enough_is_as_good_as_any():
    schedule = Linear(0.1, 0.0, 10)
    for _ in range(9):
        schedule = schedule + schedule
    assert schedule(5) == pytest.approx(0.05 * 2**9)
    assert copy.deepcopy(schedule) == schedule
