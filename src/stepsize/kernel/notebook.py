"""In a notebook: values that show themselves, pictures that appear, and a line that says how far a job is.

Nothing of IPython is imported where there is none, and nothing happens outside of a notebook's kernel.
"""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from stepsize.kernel.optional import installed, need
from stepsize.kernel.text import count

EVERY = 0.2
"""Seconds between two changes of the line that says how far a job is."""


class Shown:
    """A value that shows itself: in a notebook with its picture, elsewhere in a line. `noun` is what it is called."""

    noun: ClassVar[str]

    def __repr__(self) -> str:
        return f"<{self.noun}: {self}>"

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows; None without matplotlib, and it then shows the text."""
        if not installed("matplotlib"):
            return None
        markup: str = importlib.import_module("stepsize.report.cell").cell(self)
        return markup


def picture(name: str) -> Callable[..., Any]:
    """Return the drawing function `name` of `stepsize.plots`, which in a notebook also shows what it draws anew.

    Values and results stand on floors below the plots, yet each has `.plot()`: this is where a lower floor reaches up,
    by name and only when called (docs/adr/0005).
    """
    need("matplotlib")
    function = getattr(importlib.import_module("stepsize.plots"), name)

    def drawn(*args: Any, ax: Any = None, **options: Any) -> Any:
        axes = function(*args, ax=ax, **options)
        if ax is None and in_notebook():
            display(axes.figure)
        return axes

    return drawn


def in_notebook() -> bool:
    """Whether this is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def display(value: Any, **options: Any) -> Any:
    """Show a value in the cell that runs."""
    return importlib.import_module("IPython.display").display(value, **options)


def notebook_progress() -> Callable[[str, int], None] | None:
    """Return a listener that shows the stage of a job and its replica-steps in a line; None outside of a notebook."""
    if not in_notebook():
        return None
    line: Any = None
    done, began, shown = 0, time.monotonic(), 0.0

    def notify(stage: str, updates: int) -> None:
        nonlocal line, done, shown
        done, now = done + updates, time.monotonic()
        if line is not None and now - shown < EVERY:
            return
        shown, text = now, f"{stage}: {count(done, 'update')}, {now - began:.0f} s"
        mark = importlib.import_module("IPython.display").HTML(f"<code>{html.escape(text)}</code>")
        if line is None:
            line = display(mark, display_id=True)
        else:
            line.update(mark)

    return notify
