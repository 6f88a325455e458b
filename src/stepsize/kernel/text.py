"""Text: how numbers and their nouns are written, and names told apart."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun.

    >>> count(1, "seed"), count(3, "seed"), count(2, "policy", "policies")
    ('1 seed', '3 seeds', '2 policies')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def tell_apart(names: Iterable[str]) -> list[str]:
    """Return the names with a number behind each that was there before, so that all of them differ.

    >>> tell_apart(["a", "b", "a", "a"])
    ['a', 'b', 'a (2)', 'a (3)']
    """
    names = list(names)
    taken, apart = set(names), dict[str, None]()
    for name in names:
        new, number = name, 1
        while new in apart or (number > 1 and new in taken):
            number += 1
            new = f"{name} ({number})"
        apart[new] = None
    return list(apart)
