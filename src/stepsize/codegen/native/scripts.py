"""A strategy in code that needs nothing of ours: the framework's own optimizer and schedule, or a plain function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np

from stepsize.codegen.native.expression import number
from stepsize.codegen.native.formula import JAX, KERAS, PYTHON, function
from stepsize.codegen.native.named import Guess, named
from stepsize.codegen.native.optimizers import (
    HERE,
    call,
    keras_optimizer,
    keywords,
    optax_parts,
    torch_optimizer,
    torch_setting,
)
from stepsize.kernel.errors import ParameterError, brief, suggestion
from stepsize.policies import LR
from stepsize.rules import TorchRule
from stepsize.strategy import Strategy

YOURS = "  # yours: "

OF_THE_TASK = (
    "# The clipping, parameter groups, autocast and micro-batches of your task are yours to add: none is in here."
)
"""What is said above code for a task of the user's own, which knows none of it."""

KERAS_RATE = """\
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return lr(ops.cast(step, "float32"))"""
"""How a function becomes a schedule of Keras."""


@dataclass(frozen=True)
class Plan:
    """A strategy for a run of `steps` updates, with the values that never move, and the peak rate, on its rule.

    moving: the names of what is not constant in this run.
    """

    strategy: Strategy
    steps: int
    moving: list[str]

    @property
    def others(self) -> list[str]:
        """The names of what moves beside the rate."""
        return [name for name in self.moving if name != LR]

    def functions(self, names: list[str], language: Any) -> str:
        """Return the definitions of what moves as functions of the step."""
        policy = self.strategy.policy
        return "\n\n\n".join(function(name, policy[name], self.steps, language) for name in names)


def plan(strategy: Strategy, steps: int) -> Plan:
    """Return a strategy that is bound to `steps`, with what never moves on its rule, and its rate the peak."""
    bound = strategy.bound_to(steps)
    table = bound.policy.table(0, steps)
    fixed = {name: float(number(values[0])) for name, values in table.items() if not np.ptp(values)}
    rule = bound.rule.having(**{LR: float(number(bound.peak)), **fixed})
    return Plan(Strategy(rule, bound.policy, strategy.name), steps, [name for name in table if name not in fixed])


@dataclass(frozen=True)
class InTorch:
    """What torch's loops and trainers share.

    functions: definitions, before the rest. scheduler: the call that makes a scheduler of `optimizer`; empty without.
    setting: what a parameter group is updated with before each update; empty where a scheduler does it.
    """

    optimizer: str
    functions: str
    scheduler: str
    setting: str


def in_torch(given: Plan, model: str, step: str) -> InTorch:
    """Return the code of a plan in torch: by a scheduler of its own, a `LambdaLR`, or by hand where more moves.

    step: the number of the update in the loop's own words.
    """
    rule, peak = given.strategy.rule, given.strategy.rule.lr
    optimizer = torch_optimizer(rule, number(peak), model)
    if not given.moving:
        return InTorch(optimizer, "", "", "")
    name = None if isinstance(rule, TorchRule) else named("torch", given.strategy.policy, given.steps)
    if name is not None:
        return InTorch(
            optimizer, "", call(f"torch.optim.lr_scheduler.{name[0]}", ["optimizer", *keywords(name[1])]), ""
        )
    functions = given.functions(given.moving, PYTHON)
    if not given.others:
        share = f"lambda step: {LR}(step) / {number(peak)}"
        return InTorch(optimizer, functions, f"torch.optim.lr_scheduler.LambdaLR(optimizer, {share})", "")
    settings = (torch_setting(rule, each, f"{each}({step})") for each in given.moving)
    return InTorch(optimizer, functions, "", ", ".join(f"{key}={value}" for key, value in settings))


def torch_script(given: Plan) -> str:
    """Return a loop in plain torch."""
    made = in_torch(given, "model", "step")
    by_hand = (
        f"    for group in optimizer.param_groups:\n        group.update({made.setting})\n" if made.setting else ""
    )
    return _joined(
        [*_imports(made.functions, "torch", given), ""],
        [f"model, batches, loss_of = ...{YOURS}the module, an iterator of its inputs and targets, and its loss"],
        made.functions,
        [
            f"optimizer = {made.optimizer}",
            *([f"scheduler = {made.scheduler}"] if made.scheduler else []),
            f"for step in range({given.steps}):",
            f"{by_hand}    inputs, targets = next(batches)",
            "    optimizer.zero_grad()",
            "    loss = loss_of(model(inputs), targets)",
            "    loss.backward()",
            "    optimizer.step()",
            *(["    scheduler.step()"] if made.scheduler else []),
        ],
    )


