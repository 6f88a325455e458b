"""One value of every kind that a file may hold: `RESULTS`, and `VALUES` with schedules, rules and all the rest."""

import math
from dataclasses import MISSING, fields, replace

import numpy as np

from stepsize.kernel.spec import Spec
from stepsize.policies import RECIPES, Clock, Groups, Policy, one_cycle
from stepsize.problems.landscapes import Booth
from stepsize.problems.noise import Gaussian
from stepsize.results import (
    Advice,
    Baseline,
    BatchSizeSweep,
    Curves,
    Descent,
    Estimate,
    Forecast,
    FourSteps,
    HyperparameterSweep,
    Insurance,
    Interval,
    LawFit,
    LossCurve,
    Outcome,
    Prediction,
    Race,
    RangeTestRecord,
    RangeTests,
    RateBelief,
    RateGrid,
    Refinement,
    Rung,
    SearchRun,
    Sensitivity,
    Sharpness,
    Standing,
    Suggestion,
    TakenStep,
)
from stepsize.results.io import CATALOGUE
from stepsize.rules import SGD, AdamW
from stepsize.schedules import Cosine
from stepsize.strategy import Strategy, Trial

STRATEGIES = (Strategy(AdamW(), one_cycle(0.01)).over(40), Strategy(SGD(), Policy(lr=Cosine(0.1, 0.0)), "plain"))
TRIALS = tuple(Trial(strategy, seed) for strategy in STRATEGIES for seed in (1, 2))
CURVES = Curves(
    TRIALS, 3,
    np.array([[2, 2, 2, 2], [1, 1, np.nan, 3], [0.5, 1, np.nan, np.inf]], dtype=np.float32),
    np.array([1, 3]), np.array([[1.0, 1, 1, 1], [0.4, 0.9, np.nan, np.inf]]), 1.5, "loop on cpu",
)  # fmt: skip
INTERVAL = Interval(0.65, -math.inf, math.nan)
RUNG = Rung(3, STRATEGIES, (1, 2), np.array([[0.4, 0.9], [np.inf, np.inf]]))
STANDINGS = (
    Standing(strategy=STRATEGIES[0], score=INTERVAL, behind=None, diverged=0, tied=False),
    Standing(
        strategy=STRATEGIES[1],
        score=Interval(math.inf, math.inf, math.inf),
        behind=Interval(0.1, 0.0, 0.2),
        diverged=2,
        tied=True,
    ),
)
RACE = Race(
    task="digits",
    steps=3,
    rungs=(RUNG, RUNG),
    standings=STANDINGS,
    curves=CURVES,
    agreement=(0.5, math.nan),
    cost=2.5,
    engine="loop: why",
    seconds=9.0,
)
RUNS = {
    "task": "digits", "rule": SGD(), "losses": np.full((6, 2), np.nan, dtype=np.float32), "seeds": (1, 2),
    "seconds": 0.5, "steps": 6, "cost": 12,
}  # fmt: skip
RANGE_TEST = RangeTestRecord(
    rates=np.geomspace(1e-5, 10, 6), planned=9, memory=3, momentum=(0.95, 0.85),
    scored="negative validation accuracy", **RUNS,
)  # fmt: skip
GRID = RateGrid(rates=np.geomspace(1e-5, 10, 6), policy=Policy(lr=1.0), **RUNS)
SWEEP = HyperparameterSweep(hyperparameter="momentum", values=np.arange(6.0), policy=Policy(lr=1.0), **RUNS)
SIZES = BatchSizeSweep(
    hyperparameter="batch_size", values=2.0 ** np.arange(6), rates=np.geomspace(0.1, 0.2, 6),
    updates=(6, 5, 4, 3, 2, 1), speeds=np.geomspace(1e3, 1e5, 6), policy=Policy(lr=1.0), **RUNS,
)  # fmt: skip
CLEAR = Suggestion(
    min_lr=Estimate(1e-3, 1e-4, 1e-2), max_lr=Estimate(0.1, 0.05, math.inf), clear=True, reason="a", smooth=np.eye(2)
)
UNCLEAR = Suggestion(clear=False, reason="it never fell", smooth=np.full((2, 1), np.nan))
RANGE_TESTS = RangeTests(compared="rule", names=("a", "b"), tests=(RANGE_TEST, RANGE_TEST), found=(CLEAR, UNCLEAR))
TAKEN = TakenStep(name="momentum", why="so", sweep=SWEEP, found=UNCLEAR, kept="momentum 0.9")
FOUR_STEPS = FourSteps(task="digits", steps=40, batch_size=64, strategy=STRATEGIES[0], parts=(TAKEN,), seconds=2.0)
RUN = SearchRun(
    strategy=STRATEGIES[0],
    steps=10,
    seed=7,
    score=math.inf,
    stage="locating",
    cost=0.3,
    answer=STRATEGIES[1],
    loses=0.2,
)
BELIEF = RateBelief(
    family="AdamW one_cycle", rates=np.array([0.1, 1.0]), density=np.array([0.25, 0.75]), before=np.full(2, 0.5),
    low=0.1, high=2.0, source="one gradient",
)  # fmt: skip
INSURANCES = tuple(Insurance(name="a second seed", holds=holds, because="so") for holds in (True, False, None))
BASELINE = Baseline(
    strategy=STRATEGIES[1], named=True, steps=40, seeds=(3, 4), scores=(math.inf, 0.5), answer=(0.4, 0.3),
    better=Interval(math.nan, -math.inf, math.inf), share=math.nan,
)  # fmt: skip
ADVICE = Advice(
    task="digits",
    steps=40,
    seed=0,
    strategy=STRATEGIES[0],
    learned=True,
    loses=0.01,
    worst=math.inf,
    next_run="a second seed",
    next_gain=math.nan,
    insurances=INSURANCES,
    scored="validation loss",
    score=INTERVAL,
    promise=INTERVAL,
    reasons=("because",),
    warnings=(),
    runs=(RUN,),
    belief=BELIEF,
    baseline=BASELINE,
    final=RACE,
    cost=12.5,
    seconds=60.0,
    budget="20 full trainings",
    versions=(("stepsize", "0.1"), ("torch", "2.13")),
    more="more",
    start=2.3,
    scored_on=(3, 4),
    command="stepsize advise digits",
)
DESCENT = Descent(
    landscape=Booth(),
    noise=Gaussian(0.1),
    steps=5,
    seed=0,
    strategies=STRATEGIES,
    starts=np.ones((2, 2)),
    home=np.array([0, -2]),
    last=np.full((2, 2, 2), np.inf),
    basins=np.array([[0, -1], [-2, 0]]),
    entered=np.array([[3, -1], [-1, -1]]),
    died_at=np.array([[-1, 4], [-1, -1]]),
    path_steps=np.array([0, 5]),
    paths=np.zeros((2, 2, 1, 2)),
    seconds=0.1,
)
OUTCOME = Outcome(
    strategy=STRATEGIES[0], share=INTERVAL, escape=None, time=Interval(math.inf, 3.0, math.inf), trapped=0, diverged=2
)
REFINED = Refinement(
    name="log",
    steps=4,
    norm="l2",
    recorded=np.arange(2.0),
    norms=np.ones(2),
    smooth=np.ones(4),
    shape=1 - np.arange(4) / 4,
    policy=Policy(lr=0.1).over(4),
    original=np.empty(0),
    gain=1.0,
    strategy=STRATEGIES[1],
    race=RACE,
    warnings=("careful",),
)
LOSSES = LossCurve("run", np.full(3, 0.1), np.arange(1.0, 4), np.ones(3))
LAW = LawFit(law="annealing", parameters=(("L0", 1.0),), error=0.1, curve_error=math.nan, final_error=math.inf)
TOLD = Forecast(
    name="x", policy=Policy(lr=0.1).over(3), at=np.arange(1.0, 4), losses=np.ones((1, 3)), final=CLEAR.min_lr, tied=True
)
PREDICTED = Prediction(
    name="log",
    steps=3,
    runs=(LOSSES,),
    held_out=(),
    fits=(LAW,),
    forecasts=(TOLD,),
    error=math.inf,
    verdict="no ranking",
)

