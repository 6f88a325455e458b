"""A bag of words: which package of the standard library a piece of source belongs to."""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.kernel.spec import NDArray
from stepsize.problems import Task

PACKAGES = (
    "asyncio", "concurrent", "ctypes", "email", "encodings", "html", "http", "importlib", "json", "logging",
    "multiprocessing", "sqlite3", "unittest", "urllib", "xml",
)  # fmt: skip
"""Packages that every supported Python has, with their source."""

CHUNK = 40
"""Words of source in one sample; a word that comes twice counts once."""

TOKEN = re.compile(r"[A-Za-z_]\w*")


class Bag(nn.Module):
    """Softmax regression on a bag of words, with dropout of the words.

    Takes the numbers of the words, (batch, CHUNK) int64; 0 is no word, and has no weight.
    """

    def __init__(self, vocabulary: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.weights = nn.Embedding(vocabulary + 1, labels, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(labels))
        self.drop = nn.Dropout(dropout)
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits, (batch, labels)."""
        kept = self.drop((tokens > 0).to(self.bias.dtype))
        logits: torch.Tensor = (self.weights(tokens) * kept[..., None]).sum(-2) + self.bias
        return logits


def text_task(vocabulary: int = 10_000, dropout: float = 0.0, samples: int | None = None) -> Task:
    """The standard library's own source in pieces of 40 words, each to be given its package.

    samples: how many pieces; all when not given. The last tenth is held out.
    """
    rows, labels = _pieces(vocabulary)
    order = seeds.generator(0, "bag of words").permutation(len(labels))[:samples]
    x, y = torch.from_numpy(rows[order]), torch.from_numpy(labels[order])
    held = len(y) // 10
    return Task(
        lambda: Bag(vocabulary, len(PACKAGES), dropout), nn.functional.cross_entropy, (x[held:], y[held:]),
        (x[:held], y[:held]), batch_size=128, name="bag-of-words",
    )  # fmt: skip


@cache
def _pieces(vocabulary: int) -> tuple[NDArray, NDArray]:
    """Return the numbers of the words of each piece, (pieces, CHUNK) int64, and the packages, (pieces,) int64."""
    sources = [list(_tokens(package)) for package in PACKAGES]
    common = Counter(token for source in sources for token in source).most_common(vocabulary)
    number = {token: i + 1 for i, (token, _) in enumerate(common)}
    rows, labels = [], []
    for label, source in enumerate(sources):
        for start in range(0, len(source) - CHUNK + 1, CHUNK):
            known = sorted({number[token] for token in source[start : start + CHUNK] if token in number})
            rows.append(np.pad(known, (0, CHUNK - len(known))))
            labels.append(label)
    if len(rows) < 1000:
        raise TaskError(f"the bag of words needs the source of the standard library, and found {len(rows)} pieces.")
    return np.array(rows, dtype=np.int64), np.array(labels, dtype=np.int64)


def _tokens(package: str) -> Iterator[str]:
    """Yield the words of a package's source, file after file."""
    root = Path(sysconfig.get_paths()["stdlib"]) / package
    for path in sorted(root.rglob("*.py")):
        if "test" not in path.relative_to(root).parts and "tests" not in path.relative_to(root).parts:
            yield from TOKEN.findall(path.read_text(encoding="utf-8", errors="replace"))
