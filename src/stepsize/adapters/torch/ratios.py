"""What each parameter group multiplies the policy by: its own ratio, or what a `Groups` declares.

A parameter group of torch says what its values are, not what they mean: `lr=0.001` beside a default of 0.01 is "a tenth
of the others", and `weight_decay=0.0` beside 0.1 is "never". One policy for all groups keeps both as ratios,
`f_group(t) = ratio * f(t)`. A ratio needs a whole, which torch does not keep; `_own` infers it, from the surest case
to the least, and raises where none fits: a guess would train at a wrong rate in silence. With `Groups` nothing is
inferred, and a group may have a policy of its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from stepsize.adapters.torch.groups import MOMENTUM, Group, applicable, defaults_of, has, read
from stepsize.kernel.errors import DriveError, brief
from stepsize.policies import LR, Groups, Policy
from stepsize.schedules import Constant, Schedule

SCALE = "lr_scale"
"""Where timm keeps the decay of the rate from layer to layer, beside rates that are all alike."""

Ratios = dict[str, list[float]]
"""By hyperparameter, one for each parameter group."""


@dataclass
class Track:
    """A schedule of one hyperparameter, and the parameter groups that it moves, each at its own ratio.

    groups: their indices. ratios: one for each of them.
    """

    name: str
    schedule: Schedule
    groups: list[int] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


class Spread:
    """A policy over the parameter groups of an optimizer: `f_group(t) = ratio * f(t)`.

    policy: the part of it that the optimizer has hyperparameters for, for the groups without a policy of their own.
    tracks: its schedules, and those of the groups' own policies. count: how many groups it knows.
    start: the update that comes next. A resumed optimizer carries the values of that update or of the one before it.
    known: the ratios of an earlier driver of this optimizer, if there was one.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, policy: Policy | Groups, start: int, known: Mapping[str, list[float]]
    ) -> None:
        self._declared = policy if isinstance(policy, Groups) else None
        self._defaults: Mapping[str, Any] = defaults_of(optimizer)
        self.policy, self.count = applicable(optimizer, policy.policy if isinstance(policy, Groups) else policy), 0
        self._shared, self._own = _tracks(self.policy), dict[str, list[Track]]()
        for label, own in (self._declared.own if self._declared is not None else {}).items():
            self._own[label] = _tracks(applicable(optimizer, own))
        self.tracks = [*self._shared, *(track for tracks in self._own.values() for track in tracks)]
        if self._declared is not None:
            self.grow(optimizer.param_groups)
            return
        self.count = len(optimizer.param_groups)
        for index, group in enumerate(optimizer.param_groups):
            _check_has(group, self._shared, index)
        for track in self._shared:
            track.groups = list(range(self.count))
            track.ratios = _own(optimizer, self.policy, start, track.name, known.get(track.name, []))

    @property
    def ratios(self) -> Ratios:
        """The ratios of what all groups follow one schedule of."""
        return {track.name: track.ratios for track in self._shared if len(track.groups) == self.count}

    def grow(self, groups: Sequence[Group]) -> None:
        """Take in the groups that were added to the optimizer since; a value of their own is a ratio to its default.

        Raises DriveError for a group that a `Groups` does not declare, that has no such hyperparameter, where the
        default is 0, and where one is gone.
        """
        if len(groups) < self.count:
            raise DriveError(
                f"the optimizer has {len(groups)} parameter groups, and had {self.count}: nothing says which of them "
                "is gone, and whose ratio with it. After a group is taken away make a new driver, with start= the "
                "update that comes next."
            )
        named = {group["name"] for group in groups if "name" in group}
        added = [(i, self._found(i, group, named)) for i, group in enumerate(groups) if i >= self.count]
        for index, found in added:
            for track, ratio in found:
                track.groups.append(index)
                track.ratios.append(ratio)
        self.count = len(groups)

    def _found(self, index: int, group: Group, named: set[str]) -> list[tuple[Track, float]]:
        """Return the tracks of a group that was added, and its ratio in each."""
        if self._declared is None:
            _check_has(group, self._shared, index)
            return [(t, _added(read(group, t.name), read(self._defaults, t.name), t.name)) for t in self._shared]
        label = self._label(index, group, named)
        tracks, ratios = self._own.get(label, self._shared), self._declared.by_name[label]
        _check_has(group, tracks, index)
        return [(track, 1.0 if isinstance(ratios, Policy) else ratios.get(track.name, 1.0)) for track in tracks]

    def _label(self, index: int, group: Group, named: set[str]) -> str:
        """Return the name by which a `Groups` declares a parameter group."""
        names = list(self._declared or ())
        label = group.get("name", names[index] if index < len(names) else None)
        if label not in names:
            raise DriveError(
                f"the optimizer's parameter group {index} is {brief(label)}, and the policy has groups for "
                f"{', '.join(names)}. Declare it: groups.with_group(name, lr=...); a group of the optimizer is found "
                "by its key 'name', else by its position."
            )
        if "name" not in group and label in named:
            raise DriveError(
                f"the optimizer's parameter group {index} has no name, and by its position it is {brief(label)}, as "
                "another is by name. Give every group its key 'name', or none."
            )
        return str(label)


def _tracks(policy: Policy) -> list[Track]:
    return [Track(name, schedule) for name, schedule in policy.schedules]


