"""Lengths of the parts of a run: `500` steps, a share `"30%"` of the run, or `"rest"`; or `"5 epochs"`.

A length is never a float, so `0.3` can never be read as three tenths here and as zero steps there.
`divide` turns the lengths of consecutive parts into steps. It rounds the *boundaries* between the
parts, not the parts, so that the parts always add up to the run:

>>> divide(["10%", "rest"], 1005)
[101, 904]
>>> divide([100, "rest", "25%"], 1000)
[100, 650, 250]

A length with a unit, `"5 epochs"`, `"2000 samples"` or `"1M tokens"`, is no number of steps until a clock makes it one
(`policies.units`); a clock may find `"125/12 updates"`, and the boundaries between those are rounded as well.

>>> parse("1.5M tokens"), parse("300 updates")
('1500000 tokens', 300)
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from stepsize.kernel.errors import BudgetError, LengthError, brief

Steps = int | str
"""500 (steps, optimizer updates) | "30%" (of the run) | "rest" (what the other parts leave) | "5 epochs"."""

REST = "rest"

LARGEST = 1 << 53
"""The longest run, in steps: up to here a float64, which schedules count in, is a whole number."""

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})\s*%")

UPDATES = "updates"

MOST_UPDATES = 10_000_000
"""The longest horizon of which a table is made, a number for each update: 80 MB each, and several are needed."""

CLOCKS = {
    "epochs": "batches_per_epoch=...",
    "samples": "batch_size=...",
    "tokens": "batch_size=..., tokens_per_sample=...",
}
"""The units that only a clock can turn into updates, and what it must know for that."""

MSG_UNIT = (
    "the length {length!r} is in {unit}, and how many updates those are is for a clock to say. "
    "Convert it first: in_updates(schedule, Clock({needs})), then bind with .over(total)."
)

_AMOUNT = re.compile(
    r"(?:([0-9]{1,40})/([0-9]{1,40})|([0-9]{1,40}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})(?:e([+-]?[0-9]{1,2}))?\s*([kKMBT]?))"
    r"\s*(epoch|sample|token|update)s?"
)
_TIMES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def check_horizon(total: float, what: str = "the run") -> None:
    """Raise BudgetError for a horizon that is too long for a table of it.

    what: whose horizon it is, as the message begins.

    >>> check_horizon(3e9, "log.csv")
    Traceback (most recent call last):
    stepsize.kernel.errors.BudgetError: log.csv has 3e+09 updates, and a table of at most 10000000 is made. If these ...
    """
    if total > MOST_UPDATES:
        raise BudgetError(
            f"{what} has {total:g} updates, and a table of at most {MOST_UPDATES} is made. If these are samples or "
            "tokens, say how many of them one update takes: --per-update on the command line, per_update= in Python."
        )


def parse(length: object) -> Steps:
    """Return `length` in its canonical form: an int, `"30%"`, `"rest"`, or a number and a unit, `"5 epochs"`.

    Raises LengthError for anything else: a float, a bool, a negative number, a share above 100 %.
    """
    if isinstance(length, str):
        match = _AMOUNT.fullmatch(length.strip())
        if match is not None:
            return _at_most_largest(_measured(match))
        return REST if length.strip() == REST else f"{_share_text(length)}%"
    if isinstance(length, bool) or not hasattr(length, "__index__"):
        hint = ""
        if isinstance(length, float) and 0 < length < 1:
            hint = f" For a share of the run write '{100 * length:.6g}%'."
        raise LengthError(
            f"a length is a whole number of steps, a share such as '30%', or 'rest', not {brief(length)}.{hint}"
        )
    steps = operator.index(length)
    if steps < 1:
        raise LengthError(f"a length must be at least 1 step, not {brief(steps)}.")
    return _at_most_largest(steps)


def _at_most_largest(length: Steps) -> Steps:
    if isinstance(length, int) and length > LARGEST:
        raise LengthError(f"a length is at most {LARGEST} steps (2**53), not {brief(length)}; give a shorter one.")
    return length


def share(length: Steps, total: int) -> int:
    """Return a single length inside a run of `total` steps, rounded, at least 1 (the rest is all of it)."""
    if length == REST:
        return total
    return max(1, _round(_exact(length, total)))


def amount(length: Steps) -> tuple[Fraction, str]:
    """Return how much of which unit a canonical length is; the units of 500, "30%" and "rest" are updates, % and rest.

    >>> amount("2.5 epochs"), amount(500)
    ((Fraction(5, 2), 'epochs'), (Fraction(500, 1), 'updates'))
    """
    if not isinstance(length, str):
        return Fraction(length), UPDATES
    if length == REST:
        return Fraction(0), REST
    if length.endswith("%"):
        return Fraction(length[:-1]), "%"
    number, unit = length.split()
    return Fraction(number), unit if unit.endswith("s") else f"{unit}s"


def measured(number: Fraction, unit: str) -> Steps:
    """Return the length of `number` of `unit` in its canonical form, exactly: whole updates are an int.

    >>> measured(Fraction(5, 2), "epochs"), measured(Fraction(125, 12), "updates"), measured(Fraction(7), "updates")
    ('2.5 epochs', '125/12 updates', 7)
    """
    if unit == UPDATES and number.denominator == 1:
        return int(number)
    if unit == "%":
        return f"{_digits(number)}%"
    return f"{_digits(number)} {unit if number != 1 else unit[:-1]}"


def total(lengths: Sequence[Steps]) -> Steps:
    """Return the sum of lengths that are all steps, all shares, or all of one unit; "rest" where they are mixed.

    >>> total([10, 20]), total(["10%", "2.5%"]), total([10, "10%"])
    (30, '12.5%', 'rest')
    """
    if len(lengths) == 1:
        return lengths[0]
    numbers = [amount(length) for length in lengths]
    (unit, *others) = {unit for _, unit in numbers}
    return REST if others or unit == REST else measured(sum((number for number, _ in numbers), Fraction(0)), unit)


def divide(lengths: Sequence[Steps], total: int, of: int | None = None) -> list[int]:
    """Divide `total` steps over consecutive parts; the parts add up to `total` exactly.

    lengths: one per part. Shares are of `of` steps (the whole run; `total` when not given); several
        rests share what is left equally. A share may round to 0 steps.
        Whole steps and shares add up to the step; where updates are fractions, they may miss by less than one.
    of: given for parts inside a part. That part's `total` was rounded already, by less than a step, so there the
        lengths may miss it by as much.
    Raises LengthError when the lengths do not add up to `total`.
    """
    run = total if of is None else of
    slack = int(of is not None or any(isinstance(length, str) and length.endswith(UPDATES) for length in lengths))
    exact = [Fraction(0) if length == REST else _exact(length, run) for length in lengths]
    left = total - sum(exact)
    rests = sum(length == REST for length in lengths)
    if left and (left <= -slack or (left >= slack and not rests)):
        listed = " + ".join(str(length) for length in lengths)
        advice = "shorten a part, or train longer" if left < 0 else "make one part 'rest'"
        raise LengthError(
            f"the parts {listed} add up to {float(total - left):g} steps, but the run has {total}: {advice}."
        )
    rest = max(Fraction(0), Fraction(left, max(rests, 1)))
    sizes = [rest if length == REST else size for length, size in zip(lengths, exact, strict=True)]
    edges = [0]
    position = Fraction(0)
    for size in sizes:
        position += size
        edges.append(min(_round(position), total))
    edges[-1] = total
    return [stop - start for start, stop in pairwise(edges)]


def _exact(length: Steps, total: int) -> Fraction:
    number, unit = amount(length)
    if unit in CLOCKS:
        raise LengthError(MSG_UNIT.format(length=length, unit=unit, needs=CLOCKS[unit]))
    return number / 100 * total if unit == "%" else number


def _round(size: Fraction) -> int:
    return int((size + Fraction(1, 2)) // 1)


def _measured(match: re.Match[str]) -> Steps:
    over, under, decimal, exponent, times, unit = match.groups()
    if decimal is None:
        number = Fraction(int(over), int(under)) if int(under) else Fraction(0)
    else:
        number = Fraction(decimal) * Fraction(10) ** int(exponent or 0) * _TIMES[times]
    if not number:
        raise LengthError(f"a length must be more than nothing, not {brief(match[0])}; leave the part out.")
    length = measured(number, f"{unit}s")
    if isinstance(length, str) and not _AMOUNT.fullmatch(length):
        raise LengthError(f"{brief(match[0])} has more digits than a length may have (40, and 30 after the point).")
    return length


def _digits(number: Fraction) -> str:
    """Return `number` as decimals where those are finite, else as a fraction."""
    decimals = max(_power(number.denominator, 2), _power(number.denominator, 5))
    if 10**decimals % number.denominator:
        return str(number)
    digits = str(int(number * 10**decimals)).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def _power(number: int, prime: int) -> int:
    return next(k for k in range(number.bit_length() + 1) if number % prime ** (k + 1))


def _share_text(text: str) -> str:
    match = _SHARE.fullmatch(text.strip())
    if match is None or Fraction(match[1]) > 100:
        raise LengthError(
            f"a length given as text is a share from '0%' to '100%', or 'rest', not {brief(text)}. "
            "Or it has a unit: '5 epochs', '1M tokens'."
        )
    return match[1]
