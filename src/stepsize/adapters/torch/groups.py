"""A torch optimizer from outside: its hyperparameters, how each is read and written, and the updates that it makes."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch

from stepsize.kernel.errors import DriveError, suggestion
from stepsize.kernel.text import tell_apart
from stepsize.policies import Policy

Group = dict[str, Any]

MOMENTUM = "momentum"
BETAS = "betas"

NUMBER, PAIR, TENSOR, OTHER = range(4)
"""What a parameter group may have: a number, a number first in its betas, a tensor, or what `write` has to find out."""

PAUSED: WeakSet[torch.optim.Optimizer] = WeakSet()
"""Those whose updates are no part of the training, so that no hook of ours hears of them."""


def plain(optimizer: Any) -> torch.optim.Optimizer:
    """Return the torch optimizer inside of what a trainer may have wrapped around it.

    Raises DriveError for what is no optimizer.
    """
    unwrapped = optimizer
    while isinstance(inner := getattr(unwrapped, "optimizer", None), torch.optim.Optimizer):
        unwrapped = inner
    if not isinstance(unwrapped, torch.optim.Optimizer):
        raise DriveError(
            f"a policy drives a torch.optim.Optimizer, not {type(optimizer).__name__}. Give the optimizer itself; for "
            "several, make one driver for each."
        )
    return unwrapped


def stepping(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer whose `step()` makes the updates: `optimizer`, or the one that it holds on its own groups.

    SAM and its kind hold such a one, and where they are used by two calls (climb, then step), nobody calls their own
    `step()`.
    """
    groups = {id(group) for group in optimizer.param_groups}
    for held in vars(optimizer).values():
        if (
            isinstance(held, torch.optim.Optimizer)
            and held is not optimizer
            and groups <= {id(group) for group in held.param_groups}
        ):
            return stepping(held)
    return optimizer


def check_trained(optimizers: list[torch.optim.Optimizer]) -> list[torch.optim.Optimizer]:
    """Return `optimizers`; raise DriveError where no parameter of theirs is trained."""
    groups = [group for item in optimizers for group in item.param_groups]
    if not any(p.requires_grad for group in groups for p in group["params"]):
        raise DriveError("no parameter of the optimizer needs a gradient, so nothing is trained; unfreeze some.")
    return optimizers


def defaults_of(optimizer: torch.optim.Optimizer) -> Group:
    """Return what groups have that say nothing else: what the optimizer has by default, else what its first group has.

    An optimizer such as Muon with an auxiliary Adam has all its hyperparameters in its groups. Of tensors it is a copy:
    a group that says nothing shares the tensor of the default, which a driver then moves.
    """
    own = {key: value for key, value in optimizer.param_groups[0].items() if key not in {"params", "initial_lr"}}
    found = {**own, **optimizer.defaults}
    return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in found.items()}


def applicable(optimizer: torch.optim.Optimizer, policy: Policy) -> Policy:
    """Return the part of `policy` that `optimizer` has hyperparameters for.

    Raises DriveError for a missing hyperparameter other than momentum; without momentum it warns.
    """
    defaults = defaults_of(optimizer)
    known = {str(key) for key in defaults if key != BETAS} | ({MOMENTUM, "beta2"} if BETAS in defaults else set())
    for name in policy:
        if name in known or (name == "epsilon" and "eps" in known):
            continue
        if name != MOMENTUM:
            numeric = {key for key in known if isinstance(defaults.get(key, 0.0), float | int)}
            allowed = suggestion(name, numeric) if numeric else "None of its groups has a number to schedule."
            raise DriveError(f"{type(optimizer).__name__} has no hyperparameter {name!r} to schedule. {allowed}")
        warnings.warn(
            f"{type(optimizer).__name__} has no momentum, so the policy's momentum is left out.", stacklevel=6
        )
        policy = policy.only(set(policy) - {MOMENTUM})
    return policy


def written(optimizer: torch.optim.Optimizer) -> int:
    """Return how often the parameters were written to, by whomever."""
    return sum(p._version for group in optimizer.param_groups for p in group["params"])  # noqa: SLF001  (torch's count of writes)


