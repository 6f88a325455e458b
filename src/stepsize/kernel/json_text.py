"""JSON text to data, strictly: a field that is written twice is a mistake, and not the last of the two."""

from __future__ import annotations

import json
from typing import Any

from stepsize.kernel.errors import FormatError, brief


def parse_json(text: str) -> Any:
    """Return the data that JSON `text` describes.

    Raises FormatError for what is no JSON, for a whole number of more than 4300 digits, and for a field that one object
    has twice.

    >>> parse_json('{"lr": 0.1}')
    {'lr': 0.1}
    >>> parse_json('{"lr": 0.1, "lr": 0.2}')
    Traceback (most recent call last):
    stepsize.kernel.errors.FormatError: the field 'lr' is written twice; leave one of the two out
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(str(error).partition(";")[0] or "nested too deeply") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"the field {brief(twice)} is written twice; leave one of the two out")
    return found
