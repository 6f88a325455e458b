"""How large a rate may be where the loss curves: the edge of stability, rule by rule.

On a quadratic of curvature `lam` a rule is a linear recursion, which dies out only while `lr * lam` is below a
threshold. Each follows from the characteristic polynomial of the recursion, at its root -1 [cohen2021gradient]:

::

    SGD        2                          Momentum   (2 + 2 mu) / (1 - dampening)
    RMSProp    2                          Nesterov   (2 + 2 mu) / (1 + 2 mu)
    Adam       (2 + 2 b1) / (1 - b1)      which is 38 at b1 = 0.9

With many curvatures the largest decides: the sharpness, the largest eigenvalue of the Hessian H. For rules that divide
by a running size P of the gradient (RMSProp, Adam) it is that of `P**-1 H` [cohen2022adaptive]; both are what
`stepsize.diagnostics.sharpness` measures.

Watch out: a loss is no quadratic. Full-batch training settles just above the threshold, and goes on
[cohen2021gradient]; with small batches the sharpness of the whole loss stays well below it. So it is an upper bound
to hold a rate against, and no rate to train with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp, Rule

_Hyper = Mapping[str, float]


def _heavy_ball(h: _Hyper) -> float:
    kept = 1 - h["dampening"]
    return (2 + 2 * h["momentum"]) / kept if kept > 0 else math.inf


def _adam(h: _Hyper) -> float:
    return (2 + 2 * h["momentum"]) / (1 - h["momentum"])


_THRESHOLDS: dict[type[Rule], Callable[[_Hyper], float]] = {
    SGD: lambda h: 2.0,  # noqa: ARG005  (plain descent has nothing to ask)
    Momentum: _heavy_ball,
    Nesterov: lambda h: (2 + 2 * h["momentum"]) / (1 + 2 * h["momentum"]),
    RMSProp: lambda h: 2.0,  # noqa: ARG005
    Adam: _adam,
    AdamW: _adam,
}


def stability_threshold(rule: Rule) -> float:
    """Return below which value `lr * sharpness` has to stay for `rule` to be stable on a quadratic.

    rule: with its hyperparameters; weight decay is left out (see `largest_stable_rate`). For RMSProp and Adam the
    sharpness is the preconditioned one.

    Raises ParameterError for a rule whose recursion is not worked out here.

    Source: [cohen2021gradient], and [cohen2022adaptive] for Adam.

    >>> round(stability_threshold(Momentum(momentum=0.9)), 6), round(stability_threshold(Adam()), 6)
    (3.8, 38.0)
    """
    if type(rule) not in _THRESHOLDS:
        known = [kind.__name__ for kind in _THRESHOLDS]
        name = type(rule).__name__
        raise ParameterError(f"there is no stability threshold for {name!r}. {suggestion(name, known)}")
    return _THRESHOLDS[type(rule)](rule.hyperparameters)


def largest_stable_rate(rule: Rule, sharpness: float) -> float:
    """Return the rate at which `rule` stops being stable on a quadratic of this sharpness.

    `threshold / sharpness`; with weight decay wd, `threshold / (sharpness + wd)` for SGD and its momenta, which add it
    to the curvature, and `1 / (sharpness / threshold + wd / 2)` for AdamW, which decays by itself.

    rule: its own rate does not matter. sharpness: of the loss without decay; preconditioned for RMSProp and Adam.
    Where nothing curves upward (0 or less), every rate is stable: inf.

    Raises ParameterError for a sharpness that is NaN or infinite, and as `stability_threshold` does.

    Watch out: for RMSProp and Adam with L2 decay the sharpness must include it: add it to the loss that is measured.

    Source: [cohen2021gradient], and [cohen2022adaptive] for Adam.

    >>> largest_stable_rate(SGD(), 10.0)
    0.2
    """
    threshold = stability_threshold(rule)
    if not math.isfinite(sharpness):
        raise ParameterError(f"sharpness must be a finite number, not {sharpness!r}: measure it where the loss is one.")
    decay = rule.hyperparameters["weight_decay"]
    if isinstance(rule, SGD | Momentum | Nesterov):
        curve = (sharpness + decay) / threshold
    else:
        curve = sharpness / threshold + (decay / 2 if isinstance(rule, AdamW) else 0.0)
    return 1 / curve if curve > 0 else math.inf
