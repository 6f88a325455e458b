"""The table of a run: which waves wait, which run, how often each was lost, and what became of every trial."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

RETRIES = 2
"""How often a lost wave is run again, whole, before it is split."""

FEWEST, GENEROUS = 60.0, 20.0
"""The time limit of a wave: at least so many seconds, and so many times what its steps took the slowest wave yet."""

_KEYS = itertools.count()  # of waves; unique in this process, so that a pool never mixes up two runs


@dataclass(eq=False)
class Wave:
    """Some trials that run at once.

    trials: by index. lost: how often it was lost. done, told: replica-steps of this attempt, and of the best one yet.
    began: when. late: whether it ran over its limit, and was ended.
    """

    trials: tuple[int, ...]
    lost: int = 0
    done: int = 0
    told: int = 0
    began: float = field(default_factory=time.monotonic)
    late: bool = False

    def advance(self, updates: int) -> int:
        """Add `updates` to what is done, and return how many of them are new."""
        self.done += updates
        new = max(0, self.done - self.told)
        self.told += new
        return new

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began


class Table:
    """The waves of one run.

    failed: the reason of each trial that failed, by index.
    """

    def __init__(self, waves: Iterable[Iterable[int]]) -> None:
        self.waiting = deque(Wave(tuple(wave)) for wave in waves)
        self.running: dict[int, Wave] = {}
        self.failed: dict[int, str | Exception] = {}

    @property
    def open(self) -> bool:
        """Whether anything is left to run."""
        return bool(self.waiting or self.running)

    def start(self) -> tuple[int, Wave]:
        """Take the next wave, and return it with a new key."""
        key, wave = next(_KEYS), self.waiting.popleft()
        wave.began, wave.done, wave.late = time.monotonic(), 0, False
        self.running[key] = wave
        return key, wave

    def lost(self, wave: Wave, reason: str, *, weight: int = 1) -> None:
        """Run a lost wave again, at most twice; then split it, and give up on a trial by itself."""
        wave.lost += weight
        if wave.lost <= RETRIES:
            self.waiting.append(wave)
        else:
            self.broken(wave, reason)

    def broken(self, wave: Wave, reason: str | Exception) -> None:
        """Split a wave that fails into single trials; a single one has failed."""
        if len(wave.trials) == 1:
            self.failed[wave.trials[0]] = reason
        else:
            told = wave.told // len(wave.trials)
            self.waiting.extend(Wave((trial,), told=told) for trial in wave.trials)


class Clock:
    """How long a wave may run.

    given: seconds, or None for a generous multiple of what the finished waves took for a step.
    """

    def __init__(self, given: float | None) -> None:
        self._given = given
        self._slowest = 0.0

    def finished(self, seconds: float, steps: int) -> None:
        """Learn from a wave that took `seconds` for `steps` steps."""
        self._slowest = max(self._slowest, seconds / steps)

    def limit(self, steps: int) -> float:
        """Return how many seconds a wave of `steps` steps may take; infinity while nothing is known."""
        if self._given is not None:
            return self._given
        return max(FEWEST, GENEROUS * self._slowest * steps) if self._slowest else float("inf")
