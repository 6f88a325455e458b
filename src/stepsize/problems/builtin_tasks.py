"""Built-in tasks on real data that needs no download."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.kernel.optional import need
from stepsize.problems.base import Task

_CONTEXT = 64
_PACKAGES = (
    "asyncio", "collections", "concurrent", "ctypes", "email", "http", "importlib", "json", "logging",
    "unittest", "xml",
)  # fmt: skip


def digits() -> Task:
    """8x8 handwritten digits (scikit-learn, 1 797 images), and a perceptron 64-128-128-10."""
    nn = need("torch").nn

    def model() -> Any:
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))

    train, validation = _digit_images(flat=True)
    return Task(
        model, nn.functional.cross_entropy, train, validation, name="digits", source="digits",
        batch_size=64, steps=400,
    )  # fmt: skip


def digits_cnn() -> Task:
    """The same digits, and a small convolution net with batch norm."""
    nn = need("torch").nn

    def model() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 16, 10),
        )  # fmt: skip

    train, validation = _digit_images(flat=False)
    return Task(
        model,
        nn.functional.cross_entropy,
        train,
        validation,
        name="digits-cnn",
        source="digits-cnn",
        batch_size=64,
        steps=200,
    )


def stdlib_text() -> Task:
    """The Python standard library's own source, and a small character transformer.

    Watch out: the text is the source of the Python that runs, so scores compare within one Python version only.
    """
    torch = need("torch")

    def loss(outputs: Any, targets: Any) -> Any:
        return torch.nn.functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    windows = torch.from_numpy(_text_windows())
    held_out = len(windows) // 10
    train, validation = windows[:-held_out], windows[-held_out:][:256]
    return Task(
        _transformer, loss, (train[:, :-1], train[:, 1:]), (validation[:, :-1], validation[:, 1:]),
        name="stdlib-text", source="stdlib-text", batch_size=16, steps=300,
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "digits-cnn": digits_cnn, "stdlib-text": stdlib_text}
"""The built-in tasks by name, which is also their source: a worker process makes its own."""


def _digit_images(*, flat: bool) -> tuple[Any, Any]:
    torch = need("torch")
    rows = _digits()
    rows = rows[seeds.generator(0, "digits").permutation(len(rows))]
    images = torch.from_numpy((rows[:, :-1] / 16.0).astype(np.float32))
    images = images if flat else images.unflatten(1, (1, 8, 8))
    labels = torch.from_numpy(rows[:, -1].astype(np.int64))
    return (images[450:], labels[450:]), (images[:450], labels[:450])


def _digits() -> Any:
    """Return the digits of scikit-learn, (images, 65) float64: 64 pixels from 0 to 16 and the label."""
    # Its file is read without it where it lies as expected: its import takes a second, a third of a short command.
    spec = find_spec("sklearn")
    file = Path((spec and spec.origin) or "", "..", "datasets", "data", "digits.csv.gz").resolve()
    if file.exists():
        return np.loadtxt(file, delimiter=",")
    data = need("sklearn.datasets").load_digits()
    return np.column_stack([data.data, data.target])


def _text_windows() -> Any:
    """Return windows of the text, (windows, _CONTEXT + 1) int64, characters as 0..96."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py") if "test" not in path.parts)
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
    codes = np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8).astype(np.int64)
    if len(codes) < 100_000:
        raise TaskError(
            f"stdlib-text needs the source of the standard library, and {root} holds {len(codes)} characters of it."
        )
    characters = np.where(codes == ord("\n"), 95, np.clip(codes - 32, 0, 96))
    whole = len(characters) // (_CONTEXT + 1) * (_CONTEXT + 1)
    windows = characters[:whole].reshape(-1, _CONTEXT + 1)
    return windows[seeds.generator(0, "stdlib-text").permutation(len(windows))]


def _transformer() -> Any:
    """Return a character transformer of two blocks, width 48, four heads."""
    torch = need("torch")
    nn = torch.nn
    width, heads = 48, 4

    class Block(nn.Module):  # type: ignore[misc, name-defined]  # torch is imported at the moment of use
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            batch, time, _ = x.shape
            q, k, v = self.qkv(self.before(x)).reshape(batch, time, 3, heads, -1).permute(2, 0, 3, 1, 4)
            attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(attended.transpose(1, 2).reshape(batch, time, width))
            return x + self.mlp(self.after(x))

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.position = nn.Embedding(97, width), nn.Embedding(_CONTEXT, width)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 97)

        def forward(self, tokens: Any) -> Any:
            positions = torch.arange(tokens.shape[-1], device=tokens.device)
            return self.head(self.norm(self.blocks(self.token(tokens) + self.position(positions))))

    return Transformer()
