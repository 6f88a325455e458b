"""One thread, since the models are tiny, and `streaming.py` importable whatever folder pytest is started in."""

import sys
from pathlib import Path

import torch

torch.set_num_threads(1)

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)
