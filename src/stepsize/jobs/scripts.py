"""The code to paste: the recommendation as a complete script in plain PyTorch."""

from __future__ import annotations

from stepsize.adapters.torch import torch_arguments
from stepsize.problems import TASKS, Task
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy

TEMPLATE = """\
import torch

from stepsize import Policy, drive, load_task
from stepsize.schedules import {kinds}

task = {task}  # your model, loss and data
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

FUNCTION = """\
from stepsize import Policy, Strategy, load_task
from stepsize.rules import {rules}
from stepsize.schedules import {kinds}

task = {task}  # your training function
policy = Policy(
{policy}
)
record = task.run(Strategy({rule!r}, policy), steps={steps}, seed={seed})
print(f"score {{record.final[0]:.4f}}")
"""


def script(task: Task, strategy: Strategy, steps: int, seed: int) -> str:
    """Return a script that trains `task` with `strategy` for `steps` updates and prints its validation loss.

    A task that was made in memory, by no name that `load_task` knows, is left for its author to fill in.
    """
    named = task.source or (task.name if task.name in TASKS else "")
    policy = strategy.policy
    kinds = sorted({kind for _, schedule in policy.schedules for kind in _kinds(schedule)})
    words: dict[str, object] = {
        "kinds": ", ".join(kinds),
        "task": f"load_task({named!r})" if named else "...",
        "policy": "\n".join(f"    {key}={schedule!r}," for key, schedule in policy.schedules),
        "seed": seed,
        "steps": steps,
    }
    if task.opaque:
        return FUNCTION.format(rules=type(strategy.rule).__name__, rule=strategy.rule, **words)
    name, arguments = torch_arguments(strategy.rule)
    listed = ", ".join(f"{key}={value!r}" for key, value in {**arguments, "lr": strategy.peak}.items())
    return TEMPLATE.format(optimizer=name, arguments=listed, **words)


def _kinds(schedule: Schedule) -> set[str]:
    """Return the names of the classes that stand in the repr of a schedule."""
    fields = schedule.spec_fields().values()
    inside = [part for value in fields for part in (value if isinstance(value, tuple) else (value,))]
    found = {kind for part in inside if isinstance(part, Schedule) for kind in _kinds(part)}
    kind = type(schedule).__name__
    return found | {kind} if f"{kind}(" in repr(schedule) else found
