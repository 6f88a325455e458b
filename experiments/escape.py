"""Whether large rates escape from local minima: thousands of starts on landscapes, with gradient noise and without.

Rates are shares of the largest stable one at the global minimum, `2 / curvature`. The small one is fixed; the large
one, and the one to decay from, are those that escaped most often from one set of starts, and are reported on another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.base import Experiment, Measured, Setup
from experiments.figures import draw_intervals, panels
from experiments.records import Check, Row
from stepsize.engines.landscape.descend import descend
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel import seeds
from stepsize.kernel.arrays import NUMPY, Floats
from stepsize.kernel.spec import NDArray
from stepsize.policies import recipe
from stepsize.problems.landscapes import Landscape, Levy, Rastrigin, SixHumpCamel, StyblinskiTang
from stepsize.problems.noise import Gaussian, Noise
from stepsize.results import Descent, Interval
from stepsize.rules import SGD
from stepsize.strategy import Strategy
from stepsize.theory import largest_stable_rate

LANDSCAPES: tuple[Landscape, ...] = (StyblinskiTang(), SixHumpCamel(), Levy(), Rastrigin())

SMALL = 0.05
LARGE = (0.2, 0.5, 0.95, 1.5, 3.0)
"""Rates over the largest stable one."""

LOUD = 0.5
"""The size of the noise over the median slope in the box."""

KINDS = ("small", "large", "decay")


def stable_rate(landscape: Landscape) -> float:
    """Return the largest stable rate at the global minimum, from differences of the gradient."""
    at, width = landscape.best[0], 1e-5
    sides = [(at + width * axis, at - width * axis) for axis in np.eye(landscape.dimensions)]
    slopes = [(landscape.gradient(up, NUMPY) - landscape.gradient(down, NUMPY)) / (2 * width) for up, down in sides]
    hessian = np.array(slopes)
    return largest_stable_rate(SGD(), float(np.linalg.eigvalsh((hessian + hessian.T) / 2).max()))


def loudness(landscape: Landscape) -> Noise:
    """Return noise in proportion to the landscape's slopes."""
    low, high = landscape.box.T
    points = seeds.generator(0, "slopes").uniform(low, high, (2000, landscape.dimensions))
    return Gaussian(LOUD * float(np.median(np.abs(landscape.gradient(points, NUMPY)))))


def strategies(landscape: Landscape, kind: str) -> list[Strategy]:
    """Return the candidates of a kind: the small fixed rate, large fixed rates, or large ones that fall to 0."""
    shares = (SMALL,) if kind == "small" else LARGE
    make, edge = recipe("linear_to_zero" if kind == "decay" else "constant"), stable_rate(landscape)
    return [Strategy(SGD(), make(share * edge), f"{kind} {share:g}") for share in shares]


def run(setup: Setup, landscape: Landscape, noise: Noise | None, some: Sequence[Strategy], seed: int) -> Descent:
    """Return the descent of some strategies from the starts of a seed."""
    count = setup.pick(2000, 40)
    return descend(
        landscape, some, starts=count, steps=setup.pick(400, 40), seed=seed, noise=noise, watched=1,
        progress=setup.progress(f"{type(landscape).__name__}, {'no ' if noise is None else ''}noise"),
    )  # fmt: skip


def more(descent: Descent, kind: str, rows: NDArray) -> Interval:
    """Return by how much a larger share of some starts ends in a global basin under `kind` than under the small rate.

    rows: which starts, (starts,) bool. They are the same for both, so the differences are paired; with thousands of
    them their mean is normal enough.
    """
    reached = descent.reached[:, rows].astype(np.float64)
    return t_interval(reached[KINDS.index(kind)] - reached[0])


def measure(setup: Setup) -> Measured:
    """Measure the escapes from local minima on every landscape, without noise and with it."""
    figure, axes = panels(2, width=4.4, height=5.0)
    rows, checks = [], []
    for ax, loud in zip(axes, (False, True), strict=True):
        drawn = {}
        for landscape in setup.pick(LANDSCAPES, LANDSCAPES[:2]):
            name = type(landscape).__name__
            descent = _chosen(setup, landscape, loudness(landscape) if loud else None)
            where = f"{name}, {'with' if loud else 'no'} noise"
            for outcome in descent.outcomes:
                if outcome.escape is not None:
                    kind = outcome.strategy.name
                    drawn[f"{name}: {kind}"] = outcome.escape
                    rows.append(Row(f"{where}: {kind}", "share of all that end in a global basin", outcome.share))
                    rows.append(
                        Row(f"{where}: {kind}, {outcome.diverged} diverged", "share that escaped", outcome.escape)
                    )
            everyone = np.ones_like(descent.trapped)
            checks += [
                Check(f"{where}: escaped, large less small rate", more(descent, "large", descent.trapped), 0.0),
                Check(
                    f"{where}: escaped, decay from high less small rate", more(descent, "decay", descent.trapped), 0.0
                ),
                Check(f"{where}: all in a global basin, decay less small rate", more(descent, "decay", everyone), 0.0),
            ]
        title = "Gradient noise" if loud else "No noise"
        draw_intervals(ax, drawn, title=title, x="share of the trapped that escaped")
    starts, steps = setup.pick((2000, 400), (40, 40))
    return Measured(
        f"SGD on functions of two variables, {starts} starts from the box, {steps} steps; trapped is a start from "
        "which gradient flow ends at no global minimum, escaped one of them that ends in the basin of a global one; "
        f"rates are shares of the largest stable rate at the global minimum, {SMALL:g} for the small one and for the "
        f"others the best of {', '.join(f'{share:g}' for share in LARGE)} on other starts; what diverged has not "
        f"escaped; noise is normal, {LOUD:g} of the median slope",
        "95 % intervals, Wilson's for a share, and a t-interval of the paired difference over the trapped starts",
        rows, checks, figure,
    )  # fmt: skip


def _chosen(setup: Setup, landscape: Landscape, noise: Noise | None) -> Descent:
    """Return, on fresh starts, the small rate, the best large one and the best decay."""
    best = []
    for kind in KINDS:
        some = strategies(landscape, kind)
        index = 0
        if len(some) > 1:
            tuned = run(setup, landscape, noise, some, setup.seeds(0, 1, 1)[0])
            index = int(_escapes(tuned).argmax())
        best.append(some[index])
    return run(setup, landscape, noise, best, setup.seeds(100, 1, 1)[0])


def _escapes(descent: Descent) -> Floats:
    return np.asarray(descent.reached[:, descent.trapped].mean(axis=1), dtype=np.float64)


EXPERIMENT = Experiment(
    "escape",
    "A large rate, fixed or at the start of a decay, helps to escape from local minima, and the decay makes it "
    "likelier to find the global one.",
    "article, Diminishing and Cyclical Learning Rates", measure,
)  # fmt: skip