def _check_has(group: Group, tracks: Sequence[Track], index: int) -> None:
    """Refuse a group without a hyperparameter of its policy, as optimizers have whose groups are of two kinds."""
    for track in tracks:
        if not has(group, track.name):
            raise DriveError(
                f"the optimizer's parameter group {brief(group.get('name', index))} has no {track.name}, which its "
                "policy schedules. Give that group a policy of its own: Groups(policy, {name: policy.only(...), ...})."
            )


def _added(own: float, default: float, name: str) -> float:
    return 1.0 if own == default else _ratio(own, default, name)


def _own(
    optimizer: torch.optim.Optimizer, policy: Policy, start: int, name: str, known: Sequence[float]
) -> list[float]:
    """Return the groups' own ratios; groups that agree follow the policy itself."""
    groups = optimizer.param_groups
    if len(groups) == 1:
        return [1.0]
    scales, rates = {group.get(SCALE, 1.0) for group in groups}, {float(group.get(LR, 0.0)) for group in groups}
    if name == LR and len(scales) > len(rates) == 1:
        warnings.warn(
            f"the groups of this {type(optimizer).__name__} have a {SCALE}, which timm's schedulers multiply by and a "
            f"driver does not, and one rate. Put it into their rates before: for g in groups: g['lr'] *= g['{SCALE}'].",
            stacklevel=6,
        )
    if name == LR and all("initial_lr" in group for group in groups):
        # A scheduler of torch was here, now or in the checkpoint: it keeps the rate that each group began with,
        # whatever the rates are now.
        own, whole = [float(group["initial_lr"]) for group in groups], read(defaults_of(optimizer), LR)
    else:
        own = [read(group, name) for group in groups]
        if _explained(own, known):
            # A second driver of one optimizer: a training in two phases, or a notebook cell that is run again. The
            # values are where the first driver left them, and so no ratios to the default any more.
            return list(known)
        if name != LR and _with_and_without(own, read(defaults_of(optimizer), name)):
            return [float(value > 0) for value in own]
        whole = _whole(optimizer, policy, start, name, own)
    return [1.0 if len(set(own)) == 1 else _ratio(value, whole, name) for value in own]


def _explained(own: Sequence[float], known: Sequence[float]) -> bool:
    """Whether the groups' values are one value times their known ratios."""
    if len(own) != len(known) or not any(known):
        return False
    wholes = [value / ratio for value, ratio in zip(own, known, strict=True) if ratio]
    rest = [value for value, ratio in zip(own, known, strict=True) if not ratio]
    return not any(rest) and all(_close(whole, wholes[0]) for whole in wholes)


def _with_and_without(own: Sequence[float], default: float) -> bool:
    """Whether some groups have one value and all others none, and the default is a library's, which nobody uses.

    Such are the groups with and without weight decay that most training scripts make: [0.1, 0.0] in an AdamW, whose
    default of 0.01 nobody has asked for. Of a learning rate 0.0 is no such habit, so it is not judged by this.
    """
    return default not in own and 0.0 in own and len(set(own)) == 2


def _whole(optimizer: torch.optim.Optimizer, policy: Policy, start: int, name: str, own: list[float]) -> float:
    """Return what the groups' values are ratios to: the optimizer's default, or the value of the policy's last update.

    Raises DriveError where neither explains them.
    """
    default, used = read(defaults_of(optimizer), name), _used(optimizer)
    # Groups that agree need no whole: their ratio is 1. But all of them at 0, below a default that is not, may be what
    # is left at the end of a decay, and then the ratios are lost.
    if len(set(own)) == 1 and (own[0] or not default or policy[name] == Constant(0.0)):
        return default
    # An optimizer that comes out of a checkpoint carries the values of the update before `start`, or of `start` where
    # its driver was attached, and the group at ratio 1 has such a value itself.
    last = {policy[name](step) for step in (start - 1, start) if start}
    carried: set[float] = {value for value in last if value and _among(value, own)}
    # A new optimizer has what its maker wrote, in ratio to the default. Only plain SGD looks new after its updates.
    if not used and (not carried or carried == {default} or _keeps_state(optimizer)):
        return default
    # Used, and no value of the policy in it: its first policy began elsewhere, or left one group at the default.
    candidates = carried if used and carried else carried | ({default} if _among(default, own) else set())
    if len(candidates) == 1:
        return candidates.pop()
    raise DriveError(
        f"the parameter groups of {type(optimizer).__name__} have {name} {', '.join(f'{value:g}' for value in own)}: "
        "ratios neither to its default nor to what the policy would last have set. Make the driver before the "
        "optimizer's first update, and before loading a checkpoint into it."
    )


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)  # a tensor holds its value in float32


def _among(value: float, own: list[float]) -> bool:
    return any(_close(value, other) for other in own)


def _used(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer has made an update; some, such as Adagrad, have state before the first."""
    return any(not isinstance(state, dict) or float(state.get("step", 1)) > 0 for state in optimizer.state.values())


def _keeps_state(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an update leaves a trace; plain gradient descent leaves none."""
    return not isinstance(optimizer, torch.optim.SGD) or any(group[MOMENTUM] for group in optimizer.param_groups)


def _ratio(own: float, whole: float, name: str) -> float:
    if whole == 0:
        raise DriveError(
            f"a parameter group has {name}={own!r} where the optimizer's own is 0, so its ratio to the policy is "
            f"unknown. Give the optimizer a {name} above 0, or build the driver before loading the checkpoint."
        )
    return float(f"{own / whole:.12g}")  # the same number again when a resumed run divides by another value
