"""Which engine runs a task, and why: whether it can be vectorised, and what a short timing says."""

from __future__ import annotations

import time

from stepsize import engines
from stepsize.engines import base
from stepsize.engines.base import Engine, EngineChoice
from stepsize.engines.function import Function, FunctionTask
from stepsize.policies import constant
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

ROUNDS, STEPS = 3, 6
"""Of a timing, and updates of a batch in each. The fastest counts: whatever else the machine does only adds to it."""

CLEAR = 0.7
"""Below this ratio of times a first short timing is enough."""


def choose(task: Trainable, before: tuple[str, str] | None = None) -> EngineChoice:
    """Return the ensemble where the model can be vectorised and that is faster, else the loop, and why.

    before: the label and the reason of what was chosen for this task before; it runs it again, and nothing is timed.

    Watch out: near the border, and on a busy machine, the next call may choose the other engine.

    Raises TaskError when the task cannot be trained at all, or when there is too little memory.
    """
    if isinstance(task, FunctionTask):
        return EngineChoice(Function())
    task = with_data(task)
    reason = engines.refusal(task)
    ensemble, loop = engines.Ensemble(), engines.Loop()
    if reason is not None:
        return EngineChoice(loop, f"the model cannot be vectorised ({reason})")
    for engine in (ensemble, loop):
        if before is not None and before[0] == engine.label:
            return EngineChoice(engine, before[1])
    size = ensemble.most(task, _trials(1)[0])
    if size == 1:
        return EngineChoice(loop, "replicas of this size do not gain from each other's company")
    ratio = ratio_of_times(task, size)
    if ratio >= 1:
        return EngineChoice(loop, f"{size} replicas at once would take {ratio:.1f} times as long")
    return EngineChoice(ensemble, "the model can be vectorised, and replicas at once are faster")


def ratio_of_times(task: Task, size: int) -> float:
    """Return the time of updates in a batch of `size` over that of as many by the loop, both timed in turn.

    A few updates of each come first. On a busy machine the longer stretches of work, those of a batch, are interrupted
    more, so that where the batch is clearly faster in them, it is.
    """
    task, alone, together = base.with_two_validation_samples(task), engines.Loop(), engines.Ensemble(size)
    first = _seconds(together, task, size, STEPS) / _seconds(alone, task, 1, STEPS)
    if first < CLEAR:
        return first
    rounds = [(_seconds(together, task, size, STEPS), _seconds(alone, task, 1, STEPS * size)) for _ in range(ROUNDS)]
    return min(ours for ours, _ in rounds) / min(theirs for _, theirs in rounds)


def _seconds(engine: Engine, task: Task, replicas: int, steps: int) -> float:
    """Return the seconds that an update of one of so many replicas takes, on average."""
    marks: list[float] = []
    engine.run(task, _trials(replicas), steps, progress=lambda _: marks.append(time.perf_counter()))
    return (marks[-2] - marks[0]) / (steps - 2) / replicas  # without the first update, and the last with its score


def _trials(count: int) -> list[Trial]:
    strategy = Strategy(AdamW(), constant(1e-4))
    return [Trial(strategy, index % 2) for index in range(count)]
