"""Child seeds are pure functions of a seed and a path, and two paths are two streams."""

import itertools

import numpy as np
import pytest

from stepsize.kernel.seeds import child, generator

PATHS = [
    (), (0,), (1,), (0, 0), (0, 1), (1, 0), ("init",), ("init", 0), ("init", 0, 0), ("batches", 0), ("batches", 1),
    ("batches", 2**32), ("a", "b"), ("ab",), ("a",), ("0",), (-1,),
]  # fmt: skip


def test_a_child_seed_is_the_same_each_time_and_fits_63_bits():
    for path in PATHS:
        assert child(3, *path) == child(3, *path)
        assert 0 <= child(3, *path) < 2**63


def test_no_two_paths_of_no_two_seeds_share_a_stream():
    seeds = (0, 1, 2, 2**32, 2**32 + 1, 2**64, -1)
    all_children = [child(seed, *path) for seed, path in itertools.product(seeds, PATHS)]
    assert len(set(all_children)) == len(seeds) * len(PATHS)


def test_a_trailing_zero_is_another_stream():
    """NumPy's SeedSequence pads with zeros, so [5] and [5, 0] are one stream there."""
    assert np.random.SeedSequence([5]).generate_state(1) == np.random.SeedSequence([5, 0]).generate_state(1)
    assert child(5) != child(5, 0)


def test_streams_of_neighbouring_seeds_are_uncorrelated():
    draws = np.array([generator(seed, "batches").normal(size=4000) for seed in range(6)])
    correlation = np.corrcoef(draws) - np.eye(6)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_asking_for_one_stream_does_not_disturb_another():
    alone = generator(0, "init").random(3)
    generator(0, "batches").random(1000)
    np.testing.assert_array_equal(generator(0, "init").random(3), alone)


def test_the_kind_of_integer_does_not_matter():
    assert child(np.int64(3), "a", np.int32(4)) == child(3, "a", 4)


def test_a_float_is_no_seed():
    with pytest.raises(TypeError):
        child(0.5)


def test_a_seed_means_the_same_in_every_version():
    """A journal of an older version must still pair with this one."""
    assert child(0, "init") == 6849520988600145038
    assert generator(7, "batches", 3).integers(1000, size=4).tolist() == [104, 636, 346, 619]
