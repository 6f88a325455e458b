"""What scripts are made of: a strategy as code, what that imports, the task, and how the end is scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stepsize import rules, schedules
from stepsize.codegen import by_class
from stepsize.kernel.spec import Spec
from stepsize.problems import TASKS
from stepsize.rules import Rule, TorchRule
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy

PUBLIC = (("stepsize.rules", rules), ("stepsize.schedules", schedules))
"""Where our rules and schedules are imported from."""


@dataclass(frozen=True)
class Framework:
    """A framework, and the script that trains in it.

    title: how sentences call it. template: with the fields `imports`, `strategy`, `policy`, `built`, `task`, `steps`,
    `seed`, `step`, and `report`. names: what it imports from `stepsize` itself. adapter: a line that imports from our
    adapter. builds: the model that it builds an optimizer of; empty where an adapter makes one.
    model, optimizer: what the script calls the trained torch model and its optimizer.
    lacks: says in a clause what of a strategy it has no equal of; empty where it has all.
    """

    title: str
    template: str
    names: tuple[str, ...] = ()
    adapter: str = ""
    builds: str = ""
    model: str = ""
    optimizer: str = "optimizer"
    lacks: Callable[[Strategy], str] = lambda _: ""

    def script(self, task: str, strategy: Strategy, steps: int, seed: int, batch_size: int = 0) -> str:
        """Return the script that trains `task` with `strategy` for `steps` updates, and prints its validation loss.

        batch_size: where it is not the task's own; 0 where it is.
        """
        known = loadable(task)
        loaded = f"load_task({quoted(task)})"
        return self.template.format(
            imports="\n".join(self._imports(strategy, known=known, resized=known and batch_size > 0)),
            **self._made(strategy),
            task=f"replace({loaded}, batch_size={batch_size})" if known and batch_size else loaded if known else "...",
            steps=steps,
            seed=seed,
            report=report(strategy.rule, self.model, self.optimizer),
        )

    def _made(self, strategy: Strategy) -> dict[str, str]:
        """Return the code of a strategy, and what is made of it: of a rule of ours, or of a class in plain torch."""
        if isinstance(strategy.rule, TorchRule):
            return by_class.made(strategy, strategy.rule, self.builds)
        return {
            "strategy": strategy_code(strategy),
            "policy": "strategy.policy",
            "built": f"build_optimizer({self.builds}, strategy)",
            "step": "optimizer.step(lambda: loss)" if strategy.rule.core.takes_loss else "optimizer.step()",
        }

    def _imports(self, strategy: Strategy, *, known: bool, resized: bool) -> Iterator[str]:
        if resized:
            yield "from dataclasses import replace\n"
        names = {"Policy", "Strategy", *self.names, *(["load_task"] if known else [])}
        if isinstance(strategy.rule, TorchRule):
            names -= {"Strategy", "build_optimizer"}
            line = f"import {strategy.rule.package}\n"
            if line not in self.template:
                yield line
        yield f"from stepsize import {', '.join(sorted(names, key=lambda name: (name[0].islower(), name)))}"
        if self.adapter:
            yield self.adapter
        found: dict[str, set[str]] = defaultdict(set)
        for kind in kinds(strategy):
            found[module_of(kind)].add(kind.__name__)
        for module, inside in sorted(found.items()):
            yield f"from {module} import {', '.join(sorted(inside))}"


def loadable(task: str) -> bool:
    """Whether `task` is a name that `load_task` takes: one that was made in memory has none."""
    return task in TASKS or task.endswith(".py") or task.rpartition(":")[0].endswith(".py")


def strategy_code(strategy: Strategy) -> str:
    """Return the statement that makes `strategy`."""
    moves = "\n".join(f"        {name}={schedule!r}," for name, schedule in strategy.policy.schedules)
    return (
        f"strategy = Strategy(\n    {strategy.rule!r},\n    Policy(\n{moves}\n    ),\n    {quoted(strategy.name)},\n)"
    )


def kinds(strategy: Strategy) -> set[type[Spec]]:
    """Return the classes that the code of a strategy names; raise SpecError for a `Custom` schedule, a function."""
    values: list[object] = [schedule for _, schedule in strategy.policy.schedules]
    values += [strategy.rule] if strategy.rule.formula else []
    return {kind for value in values for kind in _inside(value)}


def _inside(value: object) -> Iterator[type[Spec]]:
    """Yield the classes in the repr of a rule or a schedule; operators have none there."""
    if isinstance(value, tuple):
        for each in value:
            yield from _inside(each)
    elif isinstance(value, Rule | Schedule):
        if f"{type(value).__name__}(" in repr(value):
            yield type(value)
        yield from _inside(tuple(value.spec_fields().values()))


def module_of(kind: type[Spec]) -> str:
    """Return the module that `kind` is imported from: the public one for what is ours."""
    name = kind.__name__
    return next((public for public, module in PUBLIC if getattr(module, name, None) is kind), kind.__module__)


def quoted(text: str) -> str:
    """Return a string as code."""
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)


def report(rule: Rule, model: str, optimizer: str) -> str:
    """Return the statement that prints the score of a torch model, at the average where a rule has one."""
    said = f'print(f"{{task.scored}} {{task.score({model}):.4f}}")'
    if not rule.formula:
        return f"{optimizer}.eval()\n{said}" if rule.averages else said
    return f"with {optimizer}.averaged():\n    {said}" if rule.averages else said
