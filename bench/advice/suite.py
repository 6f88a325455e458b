"""The tasks of bench/range_test, and the helpers that this benchmark shares with it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "range_test"))  # last: truth, peers, ours and table are ours

from files import read, write
from runs import SIZE, start
from tasks import HALVES, PROBLEMS, SEEDS, Problem, half

__all__ = ["HALVES", "PROBLEMS", "SEEDS", "SIZE", "Problem", "half", "read", "start", "write"]
