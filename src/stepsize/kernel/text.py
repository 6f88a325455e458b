"""Text: how numbers and their nouns are written, and names made distinct."""

from __future__ import annotations

from collections.abc import Iterable


def thousands(number: int) -> str:
    """Return a whole number with thin spaces between the thousands, for pictures and pages.

    >>> thousands(1200).replace(chr(0x202F), "_")
    '1_200'
    """
    return f"{number:,}".replace(",", "\u202f")


def count(number: int, noun: str, plural: str = "", *, thin: bool = False) -> str:
    """Return a number and its noun; with thin spaces between the thousands if `thin`.

    >>> count(1, "seed"), count(3, "seed"), count(2, "policy", "policies")
    ('1 seed', '3 seeds', '2 policies')
    """
    return f"{thousands(number) if thin else number} {noun if number == 1 else plural or noun + 's'}"


def short(text: str, most: int = 44) -> str:
    """Return `text` in at most `most` characters: a long one has its begin and its end.

    >>> short("no file 'aaaaaaaaaaaa'; name another.", 30)
    "no file 'aaaaa… name another."
    """
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


SPACES = "\n\u00a0\u202f"
"""What `str.isprintable` refuses, and a terminal does not obey."""


def plain(text: str) -> str:
    r"""Return `text` with what a terminal would obey as escapes: it may be a stranger's. Line breaks stay.

    >>> plain("up" + chr(27) + "[2A")
    'up\\x1b[2A'
    """
    return "".join(letter if letter.isprintable() or letter in SPACES else ascii(letter)[1:-1] for letter in text)


def tell_apart(names: Iterable[str]) -> list[str]:
    """Return the names with a number behind each that was there before, so that all of them differ.

    >>> tell_apart(["a", "b", "a", "a"])
    ['a', 'b', 'a (2)', 'a (3)']
    """
    names = list(names)
    taken, apart, last = set(names), dict[str, None](), dict[str, int]()
    for name in names:
        new, number = name, last.get(name, 1)  # a thousand equal names are not compared with each other
        while new in apart or (number > 1 and new in taken):
            number += 1
            new = f"{name} ({number})"
        apart[new], last[name] = None, number
    return list(apart)
