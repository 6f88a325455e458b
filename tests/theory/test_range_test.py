"""When a loss has exploded, by one rule for tasks and for loops."""

import numpy as np
import pytest

from stepsize.theory.range_test import count_before_explosion, first_losses, range_test_steps


@pytest.mark.parametrize(
    ("losses", "first", "before"),
    [
        ([1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 8.5, 8.7], 1, 6),
        ([1.0, 1.1, 0.9, 1.0, 3.9], 4, 5),
        ([1.0, 1.1, 0.9, 1.0, 4.1], 4, 4),
        ([-1.0, -1.1, -0.9, -1.0, 1.9], 4, 5),
        ([-1.0, -1.1, -0.9, -1.0, 2.1], 4, 4),
        ([-1.0, -1.1, -0.9, -1.0, -1e6, -100.0], 4, 6),  # a rise above what it fell to is none above the first
        ([0.01, 0.0, 5.0, -5.0, 0.0, -500.0, 1000.0], 5, 7),  # it has fallen by 500
        ([0.01, 0.0, 5.0, -5.0, 0.0, -500.0, 2000.0], 5, 6),
        ([0.0, 0.0, 0.0, 0.0, 1.0], 4, 5),  # losses of 0 have no size
        ([2.0, np.inf, 2.0], 1, 1),
        ([np.nan, 2.0], 1, 0),
    ],
)
def test_a_rise_is_measured_by_the_first_losses_their_scatter_or_the_fall(losses, first, before):
    assert count_before_explosion(np.array(losses), first) == before


def test_a_twentieth_of_the_points_is_the_start_and_a_decade_has_40():
    assert [first_losses(points) for points in (8, 39, 40, 280)] == [1, 1, 2, 14]
    assert (range_test_steps(), range_test_steps(1e-3, 1.0), range_test_steps(1.0, 1.1)) == (280, 120, 20)
