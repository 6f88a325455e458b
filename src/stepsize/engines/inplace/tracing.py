"""A rule's step as a list of operations: recorded once on symbols, and for torch with products fused into sums.

`torch.fx` records what the formula does; each operation knows a small tensor that is like its result, in its dtype and
in whether it has a number for each element or for each row, or None where the result is a number. Everything here is
about what is computed, nothing about where it is written; that is `program`, or `kernel` in C (docs/adr/0013, 0024).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from stepsize.rules import Rule
from stepsize.rules.base import Slots


def _copy(value: torch.Tensor, *, out: torch.Tensor) -> None:
    out.copy_(value)


Kinds = Mapping[str, Any]
"""What each coefficient is: "column", "row", "number", or 0.0 or 1.0 where it is that in every step."""

WRITES: dict[Any, Callable[..., Any]] = {
    operator.add: torch.add, operator.sub: torch.sub, operator.mul: torch.mul, operator.truediv: torch.div,
    operator.neg: torch.neg, operator.pow: torch.pow, operator.eq: torch.eq, operator.ne: torch.ne,
    operator.gt: torch.gt, operator.ge: torch.ge, operator.lt: torch.lt, operator.le: torch.le, torch.clone: _copy,
}  # fmt: skip
WRITES.update((word, word) for word in (
    torch.abs, torch.clip, torch.cos, torch.exp, torch.floor, torch.log, torch.maximum, torch.minimum, torch.sqrt,
    torch.where, torch.sign, torch.sum, torch.reciprocal, torch.add, torch.sub, torch.addcmul, torch.addcdiv,
))  # fmt: skip
"""The operations that can be replayed, and what writes their result into a given array."""

CONSTANTS = {torch.zeros_like: 0.0, torch.ones_like: 1.0}
"""What is known from a shape alone."""


def record(rule: Rule, p: torch.Tensor, slots: Slots, kinds: Kinds) -> fx.Graph | None:
    """Return the operations of one step of `rule`, or None where it does something that cannot be replayed.

    p, slots: what to be like. The graph has the inputs p, g, the slots and the coefficients in the order of `kinds`,
    and returns the new parameters and slots.

    A rule that looks at shapes (Muon, Adafactor) or at values is not recorded; its formula is run as it is.
    """
    graph = fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)

    def symbol(name: str, like: torch.Tensor | None) -> Any:
        node = graph.placeholder(name)
        node.meta["like"] = like
        return fx.Proxy(node, tracer)

    like, *others = _stand_ins([p, *slots])
    arrays = symbol("p", like), symbol("g", like), tuple(symbol("slot", each) for each in others)
    shapes = {"column": like[:, :1], "row": like}
    c = {name: symbol(name, shapes.get(kind)) for name, kind in kinds.items()}
    try:
        new, after = rule.step(*arrays, c, torch)
        graph.output(tuple(proxy.node for proxy in (new, *after)))
        _infer(graph)
    except Exception:  # noqa: BLE001  (whatever the formula cannot do with symbols, it can do with arrays, or says it there)
        return None
    fixed = {c[name].node: kind for name, kind in kinds.items() if kind in (0.0, 1.0)}
    for node in list(graph.nodes):
        _known(node, fixed)
    graph.eliminate_dead_code()
    fit = all(n.target in WRITES or n.target in CONSTANTS or like_of(n) is None for n in calls(graph))
    return graph if fit else None


def fuse(graph: fx.Graph) -> None:
    """Make products and quotients part of the sums that they go into, as torch has one operation for both."""
    # The order matters: a number before a tensor is rewritten first, so that the fusion sees one form.
    for change in (_plain, _fused):
        for node in list(graph.nodes):
            change(node)
        graph.eliminate_dead_code()


def calls(graph: fx.Graph) -> list[fx.Node]:
    """Return the operations of `graph`, without its inputs and its output."""
    return [node for node in graph.nodes if node.op == "call_function"]


def _args(node: fx.Node) -> tuple[Any, ...]:
    return node.args


def like_of(value: Any) -> torch.Tensor | None:
    """Return a tensor of no values that is like the result of an operation, or None for a number."""
    return value.meta["like"] if isinstance(value, fx.Node) else None


def _stand_ins(arrays: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return small tensors in the place of arrays of replicas; what differs in shape differs in theirs.

    They have two rows, which stand for any number: what has a row for each replica then differs from what all of them
    share. And they have values: for tensors without, on the device "meta", torch imports its compiler, half a second.
    """
    sizes = sorted({size for array in arrays for size in array.shape[1:] if size > 2})
    small = {size: 3 + index for index, size in enumerate(sizes)}
    shapes = [(2, *(small.get(size, size) for size in array.shape[1:])) for array in arrays]
    return [torch.zeros(shape, dtype=array.dtype) for shape, array in zip(shapes, arrays, strict=True)]


