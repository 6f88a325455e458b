"""Time per replica-step of the ensemble against loops of `torch.optim`, two processes of them, and JAX.

    python bench/ensemble.py [--tasks digits digits-cnn stdlib-text] [--batches 16 64] [--replicas 8 32 128 512]
        [--rounds 5] [--size SIZE] [--race] [--parts] [--device cpu]

The peer trains one model after the other with torch.optim.AdamW and its own default path, on the same batches, in turn
with ours in one run. A ratio of 0.25 means that a replica-step costs a quarter of the peer's step. Only ratios are
evidence: machines are noisy. All but the two processes share one core and one thread, and a ratio over what is there
too is of processor time, which other processes disturb less; over the two processes it is of the time on the wall.

--size: replicas in a batch of trials; by default the ensemble's own choice. --parts: what a step is made of. --race: 12
schedules x 6 rates x 8 seeds at full length, timed whole, against as many loops, of which 8 are run; the loops are
validated as often as the race's trainings; and once more on all cores, unasked.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

if __name__ == "__main__":  # before torch and JAX start their threads
    os.environ.update(OMP_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false", JAX_PLATFORMS="cpu")

import numpy as np
import torch

from stepsize.adapters.torch import build_optimizer, drive
from stepsize.engines import Ensemble, choose
from stepsize.engines.vectorised import ensemble
from stepsize.engines.vectorised.ensemble import _Batch
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.jobs import Runner, race
from stepsize.jobs.race.climb import SCORES
from stepsize.kernel.optional import installed
from stepsize.policies import one_cycle
from stepsize.problems import Task, load_task
from stepsize.results import Race
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

STRATEGY = Strategy(AdamW(), one_cycle(0.003), "AdamW one_cycle")
Times = np.ndarray
"""Processor time and time on the wall, (2,) seconds."""

STEPS = 128
"""Updates of a timing: what a run pays once, such as recording its gradient, is in it as in a run of that length."""

SCHEDULES = [
    "constant", "cosine", "linear_to_zero", "one_cycle", "warmup_cosine", "wsd", "step_decay", "exponential_decay",
    "polynomial_decay", "triangular", "restarts", "inverse_sqrt",
]  # fmt: skip
RATES = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]


def peer(
    task: Task, steps: int, seed: int, device: str, dtype: torch.dtype = torch.float32, *, scores: int = 0
) -> tuple[list[float], Times]:
    """Return the losses of one model trained with torch.optim, and the time that a step took.

    scores: how often it is validated.
    """
    model = task.build(seed).to(device=device, dtype=dtype)
    optimizer = build_optimizer(model, STRATEGY)
    data = [part.to(device, dtype) if part.is_floating_point() else part.to(device) for part in task.train]
    epochs = range(steps // task.batches_per_epoch + 1)
    order = [torch.from_numpy(rows).to(device) for epoch in epochs for rows in task.order(epoch, seed)]
    losses = []
    began = now(device)
    for step in drive(optimizer, STRATEGY.policy, steps):
        inputs, targets = (part[order[step]] for part in data)
        optimizer.zero_grad()
        loss = task.loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if scores and (step + 1) % (steps // scores) == 0:
            task.score(model)
    return torch.stack(losses).tolist(), (now(device) - began) / steps


def trials(count: int) -> list[Trial]:
    """Return so many trials, of at most 16 seeds."""
    return [Trial(STRATEGY, seed % 16) for seed in range(count)]


def ours(task: Task, steps: int, replicas: int, engine: Ensemble) -> Times:
    """Return the time that a step of a replica took, without the first of a batch, and the last with its score."""
    marks: list[Times] = []
    engine.run(task, trials(replicas), steps, progress=lambda _: marks.append(now(engine.device.type)))
    batches = np.reshape(marks, (-1, steps, 2))
    return (batches[:, -2] - batches[:, 0]).sum(0) / ((steps - 2) * replicas)


def now(device: str) -> Times:
    """Return the processor time of this process and the time on the wall, in seconds, once the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
        return np.array([time.perf_counter()] * 2)
    return np.array([time.process_time(), time.perf_counter()])


def stray(task: Task, steps: int = 200) -> float:
    """Return the largest relative difference in loss of replicas to the same trials run alone, float64 on the CPU."""
    four = trials(4)
    together = Ensemble(dtype=torch.float64, device="cpu").run(task, four, steps)
    worst = 0.0
    for trial in four:
        alone, _ = peer(task, steps, trial.seed, "cpu", torch.float64)
        column = together.losses[:, trial.seed].astype(float)
        worst = max([worst, *(abs(a - b) / abs(b) for a, b in zip(column, alone, strict=True))])
    return worst


