"""A schedule's formula as the text of a plain expression: its own code, run on a step that is not known yet.

`schedule.value(t, xp)` is asked with an `Expression` for the step, and with a namespace that writes down what is done
to it. An expression is `offset + slope * atom`, so that constants are folded as they come; and it knows between what it
lies, so that what cannot happen in an interval of steps (a clip that does not clip) is not written at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

SUM, PRODUCT, POWER, WHOLE = range(4)
"""How tightly a text holds together: what is looser than its place gets brackets."""

DIGITS = 15
"""Of a constant: with these a decimal comes back as it was written, after some arithmetic."""


class SplitError(Exception):
    """Below and above a step another expression holds; nobody but `pieces` sees it."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Language:
    """How an expression is written in a language.

    prefix: of functions, such as "math.". inline: whether a condition is written as `a if c else b`, and not as a
    function. pi: what it calls that.
    """

    prefix: str
    inline: bool = False
    pi: str = "math.pi"

    def call(self, name: str, *arguments: str) -> str:
        """Return a call of one of the ten words."""
        if name == "where" and self.inline:
            condition, yes, no = arguments
            return f"({yes} if {condition} else {no})"
        bare = self.inline and name in ("abs", "max", "min")
        return f"{'' if bare else self.prefix}{name}({', '.join(arguments)})"


@dataclass(frozen=True)
class Atom:
    """What is written of a step, and cannot be folded further.

    text, rank: what is written, and how tightly it holds together. low, high: between what it lies.
    line: the two numbers of `a + b * step` that it is; None where it is no line.
    """

    text: str
    rank: int
    low: float
    high: float
    line: tuple[float, float] | None = None


@dataclass(frozen=True)
class Expression:
    """`offset + slope * atom`, with the operators of an array.

    splits: whether an undecided comparison splits the interval of the steps, or is written down.
    """

    atom: Atom
    language: Language
    splits: bool
    offset: float = 0.0
    slope: float = 1.0

    @property
    def low(self) -> float:
        """The least that it can be."""
        return min(self.offset + self.slope * self.atom.low, self.offset + self.slope * self.atom.high)

    @property
    def high(self) -> float:
        """The most that it can be."""
        return max(self.offset + self.slope * self.atom.low, self.offset + self.slope * self.atom.high)

    @property
    def line(self) -> tuple[float, float] | None:
        """The two numbers of `a + b * step` that it is; None where it is no line."""
        if self.atom.line is None:
            return None
        return self.offset + self.slope * self.atom.line[0], self.slope * self.atom.line[1]

    def written(self, rank: int = SUM) -> str:
        """Return the text, in brackets where it is looser than `rank`."""
        text, own = self._text()
        return f"({text})" if own < rank else text

    def _text(self) -> tuple[str, int]:
        scaled, own = self.atom.text, self.atom.rank
        if abs(self.slope) != 1:
            inner = self.atom.text if self.atom.rank >= PRODUCT else f"({self.atom.text})"
            factor = self.language.pi if abs(self.slope) == math.pi else number(abs(self.slope))
            scaled, own = f"{factor} * {inner}", PRODUCT
        if not self.offset:
            return (scaled, own) if self.slope > 0 else (f"-{scaled if own >= PRODUCT else f'({scaled})'}", PRODUCT)
        if self.slope < 0:
            return f"{number(self.offset)} - {scaled if own >= PRODUCT else f'({scaled})'}", SUM
        if self.offset < 0:
            return f"{scaled} - {number(-self.offset)}", SUM
        return (
            f"{scaled} + {number(self.offset)}" if abs(self.slope) == 1 else f"{number(self.offset)} + {scaled}"
        ), SUM

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Expression):
            return replace(self, offset=self.offset + other)
        if other.atom == self.atom:
            slope, offset = self.slope + other.slope, self.offset + other.offset
            return replace(self, offset=offset, slope=slope) if slope else offset
        line = _sum(self.line, other.line)
        text = f"{self.written()} + {other.written(PRODUCT)}"
        if other.slope < 0 and not other.offset:
            text = f"{self.written()} - {(-other).written(PRODUCT)}"
        return self.made(text, SUM, self.low + other.low, self.high + other.high, line)

    __radd__ = __add__

    def __neg__(self) -> Expression:
        return replace(self, offset=-self.offset, slope=-self.slope)

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Expression):
            return replace(self, offset=self.offset * other, slope=self.slope * other) if other else 0.0
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        text = f"{self.written(PRODUCT)} * {other.written(POWER)}"
        return self.made(text, PRODUCT, min(corners), max(corners))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Expression):
            return self.made(f"{self.written(PRODUCT)} / {other.written(POWER)}", PRODUCT)
        if other == 1 or abs(self.slope) != 1:  # `step / 300` is kept as it is: 300 says more than its inverse
            return self * (1 / other)
        line = None if self.line is None else (self.line[0] / other, self.line[1] / other)
        return self.made(
            f"{self.written(PRODUCT)} / {number(other)}", PRODUCT, self.low / other, self.high / other, line
        )

    def __rtruediv__(self, other: float) -> Expression:
        return self.made(f"{number(other)} / {self.written(POWER)}", PRODUCT)

    def __pow__(self, power: Any) -> Any:
        if power == 1:
            return self
        low, high = (
            (0.0, self.high**power) if self.low >= 0 and not isinstance(power, Expression) and power > 0 else WIDE
        )
        text = written(power, WHOLE)
        if text.startswith("(-") and text[2:-1].isdigit():  # JAX raises no integer to a negative whole power
            text = f"{text[:-1]}.0)"
        return self.made(f"{self.written(WHOLE)} ** {text}", POWER, low, high)

    def __rpow__(self, base: float) -> Any:
        if base == 1:
            return 1.0
        low, high = (0.0, max(base**self.low, base**self.high)) if math.isfinite(self.low + self.high) else WIDE
        return self.made(f"{number(base)} ** {self.written(WHOLE)}", POWER, low, high)

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, "<", lambda gap: gap < 0)

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, ">=", lambda gap: gap >= 0)

    def _compared(self, other: Any, sign: str, holds: Callable[[float], bool]) -> bool | str:
        gap = self - other
        least, most = (gap.low, gap.high) if isinstance(gap, Expression) else (gap, gap)
        if holds(least) == holds(most):
            return holds(least)
        if self.splits and gap.line is not None:
            raise SplitError(crossing(gap.line))
        return f"{self.written()} {sign} {written(other)}"

    def made(
        self,
        text: str,
        rank: int,
        low: float = -math.inf,
        high: float = math.inf,
        line: tuple[float, float] | None = None,
    ) -> Expression:
        """Return what is written as a new atom, in the language of this expression."""
        return Expression(Atom(text, rank, low, high, line), self.language, self.splits)


