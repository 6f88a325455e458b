"""The path of a training: the weights after some of its updates."""

from __future__ import annotations

import numpy as np
import torch

from stepsize.diagnostics.objective import trainable
from stepsize.diagnostics.thinning import Thinned
from stepsize.kernel.spec import NDArray


class Trail:
    """Keeps copies of a model's weights along a training, in main memory; call `record` after each update.

    ::

        trail = Trail(model)
        for x, y in loader:
            ...                     # forward, backward
            optimizer.step()
            trail.record()
        training_plane(model, loss, batches, trail).plot()

    model: its trainable parameters are read and nothing else. most: between this and twice as many copies are kept,
    evenly spaced however long the run; each is as large as the parameters.
    """

    def __init__(self, model: torch.nn.Module, most: int = 50) -> None:
        self._parameters = list(trainable(model).values())
        self._kept: Thinned[torch.Tensor] = Thinned(most)
        self._done = 0
        self._kept.add(0, self._row())

    def record(self) -> None:
        """Say that an update was made; its weights are copied when it is their turn."""
        self._done += 1
        if self._kept.due(self._done):
            self._kept.add(self._done, self._row())

    @property
    def steps(self) -> NDArray:
        """After how many updates each copy was made, (points,) int64; the last is now."""
        return np.array([*self._kept.steps, *([self._done] if self._is_ahead else [])], dtype=np.int64)

    @property
    def rows(self) -> torch.Tensor:
        """The weights, (points, parameters), on the CPU; the last are the model's own now."""
        return torch.stack([*self._kept.entries, *([self._row()] if self._is_ahead else [])])

    @property
    def _is_ahead(self) -> bool:
        return self._kept.steps[-1] != self._done

    def _row(self) -> torch.Tensor:
        row = torch.cat([p.detach().reshape(-1) for p in self._parameters]).cpu()
        return row.float() if row.element_size() < 4 else row
