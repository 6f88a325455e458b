"""Synthetic but plausible results, made in a moment: what plots, reports and commands are tried on.

`advice()` is the whole answer of a search: pilot runs, full runs, and six finalists on five seeds, one of which
diverged; `small_advice()` is what one training can buy, and `unlearned_advice()` a task on which nothing has learned.
Every function takes no arguments or keywords only, and gives equal values on every call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.policies import RECIPES
from stepsize.results import (
    Advice,
    Baseline,
    Curves,
    Estimate,
    FourSteps,
    HyperparameterSweep,
    Insurance,
    Interval,
    Race,
    RangeTestRecord,
    RateBelief,
    RateGrid,
    Rung,
    SearchRun,
    Standing,
    Suggestion,
    TakenStep,
)
from stepsize.rules import AdamW, Momentum, RMSProp, Rule
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
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3),
) -> RateGrid:  # fmt: skip
    """Runs that end lowest at `best`, the longer the lower; at the largest rate one seed diverged."""
    return RateGrid(rates=np.array(rates), **_runs(rates, best, steps, seeds, diverged))


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


def four_steps() -> FourSteps:
    """Two of Smith's four steps, and what they come to."""
    tested = range_test()
    swept = hyperparameter_sweep(hyperparameter="momentum", values=(0.9, 0.95, 0.99), best=0.9)
    parts = (
        (tested, "lr", replace(suggestion(tested), generalisation="signs of underfitting")),
        (swept, "momentum", Suggestion(clear=False, reason="no clear answer: so", smooth=swept.judged)),
    )
    return FourSteps(
        task="digits", steps=STEPS, batch_size=64, strategy=strategy(AdamW(), "one_cycle", 0.01),
        parts=tuple(TakenStep(name=name, why="it is so", sweep=sweep, found=found, kept="the best")
                    for sweep, name, found in parts),
    )  # fmt: skip


def searched() -> tuple[RateGrid, Suggestion]:
    """A grid of rates, and what it suggests."""
    found = suggestion(range_test(AdamW(), seeds=2))
    policy = RECIPES["one_cycle"](0.024).over(STEPS)
    return grid(), replace(
        found, reason="whole runs of 200 steps end lowest at 0.03; rescaled by 0.8 to 400 steps",
        lr=Estimate(0.024, 0.02, 0.03), policy=policy, limit=Estimate(0.5, 0.4, 0.6),
        warnings=("the curvature bears far more than the runs do",),
    )  # fmt: skip


RUNS: tuple[tuple[str, str, float, int, float, str, float, float], ...] = (
    ("AdamW", "one_cycle", 0.001, 25, 1.42, "locating AdamW one_cycle", 0.001, 0.31),
    ("AdamW", "one_cycle", 0.00316, 25, 0.95, "locating AdamW one_cycle", 0.00316, 0.2),
    ("AdamW", "one_cycle", 0.01, 25, 0.58, "locating AdamW one_cycle", 0.01, 0.11),
    ("AdamW", "one_cycle", 0.0316, 25, 0.49, "locating AdamW one_cycle", 0.0178, 0.08),
    ("AdamW", "one_cycle", 0.1, 25, 1.9, "locating AdamW one_cycle", 0.0178, 0.062),
    ("AdamW", "one_cycle", 0.316, 25, np.inf, "locating AdamW one_cycle", 0.0158, 0.055),
    ("AdamW", "one_cycle", 0.00562, 100, 0.21, "locating AdamW one_cycle", 0.0125, 0.047),
    ("AdamW", "one_cycle", 0.0178, 100, 0.187, "locating AdamW one_cycle", 0.0112, 0.041),
    ("AdamW", "one_cycle", 0.0562, 100, 0.34, "locating AdamW one_cycle", 0.01, 0.036),
    ("AdamW", "one_cycle", 0.01, 400, 0.0661, "the answer so far, to its end", 0.01, 0.024),
    ("AdamW", "warmup_cosine", 0.00316, 400, 0.0655, "where one more training is expected to gain most", 0.0, 0.021),
    ("Momentum", "one_cycle", 0.316, 400, 0.0702, "where one more training is expected to gain most", 0.0, 0.019),
    ("AdamW", "one_cycle", 0.01, 400, 0.0634, "a fresh seed for the leaders", 0.01, 0.015),
    ("AdamW", "warmup_cosine", 0.00316, 400, 0.0671, "a fresh seed for the leaders", 0.01, 0.0121),
)
"""Rule, recipe, rate, steps, score and stage of a run; the rate of the answer then (0: of warmup_cosine), its loss."""


def search_runs() -> tuple[SearchRun, ...]:
    """Six short runs, three longer ones, five full ones: two lengths of pilot runs, one of which diverged."""
    found, cost = [], 0.02
    for index, (rule, recipe, peak, steps, score, stage, rate, loses) in enumerate(RUNS):
        cost += 1.02 * steps / STEPS
        best = ("one_cycle", rate) if rate else ("warmup_cosine", 0.00316)
        found.append(
            SearchRun(
                strategy=Strategy.of(rule, recipe, peak).over(STEPS), steps=steps,
                seed=7000 if steps < STEPS else 7100 + index // 12, score=score, stage=stage, cost=round(cost, 3),
                answer=Strategy.of("AdamW", *best).over(STEPS), loses=loses,
            )
        )  # fmt: skip
    return tuple(found)


