"""The hot path: the values of a step, from a table into the parameter groups."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch

from stepsize.adapters.torch.groups import NUMBER, OTHER, PAIR, TENSOR, Group, kind, write
from stepsize.adapters.torch.ratios import Ratios, Spread
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
    start: the update that comes next. rows: the block of the table, by name. multiplier: of the learning rate, by a
    feedback. drives: False for a range test, which leaves no note of its ratios to the next driver.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, policy: Policy | Groups, start: int = 0, *, drives: bool = True
    ) -> None:
        self._claim = CLAIMS.setdefault(optimizer, Claim()) if drives else Claim()
        known = CLAIMS[optimizer].ratios if optimizer in CLAIMS else {}
        self._spread = Spread(optimizer, policy, start, known)
        self._claim.ratios.update(self._spread.ratios)
        self.rows: dict[str, list[float]] = {}
        self.policy, self.multiplier = self._spread.policy, 1.0
        self._end = min(
            (schedule.steps for _, schedule in self.policy.schedules if isinstance(schedule.steps, int)), default=0
        )
        self._first, self._count, self._known = 0, 0, 0
        self._seen: Any = None

    def __call__(self, step: int, groups: list[Group]) -> None:
        """Set every hyperparameter to its value at `step`, as the one that drives.

        Raises DriveError when another driver has moved the optimizer in between.
        """
        if self._claim.holder is not self:
            self._claim.take(self)
        self.write(step, groups)

    @property
    def holds(self) -> bool:
        """Whether this is the last writer that moved the optimizer."""
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

    def _write_all(self, what: int, groups: list[Group], key: str, ratios: list[float] | None, value: float) -> None:
        if ratios is None:
            for group in groups:
                group[key] = value
        elif what == NUMBER:
            for group, ratio in zip(groups, ratios, strict=False):
                group[key] = value * ratio
        elif what == PAIR:
            for group, ratio in zip(groups, ratios, strict=False):
                group[key] = (value * ratio, group[key][1])
        elif what == TENSOR:
            for group, ratio in zip(groups, ratios, strict=False):
                group[key].fill_(value * ratio)
        else:
            for group, ratio in zip(groups, ratios, strict=False):
                write(group, key, value * ratio)

    def row(self, step: int) -> int:
        """Return the index of `step` in `rows`, tabulated anew where it lies outside of the block."""
        if not 0 <= step - self._first < self._count:
            # A schedule may hold a function of the user's, which nobody has promised to be defined behind its end.
            stop = max(step + 1, min(step + BLOCK, self._end or step + BLOCK))
            self.rows = {name: values.tolist() for name, values in self.policy.table(step, stop).items()}
            self._first, self._count, self._seen = step, stop - step, None
        return step - self._first

    def ratios(self, name: str) -> list[float]:
        """Return what the groups' values of `name` are multiplied by, the feedback's multiplier included."""
        own = self._spread.ratios[name]
        return own if name != LR or self.multiplier == 1.0 else [ratio * self.multiplier for ratio in own]

    def multiply(self, multiplier: float) -> None:
        """Multiply the learning rate by `multiplier` from the next write on."""
        self.multiplier, self._seen = multiplier, None

    def _prepare(self, step: int, groups: list[Group]) -> int:
        self._spread.grow(groups)
        row, self._seen, self._known = self.row(step), groups, len(groups)
        self._single: list[tuple[int, Group, str, list[float]]] = []
        self._shared: list[tuple[int, list[Group], str, list[float] | None, list[float]]] = []
        for name, values in self.rows.items():
            ratios = self.ratios(name)
            kinds = {kind(group, name) for group in groups}
            key, what = kinds.pop() if len(kinds) == 1 else (name, OTHER)
            same = all(ratio == 1.0 for ratio in ratios)
            if len(groups) == 1 and what != OTHER:  # the common case, of which a step is one indexed write a name
                self._single.append((what, groups[0], key, values if same else [v * ratios[0] for v in values]))
            else:
                self._shared.append((what, groups, key, None if same and what == NUMBER else ratios, values))
        return row