def loops(pipe: Connection, name: str, batch: int) -> None:
    """Run peers when asked, for so many steps, and say how long it took: the life of one of the two processes."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    task = dataclasses.replace(load_task(name), batch_size=batch)
    peer(task, 5, 0, "cpu")
    pipe.send("ready")
    while steps := pipe.recv():
        pipe.send(peer(task, steps, 0, "cpu")[1])


@contextmanager
def two_processes(task: Task) -> Iterator[Callable[[int], Times]]:
    """Yield what gives the time per step of two processes of loops, each of so many steps."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for _ in range(2):
        here, there = context.Pipe()
        context.Process(target=loops, args=(there, task.name, task.batch_size), daemon=True).start()
        pipes.append(here)
    for pipe in pipes:
        pipe.recv()

    def run(steps: int) -> Times:
        for pipe in pipes:
            pipe.send(steps)
        return np.mean([pipe.recv() for pipe in pipes], axis=0) / 2

    yield run
    for pipe in pipes:
        pipe.send(0)


def grown(pipe: Connection, name: str, batch: int, replicas: int, size: int | None) -> None:
    """Say by how many KiB this process grew in some steps, beyond a step of the peer's loop."""
    task = dataclasses.replace(load_task(name), batch_size=batch)
    peer(task, 1, 0, "cpu")
    before = most_memory()
    Ensemble(size).run(task, trials(replicas), 3)
    pipe.send(most_memory() - before)


def most_memory() -> int:
    """Return the KiB of RAM that this process has had at most."""
    names = Path("/proc/self/status").read_text(encoding="ascii").split()
    return int(names[names.index("VmHWM:") + 1])


def memory(task: Task, replicas: int, size: int | None) -> float:
    """Return the MiB that a fresh process grows by."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=grown, args=(there, task.name, task.batch_size, replicas, size), daemon=True).start()
    return float(here.recv()) / 2**10


def in_jax(task: Task, replicas: int, steps: int) -> Callable[[], Times]:
    """Return what gives the time per replica-step of JAX, after holding its first losses to torch's."""
    from ensemble_jax import Training

    training = Training(task, STRATEGY, [trial.seed for trial in trials(replicas)], steps)
    first, _ = peer(task, 1, 0, "cpu")
    losses = training.run()
    if abs(losses[0, 0] - first[0]) > 1e-4:
        raise SystemExit(f"the model in JAX is another one: its first loss is {losses[0, 0]}, torch's {first[0]}")

    def run() -> Times:
        began = now("cpu")
        training.run()
        return (now("cpu") - began) / steps / replicas

    return run


def measured(task: Task, replicas: int, options: argparse.Namespace, both: Callable[[int], Times]) -> str:
    """Return a line of the table: the medians of all rounds, the first left out, which warms up."""
    engine = Ensemble(options.size, device=options.device)
    size = min(replicas, engine.most(task, trials(1)[0]))
    calls: dict[str, Callable[[], Times]] = {
        "alone": lambda: peer(task, STEPS, 0, options.device)[1],
        "ours": lambda: ours(task, STEPS, replicas, engine),
        "two": lambda: both(STEPS),
    }
    if installed("jax") and installed("optax") and replicas <= options.jax:
        calls["jax"] = in_jax(task, replicas, STEPS)
    rounds: list[dict[str, Times]] = [
        {name: call() for name, call in calls.items()} for _ in range(options.rounds + 1)
    ][1:]
    cells = [_ratio(rounds, "alone", 0), _ratio(rounds, "two", 1), _ratio(rounds, "jax", 0) if "jax" in calls else ""]
    held = f"{memory(task, replicas, options.size):.0f}"
    return f"| {task.name} | {task.batch_size} | {replicas} | {size} | {' | '.join(cells)} | {held} |"


