"""The step of a rule as one pass over memory: its operations written as C, compiled once, and called with pointers.

Torch reads and writes every array once for each operation; Adam's ten take ten passes. Here all operations of an
element follow each other while it is in a register, and a pass is made for each sum over a row, and one at the end.
Every operation is rounded by itself, so a step is what NumPy makes of the formula, bit for bit, but for sums, powers
and functions of the C library. Where there is no compiler, or what it makes cannot be loaded, `program` runs
(docs/adr/0024).
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import fx

from stepsize.engines import compiler
from stepsize.engines.inplace.tracing import Kinds, calls, like_of
from stepsize.rules.base import Slots

LANES = 16
"""Partial sums of a sum over a row: as many as a vector holds, so that their order does not hang on its width."""

SYMBOLS: Mapping[Any, str] = {
    operator.add: "({0} + {1})", operator.sub: "({0} - {1})", operator.mul: "({0} * {1})",
    operator.truediv: "({0} / {1})", operator.neg: "(-{0})", operator.pow: "pow({0}, {1})",
    operator.eq: "({0} == {1})", operator.ne: "({0} != {1})", operator.gt: "({0} > {1})", operator.ge: "({0} >= {1})",
    operator.lt: "({0} < {1})", operator.le: "({0} <= {1})", torch.where: "({0} ? {1} : {2})", torch.abs: "fabs({0})",
    torch.sqrt: "sqrt({0})", torch.floor: "floor({0})", torch.exp: "exp({0})", torch.log: "log({0})",
    torch.cos: "cos({0})", torch.sign: "(T)(({0} > 0) - ({0} < 0))", torch.reciprocal: "(1 / {0})",
    torch.maximum: "({0} > {1} || {0} != {0} ? {0} : {1})", torch.minimum: "({0} < {1} || {0} != {0} ? {0} : {1})",
    torch.zeros_like: "(T)0", torch.ones_like: "(T)1", torch.clip: "least(most({0}, {1}), {2})",
}  # fmt: skip
"""Operations in C, by their operands. A maximum with NaN is NaN, as torch has it."""


ARRAYS = frozenset({"column", "row"})
"""The kinds of coefficients that are arrays."""


class UnwrittenError(Exception):
    """A step has something that is not written in C; another way to run it is taken."""


@dataclass(frozen=True)
class Kernel:
    """A compiled step.

    call: takes how many rows and columns there are, and the addresses of the arrays, their strides and the numbers.
    kinds: of the coefficients. turned: whether the arrays lie in memory column by column.
    """

    call: Any
    kinds: tuple[Any, ...]
    turned: bool

    def __call__(self, p: torch.Tensor, g: torch.Tensor, slots: Slots, c: Sequence[Any], into: Any) -> None:
        """Write the new parameters over p, or into `into`, and the new slots over the old; c: in order of the kinds."""
        read: list[torch.Tensor] = [g]
        numbers: list[float] = []
        for value, kind in zip(c, self.kinds, strict=True):
            (read if kind in ARRAYS else numbers).append(value)
        g, *coefficients = (_as(p, array, turned=self.turned) for array in read)
        arrays = [p, g, *slots, *coefficients, p if into is None else into]
        pointers = (ctypes.c_void_p * len(arrays))(*(array.data_ptr() for array in arrays))
        strides = (ctypes.c_long * len(arrays))(*(array.stride(1 if self.turned else 0) for array in arrays))
        rows, width = p.shape[::-1] if self.turned else p.shape
        self.call(rows, width, pointers, strides, (ctypes.c_double * (len(numbers) or 1))(*numbers))


def compiled(graph: fx.Graph, p: torch.Tensor, slots: Slots, kinds: Kinds, homes: Sequence[str]) -> Kernel | None:
    """Return a recorded step as a kernel, or None where it cannot be written in C or there is no compiler.

    homes: where what the step returns belongs: "p" or "into", and then the slots.
    """
    turned = p.stride(1) != 1
    if p.device.type != "cpu" or p.dtype not in compiler.TYPES or p.shape[1] == 1:
        return None
    arrays = (p, *slots)
    if not all(array.ndim == 2 and array.dtype == p.dtype and _fits(array, turned=turned) for array in arrays):
        return None
    if len({array.data_ptr() for array in arrays}) < len(arrays):  # two names for one array
        return None
    try:
        source = _Source(graph, homes, turned=turned).text(compiler.TYPES[p.dtype])
    except UnwrittenError:
        return None
    call = _loaded(source)
    return None if call is None else Kernel(call, tuple(kinds.values()), turned)


def _fits(array: torch.Tensor, *, turned: bool) -> bool:
    """Whether the numbers of a row lie next to each other, or those of a column where it is turned."""
    return array.stride(0 if turned else 1) == 1 or array.shape[1] == 1


def _as(p: torch.Tensor, array: torch.Tensor, *, turned: bool) -> torch.Tensor:
    """Return an array that is read in the dtype, and in the order in memory, that p has."""
    array = array.to(p.dtype)
    return array if _fits(array, turned=turned) else torch.empty_like(p).copy_(array)


@cache
def _loaded(source: str) -> Any:
    """Return the function that a compiler makes of a source; None where there is none, or it fails."""
    step = compiler.compiled(source)
    if step is None:
        return None
    step.argtypes, step.restype = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 3, None
    return step


def _is_truth(value: Any) -> bool:
    like = like_of(value)
    return like is not None and like.dtype == torch.bool


class _Source:
    """A recorded step as C.

    A node is a number, the same for all; or of a row, (rows, 1); or of an element, (rows, columns). Sums over a row
    make stages: what needs a sum comes after the pass over the row that adds it up.

    Raises UnwrittenError.
    """

    def __init__(self, graph: fx.Graph, homes: Sequence[str], *, turned: bool) -> None:
        nodes = [node for node in graph.nodes if node.op != "output"]
        self._calls = calls(graph)
        self._names = {node: f"v{index}" for index, node in enumerate(nodes)}
        inputs = nodes[: len(nodes) - len(self._calls)]
        self._numbers = [node for node in inputs if like_of(node) is None]
        arrays = [
            node for node in inputs if like_of(node) is not None
        ]  # p, g, the slots, coefficients: as Kernel calls
        self._array_of = {node: index for index, node in enumerate(arrays)}
        homes_of = {"p": 0, "into": len(arrays)} | {f"slot{index}": index + 2 for index in range(len(homes) - 1)}
        width = arrays[0].meta["like"].shape[1]
        self._stages: dict[fx.Node, int] = {}
        for node in nodes:
            self._check(node, {width} if turned else {1, width}, turned=turned)
            self._stages[node] = max((self._after(read) for read in node.all_input_nodes), default=0)
        end = next(node for node in graph.nodes if node.op == "output")
        self._outputs = [
            (homes_of[home], node, home == "into" or self._wide(arrays[homes_of[home]]))
            for home, node in zip(homes, end.args[0], strict=True)
        ]
        if any(self._wide(node) and not wide for _, node, wide in self._outputs):
            raise UnwrittenError

    @staticmethod
    def _wide(node: Any) -> bool:
        """Whether a node is of an element."""
        like = like_of(node)
        return like is not None and like.shape[1] != 1

    def _check(self, node: fx.Node, widths: set[int], *, turned: bool) -> None:
        """Raise UnwrittenError where a node is no number and of no such width, or its operation is not known in C."""
        like = like_of(node)
        if like is not None and (like.ndim != 2 or like.shape[1] not in widths):
            raise UnwrittenError
        if node.op != "call_function":
            return
        if node.target is torch.sum:
            if turned or not self._wide(node.args[0]) or self._wide(node):
                raise UnwrittenError
            return
        others = node.args[1:] if node.target is torch.where else node.args
        if node.target not in SYMBOLS or node.kwargs or any(map(_is_truth, others)):
            raise UnwrittenError  # arithmetic with truth values is another in C

    def _after(self, node: fx.Node) -> int:
        """Return the stage in which a node can be read."""
        return self._stages[node] + (node.target is torch.sum)

    def text(self, kind: str) -> str:
        """Return the whole source, for numbers of a type of C."""
        numbers = [f"const double {self._names[node]} = c[{index}];" for index, node in enumerate(self._numbers)]
        return "\n".join([
            "#include <tgmath.h>", f"typedef {kind} T;",
            "static T most(T x, T low) { return x < low ? low : x; }",
            "static T least(T x, T high) { return x > high ? high : x; }",
            "void step(long rows, long n, T *const *a, const long *s, const double *c) {",
            f"const long whole = n - n % {LANES};", *numbers,
            *(self._line(node) for node in self._calls if like_of(node) is None), *self._rows(), "}\n",
        ])  # fmt: skip

    def _rows(self) -> Iterator[str]:
        """Yield what is done to one row after the other, with a pass over its elements for each stage."""
        yield "for (long r = 0; r < rows; r++) {"
        for index in range(len(self._array_of) + 1):
            yield f"T *restrict a{index} = a[{index}] + r * s[{index}];"
        yield from (
            f"const T {self._names[node]} = *a{i};" for node, i in self._array_of.items() if not self._wide(node)
        )
        last = max(self._after(node) for node in self._stages)
        for stage in range(last + 1):
            now = [node for node in self._calls if self._stages[node] == stage]
            sums = [node for node in now if node.target is torch.sum]
            of_row = [node for node in now if not (like_of(node) is None or self._wide(node) or node in sums)]
            yield from (self._line(node) for node in of_row)
            yield from self._added(sums)
        stores = [(index, node) for index, node, wide in self._outputs if wide]
        yield from ["for (long i = 0; i < n; i++) {", *self._elements(node for _, node in stores)]
        yield from (f"a{index}[i] = {self._value(node)};" for index, node in stores)
        yield "}"
        yield from (f"*a{index} = {self._value(node)};" for index, node, wide in self._outputs if not wide)
        yield "}"

    def _added(self, sums: Sequence[fx.Node]) -> Iterator[str]:
        """Yield a pass over the elements of a row that adds them up, in double precision."""
        if not sums:
            return
        yield from (f"double {self._names[node]}_[{LANES}] = {{0}};" for node in sums)
        lines = [*self._elements(node.args[0] for node in sums)]
        lines += [f"{self._names[node]}_[l] += {self._value(node.args[0])};" for node in sums]
        yield f"for (long k = 0; k < whole; k += {LANES})"
        yield from [f"for (long l = 0; l < {LANES}; l++) {{", "const long i = k + l;", *lines, "}"]
        yield from ["for (long l = 0; l < n - whole; l++) {", "const long i = whole + l;", *lines, "}"]
        for name in (self._names[node] for node in sums):
            yield from [f"double {name}s = 0;", f"for (long l = 0; l < {LANES}; l++) {name}s += {name}_[l];"]
            yield f"const T {name} = (T){name}s;"

    def _elements(self, wanted: Iterable[Any]) -> Iterator[str]:
        """Yield the lines that make these nodes, as far as they are of an element."""
        found: set[fx.Node] = set()
        left = [*wanted]
        while left:
            node = left.pop()
            if isinstance(node, fx.Node) and self._wide(node) and node not in found:
                found.add(node)
                left += node.all_input_nodes
        for node in (node for node in self._names if node in found):
            read = f"const T {self._names[node]} = a{self._array_of.get(node)}[i];"
            yield read if node in self._array_of else self._line(node)

    def _line(self, node: fx.Node) -> str:
        """Return the line of C that makes a node of what it reads."""
        like = like_of(node)
        kind = "double" if like is None else "int" if like.dtype == torch.bool else "T"
        bounds = (None, -math.inf, math.inf)  # of a clip, where it has none
        given = [bounds[index] if value is None else value for index, value in enumerate(node.args)]
        values = [self._value(value, exact=like is None) for value in given]
        return f"const {kind} {self._names[node]} = {SYMBOLS[node.target].format(*values)};"

    def _value(self, value: Any, *, exact: bool = False) -> str:
        """Return an operand: a number is rounded where it meets an array, as torch does it; exact: it does not."""
        name = self._names[value] if isinstance(value, fx.Node) else _literal(value)
        return f"(T){name}" if like_of(value) is None and not exact else name


def _literal(value: float) -> str:
    """Return a number as C writes it."""
    return f"({float(value)!r})".replace("inf", "INFINITY").replace("nan", "NAN")
