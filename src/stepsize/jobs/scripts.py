"""The code to paste: the recommendation as a complete script in plain PyTorch."""

from __future__ import annotations

from stepsize import schedules
from stepsize.adapters.torch import torch_arguments
from stepsize.schedules import Chain, Scaled, Schedule, Sum
from stepsize.strategy import Strategy

TEMPLATE = """\
import torch

from stepsize import Policy, drive, load_task
from stepsize.schedules import {kinds}

task = load_task({task!r})  # your model, loss and data
model = task.build(seed={seed})
optimizer = torch.optim.{optimizer}(model.parameters(), {arguments})
policy = Policy(
{policy}
)
for step in drive(optimizer, policy, steps={steps}):
    inputs, targets = task.batch(step, seed={seed})
    optimizer.zero_grad()
    task.loss(model(inputs), targets).backward()
    optimizer.step()
print(f"validation loss {{task.score(model):.4f}}")
"""


def script(task: str, strategy: Strategy, steps: int, seed: int) -> str:
    """Return a script that trains `task` with `strategy` for `steps` updates and prints its validation loss."""
    name, arguments = torch_arguments(strategy.rule)
    policy = strategy.policy
    kinds = sorted({kind for _, schedule in policy.schedules for kind in _kinds(schedule)})
    return TEMPLATE.format(
        kinds=", ".join(kinds),
        task=task,
        seed=seed,
        optimizer=name,
        arguments=", ".join(f"{key}={value!r}" for key, value in {**arguments, "lr": strategy.peak}.items()),
        policy="\n".join(f"    {key}={schedule!r}," for key, schedule in policy.schedules),
        steps=steps,
    )


def _kinds(schedule: Schedule) -> set[str]:
    if isinstance(schedule, Chain):
        return {kind for part in schedule.parts for kind in _kinds(part)}
    if isinstance(schedule, Scaled):
        return _kinds(schedule.schedule)
    if isinstance(schedule, Sum):
        return _kinds(schedule.first) | _kinds(schedule.second)
    kind = type(schedule).__name__
    return {kind} if hasattr(schedules, kind) else set()