def parts(task: Task, replicas: int, steps: int = 60) -> str:
    """Return a line: the microseconds of a replica's step, of its gradient, of its update, and of the rest."""
    engine = Ensemble(device="cpu")
    size = min(replicas, engine.most(task, trials(1)[0]))
    batch = _Batch(task, trials(size), STEPS, torch.float32, engine.device)
    spans: dict[str, list[float]] = {"whole": [], "gradient": [], "update": []}

    def timed(name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        found = call(*arguments, **options)
        spans[name].append((time.process_time() - began) / size * 1e6)
        return found

    gradient, update = Replicas.gradient, vars(ensemble)["_in_blocks"]
    with (
        patch.object(Replicas, "gradient", lambda *given, **options: timed("gradient", gradient, *given, **options)),
        patch.object(ensemble, "_in_blocks", lambda *given: timed("update", update, *given)),
    ):
        for step in range(steps):
            timed("whole", batch.step, step)
    whole, slopes, updates = (statistics.median(values[4:]) for values in spans.values())
    rest = whole - slopes - updates
    return f"| {task.name} | {task.batch_size} | {size} | {whole:.0f} | {slopes:.0f} | {updates:.1f} | {rest:.1f} |"


def all_parts(options: argparse.Namespace) -> None:
    """Print what a step of each task is made of."""
    print("| task | batch | at once | microseconds of a replica's step | gradient | update | rest |")
    print("|---|---|---|---|---|---|---|")
    for name in options.tasks:
        for size in options.batches:
            print(parts(dataclasses.replace(load_task(name), batch_size=size), max(options.replicas)), flush=True)


def _ratio(rounds: list[dict[str, Times]], other: str, clock: int) -> str:
    values = [found["ours"][clock] / found[other][clock] for found in rounds]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def whole_race(name: str) -> None:
    """Print what a race of 576 trainings takes, over as many loops; and the choice that comes before it."""
    task = load_task(name)
    field = [Strategy.of("AdamW", schedule, rate) for schedule in SCHEDULES for rate in RATES]
    began = now("cpu")
    choice = choose(task)
    chosen = now("cpu")
    samples = [peer(task, task.steps, seed, "cpu", scores=SCORES)[1] for seed in range(4)]
    found, took = raced(task, field, Runner(task, engine=choice.engine, workers=1))
    samples += [peer(task, task.steps, seed, "cpu", scores=SCORES)[1] for seed in range(4, 8)]
    loops_take = np.mean(samples, axis=0) * task.steps * len(field) * 8
    died = int((found.curves.died_at >= 0).sum())
    print(f"{name}, {len(field) * 8} trainings of {task.steps} updates, {died} of them diverged: {choice}")
    mine, theirs, before = took[0], loops_take[0], (chosen - began)[0]
    print(
        f"processor time {mine:.0f} s, and {before:.1f} s to choose; as many loops {theirs:.0f} s: {mine / theirs:.2f}"
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with closing(Runner(task, engine=choice.engine)) as runner:
        whole, together = raced(task, field, runner)
    beside = sum(os.times()[2:4])  # of the workers, which have ended
    same = "the same" if np.array_equal(whole.curves.losses, found.curves.losses, equal_nan=True) else "OTHER"
    print(
        f"on the wall {took[1]:.0f} s in one process, {together[1]:.0f} s {whole.executor or 'in one too'}: "
        f"{together[1] / took[1]:.2f}, with {same} numbers; processor time {together[0]:.0f} s in this process and "
        f"{beside:.0f} s beside it"
    )


def raced(task: Task, field: list[Strategy], runner: Runner) -> tuple[Race, Times]:
    """Return a race on 8 seeds, and what it took."""
    began = now("cpu")
    found = race(task, field, seeds=range(8), rungs="none", tune_seeds=0, runner=runner)
    return found, now("cpu") - began


def main() -> None:
    """Print a table: replicas, their batches, the ratios to the peers, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["digits", "digits-cnn", "stdlib-text"])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--replicas", type=int, nargs="*", default=[8, 32, 128, 512])
    parser.add_argument("--size", type=int)
    parser.add_argument("--jax", type=int, default=128, help="the most replicas in JAX")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--race", action="store_true")
    parser.add_argument("--parts", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{options.device}, torch {torch.__version__}, medians of {options.rounds} rounds, peers and ours in turn\n")
    if options.parts:
        all_parts(options)
        return
    if options.race:
        for name in options.tasks:
            whole_race(name)
        return
    print("| task | batch | replicas | at once | over a loop | over two processes of loops | over JAX | MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.tasks:
        for batch in options.batches:
            task = dataclasses.replace(load_task(name), batch_size=batch)
            with two_processes(task) as both:
                for replicas in options.replicas:
                    print(measured(task, replicas, options, both), flush=True)
    if options.device == "cpu" and "digits" in options.tasks:
        worst = stray(load_task("digits"))
        print(f"\nlargest relative difference in loss of a replica to its solo run, 200 steps, float64: {worst:.1e}")


if __name__ == "__main__":
    main()
