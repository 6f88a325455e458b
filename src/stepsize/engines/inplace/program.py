"""The step of a rule in place: its operations, each with an array to write into.

A rule is a formula that returns new arrays, and stays one. `tracing` makes a list of operations of it, once; here
each gets an array to write into: that of an operand that nothing reads any more, at best the one where its result
belongs, else one of a few spare arrays. What is run is Python that `torch.fx` makes of the list, in which every call
has an `out=`. A rule that cannot be recorded is run as it is, and copied (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from stepsize.engines.inplace import kernel
from stepsize.engines.inplace.kernel import Kernel
from stepsize.engines.inplace.tracing import CONSTANTS, WRITES, Kinds, calls, fuse, like_of, record
from stepsize.kernel.arrays import Floats
from stepsize.rules import Rule
from stepsize.rules.base import Slots

Row = dict[str, Any]
"""The coefficients of a step: floats, or columns (replicas, 1); noise is like the parameters."""


WORTH_COMPILING = 1 << 20
"""Elements that are written in all, from which on a kernel is worth the tenth of a second that it takes to compile."""

TOO_LARGE = 1 << 24
"""Elements of a step, from which on torch's threads together are faster than one thread with a kernel."""


class Update:
    """A rule's step on rows of parameters and slots, which are overwritten.

    rule: bound to the shapes of a model. steps: how many there will be. apart: the new parameters are written into
    another array than the old.
    """

    def __init__(self, rule: Rule, steps: int, *, apart: bool = False) -> None:
        self._rule, self._steps, self._apart = rule, steps, apart
        self._ways: dict[tuple[tuple[str, Any], ...], Kernel | Program | None] = {}
        self._way: Kernel | Program | None = None

    def expect(self, table: Mapping[str, Floats], p: torch.Tensor, slots: Slots) -> None:
        """Have the next steps be those of `table`, (steps, replicas) of each coefficient, on rows like p and slots."""
        kinds = {name: kind(values) for name, values in table.items()}
        if self._rule.core.takes_loss:
            kinds["loss"] = "column"
        if self._rule.takes_noise:
            kinds["noise"] = "row"
        key = tuple(kinds.items())
        if key not in self._ways:
            self._ways[key] = self._prepared(p, slots, kinds)
        self._way = self._ways[key]

    def _prepared(self, p: torch.Tensor, slots: Slots, kinds: Kinds) -> Kernel | Program | None:
        """Return the step as a kernel where that pays, else as a program; None where it cannot be recorded."""
        graph = record(self._rule, p, slots, kinds)
        if graph is None:
            return None
        homes = ["into" if self._apart else "p", *(f"slot{index}" for index in range(len(slots)))]
        # By the length of a row, and not by the number of rows: who else is there changes no replica's numbers. But
        # points of a few coordinates are many, or nothing.
        elements = p.shape[1] if p.stride(1) == 1 else p.numel()
        if (
            elements * self._steps >= WORTH_COMPILING
            and elements < TOO_LARGE
            and (found := kernel.compiled(graph, p, slots, kinds, homes))
        ):
            return found
        return compiled(graph, len(slots), kinds, homes)

    @property
    def one_pass(self) -> bool:
        """Whether the expected steps read and write every array once."""
        return isinstance(self._way, Kernel)

    def __call__(
        self, p: torch.Tensor, g: torch.Tensor, slots: Slots, c: Row, into: torch.Tensor | None = None
    ) -> None:
        """Write the new parameters over p, or into `into`, and the new slots over the old.

        c: the coefficients in the order of the table, then the loss and the noise, where the rule takes them.
        """
        if self._way is not None:
            self._way(p, g, slots, [*c.values()], into)
            return
        new, after = self._rule.step(p, g, slots, c, torch)
        (p if into is None else into).copy_(new)
        for slot, fresh in zip(slots, after, strict=True):
            if fresh is not slot:
                slot.copy_(fresh)


def kind(values: Floats) -> Any:
    """Return what a coefficient, (steps, replicas), is to a program; see `tracing.Kinds`."""
    first = float(values.flat[0])
    if first in {0.0, 1.0} and (values == first).all():
        return first
    return "number" if (values == values[:, :1]).all() else "column"


def rows(table: Mapping[str, Floats], like: torch.Tensor) -> list[Row]:
    """Return the coefficients step by step: floats where all replicas have the same, else columns, (replicas, 1)."""
    series = {
        name: torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(-1).unbind()
        if kind(values) == "column"
        else values[:, 0].tolist()
        for name, values in table.items()
    }
    return [dict(zip(series, values, strict=True)) for values in zip(*series.values(), strict=True)]


@dataclass(frozen=True)
class Program:
    """A step in place: run(p, g, *slots, *coefficients, into, *spares).

    like: stands for p in the recording. spares: what each spare array is like, and what it holds, where it is a
    constant.
    """

    run: Callable[..., None]
    like: torch.Tensor
    spares: list[tuple[torch.Tensor, float | None]]
    _made: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    def __call__(self, p: torch.Tensor, g: torch.Tensor, slots: Slots, c: Sequence[Any], into: Any) -> None:
        """Write the new parameters over p, or into `into`, and the new slots over the old."""
        self.run(p, g, *slots, *c, into, *self.arrays(p))

    def arrays(self, p: torch.Tensor) -> list[torch.Tensor]:
        """Return the spare arrays for rows as many as those of p, always the same."""
        if len(p) not in self._made:
            self._made[len(p)] = [self._filled(p, like, value) for like, value in self.spares]
        return self._made[len(p)]

    def _filled(self, p: torch.Tensor, like: torch.Tensor, value: float | None) -> torch.Tensor:
        """Return an array for the rows of p, in the order of p in memory where it has the shape of p."""
        wide = like.shape == self.like.shape
        made = torch.empty_like(p, dtype=like.dtype) if wide else p.new_empty((len(p), 1), dtype=like.dtype)
        return made.fill_(value or 0)


