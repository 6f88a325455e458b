"""Files of text, read whole: with a limit on what is read, and one error for everything that can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

from stepsize.kernel.errors import FormatError


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
