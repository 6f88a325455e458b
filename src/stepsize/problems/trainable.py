"""What jobs and engines ask of a task, whichever kind it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Trainable(Protocol):
    """What can be trained and raced: a `Task`, whose model, loss and data are there to be used, or a training function.

    Whoever needs the model, the loss or the data asks `isinstance(task, Task)`.
    """

    @property
    def name(self) -> str:
        """How reports and journals call it."""

    @property
    def steps(self) -> int:
        """How long one full training is by default (steps, optimizer updates)."""

    @property
    def source(self) -> str:
        """What `load_task` made it from; "" where it was made otherwise."""

    @property
    def scored(self) -> str:
        """What a score is, in words, such as "validation loss"."""

    def check(self, seed: int = 0) -> None:
        """Raise TaskError where it cannot be trained."""

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what makes it this task, part by part, each a short text; a journal tells by them what has changed."""
