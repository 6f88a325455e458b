"""What scripts are made of: a strategy as code, what that imports, the task, and how the end is scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stepsize import rules, schedules
from stepsize.catalogue import RULES
from stepsize.kernel.spec import Spec
from stepsize.policies import RECIPES
from stepsize.problems import TASKS
from stepsize.rules import Rule, TorchRule
from stepsize.schedules import Chain, Constant, Cycle, Scaled, Schedule, Segment
from stepsize.strategy import Strategy, describe_rule, is_described

PUBLIC = (("stepsize.rules", rules), ("stepsize.schedules", schedules))
"""Where our rules and schedules are imported from."""


LEVELS = {"start", "end", "level", "base", "peak"}
"""The fields that are values of a schedule, so that a factor multiplies them."""

CLOSURE = """
    def closure():
        optimizer.zero_grad()
        loss = task.loss(model(inputs), targets)
        loss.backward()
        return loss

    optimizer.step(closure)"""
"""An update in a loop of torch, four spaces deep, of a class that computes the loss itself."""

WITH_GROUPS = "from stepsize.adapters.torch.task_groups import group_policy, with_groups"
"""What makes an optimizer of the parameter groups of a task, and moves them at their ratios."""


@dataclass(frozen=True)
class Framework:
    """A framework, and the script that trains in it.

    title: how sentences call it. template: with the fields `imports`, `strategy`, `policy`, `built`, `task`, `steps`,
    `seed`, `step`, `size`, `accumulate`, `notes`, and `report`. own: the template of a task of the user's own, which
    may clip, accumulate and more; empty where it is the same. note: a line on what that leaves out.
    names: what it imports from `stepsize` itself. adapter: a line that imports from our adapter.
    builds: the model that it builds an optimizer of; empty where an adapter makes one. trained: what the script calls
    that where the policy is given. model, optimizer: what it calls the trained torch model and its optimizer.
    lacks: says in a clause what of a strategy it has no equal of; empty where it has all.
    """

    title: str
    template: str
    names: tuple[str, ...] = ()
    adapter: str = ""
    builds: str = ""
    trained: str = ""
    own: str = ""
    note: str = ""
    model: str = ""
    optimizer: str = "optimizer"
    lacks: Callable[[Strategy], str] = lambda _: ""

    def script(self, task: str, strategy: Strategy, steps: int, seed: int, batch_size: int = 0) -> str:
        """Return the script that trains `task` with `strategy` for `steps` updates, and prints its validation loss.

        batch_size: where it is not the task's own; 0 where it is.
        """
        known, by_recipe, own = loadable(task), is_recipe(strategy, steps), task not in ("", *TASKS)
        loaded = f"load_task({quoted(task)})"
        template = self.own if own and self.own else self.template
        return template.format(
            imports="\n".join(
                self._imports(strategy, by_recipe=by_recipe, known=known, resized=known and batch_size > 0, own=own)
            ),
            **self._made(strategy, by_recipe=by_recipe, own=own),
            task=f"replace({loaded}, batch_size={batch_size})" if known and batch_size else loaded if known else "...",
            steps=steps,
            seed=seed,
            notes=f"\n{self.note}" if own and self.note else "",
            report=report(strategy.rule, self.model, self.optimizer),
        )

    def _made(self, strategy: Strategy, *, by_recipe: bool, own: bool) -> dict[str, str]:
        """Return the code of a strategy, and what is made of it: of a rule of ours, or of a class in plain torch."""
        rule, tensors = strategy.rule, "groups" if own else self.builds
        if isinstance(rule, TorchRule):
            made = _made_by_class(strategy, rule, tensors if own else f"{tensors}.parameters()")
        else:
            made = {
                "strategy": strategy_code(strategy, by_recipe=by_recipe),
                "policy": "strategy.policy",
                "built": f"build_optimizer({tensors}, strategy)",
            }
        averages = "\noptimizer.train()" if isinstance(rule, TorchRule) and rule.averages else ""
        if own and self.builds:
            made["built"] = f"with_groups(task, {self.builds}, lambda groups: {made['built']})"
            made["policy"] = f"group_policy(task, {self.trained}, {made['policy']})"
        whole = needs_loss(rule)
        return {
            **made,
            "built": made["built"] + averages,
            "step": _step(rule, own=own),
            "size": "task.update_size" if whole else "task.batch_size",
            "accumulate": "1" if whole else "task.accumulate",
        }

    def _imports(self, strategy: Strategy, *, by_recipe: bool, known: bool, resized: bool, own: bool) -> Iterator[str]:
        if resized:
            yield "from dataclasses import replace\n"
        names = {"Strategy", *self.names, *([] if by_recipe else ["Policy"]), *(["load_task"] if known else [])}
        if isinstance(strategy.rule, TorchRule):
            names -= {"Strategy", "build_optimizer"}
            line = f"import {strategy.rule.package}\n"
            if line not in (self.own if own and self.own else self.template):
                yield line
        yield f"from stepsize import {', '.join(sorted(names, key=lambda name: (name[0].islower(), name)))}"
        if self.adapter:
            yield self.adapter
        if own and self.builds:
            yield WITH_GROUPS
        found: dict[str, set[str]] = defaultdict(set)
        named = by_recipe and is_ours(strategy.rule)
        for kind in () if named else kinds(strategy.rule if by_recipe else strategy):
            found[module_of(kind)].add(kind.__name__)
        for module, inside in sorted(found.items()):
            yield f"from {module} import {', '.join(sorted(inside))}"


def loadable(task: str) -> bool:
    """Whether `task` is a name that `load_task` takes: one that was made in memory has none."""
    return task in TASKS or task.endswith(".py") or task.rpartition(":")[0].endswith(".py")


def strategy_code(strategy: Strategy, *, by_recipe: bool) -> str:
    """Return the statement that makes `strategy`, by its recipe where that `is_recipe`."""
    if by_recipe:
        plain = Strategy.of(strategy.rule, str(strategy.recipe), strategy.rate)
        rule = quoted(describe_rule(strategy.rule)) if is_ours(strategy.rule) else repr(strategy.rule)
        name = "" if plain.name == strategy.name else f", name={quoted(strategy.name)}"
        return f"strategy = Strategy.of({rule}, {quoted(str(strategy.recipe))}, {strategy.rate!r}{name})"
    moves = "\n".join(f"        {name}={folded(schedule)!r}," for name, schedule in strategy.policy.schedules)
    return (
        f"strategy = Strategy(\n    {strategy.rule!r},\n    Policy(\n{moves}\n    ),\n    {quoted(strategy.name)},\n)"
    )


def is_ours(rule: Rule) -> bool:
    """Whether a rule is one of ours that its description names, as `Strategy.of` reads it."""
    return rule.kind in RULES.own and is_described(rule)


def is_recipe(strategy: Strategy, steps: int) -> bool:
    """Whether the recipe of a strategy of ours, at its rate, gives what its policy gives in a run of `steps`."""
    # a recipe of a task file is there only after the file has been read
    if strategy.rate is None or strategy.recipe not in RECIPES.own or not strategy.rule.formula:
        return False
    plain = Strategy.of(strategy.rule, str(strategy.recipe), strategy.rate).over(steps).policy.table(0, steps)
    own = strategy.bound_to(steps).policy.table(0, steps)
    return plain.keys() == own.keys() and all(np.allclose(plain[n], own[n], rtol=1e-12, atol=0) for n in own)


def folded(schedule: Schedule) -> Schedule:
    """Return a schedule whose factors are multiplied into its values, each rounded as a decimal is written.

    >>> from stepsize.schedules import Cosine
    >>> folded(0.3 * Cosine(0.1, 0.01))
    Cosine(start=0.03, end=0.003, steps='rest')
    """
    if isinstance(schedule, Chain):
        return Chain(tuple(map(folded, schedule.parts)))
    if not isinstance(schedule, Scaled):
        return schedule
    inner, factor = folded(schedule.schedule), schedule.factor
    if not isinstance(inner, Segment | Constant | Cycle):
        return schedule
    values = inner.spec_fields()
    return type(inner)(**values | {name: float(f"{values[name] * factor:.12g}") for name in LEVELS & values.keys()})


def kinds(made: Strategy | Rule) -> set[type[Spec]]:
    """Return the classes that code names; raise SpecError for a `Custom` schedule, a function."""
    rule = made.rule if isinstance(made, Strategy) else made
    values: list[object] = [folded(each) for _, each in made.policy.schedules] if isinstance(made, Strategy) else []
    values += [rule] if rule.formula else []
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


def needs_loss(rule: Rule) -> bool:
    """Whether a rule takes a closure, or the loss, which are of a whole update and not of one of its micro-batches."""
    return rule.closure if isinstance(rule, TorchRule) else rule.core.takes_loss


def _step(rule: Rule, *, own: bool) -> str:
    """Return an update in a loop of torch, after the gradients of a batch, or of all micro-batches with `gradients`."""
    if not needs_loss(rule):
        return "gradients(batches)\n    optimizer.step()" if own else "optimizer.step()"
    if isinstance(rule, TorchRule):
        return "optimizer.step(lambda: gradients(batches))" if own else CLOSURE
    return "loss = gradients(batches)\n    optimizer.step(lambda: loss)" if own else "optimizer.step(lambda: loss)"


def _made_by_class(strategy: Strategy, rule: TorchRule, tensors: str) -> dict[str, str]:
    """Return the same of a class of plain torch: the policy, and the optimizer of some tensors."""
    moves = "\n".join(f"    {name}={schedule!r}," for name, schedule in strategy.policy.schedules)
    given = "".join(f", {name}={value!r}" for name, value in rule.arguments)
    return {
        "strategy": f"policy = Policy(  # {' '.join(strategy.name.split())}\n{moves}\n)",
        "policy": "policy",
        "built": f"{rule.optimizer}({tensors}{given})",
    }
