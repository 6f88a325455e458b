"""The operations of a recorded gradient, rewritten so that they do the same in less time.

Each is of what `vmap` and autograd leave behind, or of a kernel of torch that is slow where replicas are small; what it
gains was measured (docs/adr/0024). All keep the result, but for how it is rounded.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import fx

from stepsize.engines.vectorised import products, strided

aten = torch.ops.aten

SAME = {aten.detach.default, aten.alias.default, aten.view.default, aten._unsafe_view.default, aten.expand.default}  # noqa: SLF001  (an operation has no other name)
"""Operations that return what they are given, but for its shape."""

MATRICES = 3
"""Dimensions of a batch of matrices."""

IMAGES, FEW = 4, 3
"""Dimensions of a batch of images, and channels of a replica's image that are few: those of a photograph."""

WORTH_COMPILING = 1 << 27
"""Multiplications of a replica in a run, from which on it pays for a compiler: they take three times as long as it."""

CLASSES = 64
"""Classes up to which a softmax is faster in single operations: torch's own goes row by row."""


def rewrite(graph: fx.Graph, updates: float) -> None:
    """Make a recording faster; its nodes know the shape of what they make, in `meta["shape"]`.

    updates: how often it will run.
    """
    for change in (_left_out, _biased, _softmax, _written_there, _by_channels):
        for node in list(graph.nodes):
            change(node)
        _sweep(graph)
    for count, change in ((_slopes, _strided), (_products, _product)):
        found = {node: count(node) for node in graph.nodes if node.op == "call_function"}
        if updates * sum(found.values()) >= WORTH_COMPILING:
            for node in filter(found.get, found):
                change(node)
        _sweep(graph)


def _sweep(graph: fx.Graph) -> None:
    """Leave out what nothing reads."""
    for node in reversed(graph.nodes):
        # torch.fx has a function for this, whose older versions leave out what only writes over something.
        if node.op in {"call_function", "get_attr"} and not node.users and not _written(node):
            graph.erase_node(node)


def _left_out(node: fx.Node) -> None:
    """Read what is before an operation that changes nothing."""
    if node.target in SAME and (given := _node(node, 0)).meta["shape"] == node.meta["shape"]:
        node.replace_all_uses_with(given)
    elif _turns(node) and _turns(_node(node, 0)):
        node.replace_all_uses_with(_node(_node(node, 0), 0))


def _biased(node: fx.Node) -> None:
    """Add a bias as part of the product of matrices that it is added to."""
    if node.target is not aten.add.Tensor or node.kwargs or not all(isinstance(each, fx.Node) for each in node.args):
        return
    for first, second in ((0, 1), (1, 0)):
        bias, product = _node(node, first), _node(node, second)
        alone = product.target is aten.bmm.default and len(product.users) == 1
        if (
            alone
            and _adds(bias, product, node)
            and not _is_written_over([bias, *product.all_input_nodes], product, node)
        ):
            _replace(node, aten.baddbmm.default, bias, *product.args)
            return


def _adds(bias: fx.Node, product: fx.Node, total: fx.Node) -> bool:
    """Whether a sum is as large as a product of matrices, and of one dtype with it and a bias."""
    same = product.meta["shape"] == total.meta["shape"] and len(bias.meta["shape"]) == MATRICES
    return same and product.meta["dtype"] == bias.meta["dtype"]


def _softmax(node: fx.Node) -> None:
    """Write the logarithm of a softmax over a few classes, and its slope, as single operations.

    `x - max - log(sum(exp(x - max)))`, and `g - softmax * sum(g)`.
    """
    if node.target not in {aten._log_softmax.default, aten._log_softmax_backward_data.default}:  # noqa: SLF001  (an operation has no other name)
        return
    *given, dim, kind = node.args
    shape, dtype = node.meta["shape"], node.meta["dtype"]
    exact = dtype in {torch.float32, torch.float64} and kind in (False, dtype)
    if shape[-1] > CLASSES or dim not in {-1, len(shape) - 1} or not exact:
        return

    def call(target: Any, *args: Any) -> fx.Node:
        return node.graph.call_function(target, args)

    with node.graph.inserting_before(node):
        if node.target is aten._log_softmax.default:  # noqa: SLF001  (as above)
            largest = call(aten.amax.default, *given, [-1], True)
            away: Any = call(aten.sub.Tensor, *given, largest)
            total = call(aten.sum.dim_IntList, call(aten.exp.default, away), [-1], True)
            taken = call(aten.log.default, total)
        else:
            away, output = given
            taken = call(aten.mul.Tensor, call(aten.exp.default, output), call(aten.sum.dim_IntList, away, [-1], True))
    _replace(node, aten.sub.Tensor, away, taken)


def _replace(node: fx.Node, target: Any, *args: Any) -> None:
    """Put another operation in place of one, with a result like its."""
    with node.graph.inserting_before(node):
        new = node.graph.call_function(target, args)
    new.meta |= node.meta
    node.replace_all_uses_with(new)
    node.graph.erase_node(node)


def _by_channels(node: fx.Node) -> None:
    """Have a convolution of few channels take its inputs channel by channel, which is several times as fast."""
    if node.target is not aten.convolution.default or len(node.meta["shape"]) != IMAGES:
        return
    weight = _node(node, 1)
    if weight.meta["shape"][1] <= FEW and node.meta["shape"][1] > FEW:
        with node.graph.inserting_before(node):
            turned = [
                node.graph.call_function(aten.contiguous.default, (each,), {"memory_format": torch.channels_last})
                for each in (_node(node, 0), weight)
            ]
        with node.graph.inserting_after(node):
            back = node.graph.call_function(aten.contiguous.default, (node,))
        node.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)
        node.args = (*turned, *node.args[2:])


