"""Parameter groups: one policy, and for each group what its hyperparameters are multiplied by.

::

    Groups(one_cycle(0.1), {"head": {}, "body": {"lr": 0.1}, "norm": {"lr": 0.1, "weight_decay": 0.0}})

So discriminative rates keep their proportions while they move, and a group without decay stays without.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, brief, suggestion
from stepsize.kernel.spec import Spec
from stepsize.policies.base import Policy


@dataclass(frozen=True, init=False, repr=False)
class Groups(Spec):
    """A policy for several parameter groups: `f_group(t) = ratio * f(t)` for each hyperparameter.

    policy: how the hyperparameters move. ratios: the groups by name, in order, and for each the factors of those
        hyperparameters that are not the policy's own; numbers of at least 0.

    Raises ParameterError when there is no group, a ratio is no such number, or the policy does not schedule its name.

    Watch out: ratios that were right for one optimizer are not for another, and a ratio of 0 freezes a group for good.

    >>> from stepsize.schedules import Linear
    >>> groups = Groups(Policy(lr=Linear(1.0, 0.0, 4), weight_decay=0.1), {"head": {}, "body": {"lr": 0.5}})
    >>> groups.table(0, 3)["body"]["lr"].tolist(), groups["head"].at(1)
    ([0.5, 0.375, 0.25], {'lr': 0.75, 'weight_decay': 0.1})
    """

    noun: ClassVar[str] = "set of groups"
    policy: Policy
    ratios: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]

    def __init__(self, policy: Policy, ratios: Mapping[str, Mapping[str, float]]) -> None:
        object.__setattr__(self, "policy", policy)
        object.__setattr__(self, "ratios", _canonical(ratios))
        self.__post_init__()

    def validate(self) -> None:
        """Refuse a ratio of what the policy does not schedule."""
        for group, ratios in self.ratios:
            for name, _ in ratios:
                if name not in self.policy:
                    raise ParameterError(
                        f"Groups.ratios[{group!r}] has a ratio for {brief(name)}, which the policy does not schedule. "
                        f"{suggestion(name, self.policy)}"
                    )

    def __getitem__(self, group: str) -> Policy:
        found = dict(self.ratios)
        if group not in found:
            raise ParameterError(f"there is no parameter group {brief(group)}. {suggestion(group, found)}")
        return self.policy.replace(**{name: self.policy[name] * ratio for name, ratio in found[group] if ratio != 1})

    def __iter__(self) -> Iterator[str]:
        return (group for group, _ in self.ratios)

    def __len__(self) -> int:
        return len(self.ratios)

    @property
    def by_name(self) -> dict[str, dict[str, float]]:
        """The ratios by group and by name, as they were given."""
        return {group: dict(factors) for group, factors in self.ratios}

    def over(self, total: int) -> Groups:
        """Return these groups with the policy bound to a run of `total` steps."""
        return Groups(self.policy.over(total), self.by_name)

    def table(self, start: int, stop: int) -> dict[str, dict[str, Floats]]:
        """Return the values of steps start..stop-1 by group and by name, each (stop - start,) float64."""
        return {group: self[group].table(start, stop) for group in self}

    def at(self, step: int) -> dict[str, dict[str, float]]:
        """Return the values that update number `step` uses, by group and by name."""
        return {group: self[group].at(step) for group in self}

    def with_group(self, name: str, /, **ratios: float) -> Groups:
        """Return these groups and one more, or one exchanged, such as layers that a run unfreezes later."""
        return Groups(self.policy, {**self.by_name, name: ratios})

    def spec_fields(self) -> dict[str, Any]:
        """Return the policy, and the ratios by group and by name."""
        return {"policy": self.policy, "ratios": self.by_name}

    def __repr__(self) -> str:
        return f"Groups({self.policy!r}, {self.by_name!r})"


def _canonical(ratios: Any) -> tuple[tuple[str, tuple[tuple[str, float], ...]], ...]:
    """Return the ratios as tuples, those of one group in order of their names."""
    mappings = isinstance(ratios, Mapping) and all(isinstance(factors, Mapping) for factors in ratios.values())
    if not mappings or not ratios or not all(isinstance(group, str) for group in ratios):
        raise ParameterError(
            f"Groups.ratios cannot be {brief(ratios)}: it holds the ratios of one group at least, by its name, such as "
            "{'head': {}, 'body': {'lr': 0.1}}."
        )
    return tuple(
        (group, tuple((str(name), _ratio(group, name, ratio)) for name, ratio in sorted(factors.items())))
        for group, factors in ratios.items()
    )


def _is_finite(ratio: Any) -> bool:
    return bool(0 <= ratio <= sys.float_info.max)  # a whole number may be too large for a float


def _ratio(group: str, name: object, ratio: Any) -> float:
    if isinstance(ratio, bool) or not isinstance(ratio, numbers.Real) or not _is_finite(ratio):
        raise ParameterError(
            f"Groups.ratios[{group!r}] has {brief(ratio)} for {name!s}; a ratio is a finite number of at least 0. "
            "Leave it out for the policy's own value."
        )
    return float(ratio)
