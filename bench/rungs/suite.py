"""The tasks of bench/range_test, and the files that this benchmark keeps as it does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "range_test"))  # last, so that record and replay are ours

from files import read, write
from tasks import half

SISTER = Path(__file__).parents[1] / "range_test"

__all__ = ["SISTER", "half", "read", "write"]
