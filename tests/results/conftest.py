"""Makes `tests/samples.py` importable as `samples`, whatever folder pytest is started in."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parents[1])
if HERE not in sys.path:
    sys.path.append(HERE)
