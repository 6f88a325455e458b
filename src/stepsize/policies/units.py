"""Units: a schedule may be written in epochs, samples or tokens, and becomes one in updates once, before the run.

::

    clock = Clock(batches_per_epoch=len(loader), accumulation=4)
    policy = Policy(lr=Linear(0.0, 0.1, "5 epochs") >> Cosine(0.1, 0.0))
    bound = in_updates(policy, clock).over(clock.updates("90 epochs"))

Afterwards there is one unit, the update of the optimizer, and nothing counts batches in the middle of a training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar, get_args

from stepsize.kernel import length
from stepsize.kernel.errors import LengthError, brief
from stepsize.kernel.length import UPDATES
from stepsize.kernel.spec import Count, Spec, Steps, hints
from stepsize.policies.base import Policy
from stepsize.policies.groups import Groups
from stepsize.schedules import Chain, Schedule

V = TypeVar("V", bound=Schedule | Policy | Groups)


@dataclass(frozen=True)
class Clock(Spec):
    """How much of everything one update of the optimizer is.

    batches_per_epoch: how often one process goes round its loop in an epoch, `len(loader)`.
    batch_size: samples in one batch of one process. tokens_per_sample: the length of a sequence.
    accumulation: batches whose gradients are added up for one update; an epoch's last update may have fewer.
    replicas: processes that work on batches of their own at the same time.
    Only what the units in use need has to be given.

    Watch out: the lengths of a schedule are updates of one size; a batch size that changes during the run is no clock.

    >>> Clock(batches_per_epoch=10, accumulation=4).updates("2 epochs")
    6
    """

    batches_per_epoch: Count | None = None
    batch_size: Count | None = None
    tokens_per_sample: Count | None = None
    accumulation: Count = 1
    replicas: Count = 1

    @property
    def updates_per_epoch(self) -> int:
        """`ceil(batches_per_epoch / accumulation)`: the batches that are left over make an update too."""
        return -(-self._known("batches_per_epoch") // self.accumulation)

    @property
    def samples_per_update(self) -> int:
        """`batch_size * accumulation * replicas`."""
        return self._known("batch_size") * self.accumulation * self.replicas

    @property
    def tokens_per_update(self) -> int:
        """`samples_per_update * tokens_per_sample`."""
        return self.samples_per_update * self._known("tokens_per_sample")

    def convert(self, given: int | str) -> int | str:
        """Return a length with its unit turned into updates, exactly; one without stays as it is.

        Raises LengthError when this clock does not know what the unit needs.

        >>> Clock(batch_size=96).convert("1000 samples"), Clock().convert("30%")
        ('125/12 updates', '30%')
        """
        number, unit = length.amount(length.parse(given))
        if unit == "epochs":
            return length.measured(number * self.updates_per_epoch, UPDATES)
        if unit == "samples":
            return length.measured(number / self.samples_per_update, UPDATES)
        if unit == "tokens":
            return length.measured(number / self.tokens_per_update, UPDATES)
        return length.parse(given)

    def updates(self, given: int | str) -> int:
        """Return a length in updates, rounded, at least 1: the horizon of a run, such as "90 epochs" or "1B tokens".

        Raises LengthError for a share or the rest, which are lengths of a part.
        """
        number, unit = length.amount(self.convert(given))
        if unit != UPDATES:
            raise LengthError(
                f"a horizon is the length of a run, not a part of one, so it cannot be {brief(given)}. "
                "Give updates, epochs, samples or tokens: clock.updates('90 epochs')."
            )
        return max(1, int((number + Fraction(1, 2)) // 1))

    def _known(self, field: str) -> int:
        value = getattr(self, field)
        if value is None:
            raise LengthError(
                f"this clock does not know {field}, which is None; it must be a whole number of at least 1. "
                f"Give it: Clock({field}=...)."
            )
        return int(value)


def in_updates(value: V, clock: Clock) -> V:
    """Return a schedule, a policy or groups with every length that has a unit in updates instead.

    It is exact: a length may become "125/12 updates", and `over` rounds the boundaries between the parts, so parts
    never drift away from the epochs that they were written in. Shares and "rest" stay, for `over`.

    Raises LengthError when `clock` does not know what a unit needs.

    >>> from stepsize.schedules import Cosine, Linear
    >>> in_updates(Linear(0.0, 0.1, "2 epochs") >> Cosine(0.1, 0.0), Clock(batches_per_epoch=100)).parts[0]
    Linear(start=0.0, end=0.1, steps=200)
    """
    converted: V = _in_updates(value, clock)
    return converted


def _in_updates(value: Any, clock: Clock) -> Any:
    if isinstance(value, Groups):
        return value.each(lambda policy: _in_updates(policy, clock))
    if isinstance(value, Policy):
        return Policy(**{name: _in_updates(schedule, clock) for name, schedule in value.schedules})
    if isinstance(value, Chain):
        return Chain(tuple(_in_updates(part, clock) for part in value.parts))
    changed = {name: _converted(getattr(value, name), hint, clock) for name, hint in hints(type(value)).items()}
    return replace(value, **changed)


def _converted(value: Any, hint: Any, clock: Clock) -> Any:
    if isinstance(value, Schedule):
        return _in_updates(value, clock)
    if hint == tuple[Steps, ...]:
        return tuple(clock.convert(each) for each in value)
    a_length = Steps in (hint, *get_args(hint)) and isinstance(value, int | str)  # a float of a union is none
    return clock.convert(value) if a_length else value
