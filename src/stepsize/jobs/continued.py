"""A task that begins in the middle of a training: one snapshot, from which many runs go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stepsize import engines
from stepsize.jobs.lengths import updates_of
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.kernel.numeric import numeric
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.strategy import Strategy, Trial


@numeric
def continued(task: Trainable, strategy: Strategy, steps: int | str, *, seed: int = 0) -> Task:
    """Return `task` whose model begins where a run of `strategy` stood after so many updates.

    Every run of it goes on from this one snapshot of weights and buffers, with a new optimizer: a range test, several
    weight decays, a race.

    strategy: what trains until then; bound to `steps` where its policy is not bound already. steps: optimizer updates,
        or "1 epoch".
    seed: of its initial weights and batches.

    Raises ParameterError for a training function, which builds its own model, and for a length that is none; TaskError
    where the run diverges.

    Watch out: all seeds of a later run begin at the same weights, so that they differ in their batches alone, and say
    less of another training.

    Source: [smith2018disciplined, sec. 4.4], who takes a run whose loss has flattened.
    """
    if not isinstance(task, Task):
        raise ParameterError(f"{task.name!r} builds its own model; go on from a checkpoint inside of its function.")
    task, built = with_data(task), list[Any]()
    steps = updates_of(task, steps)

    def kept() -> Any:
        built.append(task.model())
        return built[-1]

    curves = engines.Loop().run(replace(task, model=kept), [Trial(strategy.bound_to(steps), seed)], steps)
    state = {name: value.detach().clone() for name, value in built[-1].state_dict().items()}
    died, finite = int(curves.died_at[0]), all(each.isfinite().all() for each in built[-1].parameters())
    if died >= 0 or not finite:  # no loss follows the last update
        after = died if died >= 0 else steps
        raise TaskError(f"{strategy.name} diverges on {task.name} after {after} updates; lower its rate.")

    def model() -> Any:
        made = task.model()
        made.load_state_dict(state)
        return made

    return replace(task, model=model, name=f"{task.name} after {steps} steps of {strategy.name}")
