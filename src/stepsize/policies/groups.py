"""Parameter groups: one policy, and for each group what its hyperparameters are multiplied by, or a policy of its own.

::

    Groups(one_cycle(0.1), {"head": {}, "body": {"lr": 0.1}, "norm": {"lr": 0.1, "weight_decay": 0.0}})
    Groups(one_cycle(0.1), {"body": {}, "embedding": Policy(lr=Cosine(0.01, 0.0))})

So discriminative rates keep their proportions while they move, a group without decay stays without, and one that has
to move otherwise does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import LengthError, ParameterError, brief, suggestion
from stepsize.kernel.spec import Spec, is_real
from stepsize.policies.base import Policy

Ratios = tuple[tuple[str, float], ...]
"""What the hyperparameters of one group are multiplied by, in order of their names."""


@dataclass(frozen=True, init=False, repr=False)
class Groups(Spec):
    """A policy for several parameter groups: `f_group(t) = ratio * f(t)` for each hyperparameter.

    policy: how the hyperparameters move. ratios: the groups by name, in order, and for each the factors of those
        hyperparameters that are not the policy's own, numbers of at least 0; or a Policy, which is then all that moves
        the group: what it does not schedule stays as the optimizer has it.

    Raises ParameterError when there is no group, a ratio is no such number, or the policy does not schedule its name;
    and when a group's own policy is bound to another horizon than the others.

    Watch out: ratios that were right for one optimizer are not for another, and a ratio of 0 freezes a group for good.
    For a group that shares all but the learning rate give `policy.replace(lr=...)`.

    >>> from stepsize.schedules import Linear
    >>> groups = Groups(Policy(lr=Linear(1.0, 0.0, 4), weight_decay=0.1), {"head": {}, "body": {"lr": 0.5}})
    >>> groups.table(0, 3)["body"]["lr"].tolist(), groups["head"].at(1)
    ([0.5, 0.375, 0.25], {'lr': 0.75, 'weight_decay': 0.1})
    >>> Groups(groups.policy, {"body": {}, "head": Policy(lr=Linear(0.0, 0.5, 4))}).at(2)["head"]
    {'lr': 0.25}
    """

    noun: ClassVar[str] = "set of groups"
    policy: Policy
    ratios: tuple[tuple[str, Policy | Ratios], ...]

    def __init__(self, policy: Policy, ratios: Mapping[str, Policy | Mapping[str, float]]) -> None:
        object.__setattr__(self, "policy", policy)
        object.__setattr__(self, "ratios", _canonical(ratios))
        self.__post_init__()

    def validate(self) -> None:
        """Refuse a ratio of what the policy does not schedule, and policies of different horizons."""
        for group, ratios in self.ratios:
            for name, _ in () if isinstance(ratios, Policy) else ratios:
                if name not in self.policy:
                    raise ParameterError(
                        f"Groups.ratios[{group!r}] has a ratio for {brief(name)}, which the policy does not schedule. "
                        f"{suggestion(name, self.policy)}"
                    )
        horizon = _horizon(self.policy)
        for group, policy in self.own.items():
            steps = _horizon(policy)
            if horizon and steps and steps != horizon:
                raise ParameterError(
                    f"Groups.ratios[{group!r}] is a policy of {steps} steps, and the others are of {horizon}. Leave "
                    "their lengths to groups.over(steps), which binds all of them to one run."
                )
            horizon = horizon or steps

    def __getitem__(self, group: str) -> Policy:
        found = dict(self.ratios)
        if group not in found:
            raise ParameterError(f"there is no parameter group {brief(group)}. {suggestion(group, found)}")
        ratios = found[group]
        if isinstance(ratios, Policy):
            return ratios
        return self.policy.replace(**{name: self.policy[name] * ratio for name, ratio in ratios if ratio != 1})

    def __iter__(self) -> Iterator[str]:
        return (group for group, _ in self.ratios)

    def __len__(self) -> int:
        return len(self.ratios)

    @property
    def by_name(self) -> dict[str, Policy | dict[str, float]]:
        """The ratios by group and by name, and the groups' own policies, as they were given."""
        return {group: ratios if isinstance(ratios, Policy) else dict(ratios) for group, ratios in self.ratios}

    @property
    def own(self) -> dict[str, Policy]:
        """The policies of those groups that have one of their own."""
        return {group: ratios for group, ratios in self.ratios if isinstance(ratios, Policy)}

    def over(self, total: int) -> Groups:
        """Return these groups with every policy bound to a run of `total` steps.

        Raises LengthError when the lengths of one do not add up to `total`.
        """
        return self.each(lambda policy: policy.over(total))

    def each(self, change: Callable[[Policy], Policy]) -> Groups:
        """Return these groups with every policy exchanged for what `change` makes of it."""
        own: dict[str, Policy] = {}
        for group, policy in self.own.items():
            try:
                own[group] = change(policy)
            except LengthError as error:
                raise LengthError(f"in the policy of the parameter group {brief(group)}: {error}") from None
        return Groups(change(self.policy), {**self.by_name, **own})

    def table(self, start: int, stop: int) -> dict[str, dict[str, Floats]]:
        """Return the values of steps start..stop-1 by group and by name, each (stop - start,) float64."""
        return {group: self[group].table(start, stop) for group in self}

    def at(self, step: int) -> dict[str, dict[str, float]]:
        """Return the values that update number `step` uses, by group and by name."""
        return {group: self[group].at(step) for group in self}

    def with_group(self, name: str, own: Policy | None = None, /, **ratios: float) -> Groups:
        """Return these groups and one more, or one exchanged, such as layers that a run unfreezes later.

        own: a policy of its own, in place of ratios.
        """
        if own is not None and ratios:
            raise ParameterError(
                f"the parameter group {brief(name)} has ratios or a policy of its own, not both. Multiply in the "
                "policy: policy.replace(lr=0.1 * policy['lr'])."
            )
        return Groups(self.policy, {**self.by_name, name: ratios if own is None else own})

    def spec_fields(self) -> dict[str, Any]:
        """Return the policy, and the ratios by group and by name."""
        return {"policy": self.policy, "ratios": self.by_name}

    @classmethod
    def spec_hints(cls, names: Iterable[str]) -> dict[str, Any]:  # noqa: ARG003  (open-ended classes use the names)
        """A group has ratios by name, or a policy."""
        return {"policy": Policy, "ratios": dict[str, Policy | dict[str, float]]}

    def __repr__(self) -> str:
        return f"Groups({self.policy!r}, {self.by_name!r})"


