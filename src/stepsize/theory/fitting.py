"""Fitting a law to recorded curves: Huber's loss on the logarithm of the losses, from several starts.

Huber's loss with a bound of .001 is the authors' own [tissue2024scaling, luo2025multi]: an error of more than a
thousandth of the loss counts by its size and not by its square, so that a spike in a curve moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.kernel.optional import need
from stepsize.theory.loss_laws import Law, Scale, warmup_of

HUBER = 1e-3
"""Where an error of the logarithm stops counting by its square."""

GLANCE, LONG, FINALISTS = 12, 100, 2
"""Evaluations of each start, then of the best few of them, and how many these are."""

FREEDOM = 12.0
"""How far a parameter may move from the range of its starts, as a logarithm: a factor of 160 000."""

EXPONENTS = (0.01, 5.0)
"""The range of what a law raises something to the power of."""

MARGIN = 3
"""Losses that are needed for each parameter."""


class Run(NamedTuple):
    """A recorded curve. table: the rate of each update, (T,). at: after how many updates, (points,). losses: there."""

    table: Floats
    at: Floats
    losses: Floats


def fit(law: Law, runs: Sequence[Run], fixed: Mapping[str, float] | None = None) -> Floats:
    """Return the parameters of `law`, in its order, that fit `runs` best, (parameters,).

    fixed: parameters that are known, by name.

    Raises ParameterError when the losses are not above 0, when there are fewer of them than parameters, or when the
    rate falls in none of the runs: then nothing says what a decay is worth.

    Watch out: the least value of several starts is not always the least of all, and parameters that fit are not unique;
    ask the law for losses, and do not read its parameters.

    >>> from stepsize.theory.loss_laws import Annealing
    >>> table = np.concatenate([np.full(500, 0.1), np.linspace(0.1, 0.0, 500)])
    >>> at, right = np.arange(50, 1001, 10.0), np.array([1.0, 2.0, 0.5, 0.1, 50.0])
    >>> fit(Annealing(), [Run(table, at, Annealing()(right, table, at))]).round(3).tolist()
    [1.0, 2.0, 0.5, 0.1, 50.0]
    """
    _check(law, runs)
    known = fixed or {}
    for name in known:
        if name not in law.parameters:
            raise ParameterError(f"{law.name} has no parameter {name!r}. {suggestion(name, law.parameters)}")
    objective = _Objective(law, runs, {law.parameters.index(name): float(value) for name, value in known.items()})
    starts = law.starts(scale_of(runs))
    rough = [objective.best(start, GLANCE) for start in objective.begin(starts)]
    kept = [objective.best(found, LONG) for _, found in sorted(rough, key=lambda each: each[0])[:FINALISTS]]
    return objective.parameters(min(kept, key=lambda each: each[0])[1])


def scale_of(runs: Sequence[Run]) -> Scale:
    """Return the sizes that first guesses are made from."""
    losses = np.concatenate([run.losses for run in runs])
    low, high = float(losses.min()), float(losses.max())
    areas, peaks = [float(run.table.sum()) for run in runs], [float(run.table.max()) for run in runs]
    return Scale(low, max(high - low, 1e-3 * low), max(areas), float(max(len(r.table) for r in runs)), max(peaks))


class _Objective:
    """The residuals of the logarithms of the losses, as a function of the logarithms of the free parameters."""

    def __init__(self, law: Law, runs: Sequence[Run], known: Mapping[int, float]) -> None:
        self._law = law
        self._seen = [law.path(run.table, run.at) for run in runs]
        self._logs = np.log(np.concatenate([run.losses for run in runs]))
        self._whole = np.zeros(len(law.parameters))
        self._whole[list(known)] = np.log(list(known.values()))
        self._free = np.array([i for i in range(len(self._whole)) if i not in known])
        self._low, self._high = self._whole, self._whole

    def begin(self, starts: Floats) -> Floats:
        """Return the free part of the starts, and hold the parameters to the neighbourhood of their range."""
        low, high = starts.min(axis=0) - FREEDOM, starts.max(axis=0) + FREEDOM
        powers = [i for i, name in enumerate(self._law.parameters) if name in ("alpha", "beta", "gamma")]
        low[powers], high[powers] = np.log(EXPONENTS)
        high[0] = self._logs.max()
        self._low, self._high = low[self._free], high[self._free]
        return floats(starts[:, self._free])

    def best(self, start: Floats, most: int) -> tuple[float, Floats]:
        """Return the cost and the point that `most` evaluations from `start` find."""
        found = need("scipy.optimize").least_squares(
            lambda values: self._residuals(values)[0], start, lambda values: self._residuals(values)[1],
            bounds=(self._low, self._high), loss="huber", f_scale=HUBER, max_nfev=most, x_scale="jac",
        )  # fmt: skip
        return float(found.cost), floats(found.x)

    def parameters(self, values: Floats) -> Floats:
        """Return all parameters."""
        whole = self._whole.copy()
        whole[self._free] = values
        return floats(np.exp(whole))

    def _residuals(self, values: Floats) -> tuple[Floats, Floats]:
        whole = self._whole.copy()
        whole[self._free] = values
        pairs = [self._law.losses(whole, seen) for seen in self._seen]
        losses, slopes = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        least = 1e-3 * np.exp(self._logs.min())  # a guess may gain more than there is; the fit finds its way back
        ahead = np.maximum(losses, least)
        return np.log(ahead) - self._logs, np.where(losses > least, 1 / ahead, 0.0)[:, None] * slopes[:, self._free]


def _check(law: Law, runs: Sequence[Run]) -> None:
    losses = np.concatenate([run.losses for run in runs]) if runs else np.empty(0)
    if len(losses) < MARGIN * len(law.parameters):
        raise ParameterError(
            f"the law {law.name!r} has {len(law.parameters)} parameters, and {len(losses)} losses are too few to fit "
            f"them; give it at least {MARGIN * len(law.parameters)}, of runs at several schedules."
        )
    if not (np.isfinite(losses).all() and (losses > 0).all()):
        worst = losses[~(np.isfinite(losses) & (losses > 0))][0]
        raise ParameterError(f"a law needs finite losses above 0, and one is {float(worst)!r}; leave those rows out.")
    if not any(falls(run.table) for run in runs):
        raise ParameterError(
            "the rate falls in none of these runs, so nothing says what a decay is worth; add a run whose rate does."
        )


def falls(table: Floats) -> bool:
    """Return whether the rate falls by a tenth of its peak somewhere after it."""
    after = table[warmup_of(table) :]
    return bool(after.min() < 0.9 * table.max())
