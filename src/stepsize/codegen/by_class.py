"""What a script has of an optimizer by its class: the class with its arguments, in plain torch, and a policy."""

from __future__ import annotations

from stepsize.rules import TorchRule
from stepsize.strategy import Strategy

CLOSURE = """
    def closure():
        optimizer.zero_grad()
        loss = task.loss(model(inputs), targets)
        loss.backward()
        return loss

    optimizer.step(closure)"""
"""An update in a loop of torch, four spaces deep, of a class that computes the loss itself."""


def made(strategy: Strategy, rule: TorchRule, model: str) -> dict[str, str]:
    """Return the code of the policy, of the optimizer of a model, and of an update, by the fields of a template."""
    moves = "\n".join(f"    {name}={schedule!r}," for name, schedule in strategy.policy.schedules)
    given = "".join(f", {name}={value!r}" for name, value in rule.arguments)
    modes = "\noptimizer.train()" if rule.averages else ""
    return {
        "strategy": f"policy = Policy(  # {' '.join(strategy.name.split())}\n{moves}\n)",
        "policy": "policy",
        "built": f"{rule.optimizer}({model}.parameters(){given}){modes}",
        "step": CLOSURE if rule.closure else "optimizer.step()",
    }
