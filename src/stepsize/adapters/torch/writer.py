"""The hot path: the values of a step, from a table into the parameter groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import countOf, itemgetter
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch

from stepsize.adapters.second_writer import same, second_writer
from stepsize.adapters.torch.groups import BETAS, MOMENTUM, NUMBER, OTHER, PAIR, TENSOR, Group, kind, read, slot, write
from stepsize.adapters.torch.ratios import Ratios, Spread, Track
from stepsize.kernel.errors import DriveError
from stepsize.policies import LR, Groups, Policy

BLOCK = 2048
"""Steps of the policy that are tabulated at once."""


class Claim:
    """Who moves an optimizer's hyperparameters now, and who did before; one for each optimizer.

    ratios: of its groups, as its drivers have found them, so that the next one need not infer them again.
    """

    def __init__(self) -> None:
        self.holder: Writer | None = None
        self.before: WeakSet[Writer] = WeakSet()
        self.ratios: Ratios = {}

    def take(self, writer: Writer) -> None:
        """Pass the optimizer on to `writer`; raise DriveError when it had it before another one did."""
        if writer in self.before:
            raise DriveError(
                "two drivers move the hyperparameters of one optimizer, and each undoes what the other has set. Put "
                "everything into one policy, Policy(lr=..., momentum=..., weight_decay=...), and drive it once; for "
                "one schedule after another use first >> second."
            )
        if self.holder is not None:
            self.before.add(self.holder)
        self.holder = writer


CLAIMS: WeakKeyDictionary[torch.optim.Optimizer, Claim] = WeakKeyDictionary()
"""What is known of each optimizer that has been driven; beside it, as nothing is added to the optimizer itself."""


class Writer:
    """Writes the values of a step into the parameter groups, at little more than the price of the writes.

    The policy is tabulated a block at a time. What a group holds (a number, a tensor, one of its betas) is found out
    when the groups are first seen, again when `load_state_dict` has exchanged them, and when one is added.
    It holds no reference to the optimizer, which may hold one to it.
    start: the update that comes next. multiplier: of the learning rate, by a feedback.
    drives: False for a range test, which leaves no note of its ratios to the next driver.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, policy: Policy | Groups, start: int = 0, *, drives: bool = True
    ) -> None:
        self._claim = CLAIMS.setdefault(optimizer, Claim()) if drives else Claim()
        known = CLAIMS[optimizer].ratios if optimizer in CLAIMS else {}
        self._spread = Spread(optimizer, policy, start, known)
        self._claim.ratios.update(self._spread.ratios)
        self.policy, self.multiplier = self._spread.policy, 1.0
        lengths = (track.schedule.steps for track in self._spread.tracks)
        self._end = min((steps for steps in lengths if isinstance(steps, int)), default=0)
        self._forget()

    def _forget(self) -> None:
        """Know nothing of any group, and have no block of the table."""
        self._rows: list[list[float]] = []
        self._first, self._count, self._known, self._row = 0, 0, 0, 0
        self._seen: Any = None
        self._wrote: Any = None
        self._single: list[tuple[int, Group, str, list[float]]] = []
        self._shared: list[tuple[int, list[Group], str, list[float] | None, list[float]]] = []
        self._watched: list[tuple[Group, str]] = []
        self._few = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs; `adopt` gives it an optimizer."""
        return {name: getattr(self, name) for name in ("_spread", "policy", "multiplier", "_end")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be a copy without an optimizer yet."""
        self.__dict__.update(state)
        self._claim = Claim()
        self._forget()

    def adopt(self, optimizer: torch.optim.Optimizer) -> None:
        """Be the one that drives `optimizer`, which was copied or pickled along."""
        self._claim = CLAIMS.setdefault(optimizer, Claim())
        self._claim.ratios.update(self._spread.ratios)
        self._claim.holder = self

    def __call__(self, step: int, groups: list[Group]) -> None:
        """Set every hyperparameter to its value at `step`, as the one that drives.

        Raises DriveError when another driver has members the optimizer in between, and what `check` raises.
        """
        if self._claim.holder is not self:
            self._claim.take(self)
        elif self._next(step, groups):
            return
        elif groups is self._wrote and self._touched():
            self.check(groups)
        self.write(step, groups)

    def _next(self, step: int, groups: list[Group]) -> bool:
        """Do all that `__call__` does, at the price of the writes, where one group has its values as they were left."""
        row, last = step - self._first, self._row
        if not self._few or groups is not self._seen or not 0 <= row < self._count or len(groups) != 1:
            return False
        for what, group, key, values in self._single:
            if (group[key] if what == NUMBER else group[key][0]) is not values[last]:
                return False
        for what, group, key, values in self._single:
            group[key] = values[row] if what == NUMBER else (values[row], group[key][1])
        self._row = row
        return True

    def check(self, groups: list[Group]) -> None:
        """Raise DriveError where a value is no longer what was written last, since somebody else writes it too.

        Groups that were loaded, added or taken away since then are not judged.
        """
        if groups is not self._wrote or len(groups) < self._known or not self._touched():
            return
        for group, name, written in self._written():
            index = next((at for at, other in enumerate(groups) if other is group), None)
            if index is not None and not same(written, found := read(group, name)):
                raise second_writer(name if len(groups) == 1 else f"{name} of group {index}", written, found)
        self._seen = None  # the same values in other objects, such as other tensors

    def stilled(self, groups: list[Group]) -> bool:
        """Whether somebody has set every rate to 0 for an update with no gradient but 0, which is none of training.

        `torch.distributed.checkpoint.state_dict` makes such a one, so that a new optimizer has a state, and puts the
        rates back.
        """
        if groups is not self._wrote or not self._touched() or any(map(_moves, groups)):
            return False
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        return bool(gradients) and not any(gradient.is_sparse or gradient.any() for gradient in gradients)

    @property
    def holds(self) -> bool:
        """Whether this is the last writer that members the optimizer."""
        return self._claim.holder is self

    def knows(self, groups: list[Group]) -> bool:
        """Whether these are the groups that it wrote to last: none was loaded or added since."""
        return groups is self._seen and len(groups) == self._known

    def write(self, step: int, groups: list[Group]) -> None:
        """Set every hyperparameter to its value at `step`."""
        row = step - self._first
        if not 0 <= row < self._count or groups is not self._seen or len(groups) != self._known:
            row = self._prepare(step, groups)
        for what, group, key, values in self._single:
            if what == NUMBER:
                group[key] = values[row]
            elif what == PAIR:
                group[key] = (values[row], group[key][1])
            else:
                group[key].fill_(values[row])
        for what, shared, key, ratios, values in self._shared:
            self._write_all(what, shared, key, ratios, values[row])
        self._row, self._wrote = row, groups
        if self._watched:
            self._left = self._held()

    def _write_all(self, what: int, groups: list[Group], key: str, ratios: list[float] | None, value: float) -> None:
        if ratios is None and what == NUMBER:
            for group in groups:
                group[key] = value
        elif ratios is None:
            for group in groups:
                group[key] = (value, group[key][1])
        else:
            self._write_each(what, key, zip(groups, ratios, strict=False), value)

    def _write_each(self, what: int, key: str, spread: Iterable[tuple[Group, float]], value: float) -> None:
        if what == NUMBER:
            for group, ratio in spread:
                group[key] = value * ratio
        elif what == PAIR:
            for group, ratio in spread:
                group[key] = (value * ratio, group[key][1])
        elif what == TENSOR:
            for group, ratio in spread:
                group[key].fill_(value * ratio)
        else:
            for group, ratio in spread:
                write(group, key, value * ratio)

    def _touched(self) -> bool:
        """Whether anything is not the very object that was left there; the same number written anew is one, too.

        A tensor is not read, as that would wait for its device: torch counts how often it was written to.
        """
        row = self._row
        for what, group, key, values in self._single:
            if what == NUMBER:
                if group[key] is not values[row]:
                    return True
            elif what == PAIR and group[key][0] is not values[row]:
                return True
        for what, groups, key, ratios, values in self._shared:
            if what in (NUMBER, PAIR) and self._differ(what, groups, key, ratios, values[row]):
                return True
        return bool(self._watched) and self._held() != self._left

    def _differ(self, what: int, groups: list[Group], key: str, ratios: list[float] | None, value: float) -> bool:
        groups = groups if len(groups) <= self._known else groups[: self._known]
        there = map(itemgetter(key), groups)
        if what == PAIR:
            there = map(itemgetter(0), there)
        if ratios is None:
            return countOf(there, value) != len(groups)
        return list(there) != [value * ratio for ratio in ratios]

    def _held(self) -> tuple[list[Any], list[int]]:
        """Return what stands in the slots that have tensors or are written in parts, and torch's counts of writes."""
        versions = [tensor._version for tensor in self._filled]  # noqa: SLF001  (it has no public name)
        return [group[key] for group, key in self._watched], versions

    def _written(self) -> Iterator[tuple[Group, str, float]]:
        """Yield each group, hyperparameter and value of the last write."""
        for _, group, key, values in self._single:
            yield group, _name(key), values[self._row]
        for _, groups, key, ratios, values in self._shared:
            for group, ratio in zip(groups[: self._known], ratios or repeat(1.0), strict=False):
                yield group, _name(key), values[self._row] * ratio

    @property
    def names(self) -> list[str]:
        """The hyperparameters that it writes, in one group at least."""
        return list(dict.fromkeys(track.name for track in self._spread.tracks if track.groups))

    def at(self, step: int) -> list[dict[str, float]]:
        """Return the values of `step` by name, for each parameter group; nothing is written."""
        found: list[dict[str, float]] = [{} for _ in range(self._spread.count)]
        row = self._row_of(step)
        for track, values in zip(self._spread.tracks, self._rows, strict=True):
            for index, ratio in zip(track.groups, self._ratios(track), strict=True):
                found[index][track.name] = values[row] * ratio
        return found

    def _row_of(self, step: int) -> int:
        """Return the index of `step` in the table, tabulated anew where it lies outside of the block."""
        if not 0 <= step - self._first < self._count:
            # A schedule may hold a function of the user's, which nobody has promised to be defined behind its end.
            stop = max(step + 1, min(step + BLOCK, self._end or step + BLOCK))
            self._rows = [track.schedule.table(step, stop).tolist() for track in self._spread.tracks]
            self._first, self._count, self._seen = step, stop - step, None
        return step - self._first

    def _ratios(self, track: Track) -> list[float]:
        """Return what the groups' values are multiplied by, the feedback's multiplier included."""
        own = track.ratios
        return own if track.name != LR or self.multiplier == 1.0 else [ratio * self.multiplier for ratio in own]

    def multiply(self, multiplier: float) -> None:
        """Multiply the learning rate by `multiplier` from the next write on."""
        self.multiplier, self._seen = multiplier, None

    def _prepare(self, step: int, groups: list[Group]) -> int:
        self._spread.grow(groups)
        row, self._seen, self._known = self._row_of(step), groups, len(groups)
        self._single, self._shared, self._watched = [], [], []
        for track, values in zip(self._spread.tracks, self._rows, strict=True):
            if track.groups:
                self._assign(track, values, groups)
        self._few = bool(self._single) and not self._shared and not self._watched
        self._filled = [tensor for group, key in self._watched for tensor in _tensors(group[key])]
        return row

    def _assign(self, track: Track, values: list[float], groups: list[Group]) -> None:
        """Find out how the values of a track are written to the groups that it moves."""
        name, ratios = track.name, self._ratios(track)
        whole = len(track.groups) == len(groups)
        members = groups if whole else [groups[index] for index in track.groups]
        kinds = {kind(group, name) for group in members}
        key, what = kinds.pop() if len(kinds) == 1 else (name, OTHER)
        alike = all(ratio == 1.0 for ratio in ratios)
        if what == TENSOR and (not whole or len(set(ratios)) > 1):
            _part(groups, key)
        if len(members) == 1 and what != OTHER:  # the common case, of which a step is one indexed write a name
            self._single.append((what, members[0], key, values if alike else [v * ratios[0] for v in values]))
        else:
            self._shared.append((what, members, key, None if alike and what in (NUMBER, PAIR) else ratios, values))
        if what in (TENSOR, OTHER):
            self._watched += [(group, slot(group, name)[0]) for group in members]


def _name(key: str) -> str:
    """Return the hyperparameter that is first in what a group has under `key`."""
    return MOMENTUM if key == BETAS else key


def _part(groups: list[Group], key: str) -> None:
    """Give groups that share a tensor, such as that of the default, one of their own, as their values differ."""
    seen = set()
    for group in groups:
        if isinstance(held := group.get(key), torch.Tensor) and id(held) in seen:
            group[key] = held.clone()
        seen.add(id(group.get(key)))


def _moves(group: Group) -> bool:
    """Whether the rate of a group is not 0; a tensor on a device is not asked, as that would wait for it."""
    rate = group.get(LR, 1.0)
    return rate.device.type != "cpu" or bool(rate) if isinstance(rate, torch.Tensor) else bool(rate)


def _tensors(held: Any) -> list[torch.Tensor]:
    """Return the tensors in what a group has under a key."""
    return [each for each in (held if isinstance(held, tuple | list) else (held,)) if isinstance(each, torch.Tensor)]
