"""Flags hang so that none meets another, or the pole of another."""

from hypothesis import given
from hypothesis import strategies as st

from stepsize.plots.rate_markers import rows

flags = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.45)), max_size=6)


def span(flag, side):
    pole, width = flag
    return (pole, pole + width) if side == "right" else (pole - width, pole)


@given(flags)
def test_no_flag_meets_another(given):
    placed = rows(given)
    for i, (first, (side, row)) in enumerate(zip(given, placed, strict=True)):
        for second, (other, line) in zip(given[:i], placed[:i], strict=True):
            (a, b), (c, d) = span(first, side), span(second, other)
            assert row != line or b < c or d < a


@given(flags)
def test_no_pole_goes_through_a_flag(given):
    placed = rows(given)
    for i, (first, (side, row)) in enumerate(zip(given, placed, strict=True)):
        for j, (second, (_, line)) in enumerate(zip(given, placed, strict=True)):
            low, high = span(first, side)
            assert i == j or line < row or not low < second[0] < high


@given(flags)
def test_no_flag_leaves_the_picture_to_the_right(given):
    assert all(span(flag, side)[1] <= 1 for flag, (side, _) in zip(given, rows(given), strict=True))


def test_flags_with_room_share_the_lowest_row():
    assert rows([(0.1, 0.2), (0.5, 0.2), (0.95, 0.2)]) == [("right", 0), ("right", 0), ("left", 0)]
