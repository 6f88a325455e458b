# ruff: noqa: FBT001, FBT002, N802, N803, PLR0917  (names, defaults and order are torch's)
"""`torch.optim.lr_scheduler`, by its own names; `lr` is the learning rate of the optimizer.

Write `drive(optimizer, CosineAnnealingLR(0.1, T_max=100), 100)` for a `CosineAnnealingLR(optimizer, T_max=100)` that is
stepped once an update. A scheduler that was stepped once an epoch is `Stepped(policy["lr"], every=updates_per_epoch)`
over a schedule of as many updates.

>>> StepLR(0.1, step_size=2).table(0, 5)["lr"].round(4).tolist()
[0.1, 0.1, 0.01, 0.01, 0.001]
>>> OneCycleLR(1.0, total_steps=10).at(2)
{'lr': 1.0, 'momentum': 0.85}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from stepsize.kernel.errors import LengthError, ParameterError, one_of
from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import between, held, rate, sequence, whole
from stepsize.schedules import (
    Constant,
    Cosine,
    Cycle,
    ExpRange,
    Geometric,
    Interpolated,
    Linear,
    MultiStep,
    Polynomial,
    Repeat,
    Schedule,
    Staircase,
    Triangular,
    Triangular2,
)

MODES: dict[str, type[Cycle]] = {"triangular": Triangular, "triangular2": Triangular2, "exp_range": ExpRange}
ANNEALING: dict[str, Literal["cosine", "linear"]] = {"cos": "cosine", "linear": "linear"}


def ConstantLR(lr: float, factor: float = 1 / 3, total_iters: int = 5) -> Policy:
    """`lr * factor` for `total_iters` steps, then `lr`.

    Raises LengthError for `total_iters=0`, where torch stays at `lr * factor` for ever.
    """
    return rate(Constant(lr * factor, whole(total_iters, "total_iters")) >> Constant(lr))


def StepLR(lr: float, step_size: int, gamma: float = 0.1) -> Policy:
    """`lr * gamma ** (t // step_size)`: Staircase."""
    return rate(Staircase(lr, gamma, whole(step_size, "step_size")))


def MultiStepLR(lr: float, milestones: Sequence[int], gamma: float = 0.1) -> Policy:
    """`lr * gamma ** (how many milestones are <= t)`: MultiStep; a milestone that stands twice counts twice."""
    moments = sorted(whole(moment, "a milestone", least=0) for moment in milestones)
    later = tuple(moment for moment in moments if moment)
    return rate(MultiStep(lr * gamma ** (len(moments) - len(later)), gamma, at=later))


def ExponentialLR(lr: float, gamma: float) -> Policy:
    """`lr * gamma ** t`: Geometric."""
    return rate(Geometric(lr, gamma))


def LinearLR(lr: float, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5) -> Policy:
    """`lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)`: Linear, then held.

    A `start_factor` of 0 is allowed here. Raises LengthError for `total_iters=0`, where torch stays at
    `lr * start_factor` for ever.
    """
    return rate(held(Linear(lr * start_factor, lr * end_factor, whole(total_iters, "total_iters"))))


def PolynomialLR(lr: float, total_iters: int = 5, power: float = 1.0) -> Policy:
    """`lr * (1 - min(t, total_iters) / total_iters) ** power`: Polynomial, then 0."""
    return rate(held(Polynomial(lr, 0.0, whole(total_iters, "total_iters"), power=power)))


def CosineAnnealingLR(lr: float, T_max: int, eta_min: float = 0.0) -> Policy:
    """`eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2` up to `T_max`: Cosine, then `eta_min`.

    torch climbs again after `T_max` (with `T_max=1` it alternates); here the rate stays at `eta_min`.
    """
    return rate(held(Cosine(lr, eta_min, whole(T_max, "T_max"))))


def CosineAnnealingWarmRestarts(lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> Policy:
    """The cosine again and again, each cycle `T_mult` times as long: Repeat of a Cosine.

    torch's `step(epoch)` finds the cycle by a logarithm and misses some restarts (`T_0=10, T_mult=3, epoch=1210`
    gives `eta_min`); here each restart is at the peak.
    """
    cycle = Cosine(lr, eta_min, whole(T_0, "T_0"))
    return rate(Repeat(cycle, stretch=whole(T_mult, "T_mult")))


def CyclicLR(
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Policy:
    """Triangular cycles from `base_lr` to `max_lr`: Triangular, Triangular2 or ExpRange, with `fall=step_size_down`.

    Momentum moves the other way, from `max_momentum` to `base_momentum`. In "exp_range" gamma counts the steps of the
    training, not of the cycle. torch's `scale_fn` has no counterpart: a function cannot be saved; see `Custom`.
    """
    kind = MODES[one_of(mode, "mode", MODES)]
    up = whole(step_size_up, "step_size_up")
    down = None if step_size_down is None else whole(step_size_down, "step_size_down")

    def cycle(base: float, peak: float) -> Schedule:
        if kind is ExpRange:
            return ExpRange(base, peak, up, fall=down, gamma=gamma)
        return kind(base, peak, up, fall=down)

    lr = cycle(base_lr, max_lr)
    return Policy(lr=lr, momentum=cycle(max_momentum, base_momentum)) if cycle_momentum else Policy(lr=lr)


def OneCycleLR(
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Policy:
    """1cycle: up to `max_lr` at step `pct_start * total_steps - 1`, down to the end at `total_steps - 1`: Interpolated.

    The rate goes from `max_lr / div_factor` to `max_lr` to `max_lr / (div_factor * final_div_factor)`; the turn may lie
    between two steps. `three_phase` returns to the start first, at `2 * pct_start * total_steps - 2`.

    torch begins the climb before step 0 when it is shorter than a step (`pct_start=0`), and divides by zero when a
    phase has no length; here such a phase is left out. torch climbs again at step `total_steps`; here the end is held.

    Raises LengthError for fewer than 2 steps, and ParameterError where the three phases do not fit.
    """
    steps = whole(_total_steps(total_steps, epochs, steps_per_epoch), "total_steps", least=2)
    between(pct_start, "pct_start", 0, 1)
    turn = max(0.0, pct_start * steps - 1)
    start, end = max_lr / div_factor, max_lr / (div_factor * final_div_factor)
    at, rates, momenta = [0.0, turn], [start, max_lr], [max_momentum, base_momentum]
    if three_phase:
        at, rates, momenta = [*at, _return(turn, steps)], [*rates, start], [*momenta, max_momentum]
    if at[-1] < steps - 1:
        at, rates, momenta = [*at, steps - 1.0], [*rates, end], [*momenta, max_momentum]
    curve = ANNEALING[one_of(anneal_strategy, "anneal_strategy", ANNEALING)]
    lr = Interpolated(tuple(at), tuple(rates), curve=curve)
    return Policy(lr=lr, momentum=Interpolated(tuple(at), tuple(momenta), curve=curve)) if cycle_momentum else rate(lr)


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise LengthError("OneCycleLR knows no length: give total_steps, or both epochs and steps_per_epoch.")
    return whole(epochs, "epochs") * whole(steps_per_epoch, "steps_per_epoch")


def _return(turn: float, steps: int) -> float:
    """Return when three phases are back at the start."""
    if not 0 < 2 * turn <= steps - 1:
        raise ParameterError(
            f"three phases of {steps} steps turn at step {turn:g} and are back at step {2 * turn:g}, which must lie "
            f"above 0 and at most at {steps - 1}; choose pct_start between {1 / steps:g} and "
            f"{(steps + 1) / 2 / steps:g}."
        )
    return 2 * turn


def SequentialLR(schedulers: Sequence[Policy], milestones: Sequence[int]) -> Policy:
    """Policies one after the other: `schedulers[i]` from `milestones[i-1]` on, counting from 0 there: Chain.

    torch's own is silently wrong when nested; this one is the chain of all parts. A scheduler that sets its own rate
    (CyclicLR, OneCycleLR) keeps to itself here; in torch its rate becomes the base of its neighbours too.
    """
    return sequence(schedulers, milestones, ("schedulers", "milestones"))