def lightning_script(given: Plan) -> str:
    """Return the two methods of a Lightning module that the strategy is."""
    made = in_torch(given, "self", "self.global_step")
    methods = ["def configure_optimizers(self):", f"    optimizer = {_deeper(made.optimizer)}"]
    if made.scheduler:
        methods += [f"    scheduler = {_deeper(made.scheduler)}"]
        methods += ['    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}']
    else:
        methods += ["    return optimizer"]
    if made.setting:
        methods += ["", "def on_train_batch_start(self, batch, batch_idx):"]
        methods += ["    for group in self.optimizers().param_groups:", f"        group.update({made.setting})"]
    return _joined(
        [*_imports(made.functions, "torch", given, "import lightning"), ""],
        [f"Module, loader = ...{YOURS}the LightningModule and its data"],
        _definitions(made.functions, f"class Scheduled(Module):\n    {_deeper(chr(10).join(methods))}"),
        [f"trainer = lightning.Trainer(max_steps={given.steps})", "trainer.fit(Scheduled(), loader)"],
    )


def transformers_script(given: Plan) -> str:
    """Return the arguments of a Trainer, with its own schedule where it has one."""
    made = in_torch(given, "model", "state.global_step")
    name = named("transformers", given.strategy.policy, given.steps) if given.moving else ("constant", {})
    if name is not None:
        made = InTorch(made.optimizer, "", "", "")
    callback = (
        "class Scheduled(transformers.TrainerCallback):\n"
        "    def on_step_begin(self, args, state, control, optimizer, **kwargs):\n"
        f"        for group in optimizer.param_groups:\n            group.update({made.setting})"
    )
    scheduler = "scheduler" if made.scheduler else "None"
    trainer = ["model", "arguments", "train_dataset=dataset", f"optimizers=(optimizer, {scheduler})"]
    trainer += ["callbacks=[Scheduled()]"] if made.setting else []
    return _joined(
        [*_imports(made.functions, "torch", given, "import transformers"), ""],
        [f"model, dataset = ...{YOURS}the model and its data"],
        _definitions(made.functions, callback if made.setting else ""),
        [
            f"optimizer = {made.optimizer}",
            *([f"scheduler = {made.scheduler}"] if made.scheduler else []),
            "arguments = transformers.TrainingArguments(",
            '    "out",',
            f"    max_steps={given.steps},",
            "    max_grad_norm=0.0,  # it would clip at 1",
            *(f"    {each}," for each in _schedule_of(name, by_hand=bool(made.setting))),
            ")",
            f"trainer = {call('transformers.Trainer', trainer)}",
            "trainer.train()",
        ],
    )


def _schedule_of(name: Guess | None, *, by_hand: bool) -> list[str]:
    """Return what TrainingArguments say of the schedule: the Trainer's own, none, or nothing where one is given."""
    if name is None:
        return ['lr_scheduler_type="constant"'] if by_hand else []
    warmup, more = name[1].get("num_warmup_steps", 0), name[1].get("scheduler_specific_kwargs")
    said = [f'lr_scheduler_type="{name[0]}"', *([f"warmup_steps={warmup}"] if warmup else [])]
    return [*said, *([f"lr_scheduler_kwargs={more!r}"] if more else [])]


