"""A whole schedule as a table: warmup and cosine over 10**6 steps, against torch, optax and NumPy written by hand.

    python bench/table.py [--steps 1000000] [--rounds 9]

torch's SequentialLR is stepped 10**4 times and its time per value extrapolated. optax is jitted and vmapped, float32,
its compilation left out. The NumPy peers are the two-segment program that one would write by hand: once as it reads
best, and once with every operation in place. A figure is the median over the rounds, in turn, of the peer's time over
ours: 100 means that ours is 100 times faster. The accuracy is against the same formula in extended precision (64 bits
of mantissa), relative to the peak.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings

import numpy as np

from stepsize.kernel.optional import installed
from stepsize.schedules import Cosine, Linear

LOW, PEAK = 0.001, 0.1
SHARE = 20
"""The warmup is one step in so many."""

STEPPED = 10_000
"""Steps that torch is timed over."""


def ours(steps: int):
    schedule = (Linear(LOW, PEAK, steps // SHARE) >> Cosine(PEAK, 0.0)).over(steps)
    return lambda: schedule.table(0, steps)


def by_hand(steps: int):
    warm = steps // SHARE

    def table():
        values = np.empty(steps)
        u = np.arange(warm) / warm
        values[:warm] = LOW + (PEAK - LOW) * u
        u = np.arange(steps - warm) / (steps - warm)
        values[warm:] = PEAK * 0.5 * (1 + np.cos(math.pi * u))
        return values

    return table


def overwriting(steps: int):
    warm = steps // SHARE

    def table():
        values = np.empty(steps)
        t = np.arange(warm, dtype=np.float64)
        t *= (PEAK - LOW) / warm
        t += LOW
        values[:warm] = t
        t = np.arange(steps - warm, dtype=np.float64)
        t *= math.pi / (steps - warm)
        np.cos(t, out=t)
        t += 1
        t *= PEAK / 2
        values[warm:] = t
        return values

    return table


def cosine_alone(steps: int):
    """Nothing but the cosines: what no table in NumPy can undercut."""
    t = np.linspace(0.0, math.pi, steps)
    out = np.empty(steps)
    return lambda: np.cos(t, out=out)


def optax_jitted(steps: int):
    if not installed("optax"):
        return None
    import jax
    import optax

    schedule = optax.warmup_cosine_decay_schedule(LOW, PEAK, steps // SHARE, steps, 0.0)
    function, count = jax.jit(jax.vmap(schedule)), jax.numpy.arange(steps)
    return lambda: function(count).block_until_ready()


def torch_stepped(steps: int):
    """One value of torch's own warmup and cosine, so many times that it can be timed."""
    if not installed("torch"):
        return None
    import torch
    from torch.optim import lr_scheduler

    warm = steps // SHARE
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    parts = [
        lr_scheduler.LinearLR(optimizer, LOW / PEAK, total_iters=warm),
        lr_scheduler.CosineAnnealingLR(optimizer, steps - warm),
    ]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, [warm])

    def step():
        for _ in range(STEPPED):
            scheduler.step()

    return step


PEERS = {
    "torch SequentialLR, stepped": torch_stepped,
    "optax, jit and vmap, float32": optax_jitted,
    "NumPy by hand, segmented": by_hand,
    "NumPy by hand, segmented, in place": overwriting,
    "the cosines alone": cosine_alone,
}


def seconds(run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def reference(steps: int) -> np.ndarray:
    """The schedule in extended precision."""
    wide = np.longdouble
    warm = steps // SHARE
    pi = wide(math.pi) + wide(1.2246467991473531772e-16)
    rise = wide(LOW) + (wide(PEAK) - wide(LOW)) * (np.arange(warm, dtype=wide) / warm)
    u = np.arange(steps - warm, dtype=wide) / (steps - warm)
    return np.concatenate([rise, wide(PEAK) * (1 + np.cos(pi * u)) / 2])


def accuracy(steps: int) -> dict[str, float]:
    """Return the largest error of each table, relative to the peak."""
    right = reference(steps)
    makers = {"stepsize": ours, **{name: PEERS[name] for name in list(PEERS)[1:4]}}
    found = {}
    for name, make in makers.items():
        run = make(steps)
        if run is not None:
            found[name] = float(np.max(np.abs(np.asarray(run(), dtype=np.longdouble) - right)) / PEAK)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # torch says that its optimizer was not stepped
    mine = ours(options.steps)
    runs = {name: run for name, make in PEERS.items() if (run := make(options.steps)) is not None}
    for run in (mine, *runs.values()):
        run()
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    own = []
    for _ in range(options.rounds):
        own.append(seconds(mine))
        for name, run in runs.items():
            scale = options.steps / STEPPED if run is runs.get("torch SequentialLR, stepped") else 1.0
            ratios[name].append(seconds(run) * scale / own[-1])
    print(f"a table of {options.steps} steps of warmup and cosine, {options.rounds} rounds in turn")
    print(f"{'stepsize':<40}{1e9 * statistics.median(own) / options.steps:8.1f} ns a value")
    for name, found in ratios.items():
        print(f"{name:<40}{statistics.median(found):8.2f} times ours")
    print("\nlargest error relative to the peak, against extended precision")
    for name, error in accuracy(options.steps).items():
        print(f"{name:<40}{error:8.1e}")


if __name__ == "__main__":
    main()
