"""Lengths of the parts of a run: `500` steps, a share `"30%"` of the run, or `"rest"`.

A length is never a float, so `0.3` can never be read as three tenths here and as zero steps there.
`divide` turns the lengths of consecutive parts into steps. It rounds the *boundaries* between the
parts, not the parts, so that the parts always add up to the run:

>>> divide(["10%", "rest"], 1005)
[101, 904]
>>> divide([100, "rest", "25%"], 1000)
[100, 650, 250]
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

from stepsize.kernel.errors import LengthError, brief

Steps = int | str
"""500 (steps, optimizer updates) | "30%" (of the run) | "rest" (what the other parts leave)."""

REST = "rest"

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})\s*%")


def parse(length: object) -> Steps:
    """Return `length` in its canonical form: an int, `"30%"` or `"rest"`.

    Raises LengthError for anything else: a float, a bool, a negative number, a share above 100 %.
    """
    if isinstance(length, str):
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
        raise LengthError(f"a length must be at least 1 step, not {steps}.")
    return steps


def is_steps(length: Steps) -> bool:
    """Whether `length` is a number of steps already, not a share or the rest."""
    return not isinstance(length, str)


def share(length: Steps, total: int) -> int:
    """Return a single length inside a run of `total` steps, rounded, at least 1 (the rest is all of it)."""
    if length == REST:
        return total
    return max(1, _round(_exact(length, total)))


def total(lengths: Sequence[Steps]) -> Steps:
    """Return the sum of lengths that are all steps, or all shares; "rest" where they are mixed.

    >>> total([10, 20]), total(["10%", "2.5%"]), total([10, "10%"])
    (30, '12.5%', 'rest')
    """
    if all(isinstance(length, int) for length in lengths):
        return sum(int(length) for length in lengths)
    if any(isinstance(length, int) or length == REST for length in lengths):
        return REST
    with localcontext(prec=99):  # exact: a share has at most 33 digits
        return f"{sum(Decimal(str(length).rstrip('%')) for length in lengths):f}%"


def divide(lengths: Sequence[Steps], total: int, of: int | None = None) -> list[int]:
    """Divide `total` steps over consecutive parts; the parts add up to `total` exactly.

    lengths: one per part. Shares are of `of` steps (the whole run; `total` when not given); several
        rests share what is left equally. A share may round to 0 steps.
    of: given for parts inside a part. That part's `total` was rounded already, by less than a step, so there the
        lengths may miss it by as much.
    Raises LengthError when the lengths do not add up to `total`.
    """
    run, slack = (total, 0) if of is None else (of, 1)
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
    if isinstance(length, str):
        return Fraction(length.rstrip("% ")) / 100 * total
    return Fraction(length)


def _round(size: Fraction) -> int:
    return int((size + Fraction(1, 2)) // 1)


def _share_text(text: str) -> str:
    match = _SHARE.fullmatch(text.strip())
    if match is None or Fraction(match[1]) > 100:
        raise LengthError(f"a length given as text is a share from '0%' to '100%', or 'rest', not {brief(text)}.")
    return match[1]
