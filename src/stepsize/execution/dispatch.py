"""Carrying out a table of waves: every decision about retries, splits and time limits is made here, for every pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stepsize.execution.pool import Order, Outcome
from stepsize.execution.trial_queue import Clock, Table, Wave
from stepsize.execution.workers import Place
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.results import Curves

LOOK = 0.5
"""Seconds between two looks at waves that may have run for too long."""


@dataclass(frozen=True)
class Dispatch:
    """Runs all waves of a table.

    order: what a wave is to run. keep: told what is finished. tell: told the replica-steps that are done.
    """

    table: Table
    place: Place
    clock: Clock
    order: Callable[[Wave], Order]
    keep: Callable[[Wave, Curves], None]
    tell: Callable[[int], None]

    def carry_out(self) -> None:
        """Run the waves, until each is finished or given up.

        Raises what is not the fault of single trials: an engine that refuses the strategies, workers that do not start.
        """
        try:
            while self.table.open:
                self._submit()
                ended, wall, used = self.place.poll(LOOK)
                for outcome in ended:
                    wave = self._settle(outcome)
                    if wave is not None and not self.table.running:
                        self.place.consider(self.order(wave), wall, used, len(self.table.waiting))
                self._end_late()
        finally:
            for key in self.table.running:
                self.place.pool.abandon(key, "the race has ended")

    def _submit(self) -> None:
        while self.table.waiting and self.place.pool.free:
            key, wave = self.table.start()
            self.place.pool.submit(key, self.order(wave), self._telling(wave))

    def _telling(self, wave: Wave) -> Callable[[int], None]:
        return lambda updates: self.tell(wave.advance(updates))

    def _settle(self, outcome: Outcome) -> Wave | None:
        """Note how a wave ended, and return it if it is finished; a wave of an earlier run is none of ours."""
        key, _, payload = outcome
        wave = self.table.running.pop(key, None)
        if wave is None:
            return None
        if isinstance(payload, Curves):
            self.clock.finished(payload.seconds, payload.steps)
            self.keep(wave, payload)
            self.tell(max(0, len(wave.trials) * payload.steps - wave.told))
            return wave
        if isinstance(payload, Exception):
            if isinstance(payload, StepsizeError) and not isinstance(payload, TaskError):
                raise payload
            self.table.broken(wave, payload)
        else:
            self.table.lost(wave, payload, weight=2 if wave.late else 1)
        return None

    def _end_late(self) -> None:
        for key, wave in list(self.table.running.items()):
            limit = self.clock.limit(self.order(wave).steps)
            if wave.seconds > limit and not wave.late:
                wave.late = True
                self.place.pool.abandon(key, f"it ran for longer than its {limit:.0f} seconds")
