"""Any rule as a torch optimizer: for those that `torch.optim` does not have, and for wrapped ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from stepsize.adapters.torch.flat_parameters import FlatParameters
from stepsize.adapters.torch.groups import Group
from stepsize.kernel.errors import DriveError, brief
from stepsize.rules import Rule

Tensors = Sequence[torch.Tensor]

HALF = (torch.float16, torch.bfloat16)
"""What is too coarse for a sum of many small numbers."""


class RuleOptimizer(torch.optim.Optimizer):
    """A rule on the parameters of a model; `build_optimizer` returns it where torch has no twin.

    parameters: what a torch optimizer takes. rule: any update rule, wrapped or not.
    The groups hold its hyperparameters under the rule's own names, so `drive` moves each of them. A step makes one row
    of the parameters of a group and takes the rule's step on it, as the engines do; a parameter without a gradient
    stays as it is, and a sparse gradient is made dense. The state is that of the row, and is kept with the first
    parameter of the group: how many steps were taken, and the rule's slots. It is plain tensors, so a checkpoint holds
    all there is.

    A rule that takes the loss (`Polyak`, `SPS`) gets it by a closure, as in `optimizer.step(lambda: loss)`.

    Raises DriveError for parameters of one group in several dtypes or on several devices, which are no row, and for
    complex ones; for a missing loss; for a state that another rule has saved.

    Watch out: a norm over all parameters (Prodigy, DoG, `ClipNorm`) is one over those of a group. Every step copies the
    parameters once there and back, so a twin of torch's is faster. It is not captured into a CUDA graph.

    >>> from stepsize.rules import Lion
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    >>> optimizer = RuleOptimizer([weight], Lion(lr=0.5))
    >>> weight.grad = torch.tensor([3.0, 0.1])
    >>> optimizer.step()
    >>> weight.tolist()
    [0.5, -1.5]
    """

    def __init__(self, parameters: Any, rule: Rule) -> None:
        if not isinstance(rule, Rule) or not rule.formula:
            given = rule.title + ", a class itself: build_optimizer makes it" if isinstance(rule, Rule) else brief(rule)
            raise DriveError(f"RuleOptimizer steps a rule, such as Lion(), not {given}.")
        self.rule = rule
        super().__init__(parameters, dict(rule.hyperparameters))

    def add_param_group(self, param_group: Group) -> None:
        """Take in a group; raise DriveError when its parameters are no row."""
        super().add_param_group(param_group)
        kinds = sorted({f"{p.dtype} on {p.device}" for p in self.param_groups[-1]["params"]})
        if len(kinds) > 1:
            del self.param_groups[-1]
            raise DriveError(
                f"a rule steps the parameters of a group as one row, and these are {', '.join(kinds)}. Make a "
                "parameter group of each kind."
            )
        if any(p.is_complex() for p in self.param_groups[-1]["params"]):
            del self.param_groups[-1]
            raise DriveError(
                f"{self.rule.title} steps real numbers, and these parameters are complex ({', '.join(kinds)}). Make "
                "parameters of their real view, torch.view_as_real(tensor), or take an optimizer of torch.optim."
            )

        if self.rule.core.facts.parameter_free and self.param_groups[-1]["params"][0].dtype in HALF:
            warnings.warn(
                f"{self.rule.title} finds its rate from sums that {kinds[0].split()[0]} cannot hold, and may stay "
                "at the first one; keep the parameters in float32, with autocast.",
                stacklevel=3,
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step, and return what the closure returns; a group without any gradient stays as it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.rule.core.takes_loss and loss is None:
            raise DriveError(
                f"{self.rule.title} needs the loss of each step: optimizer.step(lambda: loss), or a closure that "
                "computes it with its gradients."
            )
        for group in self.param_groups:
            if any(p.grad is not None for p in group["params"]):
                self._update(group, loss)
        return loss

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the weights to evaluate at in the parameters: the average of a rule that keeps one, else as they are.

        ::

            with optimizer.averaged():
                loss = evaluate(model)
        """
        parameters = [p for group in self.param_groups for p in group["params"]]
        before = [p.detach().clone() for p in parameters]
        for group in self.param_groups:
            own, state = group["params"], self.state.get(group["params"][0])
            if state:
                flat = FlatParameters(own)
                flat.write(self.rule.over(flat.shapes).readout(flat.row(), tuple(state["slots"]), torch))
        try:
            yield
        finally:
            with torch.no_grad():
                for p, old in zip(parameters, before, strict=True):
                    p.copy_(old)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved state; raise DriveError when another rule has saved it."""
        wanted = set(self.rule.hyperparameters)
        for group in state_dict["param_groups"]:
            if not wanted <= group.keys():
                missing = ", ".join(sorted(wanted - group.keys()))
                raise DriveError(
                    f"this state was saved by another optimizer than {self.rule.title}: it has no {missing}. Build the "
                    "optimizer of the rule that it was saved with."
                )
        super().load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of it needs, the rule among it."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "rule": self.rule}

    def _update(self, group: Group, loss: Any) -> None:
        """Take one step of the rule on the row of a group."""
        parameters: Tensors = group["params"]
        gradients, flat = [p.grad for p in parameters], FlatParameters(parameters)
        rule, row = self.rule.over(flat.shapes), flat.row()
        state = self.state[parameters[0]]
        if not state:
            state.update(step=0, slots=list(rule.init(row, torch)))
        state["step"] += 1
        h = {name: np.float64(float(group[name])) for name in self.rule.hyperparameters}
        c: dict[str, Any] = {name: float(v) for name, v in rule.coefficients(h, np.float64(state["step"])).items()}
        if rule.core.takes_loss:
            c["loss"] = torch.as_tensor(loss).detach().to(row).reshape(1, 1)
        if rule.takes_noise:
            c["noise"] = torch.randn_like(row)
        before = tuple(state["slots"])
        row_after, slots = rule.step(row, flat.gradient(gradients), before, c, torch)
        after = [row_after, *slots]
        if any(g is None for g in gradients):
            after = flat.keep_unused(gradients, [row, *before], after)
        flat.write(after[0])
        state["slots"] = after[1:]
