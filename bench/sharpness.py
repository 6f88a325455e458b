"""Cost of one estimate of the sharpness to 1 %: ours against SciPy's eigsh and power iteration, on the same products.

    python bench/sharpness.py [--tasks digits digits-cnn] [--after 0 10 100 200] [--seeds 5] [--rounds 5]

The model is trained by AdamW with 1cycle at 0.01 for the task's own length, and looked at on the way; the loss is that
of the whole training data, one batch. Evaluations are counts, and exact: one for the gradient, two for a product of the
Hessian with a vector. Errors are against eigsh to 1e-5. The last figure is a time, over that of one step of a plain
`torch.optim.AdamW` loop on the task's batches, run in turn: how many steps of training one estimate costs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from stepsize import drive
from stepsize.diagnostics import sharpness
from stepsize.diagnostics.objective import Objective, untouched
from stepsize.policies import one_cycle
from stepsize.problems.builtin_tasks import TASKS

RATE = 0.01


class Product:
    """The Hessian as peers take it: NumPy vectors in and out, through one kept graph. It counts its uses."""

    def __init__(self, model, task) -> None:
        objective = Objective(model, task.loss, [task.train])
        self.row = objective.row.requires_grad_()
        (self.slope,) = torch.autograd.grad(objective.value(self.row), self.row, create_graph=True)
        self.size, self.count = len(self.row), 0

    def __call__(self, v):
        self.count += 1
        v = torch.from_numpy(np.ascontiguousarray(v.reshape(-1))).to(self.row)
        (found,) = torch.autograd.grad(self.slope, self.row, v, retain_graph=True)
        return found.double().numpy()


def by_eigsh(product: Product, start, tolerance: float, basis: int | None = None) -> float:
    operator = LinearOperator((product.size, product.size), product, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LA", tol=tolerance, ncv=basis, v0=start, return_eigenvectors=False)[0])


def by_power(product: Product, start, tolerance: float = 1e-3, most: int = 100) -> float:
    """As PyHessian has it: until the quotient changes by less than a thousandth, at most 100 times."""
    v, before = start / np.linalg.norm(start), math.nan
    for _ in range(most):
        w = product(v)
        value = float(v @ w)
        if abs(value - before) <= tolerance * (abs(before) + 1e-6):
            break
        v, before = w / np.linalg.norm(w), value
    return value


PEERS = {
    "eigsh, tol=0.01": lambda product, start: by_eigsh(product, start, 0.01),
    "the same, ncv=8": lambda product, start: by_eigsh(product, start, 0.01, 8),
    "eigsh, default": lambda product, start: by_eigsh(product, start, 0.0),
    "power iteration": by_power,
}


def stages(task, after):
    """Yield the model after each of those numbers of updates."""
    model = task.build(0)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in drive(optimizer, one_cycle(RATE), max([*after, task.steps])):
        if step in after:
            yield step, model
        update(task, model, optimizer, step)
    if step + 1 in after:
        yield step + 1, model


def update(task, model, optimizer, step: int) -> None:
    x, y = task.batch(step, 0)
    optimizer.zero_grad()
    task.loss(model(x), y).backward()
    optimizer.step()


def counted(task, model, seeds: int):
    """Return evaluations and relative error of every method and seed, by method."""
    found = {"ours": [], **{name: [] for name in PEERS}}
    with untouched(model):
        product = Product(model, task)
        true = by_eigsh(product, np.random.default_rng(99).standard_normal(product.size), 1e-5)
        for seed in range(seeds):
            ours = sharpness(model, task.loss, [task.train], seed=seed)
            found["ours"].append((ours.gradients, abs(ours.value / true - 1)))
            start = np.random.default_rng(seed).standard_normal(product.size)
            for name, peer in PEERS.items():
                product.count = 0
                value = peer(product, start)
                found[name].append((1 + 2 * product.count, abs(value / true - 1)))
    return true, found


def steps_of_training(task, model, rounds: int) -> float:
    """Return the time of one estimate over that of a training step of a copy of the task's model."""
    other = task.build(0)
    optimizer = torch.optim.AdamW(other.parameters(), lr=1e-3)
    ratios = []
    for turn in range(rounds):
        began = time.perf_counter()
        for step in range(50):
            update(task, other, optimizer, 50 * turn + step)
        step_time = (time.perf_counter() - began) / 50
        began = time.perf_counter()
        sharpness(model, task.loss, [task.train], seed=turn)
        ratios.append((time.perf_counter() - began) / step_time)
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", default=["digits", "digits-cnn"])
    parser.add_argument("--after", type=int, nargs="+", default=[0, 10, 100, 200])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"torch {torch.__version__}; gradient evaluations and worst error over {options.seeds} seeds")
    for name in options.tasks:
        task = TASKS[name]()
        for after, model in stages(task, options.after):
            true, found = counted(task, model, options.seeds)
            cost = steps_of_training(task, model, options.rounds)
            print(f"\n{name} after {after} updates: sharpness {true:.4g}; ours costs {cost:.0f} steps of training")
            for method, results in found.items():
                counts, errors = zip(*results, strict=True)
                print(f"    {method:<18}{min(counts):>4} to {max(counts):<6} error {100 * max(errors):.2g} %")


if __name__ == "__main__":
    main()
