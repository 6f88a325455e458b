"""Models that compute their own loss: a LightningModule, a transformers model, any module that returns it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from stepsize.kernel.errors import TaskError, brief
from stepsize.problems.columns import Columns


@dataclass(frozen=True)
class Whole:
    """Makes models that take whole samples: what `Task.model` is where the loss is None.

    make: returns the user's model.
    """

    make: Any

    def __call__(self) -> torch.nn.Module:
        """Return a new model."""
        model = self.make()
        return TakesSamples(model) if isinstance(model, torch.nn.Module) else model


class TakesSamples(torch.nn.Module):
    """The user's model as a function of a batch of whole samples; it returns what the model does.

    The model is called as `training_step(batch, 0)` where it has that method (Lightning), else with the parts of the
    batch: by name where the samples have names (transformers), or in their order.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self._step = getattr(model, "training_step", None)
        if self._step is None:
            return
        if not getattr(model, "automatic_optimization", True):
            raise TaskError(
                f"{type(model).__name__} optimises by hand (automatic_optimization = False), so there is no one loss; "
                "give a Task a model and a loss function."
            )
        model.log = model.log_dict = _silent  # type: ignore[assignment]  # there is no Trainer that would listen

    def forward(self, batch: Columns) -> Any:
        """Return what the model makes of a batch."""
        named = "0" not in batch
        if self._step is not None:
            several = len(inspect.signature(self._step).parameters) > 1
            given = dict(batch.items()) if named else batch.values()
            return self._step(given, 0) if several else self._step(given)
        return self.model(**dict(batch.items())) if named else self.model(*batch.values())


def own_loss(outputs: Any, targets: Any) -> Any:  # noqa: ARG001  (the form of every loss)
    """Return the loss that a model computed itself: its output, the output's `loss`, or the output's entry "loss".

    Raises TaskError when there is none.
    """
    if isinstance(outputs, torch.Tensor):
        return outputs
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if loss is None:
        raise TaskError(
            f"Task.loss is None, but the model returns no loss, only {brief(outputs)}. Samples of a transformers model "
            "need 'labels'; a training_step returns the loss; or give Task a loss function."
        )
    return loss


def _silent(*_: Any, **__: Any) -> None:
    """Log nothing."""
