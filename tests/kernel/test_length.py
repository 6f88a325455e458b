"""Lengths are 500, "30%" or "rest"; parts add up exactly; a float is refused with a hint."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from stepsize.kernel.errors import LengthError
from stepsize.kernel.length import REST, divide, parse, share

percents = st.integers(0, 1000).map(lambda tenths: f"{tenths / 10:g}%")


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (500, 500),
        (np.int64(7), 7),
        (torch.tensor(7), 7),
        ("30%", "30%"),
        (" 30 % ", "30%"),
        ("12.5%", "12.5%"),
        (".5%", ".5%"),
        ("0%", "0%"),
        ("100%", "100%"),
        ("rest", REST),
        (" rest ", REST),
    ],
)
def test_a_length_has_a_canonical_form(given, canonical):
    parsed = parse(given)
    assert parsed == canonical
    assert type(parsed) is type(canonical)


def test_a_float_below_one_is_refused_with_the_share_that_was_meant():
    with pytest.raises(LengthError, match=r"not 0\.3\. For a share of the run write '30%'"):
        parse(0.3)
    with pytest.raises(LengthError, match=r"not 0\.125\. For a share of the run write '12\.5%'"):
        parse(0.125)


@pytest.mark.parametrize("given", [1.0, 500.0, -0.3, 0.0, math.nan, math.inf, True, False, None, [3], "30"])
def test_what_is_no_length_is_refused_without_a_hint(given):
    with pytest.raises(LengthError, match="a length") as caught:
        parse(given)
    assert "For a share" not in str(caught.value)


@pytest.mark.parametrize("given", [0, -1, np.int64(-5)])
def test_fewer_than_one_step_is_refused(given):
    with pytest.raises(LengthError, match=f"at least 1 step, not {given}"):
        parse(given)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%",
        "abc",
        "30 percent",
        "-5%",
        "+5%",
        "101%",
        "100.1%",
        "1e1%",
        "5%%",
        "REST",
        "٣٠%",
        "9" * 5000 + "%",
        "1/3%",
    ],
)
def test_bad_text_is_refused(text):
    with pytest.raises(LengthError, match="is a share from '0%' to '100%', or 'rest', not") as caught:
        parse(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("length", "total", "steps"),
    [
        ("30%", 10, 3),
        ("25%", 10, 3),
        ("24%", 10, 2),
        ("0%", 10, 1),
        ("1%", 10, 1),
        ("100%", 7, 7),
        (REST, 7, 7),
        (4, 9, 4),
    ],
)
def test_a_single_share_is_rounded_half_up_and_at_least_one(length, total, steps):
    assert share(length, total) == steps


@pytest.mark.parametrize(
    ("lengths", "total", "parts"),
    [
        (["10%", REST], 1005, [101, 904]),
        ([100, REST, "25%"], 1000, [100, 650, 250]),
        ([REST, REST], 7, [4, 3]),
        ([REST, REST, REST], 10, [3, 4, 3]),
        (["33.3%", "33.3%", "33.4%"], 10, [3, 4, 3]),
        ([3, 4], 7, [3, 4]),
        (["50%", "50%"], 3, [2, 1]),
        (["100%", REST], 5, [5, 0]),
    ],
)
def test_boundaries_are_rounded_so_that_parts_add_up(lengths, total, parts):
    assert divide(lengths, total) == parts


def test_shares_inside_a_part_are_of_the_whole_run():
    assert divide(["10%", REST], 50, of=100) == [10, 40]


@given(
    before=st.lists(percents | st.integers(1, 50), max_size=4),
    after=st.lists(percents, max_size=3),
    total=st.integers(1, 10**6),
)
def test_parts_add_up_exactly_and_none_is_off_by_more_than_one(before, after, total):
    lengths = [*before, REST, *after]
    exact = [Fraction(n.rstrip("%")) / 100 * total if isinstance(n, str) and n != REST else n for n in lengths]
    known = [size for size in exact if size != REST]
    assume(sum(known) <= total)
    parts = divide(lengths, total)
    assert sum(parts) == total
    sizes = [total - sum(known) if size == REST else size for size in exact]
    assert all(abs(part - size) < 1 for part, size in zip(parts, sizes, strict=True))


def test_parts_that_are_too_long_say_so():
    with pytest.raises(LengthError, match=r"800 \+ 50% add up to 1300 steps, but the run has 1000: shorten a part"):
        divide([800, "50%"], 1000)
    with pytest.raises(LengthError, match="shorten a part, or train longer"):
        divide([2000, REST], 1000)


def test_parts_that_leave_steps_over_ask_for_a_rest():
    with pytest.raises(LengthError, match=r"300 \+ 20% add up to 500 steps, but the run has 1000: make one"):
        divide([300, "20%"], 1000)