RESULTS = [
    REFINED, LOSSES, LAW, TOLD, PREDICTED,
    CURVES, INTERVAL, RUNG, *STANDINGS, RACE, RANGE_TEST, GRID, SWEEP, SIZES, RANGE_TESTS, TAKEN, FOUR_STEPS,
    CLEAR, UNCLEAR,
    CLEAR.min_lr, ADVICE, replace(ADVICE, score=None, promise=None, baseline=None, final=None),
    RUN, BELIEF, *INSURANCES, BASELINE, *STRATEGIES, TRIALS[0],
    Sharpness(math.nan, math.inf, 8, 17, "double backward", converged=False),
    Sensitivity(
        family="AdamW cosine", strategy=Strategy.of("AdamW", "cosine", 0.1), rates=(0.1, 1.0), scores=(0.5, math.inf),
        best=0.1, low=0.1, high=0.2, at_least=True, edge="lowest",
    ),
    DESCENT, OUTCOME,
]  # fmt: skip

OF_TYPE = {
    "NonNegative": 0.5, "Positive": 0.5, "Steps": 10, "Schedule": Cosine(0.1, 0.0), "tuple[Steps, ...]": (10, "30%"),
    "tuple[Schedule, ...]": (Cosine(0.1, 0.0, 10), Cosine(0.2, 0.1)), "tuple[NonNegative, ...]": (0.0, 0.5),
}  # fmt: skip
"""What stands for a required field, by its annotation."""

OTHERS = (
    Policy(lr=0.1, momentum=Cosine(0.9, 0.5)), *(make(0.1) for make in RECIPES.values()),
    Groups(one_cycle(0.1), {"head": {"lr": 10.0}, "body": Policy(lr=Cosine(0.1, 0.0))}),
    Clock(batches_per_epoch=10, batch_size=4), Strategy.of("torch.optim.SGD", "cosine", 0.1).rule,
)  # fmt: skip
"""Those that are not made of plain fields."""


def example(kind: type[Spec]) -> Spec:
    """A value of a schedule, feedback, rule, landscape or noise: defaults, and a number where there is none."""
    required = [f for f in fields(kind) if f.init and f.default is MISSING and f.default_factory is MISSING]
    return kind(**{field.name: OF_TYPE[str(field.type)] for field in required})


_LEFT_OUT = {"Custom"} | {type(value).__name__ for value in (*RESULTS, *OTHERS)}
"""Custom holds a function, which no file does."""

VALUES = (*RESULTS, *OTHERS, *(example(kind) for name, kind in CATALOGUE.of(Spec).items() if name not in _LEFT_OUT))
