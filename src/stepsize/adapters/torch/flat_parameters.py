"""The trainable tensors of a model as one flat row, which is what a rule steps (docs/adr/0008)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from stepsize.kernel.arrays import dense

Gradients = Sequence[torch.Tensor | None]
"""One for each tensor, None where the loss did not use it."""


class FlatParameters:
    """Some tensors, and the way from them to a row and back.

    tensors: in order, of one dtype on one device. shapes: theirs. A row is (1, parameters); whoever has many models of
    the same shapes stacks their rows, (models, parameters).

    >>> flat = FlatParameters([torch.zeros(2, 2), torch.ones(1)])
    >>> flat.row()
    tensor([[0., 0., 0., 0., 1.]])
    >>> [tuple(view.shape) for view in flat.views(torch.zeros(7, 5))]
    [(7, 2, 2), (7, 1)]
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.tensors = list(tensors)
        self.shapes = [tuple(tensor.shape) for tensor in self.tensors]
        self._sizes = [tensor.numel() for tensor in self.tensors]

    @classmethod
    def of(cls, model: torch.nn.Module) -> FlatParameters:
        """Return those of the parameters of `model` that are trained."""
        return cls(p for p in model.parameters() if p.requires_grad)

    def row(self) -> torch.Tensor:
        """Return a copy of the tensors as a row."""
        return torch.cat([tensor.detach().reshape(-1) for tensor in self.tensors]).unsqueeze(0)

    def gradient(self, gradients: Gradients) -> torch.Tensor:
        """Return gradients as a row; zeros where there is none, and where a sparse one has none."""
        pairs = zip(self.tensors, gradients, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else dense(g)).reshape(-1) for p, g in pairs]).unsqueeze(0)

    def views(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Return `rows`, (..., parameters), as views of the shapes of the tensors, each (..., *shape)."""
        pieces = torch.split(rows, self._sizes, dim=-1)
        return [piece.view(*rows.shape[:-1], *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def write(self, row: torch.Tensor) -> None:
        """Write a row into the tensors."""
        with torch.no_grad():
            for tensor, view in zip(self.tensors, self.views(row[0]), strict=True):
                tensor.copy_(view)

    def keep_unused(
        self, gradients: Gradients, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Return the arrays `after` a step, where those of tensors without a gradient are as `before` it.

        before, after: the row, then the slots. That is what `torch.optim` does: such a parameter does not even decay.
        A slot that is no row (a step count, a norm) belongs to all of them, and stays as it is after.
        """
        pairs = zip(self.tensors, gradients, strict=True)
        used = torch.cat([torch.full((p.numel(),), g is not None, device=p.device) for p, g in pairs])
        arrays = zip(before, after, strict=True)
        return [torch.where(used, new, old) if old.shape == before[0].shape else new for old, new in arrays]


def make_dense(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Have the embeddings of a model give dense gradients, and return those that gave sparse ones (`sparse=True`).

    A row of parameters has no sparse gradient.
    """
    found = [module for module in model.modules() if getattr(module, "sparse", None) is True]
    for module in found:
        module.sparse = False  # type: ignore[assignment]  # a flag of Embedding, which Module does not know
    return found
