"""The policies that people ask for by name, each from one learning rate: its peak.

Every recipe is a few words of the schedule algebra. Print one to see which:

>>> linear_to_zero(0.1)
Policy(lr=Linear(start=0.1, end=0.0, steps='rest'))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from stepsize.kernel.errors import ParameterError, brief, check_name
from stepsize.kernel.extensions import Open
from stepsize.policies.base import Policy
from stepsize.policies.cycles import (
    exp_range,
    exp_range_paper,
    hann,
    one_cycle,
    restarts,
    smith_one_cycle,
    triangular,
    triangular2,
    welch,
)
from stepsize.policies.warmups import inverse_sqrt, inverse_time, noam, power, wsd
from stepsize.schedules import Constant, Cosine, Exponential, Linear, Polynomial, Schedule, Staircase


def constant(peak: float) -> Policy:
    """The fixed learning rate `peak`."""
    return Policy(lr=Constant(peak))


def step_decay(peak: float, *, factor: float = 0.1, every: int | str = "34%") -> Policy:
    """Step decay: `peak`, times `factor` after every `every`; by default three stairs."""
    return Policy(lr=Staircase(peak, factor, every))


def exponential_decay(peak: float, *, end: float = 0.01) -> Policy:
    """Exponential decay from `peak` to `end * peak` over the run."""
    return Policy(lr=Exponential(peak, end * peak))


def polynomial_decay(peak: float, *, power: float = 2.0) -> Policy:
    """Polynomial decay from `peak` to 0 over the run."""
    return Policy(lr=Polynomial(peak, 0.0, power=power))


def linear_to_zero(peak: float, *, warmup: int | str | None = None) -> Policy:
    """A straight line from `peak` to 0, after a linear warmup when one is given [defazio2023when]."""
    return Policy(lr=_warm(peak, Linear(peak, 0.0), warmup))


def cosine(peak: float) -> Policy:
    """Half a cosine from `peak` to 0 over the run [loshchilov2017sgdr]."""
    return Policy(lr=Cosine(peak, 0.0))


def warmup_cosine(peak: float, *, warmup: int | str = "5%", start: float = 0.01, end: float = 0.0) -> Policy:
    """A linear warmup from `start * peak`, then half a cosine to `end * peak`.

    Watch out: `start=0` wastes the first update, as transformers does.
    """
    return Policy(lr=_warm(peak, Cosine(peak, end * peak), warmup, start))


def warmup_linear(peak: float, *, warmup: int | str = "5%", start: float = 0.01, end: float = 0.0) -> Policy:
    """A linear warmup from `start * peak`, then a straight line to `end * peak`, as transformers trains by default."""
    return Policy(lr=_warm(peak, Linear(peak, end * peak), warmup, start))


def _warm(peak: float, rest: Schedule, warmup: int | str | None, start: float = 0.01) -> Schedule:
    return rest if warmup is None else Linear(start * peak, peak, warmup) >> rest


Recipe = Callable[..., Policy]

RECIPES: Open[Recipe] = Open("policies", {
    recipe.__name__: recipe
    for recipe in (
        constant, step_decay, exponential_decay, polynomial_decay, linear_to_zero, cosine, warmup_cosine, warmup_linear,
        triangular, triangular2, exp_range, exp_range_paper, welch, hann, restarts, one_cycle, smith_one_cycle, wsd,
        inverse_sqrt, inverse_time, noam, power,
    )
}, lambda value: callable(value) and not isinstance(value, type))  # fmt: skip
"""The policies by name, each a function of its peak rate alone; also those that were registered."""


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`, or raise ParameterError with the near miss."""
    check_name(name, RECIPES, "policy")
    return checked(RECIPES[name])


def checked(make: Recipe) -> Recipe:
    """Return a recipe that raises ParameterError where a function of the user's makes something else than a policy."""
    if make in RECIPES.own.values():
        return make

    @wraps(make)
    def made(*arguments: Any, **settings: Any) -> Policy:
        policy: Any = make(*arguments, **settings)
        if not isinstance(policy, Policy):
            raise ParameterError(
                f"{getattr(make, '__name__', brief(make))} makes a policy of its peak, and has returned "
                f"{brief(policy)}. Return a Policy, such as Policy(lr=Cosine(peak, 0.0))."
            )
        return policy

    return made
