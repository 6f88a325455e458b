"""The weights of one model under an optimizer by its class: what the loop does where a rule is no formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch

from stepsize.adapters.torch import build_optimizer, drive
from stepsize.adapters.torch.flat_parameters import Gradients
from stepsize.adapters.torch.task_groups import group_policy, with_groups
from stepsize.kernel.errors import TaskError
from stepsize.problems import Task
from stepsize.problems.checks import describe
from stepsize.rules.optimizer_class import closure_of, needs_closure
from stepsize.strategy import Strategy

Again = Callable[[], tuple[Gradients, torch.Tensor]]
"""Computes the gradients and the loss of the batch at hand anew, at the weights as they are then."""


class ClassWeights:
    """The parameters of one model, with the optimizer that steps them and the policy that drives it.

    strategy: of a `TorchRule`, bound to the run. model: what is trained. parameters: in the order of the gradients.

    `step()` is called after the gradients are there, as in a plain loop. Where the class refuses that, because it needs
    the loss or more than one gradient (`LBFGS`), it gets a closure that computes both again.
    """

    def __init__(self, task: Task, model: torch.nn.Module, strategy: Strategy, steps: int) -> None:
        self._name, self._clip_norm = strategy.rule.title, task.clip_norm
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        build = partial(build_optimizer, strategy=strategy)
        self._optimizer = cast("Any", build(model) if task.groups is None else with_groups(task, model, build))
        self._driver = drive(self._optimizer, group_policy(task, model, strategy.policy), steps)
        self._asks, self._averages = needs_closure(type(self._optimizer)), strategy.rule.averages
        if self._averages:
            self._optimizer.train()

    def update(self, step: int, gradients: Gradients, loss: torch.Tensor, again: Again) -> None:
        """Make update number `step`, unless the run has diverged and is over.

        Raises TaskError for a class that can be stepped neither with a closure nor without.
        """
        if not loss.isfinite():
            return
        self._driver.set(step)
        self._put(gradients)
        try:
            self._step(again, first=step == 0)
        except Exception as error:  # a class of somebody else's: said in one line
            if any(g is not None and not g.isfinite().all() for g in gradients):
                self._lose()
                return
            raise TaskError(
                f"{self._name} cannot make update {step}: {describe(error)}. It is called as optimizer.step(), or as "
                "optimizer.step(closure) where it refuses that; what needs more is for a training function of your own "
                "(docs/how-to/function.md)."
            ) from error

    def _step(self, again: Again, *, first: bool) -> None:
        """Step with a closure if need be; whether it is, the class checks before all else, in its first update."""
        if self._asks:
            self._optimizer.step(self._closure(again))
            return
        try:
            self._optimizer.step()
        except Exception as error:  # whatever a class says that wants a closure
            if not first or closure_of(type(self._optimizer)) is None:
                raise
            self._asks = True
            try:
                self._optimizer.step(self._closure(again))
            except Exception:  # noqa: BLE001  (the first error says what it is about)
                raise error from None

    def _lose(self) -> None:
        """Note that the run has diverged: a class that raises at infinite gradients is one that has no more weights."""
        with torch.no_grad():
            for parameter in self.parameters:
                parameter.fill_(torch.nan)

    def _closure(self, again: Again) -> Callable[[], float]:
        def closure() -> Any:
            with torch.enable_grad():
                gradients, loss = again()
            self._put(gradients)
            return loss

        return closure

    def _put(self, gradients: Gradients) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # A copy, as backward() makes one: a class may write into it, and autograd may have given it twice.
            parameter.grad = None if gradient is None else gradient.clone()
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self._clip_norm)

    @contextmanager
    def read_out(self) -> Iterator[None]:
        """Have the weights to evaluate at in the model: those of `eval()` of an optimizer that has it."""
        if self._averages:
            self._optimizer.eval()
        yield
        if self._averages:
            self._optimizer.train()
