"""PyTorch: our policies in your training loop.

::

    for step in drive(optimizer, policy, steps=10_000):
        ...                                  # forward, backward
        optimizer.step()

`drive` sets the hyperparameters and then yields, so their order and that of `optimizer.step()` cannot be wrong.
The step is all its state: to resume, pass `start=`. Nothing is patched and nothing is added to the optimizer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from stepsize.kernel.errors import DriveError, suggestion
from stepsize.policies import LR, Policy
from stepsize.results.io import dumps
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp, Rule
from stepsize.schedules import Constant
from stepsize.schedules.base import whole_step, whole_steps
from stepsize.strategy import Strategy

BLOCK = 2048
"""Steps of the policy that are tabulated at once."""

NUMBER, PAIR, TENSOR, OTHER = range(4)
"""What a parameter group may have: a number, a number first in its betas, a tensor, or what takes a closer look."""

MOMENTUM = "momentum"
BETAS = "betas"


class Driver:
    """Sets an optimizer's hyperparameters before each update; iterate over it. Made by `drive`.

    step: the update that comes next, counted from 0; all that a checkpoint needs.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, policy: Policy, steps: int, start: int = 0) -> None:
        self.steps = whole_steps(steps)
        self.step = whole_step(start)
        if self.step > self.steps:
            raise DriveError(
                f"start={start} lies behind the end of a run of {steps} steps; train longer or start earlier."
            )
        self._optimizer = optimizer
        self._policy = applicable(optimizer, policy).over(self.steps)
        self._write = _Writer(optimizer, self._policy, _ratios(optimizer, self._policy, self.step))

    def __iter__(self) -> Iterator[int]:
        steps, write = self.steps, self._write
        while (step := self.step) < steps:
            write(step)
            self.step = step + 1
            yield step

    def __len__(self) -> int:
        return self.steps - self.step