WIDE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Writer:
    """The namespace of the ten words that writes them down."""

    language: Language

    def where(self, condition: bool | str, yes: Any, no: Any) -> Any:  # noqa: FBT001  (Array API's signature)
        """Return the one that holds, or both with the condition between them."""
        if isinstance(condition, bool):
            return yes if condition else no
        around = next((each for each in (yes, no) if isinstance(each, Expression)), None)
        text = self.language.call("where", condition, written(yes), written(no))
        low, high = min(bottom(yes), bottom(no)), max(top(yes), top(no))
        splits = around is not None and around.splits
        return Expression(Atom(text, WHOLE, low, high), self.language, splits)

    def maximum(self, first: Any, second: Any) -> Any:
        """Return the larger one, where it is known, or both."""
        return self._extreme("max", max, first, second)

    def minimum(self, first: Any, second: Any) -> Any:
        """Return the smaller one, where it is known, or both."""
        return self._extreme("min", min, first, second)

    def _extreme(self, name: str, of: Callable[..., Any], first: Any, second: Any) -> Any:
        if not isinstance(first, Expression) and not isinstance(second, Expression):
            return of(first, second)
        lower = first - second if isinstance(first, Expression) else -(second - first)
        chosen = (first, second) if name == "max" else (second, first)
        if bottom(lower) >= 0:
            return chosen[0]
        if top(lower) <= 0:
            return chosen[1]
        if lower.splits and lower.line is not None:
            raise SplitError(crossing(lower.line))
        word = name if self.language.inline else f"{name}imum"
        text = self.language.call(word, written(first), written(second))
        bounds = of(bottom(first), bottom(second)), of(top(first), top(second))
        return Expression(Atom(text, WHOLE, *bounds), self.language, lower.splits)

    def clip(self, given: Any, low: float, high: float) -> Any:
        """Return what is given, between the two."""
        return self.minimum(self.maximum(given, low), high)

    def floor(self, given: Any) -> Any:
        """Return the whole number below, which of a step and a share of one is the step."""
        if not isinstance(given, Expression):
            return float(math.floor(given))
        if math.floor(given.low) == math.floor(given.high):
            return float(math.floor(given.low))
        if given.atom.text == "step" and given.slope == 1:
            return replace(given, offset=float(math.floor(given.offset)))
        if given.splits and given.line is not None and given.line[1]:
            raise SplitError(crossing((given.line[0] - math.floor(given.low) - 1, given.line[1])))
        text = self.language.call("floor", given.written())
        return Expression(Atom(text, WHOLE, math.floor(given.low), math.floor(given.high)), self.language, given.splits)

    def cos(self, given: Any) -> Any:
        """Return the cosine."""
        return self._called("cos", math.cos, given, -1.0, 1.0)

    def exp(self, given: Any) -> Any:
        """Return the exponential."""
        return self._called("exp", math.exp, given, 0.0, math.inf)

    def log(self, given: Any) -> Any:
        """Return the natural logarithm."""
        return self._called("log", math.log, given, *WIDE)

    def sqrt(self, given: Any) -> Any:
        """Return the square root."""
        return self._called("sqrt", math.sqrt, given, 0.0, math.inf)

    def abs(self, given: Any) -> Any:
        """Return the absolute value."""
        return self._called("abs", abs, given, 0.0, math.inf)

    def _called(self, name: str, of: Callable[[float], float], given: Any, low: float, high: float) -> Any:
        if not isinstance(given, Expression):
            return of(given)
        return given.made(self.language.call(name, given.written()), WHOLE, low, high)


def number(value: float) -> str:
    """Return a constant as code: a whole number without a point, others with fifteen digits."""
    return f"{value:.{DIGITS}g}"


def written(value: Any, rank: int = SUM) -> str:
    """Return an expression, or a constant, as code."""
    if isinstance(value, Expression):
        return value.written(rank)
    return f"({number(value)})" if value < 0 and rank > SUM else number(value)


def bottom(value: Any) -> float:
    """Return the least that an expression or a constant can be."""
    return value.low if isinstance(value, Expression) else float(value)


def top(value: Any) -> float:
    """Return the most that an expression or a constant can be."""
    return value.high if isinstance(value, Expression) else float(value)


def crossing(line: tuple[float, float]) -> int:
    """Return the first whole step at or after the zero of a line."""
    return math.ceil(round(-line[0] / line[1], 9))


def _sum(first: tuple[float, float] | None, second: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if first is None or second is None else (first[0] + second[0], first[1] + second[1])
