"""Pools: where waves run. A pool retries nothing and decides nothing; it says what became of what it was given.

::

    pool.free                      how many more waves it would start now
    pool.submit(key, order, tell)  start one
    pool.poll(seconds)             what ended since: (key, "ok" | "error" | "lost", payload)
    pool.abandon(key, reason)      end what runs this one; it is lost then
    pool.close()                   end everything

"ok" brings the record, "error" the exception that the task raised, "lost" a reason in words: the worker died, was
killed, or its machine is gone, and nothing is known of the wave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from stepsize.engines.base import Engine
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.problems import Task
from stepsize.results.curves import Curves
from stepsize.strategy import Trial

Outcome = tuple[int, Literal["ok", "error", "lost"], Curves | Exception | str]
"""The key of a wave, how it ended, and the record, the exception or the reason."""

Tell = Callable[[int], None]
"""Told how many replica-steps of a wave were done since it was last told."""


@dataclass(frozen=True, eq=False)
class Order:
    """One wave: some trials that run at once, by an engine, on a task.

    steps: of each trial, optimizer updates. score_every: see `Engine.run`.
    """

    task: Task
    engine: Engine
    trials: tuple[Trial, ...]
    steps: int
    score_every: int | None = None

    def run(self, tell: Tell | None = None) -> Curves:
        """Run it here and now."""
        return self.engine.run(self.task, self.trials, self.steps, score_every=self.score_every, progress=tell)


class Pool(Protocol):
    """What every pool can do; the numbers of a race do not depend on which one it was."""

    @property
    def label(self) -> str:
        """Where waves run, in a few words; "" for this process."""

    @property
    def free(self) -> int:
        """How many more waves it would start now."""

    def submit(self, key: int, order: Order, tell: Tell) -> None:
        """Start a wave."""

    def poll(self, seconds: float) -> list[Outcome]:
        """Return the waves that ended, after waiting for one for at most `seconds`."""

    def abandon(self, key: int, reason: str) -> None:
        """End what runs a wave; the next poll says that it is lost, and why."""

    def close(self) -> None:
        """End everything that it started."""


class Inline:
    """This process, one wave at a time.

    Watch out: a wave that hangs hangs the race, and one that eats all memory takes the race with it; the journal then
    has all but that wave.
    """

    label = ""

    def __init__(self) -> None:
        self._given: tuple[int, Order, Tell] | None = None

    @property
    def free(self) -> int:
        """One, until it is given a wave."""
        return int(self._given is None)

    def submit(self, key: int, order: Order, tell: Tell) -> None:
        """Keep a wave for the next poll."""
        self._given = key, order, tell

    def poll(self, seconds: float) -> list[Outcome]:  # noqa: ARG002  (it waits for as long as the wave takes)
        """Run the wave that was given."""
        if self._given is None:
            return []
        (key, order, tell), self._given = self._given, None
        try:
            return [(key, "ok", order.run(tell))]
        except Exception as error:  # noqa: BLE001  (what a task raises is the race's to judge)
            return [(key, "error", error)]

    def abandon(self, key: int, reason: str) -> None:  # noqa: ARG002  (nothing runs between two polls)
        """Forget the wave that was given."""
        self._given = None

    def close(self) -> None:
        """Forget the wave that was given."""
        self._given = None


def portable(error: Exception) -> StepsizeError:
    """Return an exception that another process can read: ours as it is, any other as a TaskError with its words."""
    return error if isinstance(error, StepsizeError) else TaskError(f"{type(error).__name__}: {error}")
