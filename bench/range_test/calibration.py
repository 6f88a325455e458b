"""What constants may be fitted on: trainings of the dev half in whole and shortened horizons, and range-test ramps.

    python bench/range_test/calibration.py --into FOLDER

Writes one NPZ file per problem of the dev half, and a README that says what is in it. A file that is there is not made
again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from runs import SCAN, grid, scan, start, train, window
from tasks import SCHEDULES, Problem, half

from stepsize.jobs import range_test

SHARES = (1, 2, 4, 8, 16)
"""The horizons: the whole one over each of these."""

SEEDS = (0, 1, 2, 3)
PER_DECADE = 6

HARDLY = 0.9
"""The rates end where so much of the gain is missed."""

RAMP_SEEDS = tuple(range(100, 108))
RAMP_PER_DECADE = (10, 20, 40, 80)
RAMP_LOW, RAMP_HIGH = 1e-7, 10**1.5

AS_IT_IS = {"widen": False, "curvature": False}
"""Nothing but the ramp."""

README = """\
Calibration data of bench/range_test: the dev half only. One NPZ file per problem, read with numpy.load, without pickle.

name, rule, batch, steps    of the problem; steps is its horizon T
start                       (4,) validation loss before training, seeds 0-3
rates                       (R,) peak rates, 6 a decade, from hardly learning to worse than the start
seeds                       0-3
horizons                    T, T/2, T/4, T/8, T/16 updates
score/SCHEDULE/HORIZON      (R, 4) final validation loss; the whole schedule in that many updates; inf once diverged
training/SCHEDULE/HORIZON   (R, 4) mean training loss of the last tenth; NaN or inf once diverged
ramp_seeds                  100-107
ramp/P/rates                (S,) rates of an exponential ramp of P steps a decade, P = 10, 20, 40, 80
ramp/P/losses               (S, 8) the batch's training loss at each step, before the update; NaN or inf once diverged

SCHEDULE is constant, cosine, linear_to_zero or one_cycle: a recipe of stepsize.policies, without what the rule lacks.
Within a problem all trials of a seed share initial weights and batches.
"""


def calibrate(problem: Problem) -> dict[str, np.ndarray]:
    """Return all arrays of one problem."""
    steps = problem.task.steps
    horizons = [max(12, steps // share) for share in SHARES]
    trainings = [("constant", steps), ("one_cycle", steps), ("one_cycle", horizons[-1])]
    windows = [window(SCAN, scan(problem, schedule, length), HARDLY) for schedule, length in trainings]
    rates = grid(min(low for low, _ in windows), max(high for _, high in windows), PER_DECADE)
    found = {
        "name": np.array(problem.name), "rule": np.array(repr(problem.rule)), "steps": np.array(steps),
        "batch": np.array(problem.task.batch_size), "start": start(problem, SEEDS), "rates": rates,
        "seeds": np.array(SEEDS), "horizons": np.array(horizons), "ramp_seeds": np.array(RAMP_SEEDS),
    }  # fmt: skip
    for schedule in SCHEDULES:
        for horizon in horizons:
            outcome = train(problem, schedule, rates, SEEDS, horizon)
            found[f"score/{schedule}/{horizon}"] = outcome.scores
            found[f"training/{schedule}/{horizon}"] = outcome.training
    high = max(RAMP_HIGH, 10 * rates[-1])
    for per_decade in RAMP_PER_DECADE:
        ramp = round(per_decade * np.log10(high / RAMP_LOW))
        sweep = range_test(
            problem.task, problem.rule, low=RAMP_LOW, high=high, steps=ramp, seeds=RAMP_SEEDS, **AS_IT_IS
        )
        found[f"ramp/{per_decade}/rates"], found[f"ramp/{per_decade}/losses"] = sweep.rates, sweep.losses
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, required=True)
    into = parser.parse_args().into
    into.mkdir(parents=True, exist_ok=True)
    (into / "README").write_text(README)
    for problem in half("dev"):
        path = into / f"{problem.name}.npz"
        if path.exists():
            continue
        began = time.perf_counter()
        found = calibrate(problem)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **found)
        part.rename(path)
        low, high = found["rates"][[0, -1]]
        print(
            f"{problem.name}: {len(found['rates'])} rates {low:.2g} to {high:.2g}, {time.perf_counter() - began:.0f} s"
        )


if __name__ == "__main__":
    main()
