"""Just above the largest stable rate a rule diverges on a quadratic, just below it converges, in torch.optim too."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stepsize.kernel.errors import ParameterError
from stepsize.rules import SGD, Adam, AdamW, Lion, Momentum, Nesterov, RMSProp, Rule
from stepsize.theory import largest_stable_rate, stability_threshold

SPECTRUM = np.array([0.3, 2.0, 7.0])
TORCH = {
    "sgd": (SGD(), torch.optim.SGD, {}),
    "sgd with decay": (SGD(weight_decay=0.5), torch.optim.SGD, {"weight_decay": 0.5}),
    "heavy ball": (Momentum(momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    "heavy ball, damped": (
        Momentum(momentum=0.8, dampening=0.5), torch.optim.SGD, {"momentum": 0.8, "dampening": 0.5},
    ),
    "heavy ball with decay": (
        Momentum(momentum=0.5, weight_decay=1.0), torch.optim.SGD, {"momentum": 0.5, "weight_decay": 1.0},
    ),
    "nesterov": (Nesterov(momentum=0.9), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}  # fmt: skip


def after(kind, options, rate, steps=3000):
    """How far a torch optimizer is from the minimum of a quadratic with the spectrum, in float64."""
    p = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = kind([p], lr=rate, **options)
    for _ in range(steps):
        p.grad = torch.from_numpy(SPECTRUM) * p.detach()
        optimizer.step()
    return float(p.detach().abs().max())


@pytest.mark.parametrize("name", TORCH)
def test_torch_diverges_above_the_bound_and_converges_below(name):
    rule, kind, options = TORCH[name]
    bound = largest_stable_rate(rule, SPECTRUM.max())
    assert after(kind, options, 0.99 * bound) < 1e-3
    assert after(kind, options, 1.01 * bound) > 1e3


def test_the_thresholds_of_the_literature():
    assert stability_threshold(SGD()) == 2.0
    assert stability_threshold(Momentum(momentum=0.9)) == pytest.approx(3.8)
    assert stability_threshold(Nesterov(momentum=0.9)) == pytest.approx(3.8 / 2.8)
    assert stability_threshold(Adam()) == stability_threshold(AdamW()) == pytest.approx(38.0)
    assert stability_threshold(RMSProp()) == 2.0


@pytest.mark.parametrize("b1", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("decay", [0.0, 0.01, 3.0])
def test_adams_bound_is_where_the_radius_of_its_recursion_is_one(b1, decay):
    """With the preconditioner frozen, `m = b1 m + (1 - b1) h x; x = (1 - lr decay) x - lr m` is a 2 x 2 matrix."""
    sharpness = 7.0
    bound = largest_stable_rate(AdamW(momentum=b1, weight_decay=decay), sharpness)

    def radius(rate):
        fresh = (1 - b1) * sharpness
        matrix = [[1 - rate * decay - rate * fresh, -rate * b1], [fresh, b1]]
        return np.abs(np.linalg.eigvals(matrix)).max()

    assert radius(0.999 * bound) < 1 < radius(1.001 * bound)


def test_where_nothing_curves_upward_every_rate_is_stable():
    assert largest_stable_rate(SGD(), -1.0) == math.inf
    assert largest_stable_rate(Momentum(dampening=1.0), 1.0) == math.inf


@pytest.mark.parametrize("sharpness", [math.nan, math.inf])
def test_a_sharpness_that_is_no_number_is_refused(sharpness):
    with pytest.raises(ParameterError, match="sharpness must be a finite number"):
        largest_stable_rate(SGD(), sharpness)


def test_a_rule_that_is_not_worked_out_is_refused_by_name():
    @dataclass(frozen=True)
    class Momentums(Rule):
        facts = Lion.facts
        lr: float = 0.1
        weight_decay: float = 0.0

        def coefficients(self, h, k): ...
        def step(self, p, g, slots, c, xp): ...

    with pytest.raises(ParameterError, match=r"threshold for 'Momentums': .* one of .*Momentum, .* among its facts"):
        stability_threshold(Momentums())
