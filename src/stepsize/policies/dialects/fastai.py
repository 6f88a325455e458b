"""fastai's `fit_*` methods, as the policies that they train with, by its own argument names.

fastai counts epochs; `n_iter` is the number of batches in one, as its learner calls it. A place in the run is `t / n`
with `n = n_epoch * n_iter`, so that the end value belongs to step n and is not used.

>>> fit_one_cycle(1, 1.0, n_iter=8).table(0, 3)["lr"].round(4).tolist()
[0.04, 0.52, 1.0]
>>> fit_flat_cos(1, 1.0, n_iter=8).table(5, 9)["lr"].round(4).tolist()
[1.0, 1.0, 0.5, 0.0]
"""

from __future__ import annotations

from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import between, chained, rate, whole
from stepsize.schedules import Constant, Cosine, Interpolated, Schedule

MOMS = (0.95, 0.85, 0.95)
"""The momenta of fastai's Learner: at the start, at the peak, at the end."""


def combined_cos(pct: float, start: float, middle: float, end: float, *, steps: int) -> Schedule:
    """Half a cosine from `start` to `middle` up to the share `pct` of `steps`, and one on to `end`: Interpolated."""
    total = float(whole(steps, "steps"))
    turn = between(pct, "pct", 0, 1) * total
    return Interpolated((0.0, turn, total), (start, middle, end), curve="cosine")


def fit_one_cycle(
    n_epoch: int,
    lr_max: float,
    *,
    n_iter: int,
    div: float = 25.0,
    div_final: float = 1e5,
    pct_start: float = 0.25,
    moms: tuple[float, float, float] = MOMS,
) -> Policy:
    """From `lr_max / div` to `lr_max` in a quarter of the run, then to `lr_max / div_final`; momentum against it.

    Watch out: `div_final` divides `lr_max`; torch's `final_div_factor` divides the initial rate.
    """
    steps = _steps(n_epoch, n_iter)
    lr = combined_cos(pct_start, lr_max / div, lr_max, lr_max / div_final, steps=steps)
    return Policy(lr=lr, momentum=combined_cos(pct_start, *moms, steps=steps))


def fit_flat_cos(n_epoch: int, lr: float, *, n_iter: int, div_final: float = 1e5, pct_start: float = 0.75) -> Policy:
    """`lr` for three quarters of the run, then half a cosine to `lr / div_final`."""
    return rate(combined_cos(pct_start, lr, lr, lr / div_final, steps=_steps(n_epoch, n_iter)))


def fit_sgdr(n_cycles: int, cycle_len: int, lr_max: float, *, n_iter: int, cycle_mult: int = 2) -> Policy:
    """`n_cycles` cosines from `lr_max` to 0, the first of `cycle_len` epochs, each `cycle_mult` times as long: Chain.

    fastai divides by zero for `cycle_mult=1`; here the cycles are equal.
    """
    first, longer = _steps(cycle_len, n_iter, "cycle_len"), whole(cycle_mult, "cycle_mult")
    cycles = range(whole(n_cycles, "n_cycles"))
    return rate(chained(*(Cosine(lr_max, 0.0, first * longer**cycle) for cycle in cycles), Constant(0.0)))


def _steps(epochs: int, n_iter: int, name: str = "n_epoch") -> int:
    return whole(epochs, name) * whole(n_iter, "n_iter")
