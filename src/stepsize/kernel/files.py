"""Files that are read: text with a limit on its length, and JSON, strictly; one error for all that can be wrong.

A field that JSON has twice is a mistake, and not the last of the two.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from stepsize.kernel.errors import FormatError, brief


def read_text(path: str | os.PathLike[str], largest: int) -> str:
    """Return the text of a file of at most `largest` bytes, in UTF-8.

    Raises FormatError where there is none, where it is too large, or is no text.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        if size <= largest:
            with file.open("rb") as stream:
                raw = stream.read(largest + 1)  # of a pipe or a device nobody knows the size before
            size = len(raw)
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror or error}.") from None
    except ValueError as error:  # a name with a zero byte
        raise FormatError(f"cannot read {str(file)!r}: {error}.") from None
    if size > largest:
        raise FormatError(f"{file} has {size} bytes, more than the {largest} that are read; it is not ours.")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise FormatError(f"{file} is not text, so stepsize did not write it.") from None


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
