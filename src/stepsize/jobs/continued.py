"""A task that begins in the middle of a training: one snapshot, from which many runs go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stepsize import engines
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.strategy import Strategy, Trial


def continued(task: Trainable, strategy: Strategy, steps: int, *, seed: int = 0) -> Task:
    """Return `task` whose model begins where a run of `strategy` stood after so many updates.

    Every run of it goes on from this one snapshot of weights and buffers, with a new optimizer: a range test, several
    weight decays, a race.

    strategy: what trains until then; bound to `steps` where its policy is not bound already. steps: optimizer updates.
    seed: of its initial weights and batches.

    Raises ParameterError for a training function, which builds its own model, and for steps below 1; TaskError where
    the run diverges.

    Watch out: all seeds of a later run begin at the same weights, so that they differ in their batches alone, and say
    less of another training.

    Source: [smith2018disciplined, sec. 4.4], who takes a run whose loss has flattened.
    """
    if not isinstance(task, Task):
        raise ParameterError(f"{task.name!r} builds its own model; go on from a checkpoint inside of its function.")
    if steps < 1:
        raise ParameterError(f"a run that is continued has made at least one update, not {steps!r}.")
    task, built = with_data(task), list[Any]()

    def kept() -> Any:
        built.append(task.model())
        return built[-1]

    curves = engines.Loop().run(replace(task, model=kept), [Trial(strategy.bound_to(steps), seed)], steps)
    if curves.died_at[0] >= 0:
        raise TaskError(f"{strategy.name} diverges on {task.name} after {curves.died_at[0]} updates; lower its rate.")
    state = {name: value.detach().clone() for name, value in built[-1].state_dict().items()}

    def model() -> Any:
        made = task.model()
        made.load_state_dict(state)
        return made

    return replace(task, model=model, name=f"{task.name} after {steps} steps of {strategy.name}")
