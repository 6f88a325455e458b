"""The frameworks that there is a script for, and what each cannot do."""

from __future__ import annotations

from stepsize.codegen.function import FUNCTION
from stepsize.codegen.keras import KERAS
from stepsize.codegen.lightning import LIGHTNING
from stepsize.codegen.optax import OPTAX
from stepsize.codegen.torch import TORCH
from stepsize.codegen.transformers import TRANSFORMERS
from stepsize.kernel.errors import ParameterError, brief, suggestion
from stepsize.strategy import Strategy

FRAMEWORKS = {each.title: each for each in (TORCH, LIGHTNING, TRANSFORMERS, OPTAX, KERAS)}
"""By name, the plainest first."""


def script(framework: str, task: str, strategy: Strategy, steps: int, seed: int, *, batch_size: int = 0) -> str:
    """Return a script in `framework` that trains `task` with `strategy`, and prints its validation loss.

    task: its name as `load_task` takes it; one that was made in memory is left to be filled in. steps: optimizer
    updates. seed: of the initial weights and the batches. batch_size: where it is not the task's own; 0 where it is.

    Raises ParameterError for an unknown framework, and for one that has no equal of the strategy's rule; SpecError for
    a schedule that is a function.
    """
    if framework not in FRAMEWORKS:
        raise ParameterError(f"there is no code for {brief(framework)}. {suggestion(str(framework), FRAMEWORKS)}")
    missing = FRAMEWORKS[framework].lacks(strategy)
    if missing:
        able = ", ".join(name for name, each in FRAMEWORKS.items() if not each.lacks(strategy))
        raise ParameterError(f"{strategy.name!r} does not run in {framework}: {missing}. It does in {able}.")
    return FRAMEWORKS[framework].script(task, strategy, steps, seed, batch_size)


def function_script(task: str, strategy: Strategy, steps: int, seed: int) -> str:
    """Return the script that runs a training function, `task`, with `strategy`."""
    return FUNCTION.script(task, strategy, steps, seed)
