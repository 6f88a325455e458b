"""Diagnostics on the page: a slice of the loss around a model, and the effective step sizes of a rule."""

from __future__ import annotations

import numpy as np

from stepsize.plots import plot_slice, plot_step_sizes
from stepsize.plots.step_sizes import WORDS
from stepsize.plots.style import thousands
from stepsize.report import formatting
from stepsize.report.parts import Article, Facts, Section
from stepsize.report.pictures import draw
from stepsize.results import Slice, StepSizes


def slice_article(found: Slice) -> Article:
    """Return a slice as an article."""
    finite = found.losses[np.isfinite(found.losses)]
    facts = [
        ("Loss of the model", formatting.loss(found.centre)),
        ("Lowest loss in the slice", formatting.loss(float(finite.min())) if len(finite) else formatting.NONE),
    ]
    if found.explained:
        shares = " and ".join(f"{100 * share:.0f} %" for share in found.explained)
        facts.append(("Of the path's variance along the axes", shares))
    flat = bool(len(found.y))
    where = f"in a plane of {found.name}" if flat else f"along a {found.name}"
    picture = draw(
        plot_slice, found, label=f"The loss {where} around the model",
        caption=f"The loss {where}; the model is at 0." + (" Darker is lower." if flat else ""),
    )  # fmt: skip
    return Article("Slice", f"The loss {where}", Facts(tuple(facts)), (Section("Loss", (picture,)),))


def step_sizes_article(sizes: StepSizes) -> Article:
    """Return the effective step sizes of a rule as an article: what rate each parameter had, and how far it moved."""
    facts: tuple[tuple[str, str], ...] = (("Updates that were recorded", thousands(len(sizes.steps))),)
    if len(sizes.steps):
        facts += (
            ("Parameters without a gradient, at most", f"{100 * float(sizes.silent.max()):.3g} %"),
            ("Parameters that stood still in spite of one, at most", f"{100 * float(sizes.stuck.max()):.3g} %"),
        )
    pictures = tuple(
        draw(
            plot_step_sizes, sizes, what, label=f"{sizes.name}: {WORDS[what]} against the step",
            caption=f"Quantiles over the parameters of the {WORDS[what]}.",
        )
        for what in WORDS
    )  # fmt: skip
    return Article("Step sizes", sizes.name, Facts(facts), (Section("Effective step sizes", pictures),))
