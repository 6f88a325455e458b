"""Contexts that see every operation that torch runs in them, below `vmap` and autograd."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """A context whose `__torch_dispatch__`, which a subclass has, runs every operation of torch in it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor for this

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # To be left alone by torch's compiler, torch would import it: half a second, which nobody here compiles for.
        return False