def optax_script(given: Plan) -> str:
    """Return the transformation in optax's parts, and an update with it."""
    name = named("optax", given.strategy.policy, given.steps)
    named_alone = name is not None and given.moving == [LR]
    functions = "" if named_alone else given.functions(given.moving, JAX)
    rate = f"{LR} = {call(f'optax.{name[0]}', keywords(name[1]))}" if name is not None and named_alone else ""
    made = optax_parts(
        given.strategy.rule, {LR: number(given.strategy.rule.lr), **{each: each for each in given.moving}}
    )
    if given.others:
        head = f"@optax.inject_hyperparams\ndef scheduled({', '.join(given.moving)}):"
        functions = _definitions(functions, f"{head}\n    return {_deeper(made)}")
        made = call("scheduled", [f"{each}={each}" for each in given.moving])
    return _joined(
        ["import jax", *(["import jax.numpy as jnp"] if "jnp." in functions else []), "import optax", ""],
        [f"params, batches, loss_of = ...{YOURS}the tree, an iterator of batches, and loss_of(params, batch)"],
        functions,
        [
            *([rate] if rate else []),
            f"optimizer = {made}",
            "state = optimizer.init(params)",
            f"for step in range({given.steps}):",
            "    grads = jax.grad(loss_of)(params, next(batches))",
            "    updates, state = optimizer.update(grads, state, params)",
            "    params = optax.apply_updates(params, updates)",
        ],
    )


def keras_script(given: Plan) -> str:
    """Return the optimizer of Keras with its own schedule, or one of a formula."""
    if given.others:
        moving = " and ".join(given.others)
        raise ParameterError(f"an optimizer of Keras moves its rate alone, and {moving} moves here too. {HERE}")
    name = named("keras", given.strategy.policy, given.steps) if given.moving else None
    functions, rate = "", number(given.strategy.rule.lr)
    if name is not None:
        rate = call(f"keras.optimizers.schedules.{name[0]}", keywords(name[1]))
    elif given.moving:
        rate, functions = "Rate()", _definitions(given.functions([LR], KERAS), KERAS_RATE)
    imports = [*(["import math", ""] if "math." in functions else []), "import keras"]
    return _joined(
        [*imports, *(["from keras import ops"] if functions else []), ""],
        [f"model, batches, loss = ...{YOURS}the model, its data, and the name of its loss"],
        functions,
        [
            f"optimizer = {keras_optimizer(given.strategy.rule, rate)}",
            "model.compile(optimizer, loss)",
            f"model.fit(batches, steps_per_epoch={given.steps})",
        ],
    )


SCRIPTS: dict[str, Callable[[Plan], str]] = {
    "torch": torch_script,
    "lightning": lightning_script,
    "transformers": transformers_script,
    "optax": optax_script,
    "keras": keras_script,
}
"""By framework, the plainest first."""


def native_script(framework: str, strategy: Strategy, steps: int) -> str:
    """Return code that trains with a strategy, and imports the framework alone; what is the user's is marked.

    The framework's own schedule where it has one that gives the same rates, else a function of the step; a recorded
    schedule is a table. steps: optimizer updates, of the run.

    Raises ParameterError for an unknown framework, and for what it has no equal of: a rule, or a momentum that moves.

    Watch out: in Keras Adam's epsilon and the rate of a momentum stand elsewhere in the formula than in torch, so that
    the weights differ a little, at the same rates.

    >>> from stepsize.strategy import Strategy
    >>> print(native_script("torch", Strategy.of("SGD", "cosine", 0.1), 300))
    import torch
    <BLANKLINE>
    model, batches, loss_of = ...  # yours: the module, an iterator of its inputs and targets, and its loss
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=300, eta_min=0.0)
    for step in range(300):
        inputs, targets = next(batches)
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        optimizer.step()
        scheduler.step()
    """
    if framework not in SCRIPTS:
        raise ParameterError(f"there is no code for {brief(framework)}. {suggestion(str(framework), SCRIPTS)}")
    return SCRIPTS[framework](plan(strategy, steps))


def _imports(functions: str, module: str, given: Plan, *more: str) -> list[str]:
    rule = given.strategy.rule
    package = rule.package if isinstance(rule, TorchRule) else module
    standard = ["import math", ""] if "math." in functions else []
    return [*standard, *sorted({*more, f"import {module}", f"import {package}"})]


def _definitions(*texts: str) -> str:
    """Return functions and classes with two empty lines between them."""
    return "\n\n\n".join(text for text in texts if text)


def _deeper(text: str) -> str:
    """Return a text whose further lines are one level deeper."""
    return indent(text, "    ").lstrip()


def _joined(*parts: str | list[str]) -> str:
    """Return lines and definitions as one text; definitions stand between two empty lines."""
    blocks = ["\n".join(part) if isinstance(part, list) else (f"\n\n{part}\n\n" if part else "") for part in parts]
    return "\n".join(block for block in blocks if block)
