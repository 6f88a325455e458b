"""Which engine runs a task, and why, in one line: what can be vectorised, and what a short timing says."""

from __future__ import annotations

import dataclasses
import time
from itertools import pairwise

import torch

from stepsize.engines.base import Engine
from stepsize.engines.draws import Keys
from stepsize.engines.ensemble import Ensemble, quiet
from stepsize.engines.loop import Loop
from stepsize.engines.replicas import Replicas
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant
from stepsize.problems import Task
from stepsize.problems.base import seeded
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

SIZES = (8, 32, 64)
"""Replicas at once that are tried."""

STEPS = 6
"""Updates of a timing. The fastest counts, as whatever else the machine does only adds to it."""

SECONDS = 1.0
"""No timing is begun that would take longer, but for the first of each engine."""


def choose(task: Task) -> tuple[Engine, str]:
    """Return the ensemble, with the size at which it is fastest, or the loop where that is faster, and why in one line.

    Watch out: near the border, and on a busy machine, the next call may choose the other engine.

    Raises TaskError when the task cannot be trained at all.
    """
    reason = refusal(task)
    loop = Loop()
    if reason is not None:
        return loop, f"{loop.label}: the model cannot be vectorised ({reason})"
    small = dataclasses.replace(task, validation=tuple(part[:2] for part in task.validation))
    alone, (size, together) = step_seconds(loop, small, 1), _best(small)
    ratio = together / alone
    if ratio >= 1:
        return loop, f"{loop.label}: {size} replicas at once would take {ratio:.2f} of its time"
    ensemble = Ensemble(size)
    return ensemble, f"{ensemble.label}: {size} replicas at once take {ratio:.2f} of the time of one after the other"


def _best(task: Task) -> tuple[int, float]:
    """Return the size of wave at which a step of a replica is fastest, and the seconds that it takes."""
    most = Ensemble().most(task, _trials(1)[0])
    found: list[tuple[float, int]] = []
    for size in sorted({min(size, most) for size in SIZES}):
        if found and found[-1][0] * size * STEPS > SECONDS:
            break
        found.append((step_seconds(Ensemble(size), task, size), size))
    seconds, size = min(found)
    return size, seconds


def step_seconds(engine: Engine, task: Task, replicas: int) -> float:
    """Return the seconds that an update of one of so many replicas takes: the fastest of a few."""
    marks: list[float] = []
    engine.run(task, _trials(replicas), STEPS, progress=lambda _: marks.append(time.perf_counter()))
    inner = [late - early for early, late in pairwise(marks)][:-1]  # without the first, and the last with its score
    return min(inner) / replicas


def _trials(count: int) -> list[Trial]:
    strategy = Strategy(AdamW(), constant(1e-4))
    return [Trial(strategy, index % 2) for index in range(count)]


def refusal(task: Task) -> str | None:
    """Return why the model of `task` cannot be vectorised, in one line, or None when it can."""
    task.check()
    try:
        with quiet(), seeded(seeds.child(0, "noise")):
            return _difference(task, Replicas(task, [0, 1], torch.float32, torch.device("cpu")))
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001  (vmap refuses with many kinds of error; each is a reason)
        if "random operation" in str(error):
            return "it draws random numbers of its own, as the dropout inside of nn.MultiheadAttention does"
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        return f"{type(error).__name__}: {first[:160]}"


def _difference(task: Task, replicas: Replicas) -> str | None:
    """Return in what one of two replicas differs from the model by itself, over two batches and no update, or None.

    A model that assigns to a buffer, where it should write into it, runs under vmap without a word, and learns nothing;
    and functions of torch have been wrong under vmap in their gradients alone.
    """
    models = [task.build(seed).float().train() for seed in (0, 1)]
    for step in range(2):
        slopes, losses = replicas.gradient(step)
        for seed, model in enumerate(models):
            slope, loss = _alone(task, model, step, seed)
            if not _close(losses[seed], loss):
                return f"its loss is {losses[seed].item():.6g} as a replica and {loss.item():.6g} alone"
            if not _close(slopes[seed], slope):
                off = (slopes[seed] - slope).abs().max() / slope.abs().max()
                return f"its gradient as a replica is off by {off.item():.2g} of the largest slope"
    for seed, model in enumerate(models):
        for name, buffer in model.named_buffers():
            if not _close(replicas.buffers[name][seed].float(), buffer.float()):
                return f"its buffer {name!r} is not updated in place"
    replicas.score(replicas.flat)
    return None


def _alone(task: Task, model: torch.nn.Module, step: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient as a row, and the loss, of the model by itself."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    batch, key = task.batch(step, seed), Keys([seed])(step)[0]
    slopes, loss = Loop().gradient(task, model, parameters, batch, key)
    known = zip(slopes, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in known]), loss


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors agree to a thousandth of the largest entry, as float32 does with room to spare."""
    size = float(expected.abs().max().nan_to_num()) if expected.numel() else 0.0
    return torch.allclose(found, expected.reshape(found.shape), rtol=0.0, atol=1e-5 + 1e-3 * size, equal_nan=True)
