"""The picture of the README: mean regret on the test half against cost, of ours and of what others do.

python bench/advice/picture.py docs/advice.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import ours
import peers
import truth
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from suite import half, read
from table import Answer, answers, truth_of

LINES = {
    "stepsize": ("stepsize, budget ", "o-"),
    "Optuna, TPE and Hyperband": ("Optuna, TPE and Hyperband, budget ", "s--"),
    "random search": ("random search, budget ", "^--"),
    "the best of some AdamW 1cycle rates": ("the best of ", "D--"),
}
"""By label what the names of its rows begin with, and how it is drawn."""

POINTS = (
    "Prodigy 1, cosine",
    "Schedule-Free AdamW 2.5e-3, warmup",
    "1cycle at torch-lr-finder's rate",
    "AdamW 1e-3, cosine",
)

FREE = 0.05
"""Where on the logarithmic axis what costs nothing stands."""

Rows = Mapping[str, Mapping[str, Sequence[Answer]]]


def rows(name: str) -> tuple[dict[str, dict[str, list[Answer]]], dict[str, truth.Any]]:
    """Return the answers of all methods on one half, and the truths of its tasks."""
    records = read(truth.FILE)["problems"]
    truths = {each.name: truth_of(truth.from_plain(records[each.name])) for each in half(name)}
    found: dict[str, dict[str, list[Answer]]] = {}
    for source in (ours.kept(read(ours.FILE)), read(peers.FILE)["problems"]):
        found |= answers(truth.from_plain({task: each for task, each in source.items() if task in truths}))
    return {method: each for method, each in found.items() if set(truths) <= set(each)}, truths


def point(own: Mapping[str, Sequence[Answer]], truths: Mapping[str, truth.Any]) -> tuple[float, float]:
    """Return the mean cost and the mean regret of a method, full trainings and per cent."""
    lost = fmean(fmean(truths[task].regret(each.scores) for each in own[task]) for task in truths)
    return max(FREE, fmean(fmean(each.cost for each in own[task]) for task in truths)), 100 * lost


def draw(axes: Axes, found: Rows, truths: Mapping[str, truth.Any]) -> None:
    for label, (head, form) in LINES.items():
        points = sorted(point(own, truths) for method, own in found.items() if method.startswith(head))
        if points:
            axes.plot(*zip(*points, strict=True), form, label=label, markersize=4)
    for method in POINTS:
        if method in found:
            cost, lost = point(found[method], truths)
            axes.plot(cost, lost, "x", color="grey")
            axes.annotate(method, (cost, lost), xytext=(5, 3), textcoords="offset points", fontsize=7, color="grey")
    axes.set(xscale="log", yscale="log", xlabel="cost of finding it, full trainings (at the left: nothing)",
             ylabel="mean regret, % of what training gains")  # fmt: skip
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    draw(figure.subplots(), *rows("test"))
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