def compiled(graph: fx.Graph, slots: int, kinds: Kinds, homes: Sequence[str]) -> Program:
    """Return a recorded step in place, for so many slots and coefficients of these kinds.

    homes: where what the step returns belongs: "p" or "into", and then the slots.
    """
    fuse(graph)
    names = ["p", "g", *(f"slot{i}" for i in range(slots))]
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    own = {node: name for node, name in zip(inputs, names, strict=False) if name in homes}
    outputs = _copied(graph, homes, own)
    # Where two outputs are one node, the first home is its own: reversed, since the last entry of a dict wins.
    arrays_of = _Allocation(graph, dict(zip(outputs[::-1], homes[::-1], strict=True)), own)
    new = fx.Graph()
    arguments = [*names, *(f"c{i}" for i in range(len(kinds))), "into", *arrays_of.spares]
    arrays = {name: new.placeholder(name) for name in arguments}
    now = {node: arrays[name] for node, name in zip(inputs, arguments, strict=False)}
    for node in calls(graph):
        if like_of(node) is None:
            now[node] = new.node_copy(node, now.__getitem__)
            continue
        args, kwargs = fx.map_arg((node.args, node.kwargs), now.__getitem__)
        now[node] = arrays[arrays_of.name[node]]
        if node.target not in CONSTANTS:
            new.call_function(WRITES[node.target], args, {**kwargs, "out": now[node]})
    for output, home in zip(outputs, homes, strict=True):
        if now[output] is not arrays[home]:
            new.call_method("copy_", (arrays[home], now[output]))
    new.output(None)
    return Program(fx.GraphModule({}, new).forward, inputs[0].meta["like"], list(arrays_of.spares.values()))


def _copied(graph: fx.Graph, homes: Sequence[str], own: Mapping[fx.Node, str]) -> list[fx.Node]:
    """Return what a step returns, an input that it returns in the place of another as a copy."""
    end = next(node for node in graph.nodes if node.op == "output")
    outputs = []
    for node, home in zip(end.args[0], homes, strict=True):
        if node.op == "placeholder" and own.get(node) != home:
            with graph.inserting_before(end):
                copy = graph.call_function(torch.clone, (node,))
            copy.meta["like"] = like_of(node)
            outputs.append(copy)
        else:
            outputs.append(node)
    end.args = (tuple(outputs),)
    return outputs


class _Allocation:
    """In which array each result is: the registers of a compiler, with arrays for registers.

    name: of the array, by operation. spares: by name, what an array beside the given ones is like, and the
    constant in it, if any.

    homes: where what a step returns belongs. own: where an input is that may be overwritten after its last use.
    """

    def __init__(self, graph: fx.Graph, homes: dict[fx.Node, str], own: Mapping[fx.Node, str]) -> None:
        self.name = dict(own)
        self.spares: dict[str, tuple[torch.Tensor, float | None]] = {}
        self._homes = homes
        last = {read: node for node in graph.nodes for read in node.all_input_nodes}
        # An input's array is free from the start where nothing reads it, such as an array beside the parameters.
        self._free = set(homes.values()) - {name for node, name in own.items() if node in last}
        for node in calls(graph):
            if like_of(node) is None:
                continue
            if node.target in CONSTANTS:
                self.name[node] = self._spare(node, CONSTANTS[node.target])
                continue
            spent = [read for read in node.all_input_nodes if last[read] is node and self._reusable(read)]
            self.name[node] = self._chosen(node, [self.name[read] for read in spent if _same(read, node)])
            self._free |= {self.name[read] for read in spent}
            self._free.discard(self.name[node])

    def _reusable(self, read: fx.Node) -> bool:
        """Whether the array of `read` is free after its last use: not that of a constant or a gradient."""
        return read in self.name and read.target not in CONSTANTS

    def _chosen(self, node: fx.Node, ready: list[str]) -> str:
        """Return an array for the result of `node`; `ready` are those of operands that are read for the last time."""
        # A result that lands at home at once saves the copy at the end. While its home is still read, it may go into a
        # spare array alone: another home would be taken from the result that belongs there.
        home = self._homes.get(node)
        if home is not None and (home in self._free or home in ready):
            return home
        spares = [name for name in self._free if name in self.spares and _same(self.spares[name][0], node)]
        if home is not None:
            ready = [name for name in ready if name in self.spares]
        return min(ready or spares, default=None) or self._spare(node, None)

    def _spare(self, node: fx.Node, constant: float | None) -> str:
        name = f"spare{len(self.spares)}"
        self.spares[name] = node.meta["like"], constant
        return name


def _same(one: fx.Node | torch.Tensor, node: fx.Node) -> bool:
    """Whether two results could be in one array."""
    first, second = one if isinstance(one, torch.Tensor) else like_of(one), like_of(node)
    return first is not None and second is not None and (first.shape, first.dtype) == (second.shape, second.dtype)