def unheard(optimizer: torch.optim.Optimizer) -> DriveError:
    """Return the error for parameters that change while nobody calls the optimizer's `step()`."""
    name = type(optimizer).__name__
    return DriveError(
        f"the parameters of this {name} change, and nobody calls its step(), which is what an attached driver counts. "
        "Attach a driver to the optimizer that is stepped, such as base_optimizer of a SAM; or say yourself when an "
        "update is made: for step in drive(...) without attach(), driver.set(step), or "
        'as_lr_scheduler(..., counts="calls").'
    )


def kind(group: Group, name: str) -> tuple[str, int]:
    """Return the key under which `group` has `name`, and what it has there."""
    key, index = slot(group, name)
    if index is not None:
        pair = index == 0 and len(group[BETAS]) == 2 and not isinstance(group[BETAS][0], torch.Tensor)
        return (BETAS, PAIR) if pair else (name, OTHER)
    return key, TENSOR if isinstance(group[key], torch.Tensor) else NUMBER


def has(group: Mapping[str, Any], name: str) -> bool:
    """Whether a group has a hyperparameter called `name`."""
    return slot(group, name)[0] in group


def read(group: Mapping[str, Any], name: str) -> float:
    """Return the value of `name` in a group, or in an optimizer's defaults."""
    key, index = slot(group, name)
    return float(group[key] if index is None else group[key][index])


def write(group: Group, name: str, value: float) -> None:
    """Set `name` in a group; a tensor is filled in place, so a compiled or captured update sees the new value."""
    key, index = slot(group, name)
    held = group[key] if index is None else group[key][index]
    if isinstance(held, torch.Tensor):
        held.fill_(value)
    elif index is None:
        group[key] = value
    else:
        group[key] = (*group[key][:index], value, *group[key][index + 1 :])


def in_force(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, float]:
    """Return what the groups have now: by name, and by `name/group` where there is more than one group.

    A group that has no such hyperparameter is left out.
    """
    groups = optimizer.param_groups
    if len(groups) == 1:
        return {name: read(groups[0], name) for name in names}
    labels = tell_apart(str(group.get("name", index)) for index, group in enumerate(groups))  # two may be called alike
    labelled = list(zip(labels, groups, strict=True))
    return {f"{name}/{label}": read(group, name) for name in names for label, group in labelled if has(group, name)}


def slot(group: Mapping[str, Any], name: str) -> tuple[str, int | None]:
    """Return the key under which a group has `name`, and its index there, if it is one of the betas."""
    if BETAS in group and name in (MOMENTUM, "beta2"):
        return BETAS, int(name != MOMENTUM)
    return "eps" if name == "epsilon" and "eps" in group else name, None


@contextmanager
def paused(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Keep the updates of `optimizers` from the drivers that are attached to them."""
    mine = [optimizer for optimizer in optimizers if optimizer not in PAUSED]
    PAUSED.update(mine)
    try:
        yield
    finally:
        PAUSED.difference_update(mine)


def before_update(optimizer: torch.optim.Optimizer, notify: Callable[[torch.optim.Optimizer], None]) -> Any:
    """Have `notify` called with the optimizer that steps before each update; the handle's `remove()` ends it."""
    given = weakref.ref(optimizer)  # the hook may belong to it, and a circle would keep both alive

    def ready(steps: torch.optim.Optimizer, *_: Any) -> None:
        if given() not in PAUSED:
            notify(steps)

    return stepping(optimizer).register_step_pre_hook(_uncompiled(ready))


def after_update(
    optimizer: torch.optim.Optimizer, notify: Callable[[torch.optim.Optimizer], None], *, always: bool = False
) -> Any:
    """Have `notify` called with the optimizer that steps after each update; the handle's `remove()` ends it.

    An update that a GradScaler skips is none: it does not call `step()`, or it tells a fused optimizer by `found_inf`
    to leave the weights as they are. always: also while the optimizer is paused.
    """
    given = weakref.ref(optimizer)  # as above

    def made(steps: torch.optim.Optimizer, *_: Any) -> None:
        infinite = getattr(given(), "found_inf", None)
        if (always or given() not in PAUSED) and (infinite is None or not infinite.item()):
            notify(steps)

    return stepping(optimizer).register_step_post_hook(_uncompiled(made))


def _uncompiled(hook: Callable[..., None]) -> Any:
    """Return the hook as one that `torch.compile` runs as it is, instead of burning its numbers into the graph."""
    return torch.compiler.disable(hook)  # type: ignore[no-untyped-call]  # torch has no types for it
