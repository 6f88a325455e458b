"""A clock makes updates of epochs, samples and tokens, once and exactly, with gradient accumulation counted right."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import LengthError, ParameterError, SpecError
from stepsize.kernel.spec import envelope
from stepsize.policies import Policy, inverse_sqrt, one_cycle, warm
from stepsize.policies.groups import Groups
from stepsize.policies.units import Clock, in_updates
from stepsize.schedules import (
    Chain,
    Clipped,
    Constant,
    Cosine,
    Geometric,
    Linear,
    MultiStep,
    PowerLaw,
    Repeat,
    Staircase,
    Stepped,
    Stretched,
    Triangular,
    Until,
)
from stepsize.testing import check_value

CLOCK = Clock(batches_per_epoch=10, batch_size=32, tokens_per_sample=128, accumulation=4, replicas=2)


def test_an_epoch_of_ten_batches_in_fours_has_three_updates():
    """The last update of the epoch has two batches; counting 10 / 4 = 2.5 drifts off by half an update an epoch."""
    assert CLOCK.updates_per_epoch == 3
    assert CLOCK.updates("2 epochs") == 6


@given(batches=st.integers(1, 10**6), accumulation=st.integers(1, 64), epochs=st.integers(1, 1000))
def test_epochs_are_whole_updates(batches, accumulation, epochs):
    """As a loop counts them that makes an update every so many batches, and after the last one of the epoch."""
    clock = Clock(batches_per_epoch=batches, accumulation=accumulation)
    assert clock.convert(f"{epochs} epochs") == epochs * math.ceil(batches / accumulation)


@pytest.mark.parametrize(("batches", "accumulation"), [(1, 1), (7, 1), (7, 2), (8, 4), (9, 4), (3, 8)])
def test_a_loop_makes_as_many_updates(batches, accumulation):
    made = sum((batch + 1) % accumulation == 0 or batch + 1 == batches for batch in range(batches))
    assert Clock(batches_per_epoch=batches, accumulation=accumulation).updates_per_epoch == made


def test_an_update_sees_the_samples_of_every_batch_on_every_replica():
    assert CLOCK.samples_per_update == 32 * 4 * 2
    assert CLOCK.tokens_per_update == 32 * 4 * 2 * 128
    assert CLOCK.convert("2560 samples") == 10
    assert CLOCK.convert("327680 tokens") == 10
    assert CLOCK.updates("1M tokens") == round(10**6 / 32768)


def test_a_length_without_a_unit_stays_as_it_is():
    assert [CLOCK.convert(length) for length in (7, "30%", "rest", "3 updates")] == [7, "30%", "rest", 3]


@given(samples=st.integers(1, 10**9), batch=st.integers(1, 4096))
def test_the_conversion_is_exact(samples, batch):
    text = Clock(batch_size=batch).convert(f"{samples} samples")
    back = Clock(batch_size=1).convert(f"{samples} samples")
    assert back == samples
    assert text == samples // batch if samples % batch == 0 else isinstance(text, str)


@pytest.mark.parametrize(
    ("length", "field"), [("1 epoch", "batches_per_epoch"), ("1 sample", "batch_size"), ("1 token", "batch_size")]
)
def test_a_clock_that_does_not_know_says_what_it_needs(length, field):
    with pytest.raises(LengthError, match=rf"does not know {field}, which is None; .* Give it: Clock\({field}=\.\.\."):
        Clock().convert(length)


def test_tokens_need_the_length_of_a_sample_too():
    with pytest.raises(LengthError, match="does not know tokens_per_sample"):
        Clock(batch_size=3).convert("1 token")


@pytest.mark.parametrize("part", ["30%", "rest"])
def test_a_horizon_is_no_part_of_itself(part):
    with pytest.raises(LengthError, match=f"a horizon is the length of a run, .* it cannot be '{part}'. Give updates"):
        CLOCK.updates(part)


def test_a_horizon_is_at_least_one_update():
    assert Clock(batch_size=1000).updates("3 samples") == 1
    assert Clock(batch_size=1000).updates("1499 samples") == 1
    assert Clock(batch_size=1000).updates("1500 samples") == 2


@pytest.mark.parametrize("field", ["batches_per_epoch", "batch_size", "tokens_per_sample", "accumulation", "replicas"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_a_clock_counts_in_whole_numbers(field, value):
    with pytest.raises(ParameterError, match=rf"Clock\.{field} must be a whole number"):
        Clock(**{field: value})


def test_a_clock_is_a_value():
    check_value(CLOCK)
    check_value(Clock())


EVERY_PLACE = [
    (Linear(0.0, 1.0, "2 epochs"), Linear(0.0, 1.0, 6)),
    (Constant(1.0, "2 epochs") >> Cosine(1.0, 0.0), Constant(1.0, 6) >> Cosine(1.0, 0.0)),
    (Staircase(1.0, 0.5, "1 epoch"), Staircase(1.0, 0.5, 3)),
    (MultiStep(1.0, 0.5, ("1 epoch", "50%", 8)), MultiStep(1.0, 0.5, (3, "50%", 8))),
    (Geometric(1.0, 0.9, every="1 epoch"), Geometric(1.0, 0.9, every=3)),
    (Triangular(0.0, 1.0, "2 epochs", fall="1 epoch"), Triangular(0.0, 1.0, 6, fall=3)),
    (Triangular(0.0, 1.0, "2 epochs"), Triangular(0.0, 1.0, 6)),
    (Repeat(Cosine(1.0, 0.0, "1 epoch"), steps="4 epochs"), Repeat(Cosine(1.0, 0.0, 3), steps=12)),
    (Until(Cosine(1.0, 0.0, "4 epochs"), "1 epoch"), Until(Cosine(1.0, 0.0, 12), 3)),
    (Stretched(Cosine(1.0, 0.0, 9), "1 epoch"), Stretched(Cosine(1.0, 0.0, 9), 3)),
    (Stepped(Clipped(Cosine(1.0, 0.0), 0.1), "1 epoch"), Stepped(Clipped(Cosine(1.0, 0.0), 0.1), 3)),
    (0.5 * Linear(0.0, 1.0, "1 epoch"), 0.5 * Linear(0.0, 1.0, 3)),
    (Linear(0.0, 1.0, "1 epoch") + Constant(0.1), Linear(0.0, 1.0, 3) + Constant(0.1)),
    (Linear(0.0, 1.0, "1 epoch") * Constant(0.1), Linear(0.0, 1.0, 3) * Constant(0.1)),
]


@pytest.mark.parametrize(("written", "converted"), EVERY_PLACE, ids=lambda each: repr(each)[:30])
def test_a_length_is_converted_wherever_it_stands(written, converted):
    assert in_updates(written, CLOCK) == converted
    assert in_updates(converted, CLOCK) == converted


def test_a_policy_and_its_groups_are_converted_whole():
    written = Policy(lr=Linear(0.0, 1.0, "1 epoch") >> Cosine(1.0, 0.0), momentum=Linear(0.9, 0.8, "2 epochs"))
    converted = Policy(lr=Linear(0.0, 1.0, 3) >> Cosine(1.0, 0.0), momentum=Linear(0.9, 0.8, 6))
    assert in_updates(written, CLOCK) == converted
    ratios = {"head": {}, "body": {"lr": 0.1}}
    assert in_updates(Groups(written, ratios), CLOCK) == Groups(converted, ratios)
    own = Groups(Policy(lr=0.1), {"head": written, "body": {}})
    assert in_updates(own, CLOCK) == own.with_group("head", converted)


def test_recipes_take_units():
    policy = in_updates(one_cycle(0.1, warmup="2 epochs"), CLOCK).over(CLOCK.updates("10 epochs"))
    assert policy["lr"].parts[0].steps == 6
    assert policy["lr"].steps == 30
    assert in_updates(warm(0.1, "1 epoch") >> Cosine(0.1, 0.0), CLOCK).over(30).parts[0].steps == 3


def test_a_schedule_in_units_is_a_value():
    for written, _ in EVERY_PLACE:
        check_value(written)
        check_value(in_updates(written, Clock(batches_per_epoch=7, accumulation=2)))
    check_value(in_updates(Linear(0.0, 1.0, "1000 samples"), Clock(batch_size=96)))


@given(
    sizes=st.lists(st.integers(1, 50_000), min_size=1, max_size=6),
    batch=st.integers(1, 100),
    more=st.integers(1, 50),
)
def test_boundaries_stay_where_the_samples_are(sizes, batch, more):
    """Parts that were each rounded by themselves would drift, by half an update a part."""
    clock = Clock(batch_size=batch)
    written = Chain((*[Constant(1.0, f"{size} samples") for size in sizes], Linear(1.0, 0.0)))
    run = clock.updates(f"{sum(sizes)} samples") + more
    edges = np.cumsum([part.steps for part in in_updates(written, clock).over(run).parts])
    exact = np.cumsum(sizes) / batch
    for edge in exact:
        assert min(abs(np.append(edges, 0) - edge)) <= 0.5
    assert edges[-1] == run


@given(sizes=st.lists(st.integers(1, 50_000), min_size=1, max_size=6), batch=st.integers(1, 100))
def test_parts_that_fill_the_run_need_no_rest(sizes, batch):
    clock = Clock(batch_size=batch)
    written = Chain(tuple(Constant(1.0, f"{size} samples") for size in sizes))
    run = clock.updates(f"{sum(sizes)} samples")
    assert in_updates(written, clock).over(run).steps == run


def test_a_horizon_shorter_than_the_warmup_is_one_clear_error():
    policy = in_updates(Policy(lr=Linear(0.0, 0.1, "5 epochs") >> Cosine(0.1, 0.0)), CLOCK)
    with pytest.raises(LengthError, match=r"15 \+ rest add up to 15 steps, but the run has 12: shorten a part, or"):
        policy.over(CLOCK.updates("4 epochs"))


def test_a_clock_is_read_from_a_file_by_its_kind():
    data = envelope(CLOCK)
    assert Catalogue([Clock]).open(data, Clock) == CLOCK
    data["value"]["accumulate"] = 3
    with pytest.raises(SpecError, match=r"at \$\.value: Clock has no field 'accumulate'. Did you mean 'accumulation'"):
        Catalogue([Clock]).open(data, Clock)


def test_a_timescale_is_a_length_where_it_has_a_unit():
    policy = in_updates(inverse_sqrt(0.1, warmup="5 epochs"), Clock(batches_per_epoch=10)).over(200)
    same = inverse_sqrt(0.1, warmup=50).over(200)
    assert policy.table(0, 200)["lr"].tolist() == same.table(0, 200)["lr"].tolist()
    assert in_updates(PowerLaw(1.0, timescale=1.5), Clock()).timescale == 1.5
