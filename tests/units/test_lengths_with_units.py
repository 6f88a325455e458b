"""Lengths with a unit: one canonical form, exact sums, and one clear error before a clock has made them updates."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.errors import LengthError, UnboundError
from stepsize.kernel.length import REST, amount, divide, measured, parse, share, total
from stepsize.schedules import Constant, Cosine, Linear, MultiStep

units = st.sampled_from(["epochs", "samples", "tokens"])
numbers = st.fractions(min_value=Fraction(1, 10**6), max_value=10**15, max_denominator=10**6)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("5 epochs", "5 epochs"),
        ("1 epoch", "1 epoch"),
        ("1 epochs", "1 epoch"),
        ("1.0 epoch", "1 epoch"),
        ("2.50 epochs", "2.5 epochs"),
        (".5 epoch", "0.5 epochs"),
        ("5epochs", "5 epochs"),
        ("  2000   samples ", "2000 samples"),
        ("1e6 tokens", "1000000 tokens"),
        ("1e+6 tokens", "1000000 tokens"),
        ("25e-1 epochs", "2.5 epochs"),
        ("1M tokens", "1000000 tokens"),
        ("1.5 B tokens", "1500000000 tokens"),
        ("10k samples", "10000 samples"),
        ("10K samples", "10000 samples"),
        ("2T tokens", "2000000000000 tokens"),
        ("1/3 epochs", "1/3 epochs"),
        ("3/6 epochs", "0.5 epochs"),
        ("300 updates", 300),
        ("1 update", 1),
        ("3e2 updates", 300),
        ("0.5 updates", "0.5 updates"),
        ("125/12 updates", "125/12 updates"),
    ],
)
def test_a_length_with_a_unit_has_a_canonical_form(given, canonical):
    assert parse(given) == canonical
    assert type(parse(given)) is type(canonical)
    assert parse(parse(given)) == canonical


@pytest.mark.parametrize(
    "text",
    ["epochs", "5 epoch s", "-5 epochs", "5 epochss", "1e999 tokens", "1e6M", "5 minutes", "\u0665 epochs",
     "1,000 samples", "nan epochs", "inf tokens", "1_000 tokens", "1/3M tokens", "9" * 5000 + " tokens"],
)  # fmt: skip
def test_bad_text_with_a_unit_is_refused_with_an_example(text):
    with pytest.raises(LengthError, match=r"or 'rest', not .*\. Or it has a unit: '5 epochs', '1M tokens'\.") as caught:
        parse(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["0 epochs", "0.0 tokens", "0/3 epochs", "1/0 epochs", "0 updates"])
def test_a_length_of_nothing_is_refused(text):
    with pytest.raises(LengthError, match=f"a length must be more than nothing, not '{text}'; leave the part out"):
        parse(text)


@pytest.mark.parametrize("text", ["1e-99 epochs", "9e99 tokens"])
def test_a_number_that_could_not_be_read_again_is_refused(text):
    with pytest.raises(LengthError, match=rf"'{text}' has more digits than a length may have \(40, and 30 after"):
        parse(text)


@given(number=numbers, unit=units | st.just("updates"))
def test_what_is_written_reads_back_exactly(number, unit):
    length = measured(number, unit)
    assert parse(length) == length
    assert amount(length) == (number, unit)


@given(sizes=st.lists(numbers, min_size=1, max_size=5), unit=units | st.just("updates"))
def test_lengths_of_one_unit_add_up_exactly(sizes, unit):
    assert amount(total([measured(size, unit) for size in sizes])) == (sum(sizes), unit)


def test_lengths_of_several_units_are_a_rest():
    assert total(["5 epochs", 10]) == total(["5 epochs", "10%"]) == total(["5 epochs", "5 samples"]) == REST
    assert total([10, "1/3 updates", "2/3 updates"]) == 11


@given(sizes=st.lists(numbers.filter(lambda n: n < 10**4), min_size=1, max_size=5), data=st.data())
def test_fractions_of_updates_are_rounded_at_their_boundaries(sizes, data):
    exact = sum(sizes)
    run = int(exact + Fraction(1, 2))
    parts = divide([measured(size, "updates") for size in sizes], run)
    assert sum(parts) == run
    edge, position = 0, Fraction(0)
    for part, size in zip(parts, sizes, strict=True):
        edge, position = edge + part, position + size
        assert abs(edge - position) <= Fraction(1, 2)


def test_fractions_of_updates_still_have_to_fill_the_run():
    with pytest.raises(LengthError, match=r"21/2 updates \+ 5 add up to 15\.5 steps, but the run has 20: make one"):
        divide(["21/2 updates", 5], 20)
    with pytest.raises(LengthError, match="shorten a part, or train longer"):
        divide(["21/2 updates", REST], 9)


@pytest.mark.parametrize(
    ("length", "needs"),
    [
        ("5 epochs", r"Clock\(batches_per_epoch=\.\.\.\)"),
        ("5 samples", r"Clock\(batch_size=\.\.\.\)"),
        ("5 tokens", r"Clock\(batch_size=\.\.\., tokens_per_sample=\.\.\.\)"),
    ],
)
def test_before_a_clock_it_is_no_number_of_steps_and_says_which_clock(length, needs):
    words = rf"the length '{length}' is in {length.split()[1]}, .* in_updates\(schedule, {needs}\), then bind"
    for ask in (
        lambda: share(length, 100),
        lambda: divide([length, REST], 100),
        lambda: Linear(0.0, 1.0, length).over(100),
        lambda: (Linear(0.0, 1.0, length) >> Cosine(1.0, 0.0)).over(100),
        lambda: (Linear(0.0, 1.0, length) >> Constant(1.0, 10)).over(100),
        lambda: MultiStep(1.0, 0.5, (10, length)).over(100),
    ):
        with pytest.raises(LengthError, match=words):
            ask()


def test_a_value_is_not_asked_of_it_either():
    with pytest.raises(UnboundError, match="its steps is '5 epochs' of a run whose length it does not know"):
        Linear(0.0, 1.0, "5 epochs")(3)


def test_two_units_may_stand_beside_each_other_until_they_are_updates():
    together = Linear(0.0, 1.0, "5 epochs") + Cosine(1.0, 0.0, 500)
    assert together.steps in ("5 epochs", 500)
