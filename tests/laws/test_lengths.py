"""Sums and divisions of lengths are exact, whatever the digits."""

from fractions import Fraction

import pytest
from drawn import runs
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.length import REST, divide, parse, share, total
from stepsize.schedules import Cosine, Linear, Until

digits = st.text("0123456789", min_size=1, max_size=30)
percents = st.builds(lambda whole, after: f"{whole}.{after}%", st.integers(0, 20), digits)
steps = st.integers(1, 10**9)


def number(length):
    return Fraction(length.rstrip("%")) if isinstance(length, str) else Fraction(length)


@given(lengths=st.lists(steps, min_size=1) | st.lists(percents, min_size=1))
def test_a_total_is_the_exact_sum(lengths):
    assert number(total(lengths)) == sum(number(length) for length in lengths)


@given(lengths=st.lists(percents, min_size=1, max_size=4))
def test_a_total_of_shares_is_a_length_again(lengths):
    assert parse(total(lengths)) == total(lengths)


@given(first=st.lists(percents, min_size=1), second=st.lists(percents, min_size=1))
def test_a_total_of_totals_is_the_total(first, second):
    assert number(total([total(first), total(second)])) == number(total(first + second))


@given(known=steps | percents, share=percents)
def test_a_total_with_a_rest_or_of_both_kinds_is_the_rest(known, share):
    assert total([known, REST]) == total([7, share]) == total([share, 7]) == REST


def test_a_total_of_one_is_itself():
    assert [total([n]) for n in (5, "12.50%", REST)] == [5, "12.50%", REST]


@given(lengths=st.lists(percents, min_size=1, max_size=4), run=runs, begin=percents)
def test_a_part_of_parts_divides_what_it_was_given(lengths, run, begin):
    """Its own length was rounded where it lies in the run, so it is off by less than a step."""
    _, inside, _ = divide([begin, total(lengths), REST], run)
    sizes = divide(lengths, inside, of=run)
    assert sum(sizes) == inside
    assert min(sizes) >= 0


@pytest.mark.parametrize("run", [101, 103, 107, 333, 1001])
def test_a_chain_inside_an_operator_may_end_between_two_steps(run):
    """50.5 steps of 101 are rounded once for the whole and once for each part; that raised before."""
    wave = Linear(0.0, 1.0, "30%") >> Linear(1.0, 0.0, "20%")
    bound = ((wave + Linear(0.0, 1.0)) >> Cosine(1.0, 0.0)).over(run)
    assert sum(part.steps for part in bound.parts) == run
    assert Until(wave, "rest").over(run).schedule.steps == share("50%", run)