def _infer(graph: fx.Graph) -> None:
    """Note of each operation what its result is like."""

    def stand_in(node: fx.Node) -> Any:
        return 1.0 if like_of(node) is None else like_of(node)

    for node in graph.nodes:
        if node.op == "call_function":
            tensors = any(like_of(read) is not None for read in node.all_input_nodes)
            args, kwargs = fx.map_arg((node.args, node.kwargs), stand_in)
            node.meta["like"] = node.target(*args, **kwargs) if tensors else None
            if node.target in CONSTANTS:
                node.args = ()  # it has its shape now, and nothing else of what it was made from
        elif node.op not in {"placeholder", "output"}:
            raise NotImplementedError(node.op)


def _insert(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    """Return a new operation before `node`, like it."""
    with node.graph.inserting_before(node):
        made: fx.Node = node.graph.call_function(target, args, kwargs)
    made.meta["like"] = node.meta["like"]
    return made


def _plain(node: fx.Node) -> None:
    """Write `number - tensor` and `number / tensor` as torch computes them: with the tensor first."""
    if (
        node.target not in {operator.sub, operator.truediv}
        or like_of(node) is None
        or like_of(node.args[0]) is not None
    ):
        return
    number, tensor = node.args
    if node.target is operator.sub:
        node.replace_all_uses_with(_insert(node, operator.add, _insert(node, operator.neg, tensor), number))
    else:
        node.replace_all_uses_with(_insert(node, operator.mul, _insert(node, torch.reciprocal, tensor), number))


def _known(node: fx.Node, fixed: dict[fx.Node, float]) -> None:
    """Leave out factors that are 1 in every step, and terms with a factor that is 0."""
    if node.target is operator.mul:
        for one, other in (_args(node), _args(node)[::-1]):
            if fixed.get(one) == 1.0 and isinstance(other, fx.Node):
                node.replace_all_uses_with(other)
            elif fixed.get(one) == 0.0:
                fixed[node] = 0.0
    elif node.target in {operator.add, operator.sub}:
        for y, x in _terms(node):
            if fixed.get(x) == 0.0 and _alike(y, node):
                node.replace_all_uses_with(y)


def _terms(node: fx.Node) -> list[tuple[Any, Any]]:
    """Return the operands of a sum or a difference, what may go into the other second."""
    first, second = _args(node)
    return [(first, second), (second, first)] if node.target is operator.add else [(first, second)]


def _alike(value: Any, node: fx.Node) -> bool:
    like, own = like_of(value), like_of(node)
    return like is not None and own is not None and like.shape == own.shape


def _fused(node: fx.Node) -> None:
    """Make one operation of a product or a quotient and the sum that it alone goes into."""
    if node.target not in {operator.add, operator.sub}:
        return
    for y, x in _terms(node):
        if _alike(y, node) and isinstance(x, fx.Node) and len(x.users) == 1:
            made = _with_product(node, y, x) or _with_quotient(node, y, x)
            if made:
                node.replace_all_uses_with(made)
                return


def _with_product(node: fx.Node, y: fx.Node, x: fx.Node) -> fx.Node | None:
    """Return `y + a*b` as one operation, where x is a product; of `c*(a*b)`, `y + (c*a)*b`."""
    if x.target is not operator.mul:
        return None
    a, b = _args(x)
    if _single(b, operator.mul) and all(like_of(factor) is not None for factor in _args(b)):
        c, (a, b) = a, _args(b)
        if like_of(c) is None:
            return _insert(node, torch.addcmul, y, a, b, value=_signed(node, c))
        a = _insert(node, operator.mul, c, a)
    if like_of(a) is None or like_of(b) is None:
        number, tensor = (a, b) if like_of(a) is None else (b, a)
        return _insert(node, WRITES[node.target], y, tensor, alpha=number)
    return _insert(node, torch.addcmul, y, a, b, value=_signed(node, 1))


def _with_quotient(node: fx.Node, y: fx.Node, x: fx.Node) -> fx.Node | None:
    """Return `y + c*a/b` as one operation, where x is a quotient and c a number, 1 where there is none."""
    if x.target is not operator.truediv:
        return None
    a, b = _args(x)
    if like_of(b) is None:
        return None
    c: Any = 1
    if _single(a, operator.mul) and like_of(_args(a)[0]) is None:
        c, a = _args(a)
    return _insert(node, torch.addcdiv, y, a, b, value=_signed(node, c))


def _single(value: Any, target: Any) -> bool:
    """Whether `value` is the result of such an operation, which is read once."""
    return isinstance(value, fx.Node) and value.target is target and len(value.users) == 1


def _signed(node: fx.Node, number: Any) -> Any:
    """Return a number with the sign that it has in a sum or a difference."""
    if node.target is operator.add or not isinstance(number, fx.Node):
        return number if node.target is operator.add else -number
    negated = _insert(node, operator.neg, number)
    negated.meta["like"] = None
    return negated
