"""Refined schedules beside what they came from, and predicted curves beside what was recorded."""

from __future__ import annotations

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.text import thousands
from stepsize.plots import style
from stepsize.plots.style import Axes
from stepsize.results import Forecast, LossCurve, Prediction, Refinement

MOST = 7
"""The most predicted schedules of one picture, best first: each has a colour of its own."""

BINS = 60
"""Points of a recorded curve."""


def plot_refinement(found: Refinement, ax: Axes | None = None) -> Axes:
    """Draw a refined schedule beside linear decay and what the run followed, each over its own peak.

    found: what is drawn. ax: where; a new figure if not given.
    """
    ax = style.axes(ax)
    steps = _positions(found)
    ax.plot(steps, 1 - steps / found.steps, ":", color=style.QUIET, linewidth=1.6, label="linear decay")
    if len(found.original):
        label = "recorded run" if found.strategy is None else style.plain(style.short(found.strategy.name))
        ax.plot(steps, found.original, "--", color=style.ORANGE, linewidth=1.8, label=label)
    ax.plot(steps, found.shape, color=style.BLUE, linewidth=2.2, label="refined")
    ax.set_ylim(0.0, 1.05)
    style.dress(ax, title=f"Refined over {thousands(found.steps)} steps", x="step", y="rate over its peak")
    style.legend(ax)
    return ax


def plot_norms(found: Refinement, ax: Axes | None = None) -> Axes:
    """Draw the gradient norms that a schedule was refined from, and their running median.

    found: what is drawn. ax: where; a new figure if not given.
    """
    ax = style.axes(ax)
    most = style.FINEST
    thin = slice(None, None, max(1, len(found.norms) // most))
    ax.plot(found.recorded[thin], found.norms[thin], ".", color="#9cc7e2", markersize=3, label="recorded")
    ax.plot(_positions(found), found.smooth, color=style.BLUE, linewidth=2, label="running median")
    name = found.norm.upper()
    style.dress(ax, title=f"{name} norms of the gradient of {style.short(found.name)}", x="step", y=f"{name} norm")
    low, high = float(found.norms.min()), float(found.norms.max())
    if high > 3 * low:
        style.log_losses(ax)
    style.legend(ax)
    return ax


def plot_prediction(found: Prediction, ax: Axes | None = None) -> Axes:
    """Draw the predicted curves, the median over the laws with their range, and the recorded ones as dots.

    found: what is drawn, of its schedules the seven best. ax: where; a new figure if not given.
    A recorded run that followed one of the schedules has its colour; the others are grey.
    """
    ax = style.axes(ax, (8.6, 4.4))
    shown = found.forecasts[:MOST]
    inks = dict(zip((each.name for each in shown), style.PALETTE, strict=False))
    followed = {id(run): inks[each.name] for each in shown if (run := found.measured(each)) is not None}
    marks = iter("os^Dv<>ph*" * 9)
    for run in (*found.runs, *found.held_out):
        _recorded(ax, run, followed.get(id(run), style.QUIET), next(marks), held_out=run in found.held_out)
    for each in shown:
        _predicted(ax, each, inks[each.name])
    _limits(ax, found, shown)
    style.dress(ax, title=_title(found), x="step", y="loss")
    style.legend(ax, title="lines: predicted\ndots: recorded")
    return ax


def _positions(found: Refinement) -> Floats:
    return floats(np.arange(len(found.shape)) * (found.steps / len(found.shape)))


def _recorded(ax: Axes, run: LossCurve, color: str, mark: str, *, held_out: bool) -> None:
    _, binned = style.binned(np.stack([run.at, run.losses], axis=1), BINS)
    ax.plot(
        binned[:, 0], binned[:, 1], mark, color=color, markersize=3.2, alpha=0.75, markerfacecolor="none" if held_out
        else color, label=style.plain(style.short(run.name)) + (", held out" if held_out else ", fitted"),
    )  # fmt: skip


def _predicted(ax: Axes, each: Forecast, color: str) -> None:
    ax.fill_between(each.at, each.losses.min(axis=0), each.losses.max(axis=0), color=color, alpha=0.18, linewidth=0)
    label = f"{style.plain(style.short(each.name))} {each.final.value:.4g}"
    ax.plot(each.at, np.median(each.losses, axis=0), color=color, linewidth=1.8, label=label)


def _limits(ax: Axes, found: Prediction, shown: tuple[Forecast, ...]) -> None:
    """Leave out the first steep part, in which all curves are one."""
    late = [run.losses[run.at > 0.15 * run.at[-1]] for run in (*found.runs, *found.held_out)]
    predicted = [each.losses[:, each.at > 0.15 * each.at[-1]].ravel() for each in shown]
    values = np.concatenate([*late, *predicted])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    room = 0.06 * max(high - low, 1e-9)
    ax.set_ylim(low - room, high + room)


def _title(found: Prediction) -> str:
    count = "one law" if len(found.fits) == 1 else f"{len(found.fits)} laws"
    spread = f", error {found.error:.2g}" if np.isfinite(found.error) else ""
    return f"Predicted by {count}{spread}"
