"""A rule as the optimizer that a framework has, in code: its class or parts, with all of the rule's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import indent

from stepsize.kernel.errors import DriveError, ParameterError
from stepsize.rules import Rule, TorchRule, Twin
from stepsize.rules.twins import BETAS, NAMES, PAIR, torch_arguments, twin_in

KERAS_NAMES = {**NAMES, "epsilon": "epsilon", "alpha": "rho", "beta2": "beta_2"}
"""What Keras calls a field of ours by another name; momentum is beta_1 where there is a beta_2."""

WIDTH = 100
"""Characters of a line of code; a longer call has an argument a line."""

HERE = "Leave native out: the code that uses stepsize trains with it."


def call(name: str, arguments: Iterable[str]) -> str:
    """Return a call as code, with an argument a line where one line would be long."""
    given = list(arguments)
    line = f"{name}({', '.join(given)})"
    return line if len(line) <= WIDTH else f"{name}(\n{indent(f',{chr(10)}'.join(given), '    ')},\n)"


def keywords(arguments: Mapping[str, object]) -> list[str]:
    """Return the keyword arguments of a call as code."""
    return [f"{name}={value!r}" for name, value in arguments.items()]


def torch_optimizer(rule: Rule, lr: str, model: str) -> str:
    """Return the call that makes a rule's optimizer of `torch.optim`, or of the class that a `TorchRule` is."""
    name, given = _torch(rule)
    return call(name, [f"{model}.parameters()", f"lr={lr}", *keywords({k: v for k, v in given.items() if k != "lr"})])


def _torch(rule: Rule) -> tuple[str, Mapping[str, object]]:
    if isinstance(rule, TorchRule):
        if rule.closure or rule.averages:
            raise ParameterError(f"{rule.title} needs more of a loop than to be stepped. {HERE}")
        return rule.optimizer, {"lr": rule.lr, **dict(rule.arguments)}
    try:
        name, given = torch_arguments(rule)
    except DriveError as error:
        raise ParameterError(f"{str(error).partition(';')[0].rstrip('.')}. {HERE}") from None
    return f"torch.optim.{name}", {"lr": rule.lr, **given}


def torch_setting(rule: Rule, name: str, value: str) -> tuple[str, str]:
    """Return what a parameter group of torch calls a hyperparameter, and the code that it is to be set to."""
    if isinstance(rule, TorchRule):
        key = next(iter(rule.keyed({name: 0.0})))
    else:
        twin = rule.facts.torch
        paired = name in PAIR and twin is not None and set(PAIR) <= set(twin.fields)
        key = BETAS if paired else NAMES.get(name, name)
    if key != BETAS:
        return key, value
    return key, f"({', '.join(value if each == name else repr(rule.hyperparameters[each]) for each in PAIR)})"


def optax_parts(rule: Rule, moving: Mapping[str, str]) -> str:
    """Return the `optax.chain` that is a rule, in optax's own parts; `moving` says what stands for a number.

    Raises ParameterError for a rule that optax's parts do not make.
    """
    twin = twin_in("optax", rule)
    if twin is None or rule.hyperparameters.get("dampening"):
        raise ParameterError(f"optax's parts do not make {rule!r}. {HERE}")
    values = {name: moving.get(name, repr(value)) for name, value in rule.hyperparameters.items()}
    scale = call(f"optax.{twin.name}", [*(values[name] for name in twin.fields), *keywords(twin.more)])
    decay = f"optax.add_decayed_weights({values['weight_decay']})"
    parts = [scale, decay] if rule.facts.decoupled else [decay, scale]
    kept = [part for part in parts if part not in ("optax.add_decayed_weights(0.0)", "optax.identity()")]
    return call("optax.chain", [*kept, f"optax.scale_by_learning_rate({values['lr']})"])


def keras_optimizer(rule: Rule, lr: str) -> str:
    """Return the call that makes a rule's optimizer of `keras.optimizers`.

    Raises ParameterError for a rule that Keras does not have, and for weight decay in the gradient.
    """
    twin = twin_in("keras", rule)
    if twin is None:
        raise ParameterError(f"keras.optimizers has no {rule!r}. {HERE}")
    if rule.weight_decay and not rule.facts.decoupled:
        raise ParameterError(
            f"{rule.title} adds its weight decay of {rule.weight_decay:g} to the gradient, and Keras subtracts it from "
            f"the weights. {HERE}"
        )
    given: dict[str, object] = {_keras_name(twin, field): getattr(rule, field) for field in twin.fields}
    given |= {"weight_decay": rule.weight_decay} if rule.weight_decay else {}
    return call(f"keras.optimizers.{twin.name}", [f"learning_rate={lr}", *keywords({**given, **twin.more})])


def _keras_name(twin: Twin, field: str) -> str:
    return "beta_1" if field == "momentum" and "beta2" in twin.fields else KERAS_NAMES.get(field, field)
