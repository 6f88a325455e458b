"""Every figure by name. `stepsize figures` draws them, and docs/article.md tells what is seen."""

from __future__ import annotations

from collections.abc import Callable

from stepsize.figures import descents, moves
from stepsize.plots.images import image
from stepsize.plots.style import Axes

FIGURES: dict[str, Callable[[], Axes]] = {
    "convex": descents.convex,
    "decays": moves.decays,
    "rmsprop": descents.rmsprop,
    "adam": descents.adam,
    "cycles": moves.cycles,
    "range_test": moves.range_test,
    "one_cycle": moves.one_cycles,
    "escape": descents.escape,
}
"""In the order of the article; each function draws a new figure and returns the first of its Axes."""


def draw_figure(name: str, ending: str = "svg") -> bytes:
    """Return the figure called `name` as the content of a file: the same bytes every time, on one machine.

    name: of FIGURES. ending: "svg" or "png".

    Raises ParameterError for another ending, and MissingPackageError without matplotlib, or without scikit-learn for
    the figure that trains.
    """
    return image(FIGURES[name], ending)