def belief() -> RateBelief:
    """A peak at 0.0112 on a grid from 1e-6 to 10; before any run it was wide."""
    rates = np.geomspace(1e-6, 10.0, 281)
    shape = [np.exp(-0.5 * (np.log10(rates / middle) / sd) ** 2) for middle, sd in ((0.0112, 0.16), (0.0056, 0.6))]
    density, before = (each / each.sum() for each in shape)
    low, high = np.interp([0.05, 0.95], density.cumsum(), rates).tolist()
    return RateBelief(
        family="AdamW one_cycle", rates=rates, density=density, before=before, low=low, high=high,
        source="the width of the layers and one gradient",
    )  # fmt: skip


INSURANCES = (
    Insurance(
        name="trained to its end at this rate", holds=True, because="Two runs of 400 steps ended at 0.0634 to 0.0661."
    ),
    Insurance(name="a lower and a higher rate are worse", holds=True, because="0.00562 and 0.0178 were, in 100 steps."),
    Insurance(name="a second seed", holds=True, because="Seeds 7100 and 7101 differ by 0.0027."),
    Insurance(name="another rule", holds=True, because="Momentum one_cycle 0.316 ended at 0.0702."),
    Insurance(name="a lower rate over the full horizon", holds=False, because="It was not run, for want of budget."),
)
"""What makes the answer safe: all but the last was bought."""


def advice(*, task: str = "digits") -> Advice:
    """The whole answer: what a search over three rules would have found for fifty trainings."""
    last = final()
    score = last.standings[0].score
    return Advice(
        task=task,
        steps=STEPS,
        seed=7,
        strategy=last.standings[0].strategy,
        learned=True,
        loses=0.0121,
        worst=0.04,
        next_run="a fresh seed of AdamW warmup_cosine 0.00316",
        next_gain=0.0042,
        insurances=INSURANCES,
        scored="validation loss",
        score=score,
        promise=Interval(score.mean, score.mean - 0.008, score.mean + 0.008),
        scored_on=SEEDS,
        reasons=(
            f"AdamW one_cycle 0.01 has the lowest validation loss of 6 finalists on 5 fresh seeds: {score.mean:.4g}.",
            "It beats AdamW linear_to_zero 0.00316 by 0.017 (0.0139 to 0.0201) on paired seeds.",
            "1 more finalist is tied with it: AdamW warmup_cosine 0.00316.",
            "Short runs of 25 and 100 steps put the best peak of AdamW one_cycle at 0.0112.",
        ),
        warnings=(
            "The validation set has 360 samples, so a difference below 0.003 is noise.",
            "Rates of Momentum were moved from those of AdamW, and not located.",
        ),
        runs=search_runs(),
        belief=belief(),
        baseline=Baseline(
            strategy=Strategy.of("AdamW", "constant", 0.001).over(STEPS),
            named=False,
            steps=STEPS,
            seeds=SEEDS[:3],
            scores=(0.162, 0.158, 0.164),
            answer=(0.0642, 0.0631, 0.0668),
            better=Interval(0.0966, 0.0911, 0.1021),
            share=0.0432,
        ),
        final=last,
        start=2.3,
        cost=37.4,
        seconds=95.2,
        budget="40 full trainings",
        more="With more budget it would run more seeds of both, until they separate.",
        versions=(("stepsize", "0.1.0"), ("numpy", "2.4.6"), ("torch", "2.13.0"), ("machine", "x86_64, 2 cores")),
        command="stepsize advise digits --budget 40 --seed 7",
        engine="ensemble on cpu",
        untried_rules=("Nesterov", "Lion"),
        untried_policies=("wsd", "exp_range"),
    )


def small_advice() -> Advice:
    """What one training can buy: pilot runs alone, so that no score is promised."""
    return replace(
        advice(), runs=search_runs()[:9], strategy=search_runs()[8].answer, loses=0.036, worst=0.12, score=None,
        promise=None, scored_on=(), baseline=None, final=None, cost=1.17, seconds=3.4, budget="1 full training",
        next_run="the answer over the full horizon", next_gain=0.012,
        insurances=(
            Insurance(name="trained to its end at this rate", holds=False, because="The budget has no full run."),
            replace(INSURANCES[1]),
            Insurance(name="a second seed", holds=False, because="Every run had the same seed."),
        ),
        reasons=("Short runs of 25 and 100 steps put the best peak of AdamW one_cycle at 0.0112.",),
        warnings=("No run was as long as the training will be.",),
        more="With 2 full trainings it would run the answer to its end.",
        command="stepsize advise digits --budget 1 --seed 7",
    )  # fmt: skip


def unlearned_advice() -> Advice:
    """A task on which no run did better than what needs no model."""
    flat = tuple(replace(each, score=2.31 if np.isfinite(each.score) else np.inf) for each in search_runs()[:6])
    return replace(
        small_advice(), runs=flat, strategy=flat[-1].answer, learned=False, loses=np.nan, worst=np.nan, cost=0.4,
        belief=replace(belief(), density=belief().before, low=0.00058, high=0.054), insurances=(), next_run="",
        next_gain=np.nan, reasons=(),
        warnings=(
            "No run of 6 ended below 2.302, which the best constant answer reaches without a model.",
            "Check the labels: shuffle them, and see whether the loss stays the same.",
        ),
        more="Repair the task, or try `stepsize range-test digits` to see how the loss moves.",
    )  # fmt: skip
