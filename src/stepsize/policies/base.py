"""A policy says how each hyperparameter moves: names to schedules, bound to one run."""

from __future__ import annotations

import keyword
import numbers
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import LengthError, ParameterError, brief, suggestion
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Spec
from stepsize.schedules import Chain, Constant, Schedule
from stepsize.schedules.base import whole_steps

LR = "lr"
"""The name of the learning rate among the hyperparameters."""

MOST_SAMPLES = 1_000_000
"""At how many steps the rates of a run are sampled: at all of them, but for the longest runs."""


@dataclass(frozen=True, init=False, repr=False)
class Policy(Shown, Spec):
    """How the hyperparameters move during training: `Policy(lr=Cosine(0.1, 0.0), momentum=0.9)`.

    schedules: name and schedule of each hyperparameter, in order of the names; a number is a Constant. `momentum` means
        beta1 for the Adam family.

    Raises ParameterError when a schedule is neither a Schedule nor a number, or a name is no name of a parameter.

    >>> Policy(lr=Constant(0.1), momentum=0.9).table(0, 2)["momentum"].tolist()
    [0.9, 0.9]
    """

    schedules: tuple[tuple[str, Schedule], ...]

    def __init__(self, /, **schedules: Schedule | float) -> None:
        if not schedules:
            raise ParameterError("a policy needs at least one schedule, such as Policy(lr=0.1).")
        pairs = tuple((name, _schedule(name, given)) for name, given in sorted(schedules.items()))
        object.__setattr__(self, "schedules", pairs)

    def __getitem__(self, name: str) -> Schedule:
        found = dict(self.schedules)
        if name not in found:
            raise ParameterError(f"this policy does not schedule {name!r}. {suggestion(name, found)}")
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.schedules)

    def __contains__(self, name: object) -> bool:
        return name in dict(self.schedules)

    def __len__(self) -> int:
        return len(self.schedules)

    def over(self, total: int) -> Policy:
        """Return this policy with every schedule bound to a run of `total` steps."""
        steps = whole_steps(total)
        return Policy(**{name: schedule.over(steps) for name, schedule in self.schedules})

    def bound_to(self, total: int) -> Policy:
        """Return this policy with every schedule bound to `total` steps that does not know its own length already."""
        return Policy(**{name: schedule.bound_to(total) for name, schedule in self.schedules})

    def lost_parts(self, total: int) -> tuple[str, ...]:
        """Return the hyperparameters of whose schedule a part is shorter than half a step in a run of `total` steps.

        >>> from stepsize.schedules import Linear
        >>> Policy(lr=Linear(0.0, 1.0, "0.5%") >> Constant(1.0)).lost_parts(50)
        ('lr',)
        """
        chains = {name: each for name, each in self.schedules if isinstance(each, Chain)}
        return tuple(name for name, each in chains.items() if len(each.over(total).parts) < len(each.parts))

    @property
    def peak(self) -> float:
        """The largest learning rate; where it is not bound yet, in a run of 1 000 steps, or longer if its parts are.

        >>> from stepsize.schedules import Linear
        >>> Policy(lr=Linear(0.0, 0.5, 2000) >> Constant(0.1)).peak
        0.49975
        """
        return float(sample_rates(self).max())

    def table(self, start: int, stop: int) -> dict[str, Floats]:
        """Return the values of steps start..stop-1 by name, each (stop - start,) float64."""
        return {name: schedule.table(start, stop) for name, schedule in self.schedules}

    def at(self, step: int) -> dict[str, float]:
        """Return the values that update number `step` uses, by name."""
        return {name: schedule(step) for name, schedule in self.schedules}

    def scaled(self, factor: float) -> Policy:
        """Return this policy with its learning rate multiplied by `factor`, everything else as it is."""
        return self.replace(lr=self[LR] * factor)

    def replace(self, **schedules: Schedule | float) -> Policy:
        """Return this policy with some schedules exchanged or added."""
        return Policy(**{**dict(self.schedules), **schedules})

    def only(self, names: Iterable[str]) -> Policy:
        """Return this policy without the hyperparameters that are not in `names`."""
        allowed = set(names)
        return Policy(**{name: schedule for name, schedule in self.schedules if name in allowed})

    def plot(self, steps: int | None = None, ax: Any = None) -> Any:
        """Draw the learning rate, and momentum beside it, and return the matplotlib Axes."""
        return picture("plot_policy")(self, steps=steps, ax=ax)

    def spec_fields(self) -> dict[str, Any]:
        """Return the schedules by name."""
        return dict(self.schedules)

    @classmethod
    def spec_hints(cls, names: Iterable[str]) -> dict[str, Any]:
        """Every hyperparameter is a schedule, or a number that stays."""
        return dict.fromkeys(names, Schedule | float)

    def __repr__(self) -> str:
        return f"Policy({', '.join(f'{name}={schedule!r}' for name, schedule in self.schedules)})"


def _schedule(name: str, given: Any) -> Schedule:
    if not name.isidentifier() or keyword.iskeyword(name) or name == "kind":  # a policy prints as code and is JSON
        raise ParameterError(f"a policy cannot schedule {brief(name)}: that is no name of a hyperparameter, as lr is.")
    if isinstance(given, Schedule):
        return given
    if isinstance(given, numbers.Real):
        return Constant(given)  # type: ignore[arg-type]  # the spec makes it a float, and refuses a bool
    raise ParameterError(f"Policy.{name} must be a schedule or a number, not {brief(given)}.")


def sample_rates(policy: Policy) -> Floats:
    """Return the learning rates of a whole run, (points,): at every step and at its end, or at a million of them.

    The run is the one that the policy is bound to, else one of 1 000 steps, or longer if its parts are.
    """
    schedule, run = policy[LR], 1000 + 2 * whole_lengths(policy[LR])
    try:
        bound = schedule.bound_to(run)
    except LengthError:
        if isinstance(schedule.steps, int):
            raise
        bound = schedule.over(100 * run)  # parts in steps beside large shares need a run that is longer still
    length = int(bound.steps)
    return np.asarray(bound(np.linspace(0, length, min(length, MOST_SAMPLES) + 1).astype(np.int64)), dtype=np.float64)


def whole_lengths(value: object) -> int:
    """Return the sum of all lengths in `value` that are steps already."""
    if isinstance(value, Spec):
        return whole_lengths(tuple(value.spec_fields().values()))
    if isinstance(value, tuple):
        return sum(map(whole_lengths, value))
    return value if isinstance(value, int) else 0
