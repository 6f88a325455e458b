"""An update rule takes its hyperparameters as arguments, so every one of them can be scheduled.

A rule is two formulas. `coefficients` turns the hyperparameters of a step into the few numbers that the update needs
(`1 - beta1`, `lr / (1 - beta1**k)`): in float64 and elementwise, so that it runs once over a whole table of shape
(steps, replicas). `step` is the update itself, on parameters of any array library, in the parameters' own precision.
The replica axis comes first, and a coefficient is shaped to it: one starting point, 10 000 starting points and 256
networks run the same lines (docs/adr/0003).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import NonNegative, Spec

Scalars = Mapping[str, Array]
"""Hyperparameters or coefficients by name: floats, or float64 arrays of one shape."""

Slots = tuple[Array, ...]
"""The optimizer's state arrays, each of the shape of the parameters."""


@dataclass(frozen=True)
class Rule(Spec, ABC):
    """How gradients become updates; its fields are its hyperparameters with their defaults.

    lr: the learning rate, which a policy schedules.
    weight_decay: added to the gradient as `weight_decay * p` (L2), unless the rule says that it is decoupled.
    """

    noun: ClassVar[str] = "rule"
    slots: ClassVar[tuple[str, ...]] = ()

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The hyperparameters with their values, which a policy overrides by name."""
        return self.spec_fields()

    @abstractmethod
    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the numbers that update number `k` (counted from 1) needs, from the hyperparameters `h`."""

    @abstractmethod
    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the new parameters and slots.

        p, g: parameters and gradient, (replicas, ...) or any shape; slots: arrays like p, zero before the first step;
        c: the coefficients of this step, floats or arrays that broadcast against p.
        """
