"""Which engine runs a task, and why: what can be vectorised, and what a short timing says."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from stepsize.adapters.torch.flat_parameters import FlatParameters
from stepsize.engines import base
from stepsize.engines.base import Engine
from stepsize.engines.dropout import Keys
from stepsize.engines.function import Function, FunctionTask
from stepsize.engines.loop import Loop
from stepsize.engines.vectorised.ensemble import Ensemble, quiet
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant
from stepsize.problems import Loader, Task, Trainable
from stepsize.problems.base import seeded, with_data
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

ROUNDS, STEPS = 3, 6
"""Of a timing, and updates of a batch in each. The fastest counts: whatever else the machine does only adds to it."""

CLEAR = 0.7
"""Below this ratio of times a first short timing is enough."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine, and why it runs: a part of a sentence, "" where there was no choice."""

    engine: Engine
    reason: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.engine.label}: {self.reason}" if self.reason else self.engine.label


def choose(task: Trainable, before: tuple[str, str] | None = None) -> EngineChoice:
    """Return the ensemble where the model can be vectorised and that is faster, else the loop, and why.

    before: the label and the reason of what was chosen for this task before; it runs it again, and nothing is timed.

    Watch out: near the border, and on a busy machine, the next call may choose the other engine.

    Raises TaskError when the task cannot be trained at all, or when there is too little memory.
    """
    if isinstance(task, FunctionTask):
        return EngineChoice(Function())
    task = with_data(task)
    reason = refusal(task)
    ensemble, loop = Ensemble(), Loop()
    if reason is not None:
        return EngineChoice(loop, f"the model cannot be vectorised ({reason})")
    for engine in (ensemble, loop):
        if before is not None and before[0] == engine.label:
            return EngineChoice(engine, before[1])
    size = ensemble.most(task, _trials(1)[0])
    if size == 1:
        return EngineChoice(loop, "replicas of this size do not gain from each other's company")
    ratio = ratio_of_times(task, size)
    if ratio >= 1:
        return EngineChoice(loop, f"{size} replicas at once would take {ratio:.1f} times as long")
    return EngineChoice(ensemble, "the model can be vectorised, and replicas at once are faster")


def ratio_of_times(task: Task, size: int) -> float:
    """Return the time of updates in a batch of `size` over that of as many by the loop, both timed in turn.

    A few updates of each come first. On a busy machine the longer stretches of work, those of a batch, are interrupted
    more, so that where the batch is clearly faster in them, it is.
    """
    task, alone, together = base.with_two_validation_samples(task), Loop(), Ensemble(size)
    first = _seconds(together, task, size, STEPS) / _seconds(alone, task, 1, STEPS)
    if first < CLEAR:
        return first
    rounds = [(_seconds(together, task, size, STEPS), _seconds(alone, task, 1, STEPS * size)) for _ in range(ROUNDS)]
    return min(ours for ours, _ in rounds) / min(theirs for _, theirs in rounds)


def _seconds(engine: Engine, task: Task, replicas: int, steps: int) -> float:
    """Return the seconds that an update of one of so many replicas takes, on average."""
    marks: list[float] = []
    engine.run(task, _trials(replicas), steps, progress=lambda _: marks.append(time.perf_counter()))
    return (marks[-2] - marks[0]) / (steps - 2) / replicas  # without the first update, and the last with its score


def _trials(count: int) -> list[Trial]:
    strategy = Strategy(AdamW(), constant(1e-4))
    return [Trial(strategy, index % 2) for index in range(count)]


def refusal(task: Task) -> str | None:
    """Return why the model of `task` cannot be vectorised, in one line, or None when it can."""
    task.check()
    if isinstance(task.train, Loader) and not task.train.uniform:
        return "the batches of its loader need not have one shape"
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
            slope, loss = _alone(task, replicas.flat_of(model), model, step, seed)
            if not _close(losses[seed], loss):
                return f"its loss is {losses[seed].item():.6g} as a replica and {loss.item():.6g} alone"
            if not _close(slopes[seed], slope):
                off = (slopes[seed] - slope).abs().max() / slope.abs().max()
                return f"its gradient as a replica is off by {off.item():.2g} of the largest slope"
            for name, buffer in model.named_buffers():
                if not _close(replicas.buffers[name][seed].float(), buffer.float()):
                    return f"its buffer {name!r} is not updated in place"
    replicas.score(replicas.flat)
    return None


def _alone(
    task: Task, flat: FlatParameters, model: torch.nn.Module, step: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient as a row, and the loss, of the model by itself."""
    batches, key = next(task.updates(seed, step)), Keys([seed])(step)[0]
    slopes, loss = Loop().gradient(task, model, flat.tensors, batches, key)
    return flat.gradient(slopes)[0], loss


def _close(value: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors agree to a thousandth of the largest entry, as float32 does with room to spare."""
    size = float(expected.abs().max().nan_to_num()) if expected.numel() else 0.0
    return torch.allclose(value, expected.reshape(value.shape), rtol=0.0, atol=1e-5 + 1e-3 * size, equal_nan=True)


def for_one_trial(engine: Engine) -> Engine:
    """Return what one trial by itself runs in quickest: a plain loop in place of an ensemble of one on a CPU.

    Watch out: its numbers are those of another engine, so a trial must always run by itself, or never.
    """
    alone = isinstance(engine, Ensemble) and engine.device.type == "cpu" and engine.dtype == torch.float32
    return Loop() if alone else engine
