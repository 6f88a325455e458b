"""Numbers that nobody means: each, in every field of every kind that a file may hold, is refused in words or kept.

What is kept survives a round trip, and a schedule that is kept has values: none is no number.
"""

import json
import sys
import warnings

import numpy as np
import pytest
from every_kind import VALUES

from stepsize.kernel.errors import LengthError, ParameterError, StepsizeError, brief
from stepsize.kernel.spec import encode
from stepsize.policies import Groups, Policy, one_cycle
from stepsize.results.io import dumps, loads
from stepsize.schedules import Cosine, Linear, Repeat, Schedule

NUMBERS = ("1" + 400 * "0", "-1" + 400 * "0", "1" + 5000 * "0", "1e308", "-1e308", "1e400", "5e-324", str(2**63), "NaN")
HOLE = "a hole"


def holes(data, path=()):
    """The paths of everything in JSON data that is a number or a text, but for kinds and arrays."""
    if isinstance(data, dict | list):
        for key, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from holes(item, (*path, key))
    elif not isinstance(data, bool) and data is not None and path[-1] not in ("kind", "npy"):
        yield path


def with_hole(data, path):
    """JSON text of the data with a hole at the path."""
    copy = json.loads(json.dumps(data))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = HOLE
    return json.dumps(copy)


def fields(value):
    """One hole in every field, the first item alone of a list: as text, by the names on the way."""
    data = json.loads(dumps(value))
    found = {}
    for path in holes(data):
        found.setdefault(tuple(key for key in path if isinstance(key, str)), path)
    return {names: with_hole(data, path) for names, path in found.items()}


def check(text):
    """Read the text, and use what it holds."""
    try:
        value = loads(text)
        if isinstance(value, Schedule | Policy):
            use(value)
        again = encode(loads(dumps(value)))
    except StepsizeError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert again == encode(value)
    assert len(refusal) <= 2000


def use(value):
    """A schedule or policy that was accepted has a text and values; one may overflow, none is NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an overflow is infinite, as NumPy says
        table = value.over(1000).table(0, 100)
    assert repr(value)
    for column in table.values() if isinstance(table, dict) else [table]:
        assert not np.isnan(column).any()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_field_of_no_kind_is_surprised_by_a_number(value):
    for text in fields(value).values():
        for number in NUMBERS:
            check(text.replace(json.dumps(HOLE), number))


LONGEST = 2**53


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda n: Linear(1.0, 0.0, n), LengthError, "at most 9007199254740992 steps"),
        (lambda n: Linear(1.0, 0.0).over(n), LengthError, "at most 9007199254740992 steps"),
        (lambda n: Linear(1.0, 0.0, f"{n // 10**6}M updates"), LengthError, "at most 9007199254740992 steps"),
        (Linear(1.0, 0.0, 10), ParameterError, "a step is at most 9007199254740992"),
        (lambda n: Repeat(Cosine(1.0, 0.0, 9), stretch=n), ParameterError, r"from 1 to 2\*\*53|at most 64 bits"),
    ],
)
def test_whole_numbers_that_no_float_can_count_to_are_refused(make, error, message):
    make(LONGEST // 10**6 * 10**6)
    for number in (LONGEST + 10**6, 2**63, 10**20):
        with pytest.raises(error, match=message):
            make(number)


def test_a_ratio_that_no_float_can_hold_is_refused():
    with pytest.raises(ParameterError, match="a ratio is a finite number"):
        Groups(one_cycle(0.1), {"head": {"lr": 10**400}})


def test_an_error_can_say_a_number_that_python_does_not_write():
    with pytest.raises(LengthError, match="not a whole number of 16610 bits"):
        Linear(1.0, 0.0, 10**5000)
    assert sys.get_int_max_str_digits() < 5000
    assert len(brief(10**4000)) < 100