def _canonical(ratios: Any) -> tuple[tuple[str, Policy | Ratios], ...]:
    """Return the ratios as tuples, those of one group in order of their names."""
    if not isinstance(ratios, Mapping) or not ratios or not all(isinstance(group, str) for group in ratios):
        raise ParameterError(
            f"Groups.ratios cannot be {brief(ratios)}: it holds the ratios of one group at least, by its name, such as "
            "{'head': {}, 'body': {'lr': 0.1}}."
        )
    return tuple((group, _of_group(group, factors)) for group, factors in ratios.items())


def _of_group(group: str, ratios: Any) -> Policy | Ratios:
    """Return what one group has: a policy of its own, or ratios."""
    if isinstance(ratios, Policy):
        return ratios
    if not isinstance(ratios, Mapping):
        raise ParameterError(
            f"Groups.ratios[{group!r}] cannot be {brief(ratios)}: a group has ratios, such as {{'lr': 0.1}}, or a "
            "policy of its own, such as Policy(lr=0.1)."
        )
    return tuple((str(name), _ratio(group, name, ratio)) for name, ratio in sorted(ratios.items()))


def _horizon(policy: Policy) -> int:
    """Return the steps of the longest schedule that knows its own; 0 where none does."""
    return max((schedule.steps for _, schedule in policy.schedules if isinstance(schedule.steps, int)), default=0)


def _is_finite(ratio: Any) -> bool:
    return bool(0 <= ratio <= sys.float_info.max)  # a whole number may be too large for a float


def _ratio(group: str, name: object, ratio: Any) -> float:
    if not is_real(ratio) or not _is_finite(ratio):
        raise ParameterError(
            f"Groups.ratios[{group!r}] has {brief(ratio)} for {name!s}; a ratio is a finite number of at least 0. "
            "Leave it out for the policy's own value."
        )
    return float(ratio)
