"""A function of tensors that is recorded while it runs, and then replayed: torch's kernels without what chooses them.

Half of a gradient of small replicas is not arithmetic: it is the model's Python, `vmap`, and autograd, which arrive at
the same kernels in every step. They are noted as they run, below all three, at the price of some milliseconds, and then
called one after the other (docs/adr/0024).

A recording knows nothing of Python, so only what is known to be `stateless` is recorded. And it is not believed: the
second time a function runs, its recording runs beside it, and must say the same.
"""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from stepsize.engines.vectorised.dispatched import Dispatched
from stepsize.engines.vectorised.rewriting import rewrite

aten = torch.ops.aten

Function = Callable[..., Sequence[torch.Tensor]]

VALUES = {aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default}  # noqa: SLF001  (an operation has no other name)
"""Operations that hand a value to Python, which no recording follows; nor does it a change of a tensor's shape."""

MOST_FORMS = 8
"""Shapes of the inputs that are recorded: where every batch has another one, recording is all that would be done."""


class Replay:
    """Runs a function of tensors, from the third time on as a recording of the first, where both said the same.

    function: takes tensors, of which it may write over those after the first, and returns tensors; it is stateless.
    known: recordings of functions like this one, by the form of the inputs, and new ones go there. Which times are
    replayed does not hang on them: with one or without, the first two times the function itself runs.
    updates: how often it runs, the same for all that are known: whether a recording is worth a compiler.
    """

    def __init__(self, function: Function, known: dict[Any, Function], updates: float = math.inf) -> None:
        self._function, self._known, self._updates = function, known, updates
        self._recorded: dict[Any, Function | None] = {}
        self._ready: dict[Any, Function] = {}

    def __call__(self, *inputs: Any, tree: Any = None) -> Sequence[torch.Tensor]:
        """Return what the function returns; tree: what else it depends on, such as how the inputs belong together."""
        if not all(isinstance(each, torch.Tensor) for each in inputs):
            return self._function(*inputs)
        form = tree, *((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        if form in self._ready:
            return self._ready[form](*inputs)
        if form in self._recorded:
            return self._compared(form, inputs)
        if len(self._recorded) == MOST_FORMS:
            return self._function(*inputs)
        return self._first(form, inputs)

    def _first(self, form: Any, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the function returns, and note how, unless that is known."""
        if form in self._known:
            self._recorded[form] = self._known[form]
            return self._function(*inputs)
        with _Tape(inputs, self._updates) as tape:
            found = self._function(*inputs)
        self._recorded[form] = recording = tape.recording(found)
        if recording is not None and not tape.constants:  # those are of one model, which may write over them
            self._known[form] = recording
        return found

    def _compared(self, form: Any, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the function returns, and have its recording run from now on if it says the same."""
        recording = self._recorded[form]
        self._ready[form] = self._function
        if recording is None:
            return self._function(*inputs)
        copies = [inputs[0], *(each.clone() for each in inputs[1:])]
        found = self._function(*inputs)
        try:
            again = recording(*copies)
        except Exception:  # noqa: BLE001  (whatever a recording cannot do, the function does)
            return found
        if all(_close(*pair) for pair in zip([*found, *inputs], [*again, *copies], strict=True)):
            self._ready[form] = recording
        return found


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a result is another but for rounding, which is judged by the largest number of each replica.

    Where a replica has diverged, the other may have any number: what is infinite in one order of a sum may be NaN in
    another.
    """
    if not one.is_floating_point() or not one.numel():
        return torch.equal(one, other)
    one, other = (each.reshape(len(each), -1) for each in (one, other))
    allowed = torch.finfo(one.dtype).eps ** 0.5 * one.abs().amax(1, keepdim=True)
    return bool(((one - other).abs() <= allowed)[one.isfinite().all(1)].all())


class _Tape(Dispatched):  # type: ignore[no-untyped-call]  # torch has no types for what makes a subclass
    """A context that notes every operation that torch runs in it, below `vmap` and autograd.

    updates: how often what is noted will run. constants: tensors that are read there and were neither given nor made,
        by name.
    """

    def __init__(self, inputs: Sequence[torch.Tensor], updates: float) -> None:
        super().__init__()
        self._updates = updates
        self._sound = True
        self._graph = fx.Graph()
        self.constants: dict[str, torch.Tensor] = {}
        self._nodes: dict[int, fx.Node] = {}
        for index, tensor in enumerate(inputs):
            self._note(tensor, self._graph.placeholder(f"x{index}"))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, and note it."""
        node = self._graph.call_function(func, self._known(args), self._known(kwargs or {}))
        made = func(*args, **(kwargs or {}))
        self._sound &= func not in VALUES and torch.Tag.inplace_view not in func.tags
        if isinstance(made, torch.Tensor):
            self._note(made, node)
        elif isinstance(made, tuple | list):
            for index, part in enumerate(made):
                if isinstance(part, torch.Tensor):
                    self._note(part, self._graph.call_function(operator.getitem, (node, index)))
        return made

    def _known(self, value: Any) -> Any:
        """Return arguments with nodes in place of tensors."""
        if isinstance(value, torch.Tensor):
            return self._nodes.get(id(value)) or self._constant(value)
        if isinstance(value, tuple | list):
            return type(value)(self._known(part) for part in value)
        if isinstance(value, dict):
            return {name: self._known(part) for name, part in value.items()}
        return value

    def _note(self, tensor: torch.Tensor, node: fx.Node) -> None:
        # What is forgotten when the tensor is: an id is used again only after that, and its memory with it.
        if id(tensor) not in self._nodes:
            weakref.finalize(tensor, self._nodes.pop, id(tensor), None).atexit = False
        self._nodes[id(tensor)] = node
        node.meta |= {"shape": tensor.shape, "stride": tensor.stride(), "dtype": tensor.dtype}

    def _constant(self, tensor: torch.Tensor) -> fx.Node:
        """Return a node for a tensor that is neither given nor made here, such as one that the model holds."""
        name = f"constant{len(self.constants)}"
        self.constants[name] = tensor
        node = self._graph.get_attr(name)
        self._note(tensor, node)
        return node

    def recording(self, found: Sequence[torch.Tensor]) -> Function | None:
        """Return what was noted of a function that returns `found`, as a function; None if it cannot be run again."""
        self._graph.output(tuple(self._known(tensor) for tensor in found))
        self._nodes = {}
        if not self._sound:
            return None
        rewrite(self._graph, self._updates)
        return torch.no_grad()(fx.GraphModule(self.constants, self._graph).forward)
