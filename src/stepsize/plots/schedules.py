"""Pictures of schedules and policies: a hyperparameter against the step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.text import thousands
from stepsize.plots import style
from stepsize.plots.style import Axes
from stepsize.policies import LR, Policy
from stepsize.schedules import Schedule

STEPS = 1000
"""The run that a schedule is drawn over when neither it nor the caller knows one."""

POINTS = 2000
"""The most steps that are drawn of one schedule: the stairs stay sharp."""

MOMENTUM = "momentum"


def plot_schedule(schedule: Schedule, steps: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw a schedule against the step.

    schedule: when it is bound it is drawn over its own steps, and `steps` is not used.
    steps: the run to bind it to (steps, optimizer updates); 1000 if not given. ax: where; a new figure if not given.
    """
    ax = style.axes(ax)
    x, y = _samples(schedule, steps)
    ax.plot(x, y, color=style.BLUE, linewidth=2)
    ax.set_ylim(bottom=min(0.0, float(y.min())))
    run = _length(schedule, steps)
    style.dress(ax, title=f"{schedule.outline} over {thousands(run)} steps", x="step", y="value")
    return ax


def plot_policy(policy: Policy, steps: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the learning rate of a policy, and its momentum on an axis of its own at the right.

    policy, steps, ax: as in `plot_schedule`. Returns the Axes of the learning rate (of the first hyperparameter when
    the policy schedules none).
    """
    ax = style.axes(ax)
    name = LR if LR in policy else next(iter(policy))
    x, y = _samples(policy[name], steps)
    (line,) = ax.plot(x, y, color=style.BLUE, linewidth=2, label=name)
    ax.set_ylim(0.0, _top(y))
    title = f"{policy[name].outline} over {thousands(_length(policy[name], steps))} steps"
    style.dress(ax, title=title, x="step", y=name)
    ax.yaxis.label.set_color(line.get_color())
    if MOMENTUM in policy and name != MOMENTUM:
        _momentum(ax, policy[MOMENTUM], steps)
    return ax


def plot_schedules(named: Mapping[str, Policy], steps: int, ax: Axes | None = None) -> Axes:
    """Draw the learning rates of several policies on one picture.

    named: what the legend calls each, and the policy. steps: the run that unbound ones are bound to.
    ax: where; a new figure if not given.
    """
    ax = style.axes(ax)
    top = 0.0
    for (name, policy), (color, dash) in zip(named.items(), style.inks(len(named)), strict=True):
        x, y = _samples(policy[LR], steps)
        ax.plot(x, y, color=color, linestyle=dash, linewidth=1.8, label=style.plain(style.short(name)))
        top = max(top, _top(y))
    ax.set_ylim(0.0, top or 1.0)
    count = f"{len(named)} learning rates" if len(named) != 1 else "One learning rate"
    style.dress(ax, title=f"{count} over {thousands(steps)} steps", x="step", y=LR)
    if named:
        style.legend(ax)
    return ax


def _momentum(ax: Axes, schedule: Schedule, steps: int | None) -> None:
    twin = ax.twinx()
    x, y = _samples(schedule, steps)
    (line,) = twin.plot(x, y, color=style.RED, linewidth=1.5, linestyle="--", label=MOMENTUM)
    low, high = float(y.min()), float(y.max())
    room = max(0.1 * (high - low), 0.02)
    twin.set_ylim(max(0.0, low - room), high + room)
    twin.set_ylabel(MOMENTUM, fontsize=style.TEXT, color=line.get_color())
    twin.tick_params(labelsize=style.SMALL, colors=style.INK, length=3)
    twin.spines[["top", "left", "bottom"]].set_visible(False)
    twin.spines["right"].set_color(style.QUIET)


def _length(schedule: Schedule, steps: int | None) -> int:
    return schedule.steps if isinstance(schedule.steps, int) else steps or STEPS


def _samples(schedule: Schedule, steps: int | None) -> tuple[Floats, Floats]:
    """Return at most POINTS steps of a schedule and its values there."""
    run = _length(schedule, steps)
    bound = schedule.bound_to(run)
    x = np.unique(np.linspace(0, run - 1, min(run, POINTS)).round())
    return x, np.asarray(bound(x), dtype=np.float64)


def _top(values: Floats) -> float:
    return 1.05 * float(np.nan_to_num(values).max()) or 1.0
