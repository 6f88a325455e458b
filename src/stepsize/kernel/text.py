"""Text: how numbers and their nouns are written."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun.

    >>> count(1, "seed"), count(3, "seed"), count(2, "policy", "policies")
    ('1 seed', '3 seeds', '2 policies')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
