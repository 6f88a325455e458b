"""Figures of descents on landscapes: convex or not, RMSProp and Adam at work, who escapes local minima."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepsize.engines.landscape.descend import descend
from stepsize.plots import plot_coordinates, plot_profile, plot_rates, plot_routes, style
from stepsize.plots.routes import What
from stepsize.plots.style import Axes
from stepsize.policies import constant
from stepsize.problems.landscapes import Beale, Ellipsoid, Landscape, Rastrigin
from stepsize.problems.noise import Gaussian, Noise
from stepsize.rules import SGD, Adam, Momentum, RMSProp, Rule
from stepsize.strategy import Strategy

PAIR = (5.2, 3.6)
"""The size of one of two panels, in inches."""

TRIED: tuple[tuple[Rule, str], ...] = (
    (SGD(), "constant"), (SGD(), "cosine"), (SGD(), "triangular2"), (SGD(), "one_cycle"), (Momentum(), "cosine"),
    (RMSProp(), "constant"), (RMSProp(), "cosine"), (Adam(), "cosine"),
)  # fmt: skip
"""Who is compared at escaping local minima."""

RATES: dict[type[Rule], Sequence[float]] = {
    SGD: (0.006, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06), Momentum: (0.001, 0.003, 0.006, 0.01, 0.02),
    RMSProp: (0.1, 0.2, 0.4, 0.6, 0.9), Adam: (0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
}  # fmt: skip
"""The peak rates that each rule tries."""

NOISE = 5.0
"""Its scale; the steepest slope is about 73."""

STARTS, FRESH, STEPS = 300, 1000, 300
"""The starts on which the rates are tried, the fresh ones that the best of them is judged on, and the updates."""


def convex() -> Axes:
    """Draw plain gradient descent on a parabola, and on Rastrigin's function in one dimension."""
    panels = style.panels(2, 2, PAIR)
    cases: tuple[tuple[Landscape, float, Sequence[float], str], ...] = (
        (Ellipsoid(1), 0.1, (-4.5, -2.0, 3.0, 4.6), "Convex: every start leads to the one minimum"),
        (Rastrigin(1), 1e-3, (-4.3, -1.7, 0.4, 2.6, 4.45), "Not convex: the start decides which minimum"),
    )
    for ax, (landscape, rate, starts, title) in zip(panels, cases, strict=True):
        found = descend(landscape, [_plain(SGD(), rate)], starts=np.array(starts)[:, None], steps=40)
        plot_profile(found, ax=ax)
        style.entitle(ax, title)
    style.legend(panels[-1])
    return panels[0]


def rmsprop() -> Axes:
    """Draw RMSProp beside SGD in a bowl that is a hundred times steeper one way than the other."""
    panels = _at_work(Ellipsoid(condition=100.0), (_plain(SGD(), 0.009), _plain(RMSProp(), 0.05)), (-4.5, 3.5), "rates")
    style.entitle(panels[0], "SGD zigzags; RMSProp goes straight")
    style.entitle(panels[1], "RMSProp gives the steep coordinate a smaller rate")
    return panels[0]


def adam() -> Axes:
    """Draw Adam beside SGD on Beale's function, whose slopes differ widely from place to place."""
    panels = _at_work(Beale(), (_plain(SGD(), 0.01), _plain(Adam(), 0.2)), (1.0, -2.0), "moves")
    panels[0].set_xlim(-1.2, 3.8)
    panels[0].set_ylim(-2.6, 1.8)
    style.entitle(panels[0], "SGD leaps where it is steep; Adam does not")
    style.entitle(panels[1], "Adam's first step is its rate, in each coordinate")
    return panels[0]


def _plain(rule: Rule, rate: float) -> Strategy:
    return Strategy(rule, constant(rate), f"{type(rule).__name__} {rate:g}")


def _at_work(landscape: Landscape, pair: Sequence[Strategy], start: Sequence[float], what: What) -> list[Axes]:
    """Return two panels: where the strategies go from `start` in 100 updates, and how far each coordinate moves."""
    panels = style.panels(2, 2, PAIR)
    found = descend(landscape, pair, starts=np.array([start]), steps=100, points=201)
    plot_routes(found, ax=panels[0])
    plot_coordinates(found, what, ax=panels[1])
    style.legend(panels[1])
    return panels


def escape() -> Axes:
    """Draw who gets to Rastrigin's global minimum with exact gradients, and with noisy ones."""
    panels = style.panels(2, 2, (5.4, 4.6))
    cases = ((None, "Exact gradients: RMSProp escapes most often"), (Gaussian(NOISE), "Noisy gradients: another order"))
    for ax, (noise, title) in zip(panels, cases, strict=True):
        chosen = [best_rate(Rastrigin(), rule, policy, noise) for rule, policy in TRIED]
        found = descend(Rastrigin(), chosen, starts=FRESH, steps=STEPS, seed=1, noise=noise, watched=1)
        plot_rates(found, ax)
        ax.set_xlim(0.0, 0.75)
        style.entitle(ax, title)
    _shared_legend(panels)
    return panels[0]


def _shared_legend(panels: list[Axes]) -> None:
    """Put the legend that each panel has once, below all of them."""
    legends = [legend for ax in panels if (legend := ax.get_legend()) is not None]
    names = [text.get_text() for text in legends[0].get_texts()]
    handles = [handle for handle in legends[0].legend_handles if handle is not None]
    panels[0].figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False, fontsize=style.SMALL)
    for legend in legends:
        legend.remove()


def best_rate(landscape: Landscape, rule: Rule, policy: str, noise: Noise | None) -> Strategy:
    """Return the strategy with the peak rate of RATES that brings most of STARTS to a global minimum."""
    tried = [Strategy.of(rule, policy, rate) for rate in RATES[type(rule)]]
    found = descend(landscape, tried, starts=STARTS, steps=STEPS, noise=noise, watched=1)
    return tried[int(found.reached.mean(axis=1).argmax())]
