"""Time of ten thousand trajectories on Rastrigin against loops of torch.optim and a scan in JAX.

    python bench/landscapes.py [--starts 10000] [--steps 1000] [--dimensions 2] [--rounds 5]

Adam with a cosine schedule, everywhere in float64 and from the same starts. The peers only walk; ours also notes which
trajectories diverged, when each came near the global minimum, and where some of them were. A ratio is the time of the
peer over ours; above 1, ours is faster. The loop of single starts is run for a few starts, and its time taken times all
of them; gradient flow, which says in which basins the starts and the ends lie, is timed on its own.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from stepsize.engines.landscape.descend import _Plan, _Run, _starts
from stepsize.engines.landscape.gradient_flow import basins
from stepsize.policies import cosine
from stepsize.problems.landscapes import Rastrigin
from stepsize.rules import Adam
from stepsize.strategy import Strategy

RATE = 0.1
SINGLE = 2
"""How many starts the loop of single starts is timed on."""

Timed = Callable[[np.ndarray, int], np.ndarray]


def ours(surface: Rastrigin) -> Timed:
    """Return the engine of this library."""

    def run(x: np.ndarray, steps: int) -> np.ndarray:
        plan = _Plan(surface, x, steps, seed=0, noise=None, watched=200, points=121, block=1 << 15)
        walk = _Run(plan, Strategy(Adam(), cosine(RATE)).over(steps))
        walk.all(None)
        return walk.joined("weights")

    return run


def batched(*, autograd: bool) -> Timed:
    """Return torch.optim.Adam on all starts as one tensor, the gradient by autograd or by the same closed form."""

    def run(x: np.ndarray, steps: int) -> np.ndarray:
        p = torch.nn.Parameter(torch.tensor(x))
        optimizer = torch.optim.Adam([p], lr=RATE)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            if autograd:
                optimizer.zero_grad()
                (10 + p * p - 10 * torch.cos(2 * math.pi * p)).sum().backward()
            else:
                with torch.no_grad():
                    p.grad = 2 * p + 20 * math.pi * torch.sin(2 * math.pi * p)
            optimizer.step()
            scheduler.step()
        return p.detach().numpy()

    return run


def scanned() -> Timed | None:
    """Return jax.lax.scan under jit over optax.adam, in float64; None where they are not installed."""
    try:
        import jax
        import jax.numpy as jnp
        import optax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    compiled = {}

    def make(steps: int) -> Callable:
        optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))

        def loss(x):
            return (10 + x * x - 10 * jnp.cos(2 * jnp.pi * x)).sum()

        def body(state, _):
            x, inner = state
            update, inner = optimizer.update(jax.grad(loss)(x), inner)
            return (optax.apply_updates(x, update), inner), None

        return jax.jit(lambda x: jax.lax.scan(body, (x, optimizer.init(x)), None, length=steps)[0][0])

    def run(x: np.ndarray, steps: int) -> np.ndarray:
        if steps not in compiled:
            compiled[steps] = make(steps)
            compiled[steps](jnp.asarray(x)).block_until_ready()
        return np.asarray(compiled[steps](jnp.asarray(x)).block_until_ready())

    return run


def seconds(run: Timed, x: np.ndarray, steps: int) -> float:
    began = time.perf_counter()
    run(x, steps)
    return time.perf_counter() - began


def main() -> None:
    """Print trajectories a second, the ratio of each peer, and how far the ends lie apart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--dimensions", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    surface = Rastrigin(options.dimensions)
    x = _starts(surface, options.starts, 0)
    mine, single = ours(surface), batched(autograd=True)
    peers = {
        "torch.optim, batched, autograd": batched(autograd=True),
        "torch.optim, batched, the same gradient": batched(autograd=False),
        "jax.lax.scan of optax, jit, float64": scanned(),
    }
    peers = {name: run for name, run in peers.items() if run is not None}
    print(
        f"{options.starts} starts x {options.steps} steps, {options.dimensions} dimensions, torch {torch.__version__}"
    )
    print(f"medians of {options.rounds} rounds, peers and ours in turn, {torch.get_num_threads()} threads")
    for run in (mine, *peers.values()):  # warm up, and compile
        run(x, options.steps)
    times: dict[str, list[float]] = {name: [] for name in ("ours", "torch.optim, one start at a time", *peers)}
    for _ in range(options.rounds):
        times["ours"].append(seconds(mine, x, options.steps))
        alone = sum(seconds(single, x[i], options.steps) for i in range(SINGLE)) / SINGLE
        times["torch.optim, one start at a time"].append(alone * options.starts)
        for name, run in peers.items():
            times[name].append(seconds(run, x, options.steps))
    print(f"ours: {options.starts / statistics.median(times['ours']):.0f} trajectories a second")
    for name, found in times.items():
        ratios = [peer / own for peer, own in zip(found, times["ours"], strict=True)]
        print(f"{name:42s} time over ours {statistics.median(ratios):9.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")
    began = time.perf_counter()
    basins(surface, x)
    print(
        f"{'gradient flow of all starts':42s} time over ours {(time.perf_counter() - began) / times['ours'][-1]:9.2f}"
    )
    last = mine(x, options.steps)
    apart = {name: np.abs(run(x, options.steps) - last).max() for name, run in peers.items()}
    print("largest difference of an end: " + ", ".join(f"{name} {value:.1e}" for name, value in apart.items()))


if __name__ == "__main__":
    main()
