"""A schedule by the name that a framework has for it: guessed from its values, and held to what that name gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from stepsize.codegen.native.expression import DIGITS
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import StepsizeError
from stepsize.policies import LR, Policy
from stepsize.policies.dialects import keras, optax, pytorch, transformers

SAME = 1e-12
"""How far a named schedule may be from a policy, as a share of its largest value: rounding, and nothing else."""

Guess = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Course:
    """A policy in a run, in the numbers that schedules are called by.

    first, peak, end: of the rate: at step 0, the largest, and at the end. turn: the step of the peak.
    ratio: of the first two rates. momentum: at step 0 and at the turn, where it moves.
    """

    steps: int
    first: float
    peak: float
    end: float
    turn: int
    ratio: float
    momentum: tuple[float, float] | None

    @classmethod
    def of(cls, policy: Policy, steps: int) -> Course:
        """Return the course of a policy that is bound to `steps`."""
        rates = policy[LR].table(0, steps + 1)
        turn, momenta = int(rates.argmax()), None
        if "momentum" in policy:
            momenta = (policy["momentum"](0), policy["momentum"](turn))
        ratio = rates[1] / rates[0] if rates[0] else math.inf
        first, peak, end = (_neat(rate) for rate in (rates[0], rates[turn], rates[-1]))
        return cls(steps, first, peak, end, turn, _neat(ratio), momenta)


def torch_names(of: Course) -> Iterator[Guess]:
    """Yield the classes of `torch.optim.lr_scheduler` that it may be, with what they take beside the optimizer."""
    if not of.first:
        return
    yield "CosineAnnealingLR", {"T_max": of.steps, "eta_min": of.end}
    if of.end <= of.first:
        yield "LinearLR", {"start_factor": 1.0, "end_factor": _neat(of.end / of.first), "total_iters": of.steps}
    if 0 < of.ratio < 1:
        yield "ExponentialLR", {"gamma": of.ratio}
    if of.end and of.turn:
        cycle = {"max_lr": of.peak, "total_steps": of.steps + 1, "pct_start": (of.turn + 1) / (of.steps + 1)}
        cycle |= {"div_factor": _neat(of.peak / of.first), "final_div_factor": _neat(of.first / of.end)}
        momenta: dict[str, float] = {"cycle_momentum": False}
        if of.momentum is not None:
            momenta = {"base_momentum": of.momentum[1], "max_momentum": of.momentum[0]}
        for curve in ("cos", "linear"):
            yield "OneCycleLR", {**cycle, "anneal_strategy": curve, **momenta}


def transformers_names(of: Course) -> Iterator[Guess]:
    """Yield the values of `lr_scheduler_type` that it may be, with `get_scheduler`'s arguments."""
    usual = {"num_warmup_steps": 0 if of.first else of.turn, "num_training_steps": of.steps}
    for name in ("linear", "cosine", "constant", "constant_with_warmup"):
        yield name, usual
    yield "cosine_with_min_lr", {**usual, "scheduler_specific_kwargs": {"min_lr": of.end}}


def optax_names(of: Course) -> Iterator[Guess]:
    """Yield the schedules of optax that it may be, with their arguments."""
    yield "constant_schedule", {"value": of.first}
    yield "linear_schedule", {"init_value": of.first, "end_value": of.end, "transition_steps": of.steps}
    if of.first:
        alpha = _neat(of.end / of.first)
        yield "cosine_decay_schedule", {"init_value": of.first, "decay_steps": of.steps, "alpha": alpha}
        yield "exponential_decay", {"init_value": of.first, "transition_steps": of.steps, "decay_rate": alpha}
    warm = {"init_value": of.first, "peak_value": of.peak, "warmup_steps": of.turn, "decay_steps": of.steps}
    yield "warmup_cosine_decay_schedule", {**warm, "end_value": of.end}


def keras_names(of: Course) -> Iterator[Guess]:
    """Yield the schedules of `keras.optimizers.schedules` that it may be, with their arguments."""
    begin = {"initial_learning_rate": of.first}
    yield "PolynomialDecay", {**begin, "decay_steps": of.steps, "end_learning_rate": of.end}
    if of.first:
        yield "ExponentialDecay", {**begin, "decay_steps": of.steps, "decay_rate": _neat(of.end / of.first)}
    decay = {**begin, "decay_steps": of.steps - of.turn, "alpha": _neat(of.end / of.peak)}
    yield "CosineDecay", {**decay, "warmup_target": of.peak, "warmup_steps": of.turn} if of.turn else decay


def torch_policy(of: Course, name: str, arguments: dict[str, Any]) -> Policy:
    """Return what a class of torch does to an optimizer whose rate is the largest of the policy."""
    return _dialect(pytorch, name, arguments, *(() if name == "OneCycleLR" else (of.peak,)))


def transformers_policy(of: Course, name: str, arguments: dict[str, Any]) -> Policy:
    """Return what a `lr_scheduler_type` does to an optimizer whose rate is the largest of the policy."""
    return transformers.get_scheduler(name, of.peak, **arguments)


def plain_policy(module: ModuleType) -> Callable[[Course, str, dict[str, Any]], Policy]:
    """Return how a name of optax or Keras becomes a policy."""
    return lambda _, name, arguments: _dialect(module, name, arguments)


NAMES: dict[str, tuple[Callable[[Course], Iterator[Guess]], Callable[[Course, str, dict[str, Any]], Policy]]] = {
    "torch": (torch_names, torch_policy),
    "transformers": (transformers_names, transformers_policy),
    "optax": (optax_names, plain_policy(optax)),
    "keras": (keras_names, plain_policy(keras)),
}
"""By framework: what a policy may be called there, and which policy a name is."""


def named(framework: str, policy: Policy, steps: int) -> Guess | None:
    """Return the framework's own name of a policy that is bound to `steps`, with its arguments; None without one.

    >>> from stepsize.policies import cosine
    >>> named("torch", cosine(0.01).over(300), 300)
    ('CosineAnnealingLR', {'T_max': 300, 'eta_min': 0.0})
    """
    guesses, made = NAMES[framework]
    course, wanted = Course.of(policy, steps), policy.table(0, steps)
    for name, arguments in guesses(course):
        try:
            found = made(course, name, arguments)
        except StepsizeError:  # the dialect refuses what its peer refuses, and then it is not called so
            continue
        if found and _same(found.table(0, steps), wanted):
            return name, arguments
    return None


def _dialect(module: ModuleType, name: str, arguments: dict[str, Any], *rate: float) -> Policy:
    made: Policy = getattr(module, name)(*rate, **arguments)
    return made


def _same(found: dict[str, Floats], wanted: dict[str, Floats]) -> bool:
    moving = {name: values for name, values in wanted.items() if name == LR or np.ptp(values)}
    return found.keys() == moving.keys() and all(
        np.abs(found[name] - values).max() <= SAME * values.max() for name, values in moving.items()
    )


def _neat(value: float) -> float:
    """Return a number without the rounding that it has from how it was worked out."""
    return float(f"{value:.{DIGITS}g}")
