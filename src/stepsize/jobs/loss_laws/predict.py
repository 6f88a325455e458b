"""Predicting loss curves: the curves of schedules that were not run, by several laws, from a recorded few.

Each law is fitted to all recorded runs, and held to account on runs that it was not fitted to: those that are given for
that, or each recorded run in turn, with the law fitted to the others. What is said of a schedule is the median over
the laws with their spread, and two schedules are ranked only where all laws agree on their order and they lie further
apart than the error: the largest of a final loss that a law made on such runs, the median over the laws
(docs/adr/0019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError, brief, check_name, suggestion
from stepsize.kernel.length import check_horizon
from stepsize.kernel.numeric import numeric
from stepsize.policies import LR, Policy, recipe
from stepsize.results import Estimate, Forecast, LawFit, LossCurve, Prediction
from stepsize.results.prediction import TAIL
from stepsize.schedules import Table
from stepsize.theory import LAWS, Law, Run, fit
from stepsize.theory.fitting import falls
from stepsize.theory.loss_laws import warmup_of

SKIP = 0.05
"""The first part of a run that is not fitted: the laws say nothing of it."""

ROWS = 150
"""The most losses of one run that are fitted; more are averaged in bins."""

FEWEST = 12
"""The fewest losses of one run."""

POINTS = 200
"""The moments of a predicted curve."""

LONGER = 4.0
"""How many times as long as the longest recorded run a horizon may be for its schedules to be ranked."""

RISES = 0.02
"""A rate that rises by more than this share of its peak after it fell is what no law here was checked on."""


class _Fitted(NamedTuple):
    """A law with its parameters, and the curves that were held out of it: (run, what it says of it)."""

    law: Law
    values: Floats
    error: float
    held_out: tuple[tuple[Run, Floats], ...]


@numeric
def predict(
    runs: Sequence[LossCurve], schedules: Mapping[str, Policy | str], *, steps: int | None = None,
    laws: Sequence[str] | None = None, held_out: Sequence[LossCurve] = (), skip: float = SKIP, name: str = "logs",
    peak: float | None = None, fixed: Mapping[str, Mapping[str, float]] | None = None,
) -> Prediction:  # fmt: skip
    """Return what the laws say of `schedules`, fitted to the recorded `runs`.

    runs: recorded curves, best of two or more schedules, one of which decays. schedules: what is asked about, by name:
        policies, at a rate near that of the runs, or names of recipes, which get the rate `peak`, that of the runs when
        not given, and the warmup of the first run.
    steps: the horizon (steps, optimizer updates) of what is not bound yet; the longest run's when not given.
    laws: their names; all when not given. held_out: runs that the laws are held to and not fitted to.
    skip: the first part of each run that is left out, besides its warmup. fixed: parameters of a law that are known, by
        the names of the law and the parameter.

    Raises ParameterError for a law that is not there, a rate that rises again after it fell, or losses of 0 or below;
    BudgetError for too few losses or no schedule.

    Watch out: the laws were made for the training loss of language models that see no sample twice. Where a model fits
    its training data by heart, or where the loss is held out and rises, they mean nothing.

    Source: [tissue2024scaling, luo2025multi, li2025functional].
    """
    chosen = laws_called(laws)
    if not schedules:
        raise BudgetError("nothing is asked about; name a schedule.")
    recorded, kept = [_run(each, skip) for each in runs], [_run(each, skip) for each in held_out]
    if not recorded:
        raise BudgetError("a prediction needs a recorded run, and better three: a constant rate, a decay, a drop.")
    horizon = steps or max(len(run.table) for run in recorded)
    top = peak or max(float(run.rates.max()) for run in runs)
    bound = {each: _bound(each, policy, horizon) for each, policy in at_peak(schedules, top, runs[0]).items()}
    fitted = [_fitted(law, recorded, kept, (fixed or {}).get(law.name, {})) for law in chosen]
    fits = tuple(_law_fit(each) for each in fitted)
    error = float(np.median([each.final_error for each in fits]))
    best, *others = sorted((_forecast(*asked, fitted) for asked in bound.items()), key=lambda each: each.final.value)
    longest = max(len(run.table) for run in (*recorded, *kept))
    reach = max(float(forecast.at[-1]) for forecast in (best, *others)) / longest
    limit = error if reach <= LONGER else math.inf
    ranked = (best, *(replace(other, tied=not apart(other, best, limit)) for other in others))
    return Prediction(
        name=name,
        steps=horizon,
        runs=tuple(runs),
        held_out=tuple(held_out),
        fits=fits,
        forecasts=ranked,
        error=error,
        verdict=_verdict(ranked, error, reach),
        warnings=_warnings(recorded, ranked, reach),
    )


def at_peak(schedules: Mapping[str, Policy | str], peak: float, run: LossCurve | None = None) -> dict[str, Policy]:
    """Return policies as they are, and recipes, which are named, at the rate `peak` and with the warmup of `run`."""
    policies = {}
    for name, schedule in schedules.items():
        if isinstance(schedule, str):
            policy = recipe(schedule)(peak).only([LR])
            policies[name] = policy if run is None else add_warmup(policy, run)
        else:
            policies[name] = schedule
    return policies


def add_warmup(policy: Policy, run: LossCurve) -> Policy:
    """Return a policy's rate with the warmup of a recorded run before it, scaled to its first rate.

    So a schedule is compared with what was recorded, and not a warmup with none. A policy that does not begin at its
    largest rate has a warmup of its own and is left as it is.
    """
    schedule, before = policy[LR], warmup_of(run.rates)
    if not before or isinstance(schedule.steps, int):
        return policy
    rates = schedule.over(len(run.rates)).table(0, len(run.rates))
    if rates[0] < rates.max():
        return policy
    warm = run.rates[:before] * (rates[0] / run.rates.max())
    return Policy(lr=Table(tuple(warm.tolist()), before) >> schedule)


def apart(first: Forecast, second: Forecast, error: float) -> bool:
    """Return whether two forecasts can be ranked: all laws agree on the order, and they differ by more than `error`."""
    differences = first.losses[:, -1] - second.losses[:, -1]
    agree = bool((differences > 0).all() or (differences < 0).all())
    return agree and abs(first.final.value - second.final.value) > error


def laws_called(names: Sequence[str] | None) -> list[Law]:
    """Return the laws of these names, each once; all when None. Raises ParameterError where one is none, or none is."""
    for name in names or ():
        check_name(name, LAWS, "law")
    chosen = [LAWS[name] for name in (LAWS if names is None else dict.fromkeys(names))]
    if not chosen:
        raise ParameterError(f"a prediction needs at least one law. {suggestion('', LAWS)}")
    return chosen


def _run(curve: LossCurve, skip: float) -> Run:
    """Return what is fitted of a curve: what comes after its warmup and its first part, in at most ROWS bins."""
    _refuse_rise(curve.name, curve.rates)
    if not (curve.losses > 0).all() or not np.isfinite(curve.losses).all():
        worst = float(curve.losses[~((curve.losses > 0) & np.isfinite(curve.losses))][0])
        raise ParameterError(f"run {curve.name!r} has a loss of {worst:g}; the laws are of finite losses above 0.")
    late = curve.at > max(warmup_of(curve.rates), skip * len(curve.rates))
    if late.sum() < FEWEST:
        raise BudgetError(
            f"run {curve.name!r} has {int(late.sum())} losses after its warmup, too few to fit a law to; log at least "
            f"{FEWEST}."
        )
    rows = np.stack([curve.at[late], curve.losses[late]])
    edges = np.linspace(0, rows.shape[1], min(ROWS, rows.shape[1]) + 1).astype(np.int64)
    at, losses = np.add.reduceat(rows, edges[:-1], axis=1) / np.diff(edges)
    return Run(floats(curve.rates), floats(np.floor(at)), floats(losses))


def _refuse_rise(name: str, table: Floats) -> None:
    before, after = np.split(floats(table), [warmup_of(table)])
    fall = (np.maximum.accumulate(before) - before).max(initial=0.0)  # what falls before its peak is no warmup
    rise = (after - np.minimum.accumulate(after)).max()
    if max(fall, rise) > RISES * after.max():
        raise ParameterError(
            f"the rate of {brief(name)} rises again after it fell, and no law here was checked on that; give schedules "
            "that only fall after their warmup. If it is a log, look whether it holds one run."
        )


def _bound(name: str, policy: Policy, horizon: int) -> Policy:
    check_horizon(horizon, f"the run of {brief(name)}")
    bound = policy.bound_to(horizon)
    check_horizon(int(bound[LR].steps), f"the schedule {brief(name)}")
    _refuse_rise(name, bound[LR].table(0, int(bound[LR].steps)))
    return bound


def _fitted(law: Law, runs: Sequence[Run], held_out: Sequence[Run], fixed: Mapping[str, float]) -> _Fitted:
    """Return a law fitted to `runs`, with what it says of the runs that it was not fitted to."""
    values = fit(law, runs, fixed)
    error = float(np.mean(np.concatenate([np.abs(law(values, run.table, run.at) - run.losses) for run in runs])))
    if held_out:
        curves = [(run, law(values, run.table, run.at)) for run in held_out]
    else:
        curves = [(run, law(fit(law, rest, fixed), run.table, run.at)) for run, rest in _turns(runs)]
    return _Fitted(law, values, error, tuple(curves))


def _turns(runs: Sequence[Run]) -> Iterable[tuple[Run, Sequence[Run]]]:
    """Return each run with the others, where those still have a decay to learn from."""
    for i, run in enumerate(runs):
        rest = [*runs[:i], *runs[i + 1 :]]
        if any(falls(other.table) for other in rest):
            yield run, rest


def _end(run: Run, losses: Floats) -> float:
    """Return the mean of `losses` over the last part of a run."""
    return float(losses[run.at > (1 - TAIL) * run.at[-1]].mean())


def _law_fit(fitted: _Fitted) -> LawFit:
    curve = [float(np.mean(np.abs(losses - run.losses))) for run, losses in fitted.held_out]
    final = [abs(_end(run, losses) - _end(run, run.losses)) for run, losses in fitted.held_out]
    return LawFit(
        law=fitted.law.name,
        parameters=tuple(zip(fitted.law.parameters, fitted.values.tolist(), strict=True)),
        error=fitted.error,
        curve_error=float(np.mean(curve)) if curve else math.nan,
        final_error=max(final, default=math.inf),
    )


def _forecast(name: str, policy: Policy, fitted: Sequence[_Fitted]) -> Forecast:
    run = int(policy[LR].steps)
    table = policy[LR].table(0, run)
    first = max(1, warmup_of(table), round(SKIP * run))
    at = np.unique(np.linspace(first, run, POINTS).round())
    losses = np.stack([each.law(each.values, table, at) for each in fitted])
    return Forecast(name=name, policy=policy, at=at, losses=losses, final=Estimate.of(losses[:, -1]), tied=False)


def _verdict(forecasts: Sequence[Forecast], error: float, reach: float) -> str:
    """Return in a sentence which schedule is predicted best, or why none is."""
    best, tied = forecasts[0], [forecast.name for forecast in forecasts if forecast.tied]
    if len(forecasts) == 1:
        low, high = f"{best.final.low:.4g}", f"{best.final.high:.4g}"
        return f"{best.name} is predicted to end at {best.final.value:.4g} ({low} to {high} over the laws)"
    if math.isinf(error):
        return "no ranking: no run was held out, so the error of these predictions is not known"
    if reach > LONGER:
        return (
            f"no ranking: the horizon is {reach:.3g} times the longest recorded run, and beyond {LONGER:g} times the "
            "error is not known"
        )
    if tied:
        return (
            f"no schedule is predicted best: {', '.join(tied)} cannot be separated from {best.name}, within an "
            f"error of {error:.2g} or because the laws disagree"
        )
    return f"{best.name} is predicted best, by more than the error of {error:.2g}"


def _warnings(runs: Sequence[Run], forecasts: Sequence[Forecast], reach: float) -> tuple[str, ...]:
    sentences = []
    if len(runs) == 1:
        sentences.append(
            "one run alone: with one schedule no law is reliably best, and their spread is all that is known"
        )
    if reach > 1:
        sentences.append(
            f"the horizon is {reach:.3g} times the longest recorded run; the error is that of shorter runs"
        )
    peaks = [float(run.table.max()) for run in runs]
    far = [
        forecast.name for forecast in forecasts
        if not min(peaks) / 1.5 <= float(forecast.policy[LR](forecast.at).max()) <= 1.5 * max(peaks)
    ]  # fmt: skip
    if far:
        tried = f"{min(peaks):.3g} to {max(peaks):.3g}"
        sentences.append(f"the peak of {', '.join(far)} is far from those of the recorded runs, {tried}")
    return tuple(sentences)
