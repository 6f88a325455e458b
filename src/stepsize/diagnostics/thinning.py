"""A record of a run whose length nobody knows: every step at first, then ever fewer, evenly."""

from __future__ import annotations

from typing import Generic, TypeVar

from stepsize.kernel.errors import ParameterError

T = TypeVar("T")


class Thinned(Generic[T]):
    """Keeps what was recorded at every `stride`-th step; whenever `2 * most` entries are full, every other one goes.

    So a run of any length leaves between `most` and `2 * most` entries, evenly spaced from step 0, and costs
    `most * log2(steps / most)` recordings.

    Raises ParameterError for a `most` below 1.

    >>> kept = Thinned(2)
    >>> for step in range(20):
    ...     if kept.due(step):
    ...         kept.add(step, step)
    >>> kept.steps, kept.stride
    ([0, 8, 16], 8)
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ParameterError(f"most must be a whole number of at least 1, how many to keep, not {most!r}.")
        self.most = most
        self.stride = 1
        self.steps: list[int] = []
        self.entries: list[T] = []

    def due(self, step: int) -> bool:
        """Whether `step` is to be recorded."""
        return step % self.stride == 0

    def add(self, step: int, entry: T) -> None:
        """Keep `entry`, and thin what is there when it has become too much."""
        self.steps.append(step)
        self.entries.append(entry)
        if len(self.steps) >= 2 * self.most:
            self.stride *= 2
            kept = [i for i, at in enumerate(self.steps) if at % self.stride == 0]
            self.steps = [self.steps[i] for i in kept]
            self.entries = [self.entries[i] for i in kept]
