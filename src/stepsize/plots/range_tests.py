"""The picture of several range tests: one smoothed curve each, over one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.plots import range_test_data, style
from stepsize.results import RangeTests

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_range_tests(tests: RangeTests, ax: Axes | None = None) -> Axes:
    """Draw the smoothed median of each of several range tests, with a point at its largest rate.

    tests: as they were recorded. ax: where; a new figure if not given. A test without a clear answer has no point. What
    lies far above the loss of the start is cut off.
    """
    ax = style.axes(ax)
    windows = []
    for (color, dash), name, test, found in zip(
        style.inks(len(tests.tests)), tests.names, tests.tests, tests.found, strict=True
    ):
        rates, each = range_test_data.fit(test, found)
        curve = style.middle(each, average="median")
        label = style.plain(name) + (
            f": to {style.rate(found.max_lr.value, 2)}" if found.max_lr else ": no clear answer"
        )
        ax.plot(rates, curve, color=color, linestyle=dash, linewidth=1.8, label=label)
        if found.max_lr is not None:
            at = float(np.interp(np.log(found.max_lr.value), np.log(rates), curve))
            ax.plot([found.max_lr.value], [at], color=color, marker="o", markersize=6, linestyle="none")
        raw = test.judged[test.taken] if test.taken.any() else test.losses
        sign = range_test_data.sign_of(test)
        windows.append(range_test_data.losses_of_range_test(curve, sign * floats(raw), sign))
    first = tests.tests[0]
    ax.set_xlim(min(test.rates[0] for test in tests.tests), max(test.rates[-1] for test in tests.tests))
    style.log_rates(ax)
    ax.set_ylim(min(window.low for window in windows), max(window.high for window in windows))
    if all(window.log for window in windows):
        style.log_losses(ax)
    what = tests.compared.replace("_", " ")
    style.dress(ax, title=f"Range tests by {what}", x="learning rate", y=first.judged_name)
    style.legend(ax, title=what)
    return ax
