"""Pictures as the bytes of a file: the same for the same data, whatever matplotlib's settings are here."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.kernel.optional import need

DPI = {"svg": 100, "png": 150}
"""The formats, and the sharpness of pixels in each, in dots an inch; in an SVG only grounds and maps are pixels."""

_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "stepsize", "font.family": "sans-serif"}


def image(draw: Callable[[], Any], ending: str = "svg") -> bytes:
    """Return what `draw` draws as the content of a file: an SVG with text as text and hundredths of a point, or a PNG.

    draw: returns the matplotlib Axes that it drew on. It is called here, so that the user's matplotlib settings do not
    reach the picture. ending: "svg" or "png".

    Raises ParameterError for another ending.
    """
    if ending not in DPI:
        raise ParameterError(f"a picture cannot be written as {ending!r}. {suggestion(ending, DPI)}")
    matplotlib = need("matplotlib")
    buffer = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's fonts draw the text
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        options: dict[str, Any] = {"metadata": {"Creator": None, "Date": None}} if ending == "svg" else {}
        draw().figure.savefig(buffer, format=ending, dpi=DPI[ending], **options)
    return _shortened(buffer.getvalue().decode()).encode() if ending == "svg" else buffer.getvalue()


def _shortened(svg: str) -> str:
    """Return an SVG whose paths are in hundredths of a point; what stands between tags is the user's and stays."""
    return re.sub(r"<path [^<>]*", lambda tag: re.sub(r'(?<= d=")[^"]*', _hundredths, tag[0]), svg)


def _hundredths(path: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])
