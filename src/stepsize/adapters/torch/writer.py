"""The hot path: the values of a step, from a table into the parameter groups."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch

from stepsize.adapters.torch.groups import BETAS, NUMBER, OTHER, PAIR, TENSOR, Group, kind, write
from stepsize.adapters.torch.ratios import Spread
from stepsize.kernel.errors import DriveError
from stepsize.policies import LR

BLOCK = 2048
"""Steps of the policy that are tabulated at once."""


class Claim:
    """Who moves an optimizer's hyperparameters now, and who did before; one for each optimizer."""

    def __init__(self) -> None:
        self.holder: Writer | None = None
        self.before: WeakSet[Writer] = WeakSet()

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


class Writer:
    """Writes the values of a step into the parameter groups, at little more than the price of the writes.

    The policy is tabulated a block at a time. What a group holds (a number, a tensor, a place in its betas) is looked
    up when the groups are first seen, again when `load_state_dict` has exchanged them, and when one is added.
    It holds no reference to the optimizer, which may hold one to it.
    rows: the block of the table, by name. multiplier: of the learning rate, by a feedback.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, spread: Spread) -> None:
        self.rows: dict[str, list[float]] = {}
        self.policy, self.multiplier = spread.policy, 1.0
        self._spread, self._claim = spread, CLAIMS.setdefault(optimizer, Claim())
        self._end = min(
            (schedule.steps for _, schedule in self.policy.schedules if isinstance(schedule.steps, int)), default=0
        )
        self._first, self._count, self._known = 0, 0, 0
        self._seen: Any = None

    def __call__(self, step: int, groups: list[Group]) -> int:
        """Set every hyperparameter to its value at `step`, as the one that drives; return the step's place in `rows`.

        Raises DriveError when another driver has moved the optimizer in between.
        """
        if self._claim.holder is not self:
            self._claim.take(self)
        return self.place(step, groups)

    @property
    def holds(self) -> bool:
        """Whether this is the last writer that moved the optimizer."""
        return self._claim.holder is self

    def place(self, step: int, groups: list[Group]) -> int:
        """Set every hyperparameter to its value at `step`, and return the place of the step in `rows`."""
        row = step - self._first
        if not 0 <= row < self._count or groups is not self._seen or len(groups) != self._known:
            row = self._prepare(step, groups)
        for found, key, ratios, values in self._numbers:
            value = values[row]
            if ratios is None:
                for group in found:
                    group[key] = value
            else:
                for group, ratio in zip(found, ratios, strict=False):
                    group[key] = value * ratio
        for found, ratios, values in self._pairs:
            value = values[row]
            for group, ratio in zip(found, ratios, strict=False):
                group[BETAS] = (value * ratio, group[BETAS][1])
        if self._more:
            self._write_more(row)
        return row

    def _write_more(self, row: int) -> None:
        for found, name, what, ratios, values in self._more:
            value = values[row]
            for group, ratio in zip(found, ratios, strict=False):
                if what == TENSOR:
                    group[name].fill_(value * ratio)
                else:
                    write(group, name, value * ratio)

    def row(self, step: int) -> int:
        """Return the place of `step` in `rows`, tabulated anew where it lies outside of the block."""
        if not 0 <= step - self._first < self._count:
            # A schedule may hold a function of the user's, which nobody has promised to be defined behind its end.
            stop = max(step + 1, min(step + BLOCK, self._end or step + BLOCK))
            self.rows = {name: values.tolist() for name, values in self.policy.table(step, stop).items()}
            self._first, self._count, self._seen = step, stop - step, None
        return step - self._first

    def ratios(self, name: str) -> list[float]:
        """Return what the groups' values of `name` are multiplied by, the feedback's multiplier included."""
        found = self._spread.ratios[name]
        return found if name != LR or self.multiplier == 1.0 else [ratio * self.multiplier for ratio in found]

    def multiply(self, multiplier: float) -> None:
        """Multiply the learning rate by `multiplier` from the next write on."""
        self.multiplier, self._seen = multiplier, None

    def _prepare(self, step: int, groups: list[Group]) -> int:
        self._spread.grow(groups)
        row, self._seen, self._known = self.row(step), groups, len(groups)
        self._numbers, self._pairs, self._more = [], [], []  # type: tuple[list[Any], list[Any], list[Any]]
        for name, values in self.rows.items():
            ratios = self.ratios(name)
            kinds = {kind(group, name) for group in groups}
            key, what = kinds.pop() if len(kinds) == 1 else (name, OTHER)
            if what == NUMBER:
                shared = all(ratio == 1.0 for ratio in ratios)
                self._numbers.append((groups, key, None if shared else ratios, values))
            elif what == PAIR:
                self._pairs.append((groups, ratios, values))
            else:
                self._more.append((groups, key, what, ratios, values))
        return row
