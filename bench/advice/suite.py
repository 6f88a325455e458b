"""The tasks of bench/range_test, and the helpers that this benchmark shares with it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "range_test"))  # last: truth, peers, ours and table are ours

import data
import lots
import models
from files import read, write
from runs import SIZE, start
from tasks import HALVES, PROBLEMS, SEEDS, Problem, half

SUGGESTIONS = Path(__file__).parents[1] / "range_test" / "suggestions.json"
"""What the peers of bench/range_test suggest."""

BUDGETS = (0.0, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""What a search may cost, in full trainings: ours, and those of the peers that search."""

__all__ = [
    "BUDGETS", "HALVES", "PROBLEMS", "SEEDS", "SIZE", "SUGGESTIONS", "Problem", "data", "half", "lots", "models",
    "read", "start", "write",
]  # fmt: skip
