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

from stepsize import rules
from stepsize.kernel.errors import ParameterError
from stepsize.rules import Facts, Rule


def stability_threshold(rule: Rule) -> float:
    """Return below which value `lr * sharpness` has to stay for `rule` to be stable on a quadratic.

    rule: with its hyperparameters; weight decay is left out (see `largest_stable_rate`). For RMSProp and Adam the
    sharpness is the preconditioned one.

    Raises ParameterError for a rule whose recursion is not worked out here.

    Source: [cohen2021gradient], and [cohen2022adaptive] for Adam.

    >>> from stepsize.rules import Adam, Momentum
    >>> round(stability_threshold(Momentum(momentum=0.9)), 6), round(stability_threshold(Adam()), 6)
    (3.8, 38.0)
    """
    threshold = rule.facts.threshold
    if rule.core is not rule or threshold is None:  # what is wrapped around a rule changes its recursion
        raise ParameterError(
            f"there is no stability threshold for {rule.title!r}: its recursion is not worked out. Take one of "
            f"{', '.join(_known())}, or give your own rule a threshold among its facts."
        )
    return threshold(rule.hyperparameters)


def _known() -> list[str]:
    """Return the names of our rules that have a threshold."""
    facts = {name: getattr(kind, "facts", None) for name, kind in vars(rules).items()}
    return [name for name, known in facts.items() if isinstance(known, Facts) and known.threshold is not None]


def largest_stable_rate(rule: Rule, sharpness: float) -> float:
    """Return the rate at which `rule` stops being stable on a quadratic of this sharpness.

    `threshold / sharpness`; with weight decay wd, `threshold / (sharpness + wd)` for SGD and its momenta, which add it
    to the curvature, and `1 / (sharpness / threshold + wd / 2)` for AdamW, which decays by itself.

    rule: its own rate does not matter. sharpness: of the loss without decay; preconditioned for RMSProp and Adam.
    Where nothing curves upward (0 or less), every rate is stable: inf.

    Raises ParameterError for a sharpness that is NaN or infinite, and as `stability_threshold` does.

    Watch out: for RMSProp and Adam with L2 decay the sharpness must include it: add it to the loss that is measured.

    Source: [cohen2021gradient], and [cohen2022adaptive] for Adam.

    >>> from stepsize.rules import SGD
    >>> largest_stable_rate(SGD(), 10.0)
    0.2
    """
    threshold = stability_threshold(rule)
    if not math.isfinite(sharpness):
        raise ParameterError(f"sharpness must be a finite number, not {sharpness!r}: measure it where the loss is one.")
    decay = rule.hyperparameters["weight_decay"]
    if rule.facts.euclidean:
        curve = (sharpness + decay) / threshold
    else:
        curve = sharpness / threshold + (decay / 2 if rule.facts.decoupled else 0.0)
    return 1 / curve if curve > 0 else math.inf
