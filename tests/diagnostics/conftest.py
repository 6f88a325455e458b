"""One thread: the models are tiny, and threads that wait for each other are slow. Makes `nets` importable."""

import sys
from pathlib import Path

import torch

torch.set_num_threads(1)

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)
