"""Which engine runs a task, and why: whether it can be vectorised, and whether a step of it is small.

What a loop spends beside arithmetic is the same for a small step and a large one, so replicas at once gain where the
arrays of a step are small. Measured on 25 perceptrons, convolution nets and transformers, an ensemble takes .08 to 1 of
a loop's time where at least six replicas fit into the cache, and .6 to 1.2 of it where fewer do (bench/README.md).
"""

from __future__ import annotations

from stepsize import engines
from stepsize.engines.base import Engine, EngineChoice
from stepsize.engines.function import Function, FunctionTask
from stepsize.policies import constant
from stepsize.problems import Trainable
from stepsize.problems.base import with_data
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

FEWEST = 6
"""Replicas that fit into the cache together, from which on they are run at once."""


def choose(task: Trainable, before: tuple[str, str] | None = None) -> EngineChoice:
    """Return the ensemble where the model can be vectorised and its steps are small, else the loop, and why.

    Nothing is timed: the same task has the same engine on a busy machine too. before: the label and the reason of what
    was chosen for this task before; it runs it again.

    Raises TaskError when the task cannot be trained at all, or when there is too little memory.
    """
    if isinstance(task, FunctionTask):
        return EngineChoice(Function())
    task = with_data(task)
    reason = engines.refusal(task)
    loop = engines.Loop()
    if reason is not None:
        return EngineChoice(loop, f"the model cannot be vectorised ({reason})")
    ensemble = engines.Ensemble()
    known: tuple[Engine, ...] = (ensemble, loop)
    for engine in known:
        if before is not None and before[0] == engine.label:
            return EngineChoice(engine, before[1])
    size = ensemble.most(task, Trial(Strategy(AdamW(), constant(1e-4)), 0))
    if size < FEWEST:
        return EngineChoice(loop, f"its steps are large: {size} at once would be no faster than one after the other")
    return EngineChoice(ensemble, "the model can be vectorised, and its steps are small")
