"""Time per replica-step of the ensemble against a plain `torch.optim` loop; and how far a replica strays from it.

    python bench/ensemble.py [--tasks digits digits-cnn] [--batches 16 64] [--replicas 8 32 128] [--device cpu]

The peer trains one model after the other with torch.optim.AdamW and its own default path, on the same batches, in turn
with ours in one run. A ratio of 0.25 means that a replica-step costs a quarter of the peer's step. Only ratios are
evidence: machines are noisy.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time

import torch

from stepsize.adapters.torch import build_optimizer, drive
from stepsize.engines.ensemble import Ensemble
from stepsize.policies import one_cycle
from stepsize.problems import Task, load_task
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

STRATEGY = Strategy(AdamW(), one_cycle(0.003), "AdamW one_cycle")


def peer(
    task: Task, steps: int, seed: int, device: str, dtype: torch.dtype = torch.float32
) -> tuple[list[float], float]:
    """Return the losses of one model trained with torch.optim, and the seconds a step took."""
    model = task.build(seed).to(device=device, dtype=dtype)
    optimizer = build_optimizer(model, STRATEGY)
    data = [part.to(device, dtype) if part.is_floating_point() else part.to(device) for part in task.train]
    epochs = range(steps // task.batches_per_epoch + 1)
    order = [torch.from_numpy(rows).to(device) for epoch in epochs for rows in task.order(epoch, seed)]
    losses = []
    synchronize(device)
    began = time.perf_counter()
    for step in drive(optimizer, STRATEGY.policy, steps):
        inputs, targets = (part[order[step]] for part in data)
        optimizer.zero_grad()
        loss = task.loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    synchronize(device)
    seconds = time.perf_counter() - began
    return torch.stack(losses).tolist(), seconds / steps


def ours(task: Task, steps: int, replicas: int, device: str) -> float:
    """Return the seconds that a step of one replica took; the scoring at the end is left out by taking two lengths."""
    engine = Ensemble(size=replicas, device=device)
    trials = [Trial(STRATEGY, seed % 16) for seed in range(replicas)]
    short, long = (engine.run(task, trials, length).seconds for length in (steps, 3 * steps))
    return (long - short) / (2 * steps) / replicas


def synchronize(device: str) -> None:
    """Wait for the device, so that the clock sees its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def stray(task: Task, steps: int = 200) -> float:
    """Return the largest relative difference in loss of replicas to the same trials run alone, float64 on the CPU."""
    trials = [Trial(STRATEGY, seed) for seed in range(4)]
    together = Ensemble(dtype=torch.float64, device="cpu").run(task, trials, steps)
    worst = 0.0
    for trial in trials:
        alone, _ = peer(task, steps, trial.seed, "cpu", torch.float64)
        column = together.losses[:, trial.seed].astype(float)
        worst = max([worst, *(abs(a - b) / abs(b) for a, b in zip(column, alone, strict=True))])
    return worst


def measured(task: Task, replicas: int, options: argparse.Namespace) -> str:
    """Return a line of the table: the medians of all rounds, the first left out, which warms up."""
    ratios, theirs, mine = [], [], []
    for round_ in range(options.rounds + 1):
        _, a = peer(task, 5 * options.steps, 0, options.device)
        b = ours(task, options.steps, replicas, options.device)
        if round_:
            ratios.append(b / a)
            theirs.append(1e3 * a)
            mine.append(1e3 * b)
    ratio, a, b = (statistics.median(values) for values in (ratios, theirs, mine))
    found = f"{ratio:.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{task.name:12s} {task.batch_size:5d} {replicas:8d} {a:13.3f} {b:20.4f}   {found} {1 / ratio:7.1f}"


def main() -> None:
    """Print a table: replicas, seconds of both, their ratio, and how much faster."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["digits", "digits-cnn"])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--replicas", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    print(f"{options.device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"medians of {options.rounds} rounds, peer and ours in turn")
    print("task         batch replicas  peer ms/step  ours ms/replica-step  ratio (range)       times faster")
    for name in options.tasks:
        for batch in options.batches:
            task = dataclasses.replace(load_task(name), batch_size=batch)
            for replicas in options.replicas:
                print(measured(task, replicas, options), flush=True)
    if options.device == "cpu" and "digits" in options.tasks:
        worst = stray(load_task("digits"))
        print(f"largest relative difference in loss of a replica to its solo run, 200 steps, float64: {worst:.1e}")


if __name__ == "__main__":
    main()
