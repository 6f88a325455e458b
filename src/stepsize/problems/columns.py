"""Named tensors of the same samples: what a model takes that has several inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from stepsize.kernel.optional import need

Tensor = Any


class Columns:
    """Tensors by name, samples first: `columns["labels"]` is a tensor, `columns[rows]` are some of the samples.

    It goes where a tensor of inputs goes: it is cut, moved and vectorised as one. A model may take it as a dict, and
    `model(**columns)` works. `len` is the number of samples.

    Watch out: `to` casts floating-point tensors alone, as `torch.nn.Module.to` does.

    >>> import torch
    >>> columns = Columns({"ids": torch.arange(6).reshape(3, 2), "weight": torch.ones(3)})
    >>> len(columns), columns[1:]["ids"].tolist(), [len(piece) for piece in columns.split(2)]
    (3, [[2, 3], [4, 5]], [2, 1])
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        _register()
        self._tensors = dict(tensors)

    def __reduce__(self) -> Any:
        return Columns, (self._tensors,)

    def __repr__(self) -> str:
        return f"Columns({', '.join(f'{name} {tuple(value.shape)}' for name, value in self.items())})"

    def __len__(self) -> int:
        return len(next(iter(self.values()), ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._tensors[key]
        return Columns({name: value[key] for name, value in self.items()})

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._tensors)

    def values(self) -> list[Tensor]:
        """Return the tensors."""
        return list(self._tensors.values())

    def items(self) -> list[tuple[str, Tensor]]:
        """Return the pairs of name and tensor."""
        return list(self._tensors.items())

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor."""
        return {name: tuple(value.shape) for name, value in self.items()}

    def is_floating_point(self) -> bool:
        """Whether any of the tensors is."""
        return any(value.is_floating_point() for value in self.values())

    def to(self, *where: Any) -> Columns:
        """Return the tensors on a device, those of floating point in a dtype."""
        dtype = need("torch").dtype
        devices = [each for each in where if not isinstance(each, dtype)]

        def converted(value: Tensor) -> Tensor:
            if value.is_floating_point():
                return value.to(*where)
            return value.to(*devices) if devices else value

        return Columns({name: converted(value) for name, value in self.items()})

    def split(self, size: int, dim: int = 0) -> list[Columns]:
        """Return pieces of at most `size` samples, as `torch.Tensor.split` does."""
        pieces = zip(*(value.split(size, dim) for value in self.values()), strict=True)
        return [Columns(dict(zip(self, piece, strict=True))) for piece in pieces]

    def unbind(self) -> list[dict[str, Tensor]]:
        """Return the samples one by one, as dicts, which `torch.utils.data.default_collate` puts together."""
        return [dict(zip(self, sample, strict=True)) for sample in zip(*self.values(), strict=True)]


def joined(batches: Sequence[tuple[Any, Tensor]]) -> tuple[Any, Tensor]:
    """Return batches, (inputs, targets), as one; the first of them where their samples are not of one shape."""
    try:
        inputs, targets = (_concatenated(parts) for parts in zip(*batches, strict=True))
    except RuntimeError:
        return batches[0]
    return inputs, targets


def _concatenated(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Columns):
        return Columns({name: _concatenated([part[name] for part in parts]) for name in first})
    return first if len(parts) == 1 else need("torch").cat(list(parts))


@cache
def _register() -> None:
    """Tell torch.func how to take columns apart."""
    tree = need("torch.utils._pytree")
    tree.register_pytree_node(
        Columns,
        lambda columns: (columns.values(), columns.keys()),
        lambda values, names: Columns(dict(zip(names, values, strict=True))),
    )
