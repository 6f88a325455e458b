"""Effective step sizes: a fan of quantiles over the steps, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.plots import style
from stepsize.results import StepSizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

What = Literal["rates", "moves"]

WORDS: dict[What, str] = {"rates": "effective rate, |step| / |gradient|", "moves": "step, |change of a parameter|"}
SHADES = ("#d6e6f2", "#a3c7e0", "#6ba3cb")
"""Of the bands, from the widest to the narrowest: paler is rarer."""


def plot_step_sizes(sizes: StepSizes, what: What = "rates", ax: Axes | None = None) -> Axes:
    """Draw the distribution over the parameters against the step: the median, and a band for each pair of quantiles.

    sizes: what is drawn. what: the effective rates, or the moves themselves. ax: where; a new figure if not given.
    The scheduled rate is the dashed line, or two where the parameter groups have several: plain gradient descent lies
    on it in the rates, and Adam's median near it in the moves. A quantile of 0 has no place on a logarithmic axis and
    is left out.

    Raises ParameterError when `what` is neither.
    """
    if what not in WORDS:
        raise ParameterError(f"what cannot be {what!r}. {suggestion(str(what), WORDS)}")
    ax = style.axes(ax)
    values = np.where(getattr(sizes, what) > 0, getattr(sizes, what), np.nan)
    _bands(ax, sizes, values)
    _schedule(ax, sizes)
    style.dress(ax, title=_title(sizes, what), x="step", y=WORDS[what])
    if np.isfinite(values).any() or (sizes.lr > 0).any():
        style.log_losses(ax)
    style.legend(ax)
    return ax


def _bands(ax: Axes, sizes: StepSizes, values: Floats) -> None:
    """Draw the bands between a quantile and its mirror image, then the median."""
    pairs = [(low, 1 - low) for low in sizes.levels if low < 0.5 and _at(sizes.levels, 1 - low) is not None]
    for (low, high), shade in zip(pairs, SHADES[-len(pairs) :] if pairs else (), strict=False):
        bottom, top = values[:, _at(sizes.levels, low)], values[:, _at(sizes.levels, high)]
        floor = np.where(np.isfinite(bottom), bottom, np.nanmin(values) if np.isfinite(values).any() else np.nan)
        ax.fill_between(sizes.steps, floor, top, color=shade, linewidth=0, label=f"{100 * low:g} to {100 * high:g} %")
    ax.plot(sizes.steps, values[:, _at(sizes.levels, 0.5)], color="#0b4f7d", linewidth=2, label="median")


def _schedule(ax: Axes, sizes: StepSizes) -> None:
    """Draw the scheduled rate, or the lowest and the highest where the groups differ."""
    low, high = (function(sizes.lr, axis=1) if sizes.lr.size else np.empty(0) for function in (np.min, np.max))
    lines = [("scheduled rate", low)] if np.array_equal(low, high) else [("lowest and highest rate", low), (None, high)]
    for label, rates in lines:
        ax.plot(sizes.steps, np.where(rates > 0, rates, np.nan), "--", color=style.INK, linewidth=1.4, label=label)


def _at(levels: tuple[float, ...], level: float) -> int | None:
    found = [i for i, each in enumerate(levels) if abs(each - level) < 1e-9]
    return found[0] if found else None


def _title(sizes: StepSizes, what: What) -> str:
    name = style.short(sizes.name)
    return f"{name}: {'what rate each parameter had' if what == 'rates' else 'how far each parameter moved'}"
