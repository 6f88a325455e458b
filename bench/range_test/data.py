"""Data that needs no download: scikit-learn's small sets, generated ones, and the source of the standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets

from stepsize.kernel import seeds

Pair = tuple[torch.Tensor, torch.Tensor]

PACKAGES = ("asyncio", "email", "http", "json", "unittest", "xml")
CHARACTERS = 97
BIGRAMS = 1024


def split(inputs: np.ndarray, targets: np.ndarray, name: str, held_out: int) -> tuple[Pair, Pair]:
    """Return training and validation data in an order that depends on the name alone."""
    order = seeds.generator(0, name).permutation(len(inputs))
    x, y = (torch.from_numpy(np.ascontiguousarray(part[order])) for part in (inputs, targets))
    return (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out])


def digits(shape: tuple[int, ...] = (64,), scale: float = 1 / 16) -> tuple[Pair, Pair]:
    """1 797 handwritten digits of 8x8 pixels, 0 to 16 times `scale`."""
    found = datasets.load_digits()
    images = (found.images * scale).astype(np.float32).reshape(-1, *shape)
    return split(images, found.target.astype(np.int64), "digits", 450)


def digits_alone() -> tuple[Pair, Pair]:
    """The digits as their own targets."""
    train, validation = digits()
    return (train[0], train[0]), (validation[0], validation[0])


def diabetes() -> tuple[Pair, Pair]:
    """442 patients; ten features of size 1/20, as scikit-learn hands them out, and a standardised target."""
    x, y = datasets.load_diabetes(return_X_y=True)
    y = ((y - y.mean()) / y.std())[:, None]
    return split(x.astype(np.float32), y.astype(np.float32), "diabetes", 120)


def breast_cancer() -> tuple[Pair, Pair]:
    """569 tumours; thirty features as they were measured, of sizes 0.003 to 900."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return split(x.astype(np.float32), y.astype(np.int64), "breast cancer", 150)


def units() -> tuple[Pair, Pair]:
    """A made-up classification in twenty features, each in another unit: of sizes 3 to 300."""
    x, y = datasets.make_classification(
        1600, 20, n_informative=10, n_classes=4, class_sep=1.5, flip_y=0.02, random_state=0
    )
    x = x / x.std(axis=0) * seeds.generator(0, "units").permutation(np.geomspace(3, 300, 20))
    return split(x.astype(np.float32), y.astype(np.int64), "units", 400)


def friedman() -> tuple[Pair, Pair]:
    """Friedman's first function of ten features, with noise, standardised."""
    x, y = datasets.make_friedman1(1600, 10, noise=1.0, random_state=0)
    y = ((y - y.mean()) / y.std())[:, None]
    return split((2 * x - 1).astype(np.float32), y.astype(np.float32), "friedman", 400)


def teacher() -> tuple[Pair, Pair]:
    """What a random network of 32 units makes of 16 normal features, with noise of a fifth."""
    source = seeds.generator(0, "teacher")
    x = source.standard_normal((2000, 16))
    hidden = np.tanh(x @ source.standard_normal((16, 32)) / 2)
    y = hidden @ source.standard_normal((32, 1))
    y = y / y.std() + 0.2 * source.standard_normal(y.shape)
    return split(x.astype(np.float32), y.astype(np.float32), "teacher", 500)


def ratings(users: int, items: int, rank: int) -> tuple[Pair, Pair]:
    """Ratings of a third of all pairs of user and item, from factors of low rank, with noise."""
    source = seeds.generator(0, "ratings", users)
    table = source.standard_normal((users, rank)) @ source.standard_normal((rank, items)) / np.sqrt(rank)
    table = table + 0.3 * source.standard_normal(table.shape)
    pairs = np.argwhere(source.random(table.shape) < 1 / 3)
    y = table[pairs[:, 0], pairs[:, 1]].astype(np.float32)
    return split(pairs.astype(np.int64), y, "ratings", len(pairs) // 5)


def characters(package: str) -> np.ndarray:
    """The source of a package of the standard library, characters as 0 to 96."""
    files = sorted((Path(sysconfig.get_paths()["stdlib"]) / package).rglob("*.py"))
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files if "test" not in path.parts)
    codes = np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8).astype(np.int64)
    return np.where(codes == ord("\n"), 95, np.clip(codes - 32, 0, 96))


def windows(length: int, package: str) -> np.ndarray:
    """The source of a package cut into pieces, (pieces, length)."""
    found = characters(package)
    return found[: len(found) // length * length].reshape(-1, length)


def text(context: int, most: int = 6000) -> tuple[Pair, Pair]:
    """Pieces of source, and the same pieces one character on."""
    pieces = np.concatenate([windows(context + 1, package) for package in PACKAGES])
    pieces = pieces[seeds.generator(0, "text").permutation(len(pieces))[:most]]
    return split(pieces[:, :-1], pieces[:, 1:], "text", 200)


def packages(length: int = 40, each: int = 500) -> tuple[Pair, Pair]:
    """Pairs of characters of a piece of source, as numbers below 1024, and the package that it is from."""
    parts = []
    for package in PACKAGES:
        pieces = windows(length, package)
        parts.append(pieces[seeds.generator(0, package).permutation(len(pieces))[:each]])
    pieces = np.concatenate(parts)
    pairs = (pieces[:, :-1] * 31 + pieces[:, 1:] * 97) % BIGRAMS
    labels = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)])
    return split(pairs, labels, "packages", 600)
