"""What a ramp is when nobody says otherwise, and when its loss has exploded."""

from __future__ import annotations

LOW, HIGH = 1e-6, 10.0
"""The range that a range test climbs when none is given."""

PER_DECADE = 40
"""Updates per decade of the rate: more matters more than any rule that reads the curve."""

LEAST_STEPS = 20
"""The shortest ramp whose curve can be smoothed."""

EXPLODED = 4.0
"""A loss that rises above the first by so many times its size, or its fall, less one, is a divergence."""
