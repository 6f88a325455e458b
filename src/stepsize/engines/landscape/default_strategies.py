"""How long a step may be on a landscape, and the strategies that are tried on it when none are named."""

from __future__ import annotations

import numpy as np
import torch

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats
from stepsize.problems.landscapes import Landscape
from stepsize.rules import SGD, Adadelta, Adagrad, Adam, Momentum, Nesterov, RMSProp, Rule
from stepsize.strategy import Strategy, round_rate

SAMPLES, ITERATIONS = 256, 20

STEEP = 0.9
"""Which of the sampled curvatures counts: nine tenths of the box are not more curved."""

USUAL: tuple[tuple[Rule, str, float], ...] = (
    (SGD(), "constant", 0.5), (SGD(), "one_cycle", 5.0), (Adam(), "constant", 0.01), (Adam(), "cosine", 0.05),
)  # fmt: skip
"""Rule, policy and peak rate: of SGD over the curvature (2 is the limit of stability), of Adam over the box's width."""


LEAVING: tuple[tuple[Rule, float], ...] = (
    (SGD(), 0.1), (Momentum(), 0.1), (Nesterov(), 0.1), (Adagrad(), 0.01), (RMSProp(), 0.01), (Adam(), 0.01),
)  # fmt: skip
"""Rule and constant rate on a saddle: over the curvature for Euclidean steps, over the box's width for others."""


def usual(landscape: Landscape) -> tuple[Strategy, ...]:
    """Return a small and a large rate of SGD and of Adam: steps that stay in a basin, and steps that leave it.

    On a saddle, where one compares rules, SGD and its momenta at one rate, adaptive rules at another, and Adadelta.
    """
    width, bent = float(np.ptp(landscape.box, axis=1).min()), curvature(landscape)
    plan = ((rule, "constant", rate) for rule, rate in LEAVING) if landscape.saddle else USUAL
    units = ((rule, recipe, rate * (1 / bent if rule.facts.euclidean else width)) for rule, recipe, rate in plan)
    found = tuple(Strategy.of(rule, recipe, round_rate(rate)) for rule, recipe, rate in units)
    return (*found, Strategy.of("Adadelta", "constant", Adadelta().lr)) if landscape.saddle else found


def curvature(landscape: Landscape, seed: int = 0) -> float:
    """Return the curvature that nine tenths of the box stay below: the largest eigenvalue of the Hessian, by size.

    It is found by power iteration on differences of the gradient, at the global minima and at points drawn with
    `seed`, 256 in all. Where the function is flat nearly everywhere, it is the largest that was found; where it is
    straight, the median slope over it is a hundredth of the box's width.

    >>> from stepsize.problems.landscapes import Booth
    >>> round(curvature(Booth()), 3)
    18.0
    """
    source = seeds.generator(seed, "curvature")
    low, high = landscape.box.T
    points = source.uniform(low, high, (SAMPLES - len(landscape.best), landscape.dimensions))
    x = torch.from_numpy(np.concatenate([points, landscape.best]))
    width = float((high - low).min())
    toward = torch.from_numpy(source.standard_normal(tuple(x.shape)))
    size = toward.norm(dim=-1, keepdim=True)
    for _ in range(ITERATIONS):
        toward = 1e-6 * width * toward / size.clamp(min=1e-300)
        bent = landscape.gradient(x + toward, torch) - landscape.gradient(x - toward, torch)
        toward = bent / (2e-6 * width)
        size = toward.norm(dim=-1, keepdim=True)
    curvatures, values = _finite(size), _finite(landscape.value(x, torch))
    steep, flat = float(np.quantile(curvatures, STEEP)), 1e-6 * float(np.ptp(values)) / width**2
    slope = float(np.median(_finite(landscape.gradient(x, torch).norm(dim=-1))))
    return steep if steep > flat else max(float(curvatures.max()), 100 * slope / width) or 1.0


def _finite(values: torch.Tensor) -> Floats:
    numbers = values.numpy().ravel()
    return numbers[np.isfinite(numbers)] if np.isfinite(numbers).any() else np.zeros(1)
