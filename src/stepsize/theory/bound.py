"""The last-iterate bound of any schedule, and how it moves the best rate from one schedule to another.

For convex f and subgradient steps `x[t+1] = x[t] - gamma * eta[t] * g[t]`, t = 1..T, with `D = |x[1] - x*|`, gradient
norms `G[t]` and the tails `S[k] = eta[k] + ... + eta[T]`, the last iterate is at most `Omega` above the minimum
[schaipp2025surprising]:

::

    Omega(gamma) = t1 / gamma + t2 * gamma
    t1 = D**2 / (2 * S[1])
    t2 = sum_t eta[t]**2 G[t]**2 / (2 * S[1])
         + 1/2 * sum_{k<T} eta[k] / S[k+1] * (sum_{t>=k} eta[t]**2 G[t]**2) / S[k]

so the best multiplier is `gamma* = sqrt(t1 / t2)` and the least bound is `Omega* = 2 * sqrt(t1 * t2)`. The constants D
and G are unknown and cancel in `shift`, the one number that a job needs: a rate tuned for one schedule or horizon,
moved to another.

A table here is the T values that a run of T updates uses, so `Linear(1, 0).over(T).table(0, T)`: its end value 0
belongs to step T and is not in it. Rates of 0 at the end of a table move nothing and are left out.

Watch out: this is theory for convex f, constant norms and plain subgradient steps. On the paper's own training logs
(AdamW, language models) it predicts the ratios of best rates between cooldowns well, and fails for no cooldown at all
(ln ratio to linear decay 1.75 measured, 1.25 predicted).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError


def bound_terms(etas: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> tuple[float, float]:
    """Return `(t1, t2)` of the bound `Omega(gamma) = t1 / gamma + t2 * gamma`, in O(T).

    etas: the schedule's table, (T,), finite, at least 0 and not all 0. gradient_norms: `G`, a number or (T,).
    distance: `D`, from the start to the minimum.

    Raises ParameterError when a number is not what it may be, or nothing ever moves.

    Watch out: a last rate far below the one before it makes the bound large, though that one update can do no harm.

    Source: [schaipp2025surprising].

    >>> bound_terms([1.0, 1.0])
    (0.25, 1.0)
    """
    rates, squares = _checked(etas, gradient_norms, distance)
    tails = _tails(rates)
    sums = _tails(rates * rates * squares)
    between = rates[:-1] / tails[1:] * (sums[:-1] / tails[:-1])
    return float(distance**2 / (2 * tails[0])), float(sums[0] / (2 * tails[0]) + 0.5 * between.sum())


def best_rate(etas: npt.ArrayLike) -> float:
    """Return `gamma* = sqrt(t1 / t2)`: what to multiply the table by, for D = G = 1.

    etas: the schedule's table, (T,). Its own scale matters: twice the table has half the `gamma*`.

    Raises ParameterError as `bound_terms` does.

    Watch out: by itself it is no learning rate, since D and G are unknown; only ratios mean something (see
    `rescale_factor`).

    Source: [schaipp2025surprising].

    >>> round(best_rate([1.0, 1.0]), 6)
    0.5
    """
    t1, t2 = bound_terms(etas)
    return math.sqrt(t1 / t2)


def least_bound(etas: npt.ArrayLike) -> float:
    """Return `Omega* = 2 * sqrt(t1 * t2)`, the bound at the best multiplier, for D = G = 1; lower is better.

    etas: the schedule's table, (T,); its scale does not matter.

    Raises ParameterError as `bound_terms` does.

    Watch out: it ranks schedules of one horizon; as a loss it is about twice too large even for convex problems.

    Source: [schaipp2025surprising].

    >>> least_bound([1.0, 1.0])
    1.0
    """
    t1, t2 = bound_terms(etas)
    return 2 * math.sqrt(t1 * t2)


def rescale_factor(source: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Return by what to multiply the peak rate tuned for table `source` to get the peak for table `target`.

    `gamma*(target / max(target)) / gamma*(source / max(source))`; the tables may have different lengths.

    Raises ParameterError as `bound_terms` does.

    Watch out: the rate of a constant schedule moves further in practice than the bound says.

    Source: [schaipp2025surprising].

    >>> round(rescale_factor([1.0, 1.0, 1.0, 1.0], [1.0, 0.75, 0.5, 0.25]), 3)
    1.304
    """
    return best_rate(_normalised(target)) / best_rate(_normalised(source))


def _normalised(etas: npt.ArrayLike) -> Floats:
    rates = floats(etas)
    peak = rates.max(initial=0.0)
    return rates / peak if peak > 0 else rates


def _tails(values: Floats) -> Floats:
    """Return the sums of `values` from each place to the end, added up from the end: differences of prefixes cancel."""
    return floats(np.cumsum(values[::-1])[::-1])


def _checked(etas: npt.ArrayLike, gradient_norms: npt.ArrayLike, distance: float) -> tuple[Floats, Floats]:
    """Return the rates without the zeros at their end, and the squared norms beside them."""
    rates, norms = floats(etas), floats(gradient_norms)
    for name, values in (("etas", rates), ("gradient_norms", norms)):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ParameterError(f"{name} must be finite numbers of at least 0; give the table of a schedule as it is.")
    if rates.ndim != 1 or norms.shape not in ((), rates.shape):
        raise ParameterError(
            f"etas must be of shape (T,), and gradient_norms a number or of that shape, "
            f"not {rates.shape} and {norms.shape}."
        )
    if not (math.isfinite(distance) and distance > 0):
        raise ParameterError(f"distance must be a finite number above 0, not {distance!r}.")
    moving = np.flatnonzero(rates)
    if not moving.size or not (norms * rates).any():
        raise ParameterError("a bound needs an update with a rate and a gradient above 0, and here nothing ever moves.")
    used = slice(0, int(moving[-1]) + 1)
    return rates[used], np.broadcast_to(norms * norms, rates.shape)[used]
