"""What the user trains with now, beside the answer, on the same seeds."""

from __future__ import annotations

import math

import numpy as np

from stepsize.jobs.advise.belief.worth import full_runs
from stepsize.jobs.advise.final import Final
from stepsize.jobs.advise.search import Search
from stepsize.jobs.paired_statistics import t_interval
from stepsize.jobs.race.strategy_files import read_strategies
from stepsize.kernel.arrays import floats
from stepsize.kernel.errors import ParameterError
from stepsize.problems import Trainable
from stepsize.results import Baseline, Interval
from stepsize.strategy import Strategy

USUAL = Strategy.of("AdamW", "warmup_linear", 0.001)
"""Where none is named: a linear decay after a warmup at the default rate of AdamW, as transformers trains."""


def usual_baseline(task: Trainable) -> Strategy:
    """Return what stands for what the user trains with now; of the rule that a training function follows, if of one."""
    rule = getattr(task, "rule", None)
    return USUAL if rule is None else Strategy.of(rule, "warmup_linear", rule.lr)


def read_baseline(given: Strategy | str, task: Trainable) -> Strategy:
    """Return the strategy that a user trains with now, as it is written: `AdamW linear_to_zero 1e-3`.

    Raises ParameterError, with the near miss, for anything but one strategy, and for one of another rule than the one
    that the training function `task` follows.
    """
    found = [given] if isinstance(given, Strategy) else read_strategies(given) if isinstance(given, str) else []
    if len(found) != 1:
        raise ParameterError(
            "a baseline is one strategy, a rule, a policy and a rate, such as 'AdamW linear_to_zero 1e-3', not "
            f"{given!r}."
        )
    rule = getattr(task, "rule", None)
    if rule is not None and found[0].rule.kind != rule.kind:
        raise ParameterError(
            f"this training function follows {rule.title}, and the baseline {found[0].name!r} has another rule; name "
            f"one of {rule.title}."
        )
    return found[0]


def compare(
    search: Search, answer: Strategy, baseline: Strategy, *, named: bool, final: Final | None
) -> Baseline | None:
    """Return how much better an answer is than what the user has; None where they have no run in common."""
    if final is not None:
        pairs = list(zip(final.seeds, final.baseline.tolist(), final.scores.tolist(), strict=True))
    else:
        own = {run.seed: run.score for run in full_runs(search.belief) if run.strategy.name == answer.name}
        theirs = {run.seed: run.score for run in full_runs(search.belief) if run.strategy.name == baseline.name}
        pairs = [(seed, theirs[seed], own[seed]) for seed in own if seed in theirs]
    if not pairs:
        return None
    seeds, scores, answers = zip(*pairs, strict=True)
    if np.isfinite(scores).all():
        better = t_interval(floats(scores) - floats(answers))
    else:
        better = Interval(math.inf, -math.inf, math.inf)
    gain = search.belief.start - float(np.mean(answers))
    return Baseline(
        strategy=baseline, named=named, steps=search.horizon, seeds=seeds, scores=scores, answer=answers, better=better,
        share=better.mean / gain if gain > 0 else math.nan,
    )  # fmt: skip
