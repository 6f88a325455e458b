"""What stands in a record for a schedule or a rule whose class is not here: it is read, and does not run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.length import REST
from stepsize.kernel.spec import Steps
from stepsize.rules import Facts, Rule
from stepsize.schedules import Schedule


def gone(noun: str, kind: str) -> str:
    """Return the sentence on a kind that a file names and that is not here."""
    return (
        f"the {noun} {kind!r} is not here: install the package that adds it, or load the file that registers it first "
        "(stepsize.load_task)."
    )


@dataclass(frozen=True, repr=False)
class MissingSchedule(Schedule):
    """A schedule in a record whose class is not here: its fields are kept, and its values are not known (NaN)."""

    kind: str
    fields: str  # as JSON, so that it can be compared
    steps: Steps = REST

    @classmethod
    def of(cls, kind: str, given: Mapping[str, Any]) -> MissingSchedule:
        """Return what stands for a schedule, from its kind and its fields."""
        warnings.warn(gone("schedule", kind), stacklevel=2)
        steps = given.get("steps")
        return cls(kind, json.dumps(given, sort_keys=True), *([steps] if isinstance(steps, int) else []))

    @property
    def spec_kind(self) -> str:
        """The kind that it stands for."""
        return self.kind

    def spec_fields(self) -> dict[str, Any]:
        """Return the fields that it was read with."""
        return dict(json.loads(self.fields))

    def value(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return NaN: what it was is not known."""
        return 0.0 * t + np.nan

    def over(self, total: int) -> NoReturn:
        """Refuse to be driven."""
        del total
        raise ParameterError(gone("schedule", self.kind))

    def bound_to(self, total: int) -> MissingSchedule:
        """Return it as one that is so long, where its own length is not known."""
        return self if isinstance(self.steps, int) else replace(self, steps=total)

    def __repr__(self) -> str:
        return f"{self.kind}({self.fields})"


@dataclass(frozen=True, repr=False)
class MissingRule(Rule):
    """A rule in a record whose class is not here: its fields are kept, and it makes no step."""

    facts = Facts(
        scale_free=None, parameter_free=None, accumulates=None, same_size=None, schedule_free=None, euclidean=None,
        decoupled=None, threshold=None, torch=None, optax=None, keras=None,
    )  # fmt: skip
    formula: ClassVar[bool] = False

    name: str
    fields: str  # as JSON, so that it can be compared

    def __post_init__(self) -> None:
        """Check nothing: what it was is not known."""

    @classmethod
    def of(cls, kind: str, given: Mapping[str, Any]) -> MissingRule:
        """Return what stands for a rule, from its kind and its fields."""
        warnings.warn(gone("rule", kind), stacklevel=2)
        return cls.of_fields(kind, given)

    @classmethod
    def of_fields(cls, kind: str, given: Mapping[str, Any]) -> MissingRule:
        """Return the same, in silence."""
        return cls(kind, json.dumps(given, sort_keys=True))

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The numbers among its fields."""
        found = json.loads(self.fields)
        return {n: float(v) for n, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}

    @property
    def title(self) -> str:
        """The kind that it stands for."""
        return self.name

    @property
    def kind(self) -> str:
        """The kind that it stands for."""
        return self.name

    @property
    def spec_kind(self) -> str:
        """The kind that it stands for."""
        return self.name

    def spec_fields(self) -> dict[str, Any]:
        """Return the fields that it was read with."""
        return dict(json.loads(self.fields))

    def __repr__(self) -> str:
        return f"{self.name}({self.fields})"

    @property
    def weight_decay(self) -> float:
        """What it was read with; 0 where that is nothing."""
        return self.hyperparameters.get("weight_decay", 0.0)

    def having(self, **values: float) -> NoReturn:
        """Refuse to be another rule."""
        del values
        raise ParameterError(gone("rule", self.name))

    def without_rate(self) -> MissingRule:
        """Return it without its rate."""
        return MissingRule.of_fields(self.name, {n: v for n, v in self.spec_fields().items() if n != "lr"})

    def init(self, p: Array, xp: Any) -> NoReturn:
        """Refuse to run."""
        del p, xp
        raise ParameterError(gone("rule", self.name))

    def step(self, p: Array, g: Array, slots: Any, c: Any, xp: Any) -> NoReturn:
        """Refuse to run."""
        del p, g, slots, c, xp
        raise ParameterError(gone("rule", self.name))
