"""Two writers of one hyperparameter: how the one that drives notices the other, and what it says."""

from __future__ import annotations

import math

from stepsize.kernel.errors import DriveError

FEEDBACK = (
    "What listens to a metric, as ReduceLROnPlateau does, is feedback=Plateau() of a driver; the product of two "
    "schedules is first * second; and what is set by hand at some step belongs into the policy."
)


def same(written: float, found: float) -> bool:
    """Whether a value is still what was written, but for the rounding of whoever has kept it in float32."""
    return math.isclose(written, found, rel_tol=1e-6, abs_tol=1e-37)


def second_writer(name: str, written: float, found: float, instead: str = FEEDBACK) -> DriveError:
    """Return the error for a value that is no longer what the driver wrote last; instead: what serves in its place."""
    return DriveError(
        f"{name} is {found:.6g} where this policy has set {written:.6g}: something else sets it too, and each undoes "
        "the other. Keep one of the two: leave out the scheduler, the callback or the line that sets it, or give the "
        f"policy without it, policy.only(...). {instead}"
    )
