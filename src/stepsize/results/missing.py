"""What stands in a record for a schedule or a rule whose class is not here: it is read, and does not run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.length import REST
from stepsize.kernel.spec import Steps, is_real
from stepsize.rules import Rule
from stepsize.rules.torch_rule import UNKNOWN
from stepsize.schedules import Schedule


def gone(noun: str, kind: str) -> str:
    """Return the sentence on a kind that a file names and that is not here."""
    return (
        f"the {noun} {kind!r} is not here: install the package that adds it, or load the file that registers it first "
        "(stepsize.load_task)."
    )


class Missing:
    """What both share: the kind that they stand for, and the fields that it was read with.

    name: the kind. fields: as JSON, so that they can be compared.
    """

    noun: ClassVar[str]
    name: str
    fields: str

    @classmethod
    def of(cls, kind: str, given: Mapping[str, Any]) -> Self:
        """Return what stands for a value of this kind, with these fields, and warn of it."""
        warnings.warn(gone(cls.noun, kind), stacklevel=2)
        return cls._of_fields(kind, given)

    @classmethod
    def _of_fields(cls, kind: str, given: Mapping[str, Any]) -> Self:
        return cls(name=kind, fields=json.dumps(given, sort_keys=True))  # type: ignore[call-arg]  # both are dataclasses

    @property
    def spec_kind(self) -> str:
        """The kind that it stands for."""
        return self.name

    def spec_fields(self) -> dict[str, Any]:
        """Return the fields that it was read with."""
        return dict(json.loads(self.fields))

    def __repr__(self) -> str:
        return f"{self.name}({self.fields})"

    def refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be driven, to run, or to be another."""
        raise ParameterError(gone(self.noun, self.name))


@dataclass(frozen=True, repr=False)
class MissingSchedule(Missing, Schedule):
    """A schedule in a record whose class is not here: its fields are kept, and its values are not known (NaN)."""

    name: str
    fields: str
    steps: Steps = REST

    @classmethod
    def _of_fields(cls, kind: str, given: Mapping[str, Any]) -> Self:
        steps = given.get("steps")
        found = super()._of_fields(kind, given)
        return replace(found, steps=steps) if isinstance(steps, int) else found

    def value(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return NaN: what it was is not known."""
        return 0.0 * t + np.nan

    over = Missing.refuse

    def bound_to(self, total: int) -> Self:
        """Return it as one that is so long, where its own length is not known."""
        return self if isinstance(self.steps, int) else replace(self, steps=total)


@dataclass(frozen=True, repr=False)
class MissingRule(Missing, Rule):
    """A rule in a record whose class is not here: its fields are kept, and it makes no step."""

    facts = UNKNOWN
    formula: ClassVar[bool] = False

    name: str
    fields: str

    def __post_init__(self) -> None:
        """Check nothing: what it was is not known."""

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The numbers among its fields."""
        found = self.spec_fields()
        return {n: float(v) for n, v in found.items() if is_real(v)}

    @property
    def title(self) -> str:
        """The kind that it stands for."""
        return self.name

    kind = title

    @property
    def weight_decay(self) -> float:
        """What it was read with; 0 where that is nothing."""
        return self.hyperparameters.get("weight_decay", 0.0)

    having = init = step = Missing.refuse

    def without_rate(self) -> Self:
        """Return it without its rate."""
        return self._of_fields(self.name, {n: v for n, v in self.spec_fields().items() if n != "lr"})
