# ruff: noqa: PLR0917  (names, defaults and order are transformers')
"""transformers' schedules, by its own names; `lr` is the learning rate of the optimizer, which they multiply.

Nearly all begin with a linear warmup from 0, so that the first update does nothing; that is theirs, and kept.

>>> get_scheduler("linear", 1.0, num_warmup_steps=2, num_training_steps=6).table(0, 7)["lr"].tolist()
[0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
>>> get_inverse_sqrt_schedule(1.0, num_warmup_steps=4).at(16)
{'lr': 0.5}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from stepsize.kernel.errors import LengthError, ParameterError, one_of
from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import between, chained, jagged, level, ramp, rate, whole
from stepsize.schedules import (
    Constant,
    Cosine,
    Interpolated,
    Linear,
    Polynomial,
    PowerLaw,
    Reversed,
    Schedule,
    Sqrt,
    Until,
)

WARMUPS = ("linear", "cosine", "1-sqrt")
DECAYS = ("linear", "cosine", "1-sqrt")


def get_constant_schedule(lr: float) -> Policy:
    """`lr` at every step: Constant."""
    return rate(Constant(lr))


def get_constant_schedule_with_warmup(lr: float, num_warmup_steps: int) -> Policy:
    """A line from 0, then `lr`: Linear, then Constant."""
    return rate(chained(_warmup(lr, num_warmup_steps), Constant(lr)))


def get_linear_schedule_with_warmup(lr: float, num_warmup_steps: int, num_training_steps: int) -> Policy:
    """A line from 0 to `lr`, and one back to 0 at `num_training_steps`: Linear, then Linear."""
    return _warmed(lr, num_warmup_steps, num_training_steps, lambda steps: Linear(lr, 0.0, steps))


def get_cosine_schedule_with_warmup(
    lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5
) -> Policy:
    """A warmup, then `lr * (1 + cos(2 * pi * num_cycles * progress)) / 2`: Linear, then Cosine.

    transformers climbs again after `num_training_steps`; here the value there is held.
    num_cycles: how often it falls and rises; with another number than one half it is written out (Interpolated).
    """
    return _warmed(lr, num_warmup_steps, num_training_steps, lambda steps: _cosines(lr, 0.0, steps, num_cycles))


def get_cosine_with_hard_restarts_schedule_with_warmup(
    lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1
) -> Policy:
    """A warmup, then `num_cycles` cosines from `lr` to 0, each from the top again, then 0: Linear, then Interpolated.

    transformers finds the cycle by a remainder of floats and misses some restarts; here each is at `lr`.
    """
    cycles = whole(num_cycles, "num_cycles")

    def down(steps: int) -> Schedule:
        edges = [steps * cycle / cycles for cycle in range(cycles + 1)]  # exact where a restart is at a step
        at = tuple(moment for pair in pairwise(edges) for moment in pair)
        return Interpolated(at, (lr, 0.0) * cycles, curve="cosine", steps=steps)

    return _warmed(lr, num_warmup_steps, num_training_steps, down)


def get_polynomial_decay_schedule_with_warmup(
    lr: float, num_warmup_steps: int, num_training_steps: int, lr_end: float = 1e-7, power: float = 1.0
) -> Policy:
    """A warmup, then `lr_end + (lr - lr_end) * (1 - progress) ** power`, then `lr_end`: Linear, then Polynomial."""
    if not lr > lr_end:
        raise ParameterError(f"lr_end is {lr_end!r}, and must be below lr, which is {lr!r}; lower it.")
    return _warmed(lr, num_warmup_steps, num_training_steps, lambda steps: Polynomial(lr, lr_end, steps, power=power))


def get_inverse_sqrt_schedule(lr: float, num_warmup_steps: int, timescale: int | None = None) -> Policy:
    """A warmup, then `lr * sqrt(timescale / (timescale + t - num_warmup_steps))`: Linear, then PowerLaw.

    timescale: by default the warmup's length, or 10 000 without a warmup.
    """
    steps = whole(num_warmup_steps, "num_warmup_steps", least=0)
    scale = (steps or 10_000) if timescale is None else timescale
    return rate(chained(_warmup(lr, steps), PowerLaw(lr, exponent=0.5, timescale=float(scale))))


def get_cosine_with_min_lr_schedule_with_warmup(
    lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Policy:
    """`get_cosine_schedule_with_warmup` down to `min_lr`, or to `min_lr_rate * lr`, which is then held."""
    low = _floor(lr, min_lr, min_lr_rate)
    return _warmed(lr, num_warmup_steps, num_training_steps, lambda steps: _cosines(lr, low, steps, num_cycles))


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Policy:
    """The cosine with a floor, one step earlier: the warmup is `(t + 1) / num_warmup_steps`, and no update is wasted.

    The peak is at `num_warmup_steps - 1`, and the cosine reaches its floor at `num_training_steps - 1`.
    warmup_lr_rate: the first rate as a fraction of `lr`, by default `1 / num_warmup_steps`.

    Raises LengthError for a warmup of no steps, with which transformers begins one step down the cosine, and for one
    of a single step that has a rate of its own.
    """
    warmup = whole(num_warmup_steps, "num_warmup_steps", least=1 if warmup_lr_rate is None else 2)
    first = 1 / warmup if warmup_lr_rate is None else warmup_lr_rate
    down = _cosines(lr, _floor(lr, min_lr, min_lr_rate), _left(warmup, num_training_steps), num_cycles)
    return rate(chained(ramp(first * lr, lr, warmup - 1), down, Constant(down(num_training_steps - warmup))))


def get_wsd_schedule(
    lr: float,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Policy:
    """Warmup, stable, decay, from `min_lr_ratio * lr` to `lr` and back: three parts of a Chain.

    num_stable_steps: by default what the other two leave of `num_training_steps`; transformers lets that be negative
        in silence, and here it is an error. `num_training_steps` is not used when it is given.
    """
    low = between(min_lr_ratio, "min_lr_ratio", 0, 1) * lr
    warmup = whole(num_warmup_steps, "num_warmup_steps", least=0)
    decay = whole(num_decay_steps, "num_decay_steps", least=0)
    up = _climb(low, lr, warmup, one_of(warmup_type, "warmup_type", WARMUPS))
    stable = level(lr, _stable(warmup, decay, num_training_steps, num_stable_steps))
    down = _descent(lr, low, decay, one_of(decay_type, "decay_type", DECAYS), num_cycles)
    return rate(chained(up, stable, down, Constant(low)))


def get_scheduler(
    name: str,
    lr: float,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> Policy:
    """Return the schedule called `name`, as `lr_scheduler_type` calls it.

    Raises ParameterError for another name, and LengthError for a length that it needs and is not given.
    """
    make, needed = SCHEDULES[one_of(name, "lr_scheduler_type", SCHEDULES)]
    given = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    for length in needed:
        if given[length] is None:
            raise LengthError(f"the schedule {name!r} needs {length}, which is None; give it as a number of steps.")
    return make(lr, **{length: given[length] for length in needed}, **(scheduler_specific_kwargs or {}))


BOTH = ("num_warmup_steps", "num_training_steps")
SCHEDULES: dict[str, tuple[Callable[..., Policy], tuple[str, ...]]] = {
    "constant": (get_constant_schedule, ()),
    "constant_with_warmup": (get_constant_schedule_with_warmup, BOTH[:1]),
    "linear": (get_linear_schedule_with_warmup, BOTH),
    "cosine": (get_cosine_schedule_with_warmup, BOTH),
    "cosine_with_restarts": (get_cosine_with_hard_restarts_schedule_with_warmup, BOTH),
    "polynomial": (get_polynomial_decay_schedule_with_warmup, BOTH),
    "inverse_sqrt": (get_inverse_sqrt_schedule, BOTH[:1]),
    "cosine_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup, BOTH),
    "cosine_warmup_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup_lr_rate, BOTH),
    "warmup_stable_decay": (get_wsd_schedule, BOTH),
}
"""The schedules by the names of `lr_scheduler_type`, and the lengths that each needs."""


def _warmup(lr: float, steps: int) -> Linear | None:
    return ramp(0.0, lr, whole(steps, "num_warmup_steps", least=0))


def _floor(lr: float, min_lr: float | None, min_lr_rate: float | None) -> float:
    if (min_lr is None) == (min_lr_rate is None):
        raise ParameterError(f"min_lr is {min_lr!r} and min_lr_rate {min_lr_rate!r}; give exactly one of them.")
    return lr * (min_lr_rate or 0.0) if min_lr is None else min_lr


def _left(warmup: int, total: int) -> int:
    return whole(total - warmup, "num_training_steps - num_warmup_steps")


def _warmed(lr: float, warmup: int, total: int, down: Callable[[int], Schedule]) -> Policy:
    """Return the warmup, the descent over what it leaves of the run, and the value at its end for ever."""
    steps = whole(total - warmup, "num_training_steps - num_warmup_steps", least=0)
    descent = down(max(1, steps))
    return rate(chained(_warmup(lr, warmup), descent if steps else None, Constant(descent(max(1, steps)))))


def _cosines(high: float, low: float, steps: int, cycles: float) -> Schedule:
    """Return `cycles` periods of a cosine in `steps` steps."""
    if not cycles > 0:
        raise ParameterError(f"num_cycles is {cycles!r}, and must be above 0; one half goes down once.")
    if cycles == 0.5:
        return Cosine(high, low, steps)
    halves = [((high, low), (low, high))[half % 2] for half in range(math.ceil(2 * cycles))]
    return Until(jagged(halves, steps / (2 * cycles), 1.0), steps)


def _climb(low: float, high: float, steps: int, kind: str) -> Schedule | None:
    if not steps:
        return None
    if kind == "1-sqrt":
        return Reversed(Sqrt(high, low, steps))
    return (Cosine if kind == "cosine" else Linear)(low, high, steps)


def _descent(high: float, low: float, steps: int, kind: str, cycles: float) -> Schedule | None:
    if not steps:
        return None
    if kind == "cosine":
        return _cosines(high, low, steps, cycles)
    return (Sqrt if kind == "1-sqrt" else Linear)(high, low, steps)


def _stable(warmup: int, decay: int, total: int | None, stable: int | None) -> int:
    if stable is not None:
        return whole(stable, "num_stable_steps", least=0)
    if total is None:
        raise LengthError("the stable part has no length: give num_training_steps or num_stable_steps.")
    return whole(total - warmup - decay, "num_training_steps - num_warmup_steps - num_decay_steps", least=0)
