"""A function of tensors that is recorded while it runs, and then replayed: torch's kernels without what chooses them.

Half of a gradient of small replicas is not arithmetic: it is the model's Python, `vmap`, and autograd, which arrive at
the same kernels in every step. They are noted as they run, below all three, at the price of some milliseconds, and then
called one after the other (docs/adr/0024).

A recording knows nothing of Python: a model that counts its own calls would stand still. So it is made twice, on other
batches, and used only where both agree and no Python state that can be seen has changed; and the last step of a run is
done both ways.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import fx

from stepsize.engines.vectorised.dispatched import Dispatched
from stepsize.engines.vectorised.rewriting import rewrite
from stepsize.kernel.errors import StepsizeError

aten = torch.ops.aten

Function = Callable[..., Sequence[torch.Tensor]]

VALUES = {aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default}  # noqa: SLF001  (an operation has no other name)
"""Operations that hand a value to Python, which no recording follows."""

MOST_FORMS = 8
"""Shapes of the inputs that are recorded: where every batch has another one, recording is all that would be done."""


class DriftedError(StepsizeError):
    """A recording does not say any more what its function does."""


class Replay:
    """Runs a function of tensors, from the third time on as a recording, where that says the same.

    function: takes tensors, of which it may write over those after the first, and returns tensors. state: returns what
    of Python the function may depend on and change, as a value that can be compared. known: recordings of functions
    like this one, by the form of the inputs; where one of them agrees, a second recording is spared.
    """

    def __init__(self, function: Function, state: Callable[[], Any], known: dict[Any, Recording]) -> None:
        self._function, self._state, self._known = function, state, known
        self._first: dict[Any, Recording] = {}
        self._ready: dict[Any, Function] = {}

    def __call__(self, *inputs: Any) -> Sequence[torch.Tensor]:
        """Return what the function returns."""
        if not all(isinstance(each, torch.Tensor) for each in inputs):
            return self._function(*inputs)
        form = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        if form not in self._ready and len(self._ready) < MOST_FORMS:
            return self._recorded(form, inputs)
        return self._ready.get(form, self._function)(*inputs)

    def checked(self, *inputs: Any) -> Sequence[torch.Tensor]:
        """Return what the function returns, once it has been seen that it and its recording still agree.

        Raises DriftedError where they do not.
        """
        if not any(ready is not self._function for ready in self._ready.values()):
            return self(*inputs)
        first, *others = inputs
        copies = [each.clone() if isinstance(each, torch.Tensor) else each for each in others]
        expected, found = self._function(first, *copies), self(*inputs)
        pairs = zip([*expected, *copies], [*found, *others], strict=True)
        if not all(_close(*pair) for pair in pairs if isinstance(pair[0], torch.Tensor)):
            raise DriftedError
        return found

    def _recorded(self, form: Any, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the function returns, and note how, or that it cannot be noted."""
        first = self._first.pop(form, None)
        if first is not None and first is self._known.get(form):
            # It has agreed already. The second time is not recorded, but is no replay either: which times are replayed,
            # and so the last bits of a run, must not hang on what this process has run before.
            self._ready[form] = first.function
            return self._function(*inputs)
        before = self._state()
        with _Tape(inputs) as tape:
            found = self._function(*inputs)
        new, known = tape.recording(found), self._known.get(form)
        if new is None:
            self._ready[form] = self._function
        elif first is None:  # what a model keeps from its first call for later ones is there in the second
            trusted = known is not None and new.agrees(known) and self._state() == before
            self._first[form] = known if known is not None and trusted else new
        elif new.agrees(first) and self._state() == before:
            self._ready[form] = new.function
            if not new.constants:  # those are of one model, which may write over them
                self._known.setdefault(form, new)
        else:
            self._ready[form] = self._function
        return found


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two results are the same but for rounding, which is judged by the largest number of each replica.

    A replica that has diverged is not judged: what is infinite in one order of a sum may not be a number in another.
    """
    if not one.is_floating_point() or not one.numel():
        return torch.equal(one, other)
    one, other = (each.reshape(len(each), -1) for each in (one, other))
    allowed = torch.finfo(one.dtype).eps ** 0.5 * one.abs().amax(1, keepdim=True)
    sound = one.isfinite().all(1) & other.isfinite().all(1)
    return bool(((one - other).abs() <= allowed)[sound].all())


class _Tape(Dispatched):  # type: ignore[no-untyped-call]  # torch has no types for what makes a subclass
    """A context that notes every operation that torch runs in it, below `vmap` and autograd."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._sound = True
        self._graph = fx.Graph()
        self._constants: dict[str, torch.Tensor] = {}
        self._nodes: dict[int, fx.Node] = {}
        for index, tensor in enumerate(inputs):
            self._note(tensor, self._graph.placeholder(f"x{index}"))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, and note it."""
        node = self._graph.call_function(func, self._known(args), self._known(kwargs or {}))
        made = func(*args, **(kwargs or {}))
        self._sound &= func not in VALUES
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
            weakref.finalize(tensor, self._nodes.pop, id(tensor), None)
        self._nodes[id(tensor)] = node
        node.meta["shape"], node.meta["dtype"] = tensor.shape, tensor.dtype

    def _constant(self, tensor: torch.Tensor) -> fx.Node:
        """Return a node for a tensor that is neither given nor made here, such as one that the model holds."""
        name = f"constant{len(self._constants)}"
        self._constants[name] = tensor
        node = self._graph.get_attr(name)
        self._note(tensor, node)
        return node

    def recording(self, found: Sequence[torch.Tensor]) -> Recording | None:
        """Return what was noted of a function that returns `found`, or None where it cannot be run again."""
        self._graph.output(tuple(self._known(tensor) for tensor in found))
        self._nodes = {}
        return Recording(self._graph, self._constants) if self._sound else None


class Recording:
    """The operations of a function, as they were noted.

    constants: tensors that it reads and neither was given nor made, by name.
    """

    def __init__(self, graph: fx.Graph, constants: dict[str, torch.Tensor]) -> None:
        self._graph, self.constants = graph, constants
        self._shown = [(node.op, node.target, repr(node.args), repr(node.kwargs)) for node in graph.nodes]

    def agrees(self, other: Recording) -> bool:
        """Whether two recordings are the same operations with the same constants."""
        if self._shown != other._shown:
            return False
        return all(_equal(one, other.constants[name]) for name, one in self.constants.items())

    @cached_property
    def function(self) -> Function:
        """The recording as a function, without what changes nothing."""
        rewrite(self._graph)
        return torch.no_grad()(fx.GraphModule(self.constants, self._graph).forward)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    return one.dtype == other.dtype and one.shape == other.shape and torch.allclose(one, other, 0, 0, equal_nan=True)
