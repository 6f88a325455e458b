"""The loop that `tune` makes: its pilot runs, its real run, and what a checkpoint of either needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from stepsize.adapters.torch.driver import Driver, fingerprint
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.torch.losses import held_out
from stepsize.adapters.torch.processes import from_first
from stepsize.adapters.torch.snapshots import Snapshot
from stepsize.engines.base import updates_of
from stepsize.jobs.tune.checkpoint import beginning, go_back
from stepsize.jobs.tune.loop import Loop
from stepsize.jobs.tune.pilots import APART, BLINK, TIMED, LoopTask, PilotRun, Pilots, scored, warn_of_guess
from stepsize.kernel.errors import DriveError, brief
from stepsize.problems.gradient_size import GradientSize
from stepsize.results import Advice
from stepsize.results.io import dumps, loads
from stepsize.strategy import Strategy


class Tuner:
    """Pilot runs in a loop, and then its real run; made by `tune`, and gone through once.

    ::

        for batch in loop: ...               each turn has its rate set already, and tells its loss: loop.tell(loss)

    steps: of the real run. share: of it that the pilot runs may cost.
    """

    def __init__(
        self, models: list[torch.nn.Module], optimizer: torch.optim.Optimizer, loader: Any, others: tuple[Any, ...], *,
        family: Strategy, steps: int, share: float, validate: Callable[[], Any] | None, log: Log | None,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.steps, self.share = steps, share
        self._models, self._family, self._validate, self._log = models, family, validate, log
        self._loop, self._things, self._options = Loop(optimizer, loader), (*models, optimizer, *others), options
        Driver(optimizer, family.policy, steps, 0, feedback=None, log=None)  # finds the ratios of the groups, for good
        self._kept: Snapshot | None = None
        self._begin: Mapping[str, Any] | None = None
        self._task: LoopTask | None = None
        self._finished: list[PilotRun] = []
        self._answer: Advice | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of the pilot runs, and then those of the real run, each with its rate set."""
        if self._answer is None:
            yield from self.pilot_runs()
        yield from self._loop.go_on(self._loop.driver or self._driven())

    def tell(self, loss: Any) -> None:
        """Take the loss of this turn's batch: a number or a tensor of one; of several in a turn their mean counts.

        Raises TaskError for a tensor of several numbers.
        """
        if self._kept is not None:
            self._loop.losses.add(loss)

    @property
    def piloting(self) -> bool:
        """Whether this is a pilot run, after which everything is put back: then neither log nor save."""
        return self._answer is None

    @property
    def answer(self) -> Advice:
        """What the pilot runs found: the strategy, its rate, where the best one lies, and every run; a result to save.

        Raises DriveError until they are over.
        """
        if self._answer is None:
            raise DriveError("the pilot runs are not over, so there is no answer yet; read it while `not piloting`.")
        return self._answer

    @property
    def step(self) -> int:
        """The update that comes next in the run at hand, counted from 0."""
        return 0 if self._loop.driver is None else self._loop.driver.step

    @property
    def epoch(self) -> int:
        """How many passes over the loader are over in the run at hand."""
        return self._loop.epochs.epoch

    # pilot runs

    def pilot_runs(self) -> Generator[Any, None, None]:
        """Yield the batches of the pilot runs alone; everything is put back at their end, or when this is closed.

        Raises DriveError where they are being made already.
        """
        if self._kept is not None:
            raise DriveError("this loop is in a pilot run already; go through it in one place.")
        if self._begin is not None:
            go_back(self._things, self._begin)
            self._begin = None
        self._kept = Snapshot(*self._things, **self._options)
        try:
            answer = yield from self._searched(self._kept)
        finally:
            kept, self._kept = self._kept, None
            self._loop.leave()
            kept.restore()
        self._answer = answer
        warn_of_guess(answer)

    def _searched(self, kept: Snapshot) -> Generator[Any, None, Advice]:
        if self._task is None:
            self._task = yield from self._measured()
            kept.put_back()
        pilots = Pilots(self._task, self._family, self.share, self._finished)
        while (run := from_first(pilots.next)) is not None:
            losses = yield from self._loop.run(self._family.at(run.rate).policy, run.steps)
            over = scored(run, losses, None if self._validate is None else self._held_out)
            kept.put_back()
            self._finished.append(over)
            from_first(partial(pilots.learn, over))
        return from_first(pilots.answer)

    def _measured(self) -> Generator[Any, None, LoopTask]:
        """Yield the batches of a few updates that move nothing, and return what they show."""
        held_out, seconds = self._timed()
        losses = yield from self._loop.rehearse()
        size, cost = self._loop.first_gradient, self._cost(seconds)
        if cost:  # or the first call had to warm up, or to wait for others
            cost = self._cost(min(seconds, *(self._timed()[1] for _ in range(TIMED - 1))))
        if size is not None:
            size = replace(size, loss=losses[0])
        return self._known(held_out, losses, size, cost)

    def _timed(self) -> tuple[float | None, float]:
        """Return the held-out loss, None where there is none, and the seconds that it took."""
        if self._validate is None:
            return None, 0.0
        began = time.perf_counter()
        return self._held_out(), time.perf_counter() - began

    def _cost(self, seconds: float) -> float:
        """Return what a validation of so many seconds costs in updates; what disturbs a clock only adds to it."""
        return from_first(lambda: updates_of(seconds, self._loop.seconds, APART) if seconds > BLINK else 0.0)

    def _known(
        self, held_out: float | None, rested: list[float], first_gradient: GradientSize | None,
        validation_updates: float,
    ) -> LoopTask:  # fmt: skip
        name = type(self._models[0]).__name__
        return LoopTask(
            name, self.steps, held_out, rested, first_gradient, self._family.rule, validation_updates
        )  # fmt: skip

    def _held_out(self) -> float:
        return self._loop.losses.mean(math.nan if self._validate is None else held_out(self._validate, self._models))

    def _driven(self) -> Driver:
        return Driver(self._loop.optimizer, self.answer.policy, self.steps, 0, feedback=None, log=self._log)

    # checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside the model, the optimizer and the scaler: plain data and tensors.

        In the real run that is the answer, the step, and where among the batches the loop is, with the generators. In a
        pilot run it is what the loop began with, a copy of the model too, and the pilot runs that are over.
        """
        task, driver = self._task, None if self.piloting else self._loop.driver
        return {
            **self._asked(),
            "task": None if task is None else _plain_task(task),
            "finished": [asdict(each) for each in self._finished],
            "answer": None if self._answer is None else dumps(self._answer),
            "driver": None if driver is None else driver.state_dict(),
            "epochs": None if driver is None else self._loop.epochs.state_dict(),
            "begin": self._beginning(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved state, whether model and optimizer are loaded before or after.

        The real run goes on at its step and batch; a pilot run is made anew, from what the loop had begun with.

        Raises DriveError for a state of another policy, share or length.
        """
        mine = self._asked()
        saved = {name: state_dict.get(name) for name in mine}
        if saved != mine:
            raise DriveError(
                f"this checkpoint is of a loop that was tuned otherwise: {brief(saved)}, and this is {brief(mine)}. "
                "Make it as it was made then, or start anew."
            )
        self._finished = [PilotRun(**each) for each in state_dict["finished"]]
        if state_dict["task"] is not None:
            held_out, rested, gradient, validation = state_dict["task"]
            self._task = self._known(held_out, rested, gradient and GradientSize(*gradient), validation)
        self._begin = state_dict["begin"]
        self._answer = None if state_dict["answer"] is None else loads(state_dict["answer"], Advice)
        if state_dict["driver"] is not None:
            self._loop.driver = self._driven()
            self._loop.driver.load_state_dict(state_dict["driver"])
            self._loop.epochs.load_state_dict(state_dict["epochs"])

    def _asked(self) -> dict[str, Any]:
        return {"steps": self.steps, "share": self.share, "spec": fingerprint(self._family.policy)}

    def _beginning(self) -> Mapping[str, Any] | None:
        """Return what the loop began with, while it is in a pilot run."""
        if self._kept is None:
            return self._begin
        now = Snapshot(*self._things, **self._options)
        self._kept.put_back()
        try:
            return beginning(self._things)
        finally:
            now.restore()

    def __repr__(self) -> str:
        doing = "piloting" if self.piloting else str(self.answer)
        return f"Tuner(steps={self.steps}, share={self.share}, step={self.step}, {doing})"


def _plain_task(task: LoopTask) -> tuple[Any, ...]:
    size = task.first_gradient
    gradient = None if size is None else list(asdict(size).values())
    return task.held_out, list(task.rested), gradient, task.validation_updates
