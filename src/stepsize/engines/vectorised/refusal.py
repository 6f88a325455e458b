"""Whether a model can be vectorised: it is tried, and held against the model by itself."""

from __future__ import annotations

import torch

from stepsize.adapters.torch.flat_parameters import FlatParameters
from stepsize.engines.dropout import Keys
from stepsize.engines.loop import Loop
from stepsize.engines.vectorised.ensemble import quiet
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.problems import Loader, Task
from stepsize.problems.base import seeded


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
