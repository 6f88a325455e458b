"""What a step does with a gradient: it is clipped, and the rule steps each parameter group at the group's own rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stepsize.engines import base
from stepsize.engines.inplace.program import Row, Update, rows
from stepsize.engines.normals import Normals
from stepsize.problems.parameter_groups import ParameterGroup
from stepsize.rules import Rule
from stepsize.rules.base import Shape, Slots
from stepsize.strategy import Trial

EPSILON = 1e-6
"""What torch adds to a norm before it divides by it."""


def clip(gradients: Sequence[torch.Tensor], most: float | None) -> None:
    """Shorten the gradient of each replica to a norm of at most `most`, in place, as torch does.

    `g *= min(1, most / (|g| + 1e-6))`, with the norm over all parts of a replica's gradient, as
    `torch.nn.utils.clip_grad_norm_` has it. None leaves it as it is.

    gradients: parts of it, each (replicas, parameters).
    """
    if most is None:
        return
    norms = [torch.linalg.vector_norm(part, dim=-1, keepdim=True) for part in gradients]
    size = torch.linalg.vector_norm(torch.cat(norms, dim=-1), dim=-1, keepdim=True)
    factor = (most / (size + EPSILON)).clamp(max=1.0)
    for part in gradients:
        part.mul_(factor)


class GroupUpdate:
    """A rule on the rows of one parameter group: its slots, and its coefficients step by step.

    rule: of all groups. shapes: of the group's tensors. row: (replicas, parameters), the group's. slots: the rule's.
    number: of the group among those of the task. steps: of the run.

    Watch out: a rule with a norm over all parameters (Prodigy, LAMB over the whole) takes that of the group.
    """

    def __init__(
        self, rule: Rule, group: ParameterGroup, shapes: Sequence[Shape], row: torch.Tensor, *, number: int, steps: int
    ) -> None:
        self._rule, self._ratios, self._number = rule.over(shapes), group.ratios, number
        self.slots: Slots = self._rule.init(row, torch)
        self._update = Update(self._rule, steps)
        self._dtype = row.dtype
        self._table: list[Row] = []
        self._start = 0
        self._noise: Normals | None = None

    def expect(self, trials: Sequence[Trial], start: int, stop: int, row: torch.Tensor) -> None:
        """Have the next steps be start..stop-1 of `trials`, which are bound to the run."""
        table = base.coefficients(trials, start, stop, self._ratios)
        self._update.expect(table, row, self.slots)
        self._table = rows(table, row)
        self._start = start
        if self._rule.takes_noise:
            self._noise = Normals([trial.seed for trial in trials], row, self._number)

    def coefficients(self, index: int, loss: torch.Tensor) -> Row:
        """Return those of step number `index` of the expected ones; loss: of each replica, (replicas,)."""
        now = self._table[index]
        if self._rule.core.takes_loss:
            now = {**now, "loss": loss.to(self._dtype).unsqueeze(-1)}
        return now if self._noise is None else {**now, "noise": self._noise(self._start + index)}

    @property
    def one_pass(self) -> bool:
        """Whether a step reads and writes every array once."""
        return self._update.one_pass

    def step(self, row: torch.Tensor, gradient: torch.Tensor, slots: Slots, c: Row) -> None:
        """Write a step over the rows and the slots, which may be some of the replicas."""
        self._update(row, gradient, slots, c)

    def readout(self, row: torch.Tensor) -> torch.Tensor:
        """Return the parameters to evaluate at."""
        read: torch.Tensor = self._rule.readout(row, self.slots, torch)
        return read

    def keep(self, kept: torch.Tensor) -> None:
        """Go on with some of the replicas, by index."""
        self.slots = tuple(slot[kept] for slot in self.slots)
        self.of(kept)

    def of(self, kept: torch.Tensor) -> None:
        """Take the expected coefficients of some of the replicas."""
        self._table = [some(row, kept) for row in self._table]
        if self._noise is not None:
            self._noise.keep(kept)


def some(row: Row, kept: torch.Tensor | slice) -> Row:
    """Return the coefficients of some replicas."""
    return {name: value[kept] if isinstance(value, torch.Tensor) else value for name, value in row.items()}