def _slopes(node: fx.Node) -> int:
    """Return the multiplications of the gradient before a strided convolution, which `strided` takes; else 0."""
    if node.target is not aten.convolution_backward.default:
        return 0
    slope, x, weight, _, stride, padding, dilation, transposed, _, groups, wanted = cast("Any", node.args)
    plain = wanted[0] and not transposed and set(dilation) == {1}
    how = strided.Strides(stride, padding, groups)
    return plain and strided.multiplications(slope.meta["shape"], weight.meta["shape"], how, x.meta["dtype"])


def _strided(node: fx.Node) -> None:
    """Have the gradient of what a strided convolution takes computed by `strided`, and the weights' by torch."""
    slope, x, weight, _, stride, padding, _, _, _, groups, (_, *others) = cast("Any", node.args)
    if strided.compiled(x.meta["dtype"]) is None:
        return
    how = strided.Strides(stride, padding, groups)
    with node.graph.inserting_before(node):
        before = node.graph.call_function(strided.slope_before, (slope, x, weight, how))
    before.meta |= x.meta
    for part in list(node.users):
        if part.args[1] == 0:
            part.replace_all_uses_with(before)
    node.update_arg(len(node.args) - 1, [False, *others])


def _products(node: fx.Node) -> int:
    """Return the multiplications of a product of small matrices, which `products` takes; else 0."""
    if node.target not in {aten.bmm.default, aten.bmm.out, aten.baddbmm.default} or node.kwargs.keys() - {"out"}:
        return 0
    a, b = (cast("fx.Node", each).meta for each in node.args[-2:])
    turned = b["stride"][2] != 1
    return products.multiplications(a["shape"], b["shape"], a["dtype"], turned=turned)


def _product(node: fx.Node) -> None:
    """Have a product of small matrices computed by `products`."""
    *bias, a, b = node.args
    if products.compiled(cast("fx.Node", a).meta["dtype"]) is not None:
        node.target, node.args = products.product, (a, b, *bias)


def _written_there(node: fx.Node) -> None:
    """Have a product of matrices written to where it is copied, also one that is turned: `(a b)' = b' a'`."""
    if node.target is not aten.copy_.default or len(node.meta["shape"]) != MATRICES:
        return
    where, copied = _node(node, 0), _node(node, 1)
    turned = _turns(copied)
    product = _node(copied, 0) if turned else copied
    if product.target is not aten.bmm.default or any(len(each.users) != 1 for each in (copied, product)):
        return
    first, second = _node(product, 0), _node(product, 1)
    if _is_written_over((first, second), product, node):
        return
    with node.graph.inserting_before(node):
        factors = (_transposed(second), _transposed(first)) if turned else (first, second)
        node.graph.call_function(aten.bmm.out, factors, {"out": where})
    node.replace_all_uses_with(where)
    node.graph.erase_node(node)


def _is_written_over(read: Iterable[fx.Node], first: fx.Node, last: fx.Node) -> bool:
    """Whether any of these is written over between two operations."""
    roots = {_root(each) for each in read}
    node = first
    while (node := node.next) is not last:
        if not roots.isdisjoint(map(_root, _written(node))):
            return True
    return False


def _written(node: fx.Node) -> list[fx.Node]:
    """Return what an operation writes over."""
    if not isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001  (torch says it nowhere else)
        return [out for name, out in node.kwargs.items() if name == "out" and isinstance(out, fx.Node)]
    schema = node.target._schema.arguments  # noqa: SLF001  (as above)
    names = [each.name for each in schema if each.alias_info is not None and each.alias_info.is_write]
    given: dict[str, Any] = {each.name: value for each, value in zip(schema, node.args, strict=False)} | node.kwargs
    return [given[name] for name in names if isinstance(given.get(name), fx.Node)]


def _root(node: fx.Node) -> fx.Node:
    """Return what a view is a view of."""
    while node.op == "call_function" and node.all_input_nodes and (node.target is operator.getitem or _views(node)):
        node = node.all_input_nodes[0]
    return node


def _views(node: fx.Node) -> bool:
    returned = node.target._schema.returns if isinstance(node.target, torch._ops.OpOverload) else ()  # noqa: SLF001  (as above)
    return any(each.alias_info is not None for each in returned)


def _turns(node: fx.Node) -> bool:
    """Whether a node is the transpose of each matrix of a batch."""
    dims = [[1, 2], [2, 1], [-1, -2], [-2, -1]]
    return node.target is aten.transpose.int and len(node.meta["shape"]) == MATRICES and [*node.args[1:]] in dims


def _transposed(node: fx.Node) -> fx.Node:
    """Return the transpose of each matrix of a batch, a new operation unless the node is one itself."""
    if _turns(node):
        return _node(node, 0)
    turned = node.graph.call_function(aten.transpose.int, (node, 1, 2))
    turned.meta |= node.meta
    for name in ("shape", "stride"):
        matrix, row, column = node.meta[name]
        turned.meta[name] = torch.Size((matrix, column, row))
    return turned


def _node(node: fx.Node, index: int) -> fx.Node:
    """Return the node that an operation takes as an argument."""
    return cast("fx.Node", node.args[index])