class _Writer:
    """Writes the values of a step into the parameter groups, at little more than the price of the writes.

    The policy is tabulated a block at a time. What a group holds (a number, a tensor, a place in its betas) is looked
    up when the optimizer's groups are first seen, and again when `load_state_dict` has exchanged them.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, policy: Policy, ratios: dict[str, list[float]]) -> None:
        self.rows: dict[str, list[float]] = {}
        self._optimizer, self._policy, self._ratios = optimizer, policy, ratios
        self._end = min(
            (schedule.steps for _, schedule in policy.schedules if isinstance(schedule.steps, int)), default=0
        )
        self._first, self._count = 0, 0
        self._seen: Any = None

    def __call__(self, step: int) -> int:
        """Set every hyperparameter to its value at `step`, and return the place of the step in `rows`."""
        row = step - self._first
        if not 0 <= row < self._count or self._optimizer.param_groups is not self._seen:
            row = self._prepare(step)
        for groups, key, ratios, values in self._numbers:
            value = values[row]
            if ratios is None:
                for group in groups:
                    group[key] = value
            else:
                for group, ratio in zip(groups, ratios, strict=False):
                    group[key] = value * ratio
        for groups, ratios, values in self._pairs:
            value = values[row]
            for group, ratio in zip(groups, ratios, strict=False):
                group[BETAS] = (value * ratio, group[BETAS][1])
        if self._more:
            self._write_more(row)
        return row

    def _write_more(self, row: int) -> None:
        for groups, name, kind, ratios, values in self._more:
            value = values[row]
            for group, ratio in zip(groups, ratios, strict=False):
                if kind == TENSOR:
                    group[name].fill_(value * ratio)
                else:
                    _set(group, name, value * ratio)

    def row(self, step: int) -> int:
        """Return the place of `step` in `rows`, tabulated anew where it lies outside of the block."""
        if not 0 <= step - self._first < self._count:
            # A schedule may hold a function of the user's, which nobody has promised to be defined behind its end.
            stop = max(step + 1, min(step + BLOCK, self._end or step + BLOCK))
            self.rows = {name: values.tolist() for name, values in self._policy.table(step, stop).items()}
            self._first, self._count, self._seen = step, stop - step, None
        return step - self._first

    def _prepare(self, step: int) -> int:
        row, self._seen = self.row(step), self._optimizer.param_groups
        self._numbers, self._pairs, self._more = [], [], []  # type: tuple[list[Any], list[Any], list[Any]]
        for name, values in self.rows.items():
            ratios = self._ratios[name]
            groups = self._seen[: len(ratios)]
            kinds = {_kind(group, name) for group in groups}
            key, kind = kinds.pop() if len(kinds) == 1 else (name, OTHER)
            if kind == NUMBER:
                shared = all(ratio == 1.0 for ratio in ratios)
                self._numbers.append((groups, key, None if shared else ratios, values))
            elif kind == PAIR:
                self._pairs.append((groups, ratios, values))
            else:
                self._more.append((groups, key, kind, ratios, values))
        return row


def drive(optimizer: torch.optim.Optimizer, policy: Policy, steps: int, start: int = 0) -> Driver:
    """Iterate over the updates of a run, each with its hyperparameters already set.

    optimizer: any `torch.optim` optimizer. policy: shares and "rest" are bound to `steps`; `momentum` means `betas[0]`
        for the Adam family. steps: the horizon, optimizer updates. start: the update that a resumed run begins with.
    Parameter groups that differ keep their own ratios to the optimizer's default: one without weight decay stays
    without.

    Raises DriveError when the optimizer lacks a scheduled hyperparameter; one without momentum only gets a warning.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> from stepsize.schedules import Linear
    >>> [optimizer.param_groups[0]["lr"] for _ in drive(optimizer, Policy(lr=Linear(1.0, 0.0)), steps=4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return Driver(optimizer, policy, steps, start)


class PolicyLR(LRScheduler):
    """A policy as torch's own LRScheduler; made by `as_lr_scheduler`."""

    def __init__(self, optimizer: torch.optim.Optimizer, policy: Policy, last_epoch: int = -1) -> None:
        self.policy = applicable(optimizer, policy)
        self.policy[LR].table(0, 1)
        self._ratios = _ratios(optimizer, self.policy, last_epoch + 1)
        self._write = _Writer(optimizer, self.policy, self._ratios)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rate of each group: a function of `last_epoch`, the number of updates made, alone."""
        row = self._write.row(max(0, self.last_epoch))
        rate = self._write.rows[LR][row]
        return [rate * ratio for ratio in self._ratios[LR]]

    def step(self, epoch: int | None = None) -> None:
        """Move on by one update, and set every hyperparameter of the policy."""
        ratios = self._ratios[LR]
        if epoch is not None or self._step_count < 2 or len(self.optimizer.param_groups) != len(ratios):
            super().step(epoch)  # the first two times it checks the order of the calls, and it refuses a new group
            self._write(max(0, self.last_epoch))
            return
        self._step_count += 1
        self.last_epoch = step = self.last_epoch + 1
        row = self._write(step)
        rate = self._write.rows[LR][row]
        self._last_lr = [rate] if len(ratios) == 1 else [rate * ratio for ratio in ratios]

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the policy's spec: plain numbers and strings."""
        return {"step": self.last_epoch, "spec": dumps(self.policy)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved step, and set its values at once, whatever was loaded into the optimizer before or after.

        Raises DriveError when the state was saved with another policy.
        """
        if state_dict.get("spec") != dumps(self.policy):
            raise DriveError(
                "this checkpoint was saved with another policy or horizon, so its step does not mean the same here. "
                f"Saved: {str(state_dict.get('spec'))[:200]}. Build the scheduler with the saved policy, or start anew."
            )
        self.last_epoch = int(state_dict["step"])
        self._step_count = self.last_epoch + 1
        self._last_lr = self.get_lr()
        self._write(max(0, self.last_epoch))


def as_lr_scheduler(optimizer: torch.optim.Optimizer, policy: Policy, last_epoch: int = -1) -> PolicyLR:
    """Return `policy` as a torch LRScheduler, for trainers that own the loop; call `step()` after each update.

    policy: bound (`policy.over(steps)`), since a scheduler is never told the horizon.

    Raises UnboundError when the policy still has shares, DriveError when the optimizer lacks a hyperparameter of it.
    """
    return PolicyLR(optimizer, policy, last_epoch)


def applicable(optimizer: torch.optim.Optimizer, policy: Policy) -> Policy:
    """Return the part of `policy` that `optimizer` has hyperparameters for.

    Raises DriveError for a missing hyperparameter other than momentum; without momentum it warns.
    """
    known = {str(key) for key in optimizer.defaults if key != BETAS} | (
        {MOMENTUM, "beta2"} if BETAS in optimizer.defaults else set()
    )
    for name in policy:
        if name in known or (name == "epsilon" and "eps" in known):
            continue
        if name != MOMENTUM:
            numeric = {key for key in known if isinstance(optimizer.defaults.get(key, 0.0), float | int)}
            raise DriveError(
                f"{type(optimizer).__name__} has no hyperparameter {name!r} to schedule. {suggestion(name, numeric)}"
            )
        warnings.warn(
            f"{type(optimizer).__name__} has no momentum, so the policy's momentum is left out.", stacklevel=4
        )
        policy = policy.only(set(policy) - {MOMENTUM})
    return policy


def _set(group: dict[str, Any], name: str, value: Any) -> None:
    if BETAS in group and name in (MOMENTUM, "beta2"):
        place = 0 if name == MOMENTUM else 1
        betas = list(group[BETAS])
        if isinstance(betas[place], torch.Tensor):
            betas[place].fill_(value)
        else:
            betas[place] = value
            group[BETAS] = tuple(betas)
        return
    key = "eps" if name == "epsilon" and "eps" in group else name
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def _kind(group: dict[str, Any], name: str) -> tuple[str, int]:
    """Return the key under which `group` has `name`, and what it has there."""
    if BETAS in group and name in (MOMENTUM, "beta2"):
        pair = name == MOMENTUM and len(group[BETAS]) == 2 and not isinstance(group[BETAS][0], torch.Tensor)
        return (BETAS, PAIR) if pair else (name, OTHER)
    key = "eps" if name == "epsilon" and "eps" in group else name
    return key, TENSOR if isinstance(group[key], torch.Tensor) else NUMBER


def _get(values: dict[str, Any], name: str) -> float:
    if BETAS in values and name in (MOMENTUM, "beta2"):
        return float(values[BETAS][0 if name == MOMENTUM else 1])
    return float(values["eps" if name == "epsilon" and "eps" in values else name])


def _ratios(optimizer: torch.optim.Optimizer, policy: Policy, start: int) -> dict[str, list[float]]:
    """Return each group's ratio to the whole, by hyperparameter; groups that agree follow the policy itself.

    start: the update that comes next. A resumed optimizer carries the values of that update or of the one before it.
    """
    return {name: _group_ratios(optimizer, policy, start, name) for name in policy}


def _group_ratios(optimizer: torch.optim.Optimizer, policy: Policy, start: int, name: str) -> list[float]:
    groups = optimizer.param_groups
    if len(groups) == 1:
        return [1.0]
    if name == LR and all("initial_lr" in group for group in groups):  # torch's schedulers keep it, in checkpoints too
        own, whole = [float(group["initial_lr"]) for group in groups], _get(optimizer.defaults, LR)
    else:
        own = [_get(group, name) for group in groups]
        whole = _whole(optimizer, policy, start, name, own)
    return [1.0 if len(set(own)) == 1 else _ratio(value, whole, name) for value in own]


def _whole(optimizer: torch.optim.Optimizer, policy: Policy, start: int, name: str, own: list[float]) -> float:
    """Return what the groups' values are ratios to: the optimizer's default, or the value of the policy's last update.

    A new optimizer has values of its own; one that a policy has moved (resumed from a checkpoint, or used a second
    time) carries those of its last update. Where neither explains them, a guess would train at a wrong rate in silence.
    """
    default, used = _get(optimizer.defaults, name), _used(optimizer)
    if len(set(own)) == 1 and (own[0] or not default or policy[name] == Constant(0.0)):
        return default
    before = {policy[name](step) for step in (start - 1, start) if start}
    moved: set[float] = {value for value in before if value and _among(value, own)}
    if not used and (not moved or moved == {default} or _keeps_state(optimizer)):
        return default
    candidates = moved if used and moved else moved | ({default} if _among(default, own) else set())
    if len(candidates) == 1:
        return candidates.pop()
    raise DriveError(
        f"the parameter groups of {type(optimizer).__name__} have {name} {', '.join(f'{each:g}' for each in own)}: "
        "ratios neither to its default nor to what the policy would last have set. Make the driver before the "
        "optimizer's first update, and before loading a checkpoint into it."
    )


def _among(value: float, own: list[float]) -> bool:
    return any(math.isclose(value, each, rel_tol=1e-6) for each in own)  # a tensor holds its value in float32


def _used(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer has made an update; some, such as Adagrad, have state before the first."""
    return any(not isinstance(state, dict) or float(state.get("step", 1)) > 0 for state in optimizer.state.values())


def _keeps_state(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an update leaves a trace; plain gradient descent leaves none."""
    return not isinstance(optimizer, torch.optim.SGD) or any(group[MOMENTUM] for group in optimizer.param_groups)


def _ratio(own: float, whole: float, name: str) -> float:
    if whole == 0:
        raise DriveError(
            f"a parameter group has {name}={own!r} where the optimizer's own is 0, so its ratio to the policy is "
            f"unknown. Give the optimizer a {name} above 0, or build the driver before loading the checkpoint."
        )
    return float(f"{own / whole:.12g}")  # the same number again when a resumed run divides by another value


def torch_arguments(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return the class in `torch.optim` that is `rule`, and its arguments.

    Raises DriveError for a rule that torch does not have.
    """
    shared = {"lr": rule.lr, "weight_decay": rule.weight_decay}
    if isinstance(rule, Adam):
        name = "AdamW" if isinstance(rule, AdamW) else "Adam"
        return name, {
            "lr": rule.lr,
            BETAS: (rule.momentum, rule.beta2),
            "eps": rule.epsilon,
            "weight_decay": rule.weight_decay,
        }
    if isinstance(rule, RMSProp):
        return "RMSprop", {**shared, "alpha": rule.alpha, "eps": rule.epsilon}
    if isinstance(rule, Nesterov):
        return "SGD", {**shared, MOMENTUM: rule.momentum, "nesterov": True}
    if isinstance(rule, Momentum):
        return "SGD", {**shared, MOMENTUM: rule.momentum, "dampening": rule.dampening}
    if isinstance(rule, SGD):
        return "SGD", shared
    raise DriveError(f"torch.optim has no {type(rule).__name__}; run it in an engine of stepsize.")


def build_optimizer(parameters: Any, strategy: Strategy | Rule) -> torch.optim.Optimizer:
    """Return the torch optimizer of a strategy or a rule, with every hyperparameter of the rule.

    parameters: what a torch optimizer takes, or a module.
    """
    rule = strategy.rule if isinstance(strategy, Strategy) else strategy
    name, arguments = torch_arguments(rule)
    found = parameters.parameters() if isinstance(parameters, torch.nn.Module) else parameters
    optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(found, **arguments)
    return optimizer
