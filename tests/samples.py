"""Synthetic but plausible results, made in a moment: what plots, reports and commands are tried on.

`advice()` is the whole answer of a search: six finalists on five seeds, one of which diverged, and three range tests,
one of which is not clear. Every function takes no arguments or keywords only, and gives equal values on every call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.policies import RECIPES
from stepsize.results import (
    Advice,
    Curves,
    Estimate,
    HyperparameterSweep,
    Interval,
    Race,
    RangeTestRecord,
    RateGrid,
    Rung,
    Standing,
    Suggestion,
)
from stepsize.rules import SGD, AdamW, Momentum, RMSProp, Rule
from stepsize.strategy import Strategy, Trial

STEPS = 400
SEEDS = (11, 12, 13, 14, 15)
RECIPES_TRIED = ("constant", "step_decay", "cosine", "warmup_cosine", "triangular", "one_cycle")

FINALISTS: tuple[tuple[Rule, str, float, float], ...] = (
    (AdamW(), "one_cycle", 0.01, 0.0612),
    (AdamW(), "warmup_cosine", 0.00316, 0.0631),
    (Momentum(), "one_cycle", 0.316, 0.0655),
    (AdamW(), "linear_to_zero", 0.00316, 0.0774),
    (RMSProp(), "cosine", 0.001, 0.0912),
    (Momentum(), "triangular", 3.16, np.inf),
)
"""Rule, recipe, peak rate and true score; the last diverges on two seeds."""


def strategy(rule: Rule, recipe: str, peak: float, *, steps: int = STEPS) -> Strategy:
    return Strategy.of(rule, recipe, peak, name=f"{type(rule).__name__} {recipe} {peak:.3g}").over(steps)


def curves(*, seeds: tuple[int, ...] = SEEDS, points: int = 5) -> Curves:
    """The finalists' learning curves: an exponential fall with noise; the last one explodes on two seeds."""
    noise = np.random.default_rng(1)
    t = np.arange(STEPS)[:, None]
    score_steps = np.linspace(STEPS // points, STEPS, points).astype(np.int64)
    trials, losses, scores = [], [], []
    for rule, recipe, peak, final in FINALISTS:
        end = final if np.isfinite(final) else 0.12
        fall = end + (2.3 - end) * np.exp(-t / (18 + 300 * end))
        loss = fall * (1 + 0.12 * noise.standard_normal((STEPS, len(seeds))))
        score = fall[score_steps - 1] * 1.05 + 0.002 * noise.standard_normal((points, len(seeds)))
        if not np.isfinite(final):
            for column, at in ((1, 120), (3, 250)):
                loss[at - 8 : at, column] = 2.0 * 10.0 ** np.arange(8)
                loss[at:, column], score[score_steps > at, column] = np.nan, np.inf
        trials += [Trial(strategy(rule, recipe, peak), seed) for seed in seeds]
        losses.append(loss.astype(np.float32))
        scores.append(score)
    return Curves(tuple(trials), STEPS, np.hstack(losses), score_steps, np.hstack(scores), 12.5, "ensemble on cpu")


def interval(values: np.ndarray) -> Interval:
    """Something like a t-interval of the mean; all inf when a seed diverged."""
    mean = float(values.mean())
    if not np.isfinite(mean):
        return Interval(np.inf, np.inf, np.inf)
    half = 2.776 * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Interval(mean, mean - half, mean + half)


def standings(rung: Rung) -> tuple[Standing, ...]:
    """Places, plausible in everything: who is near the best has a chance, and AdamW decays."""
    best = rung.scores[rung.order[0]]
    likely = np.exp(-(rung.means - best.mean()) / 0.003)
    chances = likely / likely.sum()
    found = []
    for place, i in enumerate(rung.order):
        diverged = int((~np.isfinite(rung.scores[i])).sum())
        behind = None if place == 0 or diverged else interval(rung.scores[i] - best)
        tied = place == 0 or (behind is not None and 0.0 in behind)
        differences = () if behind is None else tuple((rung.scores[i] - best).tolist())
        strategy, score = rung.strategies[i], interval(rung.scores[i])
        decay = 0.01 * strategy.peak * STEPS if isinstance(strategy.rule, AdamW) else 0.0
        found.append(
            Standing(
                strategy=strategy,
                score=score,
                behind=behind,
                diverged=diverged,
                tied=tied,
                differences=differences,
                chance=float(chances[i]),
                decay=decay,
            )
        )
    return tuple(found)


def final() -> Race:
    """The finalists on fresh seeds: one rung at the full horizon."""
    record = curves()
    strategies = tuple(trial.strategy for trial in record.trials[:: len(SEEDS)])
    rung = Rung(STEPS, strategies, SEEDS, record.final.reshape(len(strategies), len(SEEDS)))
    return Race(
        task="digits",
        steps=STEPS,
        rungs=(rung,),
        standings=standings(rung),
        curves=record,
        agreement=(),
        cost=30.0,
        engine="ensemble on cpu",
        seconds=12.5,
    )


def search() -> Race:
    """The rungs that chose the finalists: three rules, six policies, four rates each, then the best quarter."""
    noise = np.random.default_rng(2)
    wide, scores = [], []
    for rule, home in ((AdamW(), 0.01), (Momentum(), 0.3), (RMSProp(), 0.002)):
        for shift, recipe in enumerate(RECIPES_TRIED):
            for factor in (0.1, 0.316, 1.0, 3.16, 10.0):
                wide.append(strategy(rule, recipe, home * factor))
                off = np.log10(factor) - 0.1 * shift
                mean = 0.15 - 0.008 * shift + 0.12 * off**2 if off < 0.6 else np.inf
                scores.append(mean + 0.004 * noise.standard_normal(2))
    first = Rung(STEPS // 4, tuple(wide), (1, 2), np.array(scores))
    chosen = first.order[:16]
    second_scores = 0.6 * first.scores[chosen] + 0.003 * noise.standard_normal((16, 2))
    second = Rung(STEPS, tuple(first.strategies[i] for i in chosen), (1, 2), second_scores)
    trials = tuple(Trial(s, seed) for s in second.strategies for seed in second.seeds)
    losses = np.linspace(2.3, 0.1, 50, dtype=np.float32)[:, None].repeat(len(trials), axis=1)
    record = Curves(trials, STEPS, losses, np.array([STEPS]), second.scores.reshape(1, -1), 20.0, "ensemble on cpu")
    return Race(
        task="digits",
        steps=STEPS,
        rungs=(first, second),
        standings=standings(second),
        curves=record,
        agreement=(0.71,),
        cost=77.0,
        engine="ensemble on cpu",
        seconds=31.0,
    )


def range_test(rule: Rule | None = None, *, clear: bool = True, steps: int = 300, seeds: int = 3) -> RangeTestRecord:
    """A range test from 1e-5 to 10: flat, a fall around 1e-3, NaN after an explosion; noise alone when not clear."""
    noise = np.random.default_rng(3)
    rates = np.geomspace(1e-5, 10.0, steps)
    home = np.log10(rates)[:, None] + 0.15 * np.arange(seeds)
    loss = 2.3 - (1.9 / (1 + np.exp(-4.0 * (home + 2.7))) if clear else 0.0) + 0 * home
    loss = loss + (10.0 ** np.clip(2.5 * home, -9, 30) if clear else 0.0)
    loss = loss + 0.08 * noise.standard_normal(loss.shape)
    loss[loss > 1e2] = np.nan
    return RangeTestRecord(
        task="digits", rule=rule or AdamW(), rates=rates, losses=loss.astype(np.float32),
        seeds=tuple(range(1, seeds + 1)), steps=steps, cost=steps * seeds, seconds=1.5,
    )  # fmt: skip


def suggestion(of: RangeTestRecord, *, clear: bool = True) -> Suggestion:
    """What the samples' range tests would suggest, with a plausible smoothing."""
    width = 15
    kernel = np.ones(width) / width
    padded = np.pad(of.losses.astype(np.float64), ((width // 2, width // 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
    if not clear:
        reason = "the loss never fell by more than its own noise (0.08), so there is no rate to begin at"
        return Suggestion(clear=False, reason=reason, smooth=smooth)
    reason = "the loss falls fastest at 0.002 and rises again above 0.21; a tenth of a decade of margin on both sides"
    return Suggestion(
        min_lr=Estimate(4.2e-4, 3.1e-4, 5.5e-4), max_lr=Estimate(0.17, 0.12, 0.21), clear=True, reason=reason,
        smooth=smooth,
    )  # fmt: skip


def grid(
    *, steps: int = 200, seeds: int = 2, best: float = 0.03, diverged: bool = True,
    range_test: RangeTestRecord | None = None, shorter: tuple[RateGrid, ...] = (),
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3),
) -> RateGrid:  # fmt: skip
    """Runs that end lowest at `best`, the longer the lower; at the largest rate one seed diverged."""
    return RateGrid(
        rates=np.array(rates), range_test=range_test, shorter=shorter, **_runs(rates, best, steps, seeds, diverged)
    )


def hyperparameter_sweep(
    *, hyperparameter: str, values: tuple[float, ...], best: float, steps: int = 200, seeds: int = 2
) -> HyperparameterSweep:
    """Runs that end lowest at `best` of another hyperparameter."""
    return HyperparameterSweep(
        hyperparameter=hyperparameter, values=np.array(values), **_runs(values, best, steps, seeds, diverged=False)
    )


def _runs(values: tuple[float, ...], best: float, steps: int, seeds: int, diverged: bool) -> dict[str, Any]:
    level = 0.1 * (1 + 60 / steps) * (1 + np.log10(np.array(values) / best)[:, None] ** 2)
    level = level * (1 + 0.1 * np.arange(seeds))
    if diverged:
        level[-1, 0] = np.nan
    return {
        "task": "digits", "rule": AdamW(), "losses": level.astype(np.float32), "seeds": tuple(range(seeds)),
        "seconds": 4.0, "steps": steps, "policy": RECIPES["one_cycle"](1.0), "held_out": 1.2 * level,
        "before": np.full(seeds, 2.3), "horizon": STEPS, "cost": len(values) * seeds * steps,
    }  # fmt: skip


def searched() -> tuple[RateGrid, Suggestion]:
    """A search for a rate, a range test and two grids, and what it suggests."""
    record = range_test(AdamW(), seeds=2)
    found = suggestion(record)
    policy = RECIPES["one_cycle"](0.024).over(STEPS)
    last = grid(range_test=record, shorter=(grid(steps=50, best=0.05),))
    return last, replace(
        found, reason="whole runs of 200 steps end lowest at 0.03; rescaled by 0.8 to 400 steps",
        lr=Estimate(0.024, 0.02, 0.03), policy=policy, limit=Estimate(0.5, 0.4, 0.6),
        warnings=("the curvature bears far more than the runs do",),
    )  # fmt: skip


def advice(*, task: str = "digits") -> Advice:
    """The whole answer: what a search over three rules would have found."""
    last = final()
    sweeps = (range_test(AdamW()), range_test(Momentum()), range_test(SGD(), clear=False))
    suggestions = tuple(suggestion(s, clear=i < 2) for i, s in enumerate(sweeps))
    best = last.standings[0]
    mean = best.score.mean
    reasons = (
        f"AdamW one_cycle 0.01 has the lowest mean validation loss of 6 finalists on 5 fresh seeds: {mean:.4f}.",
        "It beats AdamW linear_to_zero 0.00316 by 0.0170 (0.0139 to 0.0201) on paired seeds.",
        "1 more finalist is tied with it: AdamW warmup_cosine 0.00316.",
    )
    warnings = (
        "The best peak rate of Momentum one_cycle lies at the upper edge of its grid; try a wider one.",
        "The range test of SGD gave no clear answer, so its rates come from the default grid.",
    )
    score = best.score
    return Advice(
        task=task,
        steps=STEPS,
        seed=7,
        strategy=best.strategy,
        score=score,
        promise=Interval(score.mean, score.mean - 0.008, score.mean + 0.008),
        reasons=reasons,
        warnings=warnings,
        sweeps=sweeps,
        suggestions=suggestions,
        search=search(),
        final=last,
        cost=107.4,
        seconds=95.2,
        versions=(("stepsize", "0.1.0"), ("numpy", "2.4.6"), ("torch", "2.13.0"), ("machine", "x86_64, 2 cores")),
        more="With more budget it would run more seeds of both, until they separate.",
        start=2.3,
        untried_rules=("Nesterov", "Lion"),
        untried_policies=("wsd", "exp_range"),
    )
