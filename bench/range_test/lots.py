"""Tasks drawn by lot: what is learned, by which net, in which batches and for how long is a matter of a seed alone.

    python bench/range_test/lots.py          # prints KEPT

Each of the eight kinds is drawn three times. A draw is drawn again on which nobody can tell what a rate loses, as a
training's luck is more than a twentieth of what it gains, or it learns no more than a constant output needs no training
for. Nothing else decides which are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count, islice

import data
import models
import numpy as np
import torch
from sklearn import datasets
from torch import nn
from torch.nn import functional

from stepsize import rules
from stepsize.engines.vectorised.ensemble import Ensemble
from stepsize.kernel import seeds
from stepsize.problems import Task
from stepsize.problems.trivial import learned_below
from stepsize.strategy import Strategy, Trial

Lot = np.random.Generator
Data = tuple[data.Pair, data.Pair]

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU)

SOURCES = (
    "asyncio", "concurrent", "ctypes", "curses", "email", "encodings", "http", "importlib", "json", "logging",
    "multiprocessing", "unittest", "urllib", "xml", "xmlrpc",
)  # fmt: skip
"""Packages of the standard library whose source is read."""


def one_of(lot: Lot, choices: tuple):
    return choices[int(lot.integers(len(choices)))]


def between(lot: Lot, low: float, high: float) -> int:
    """Return a whole number whose logarithm is drawn evenly."""
    return round(float(np.exp(lot.uniform(np.log(low), np.log(high)))))


def perceptron(lot: Lot, inputs: int, outputs: int) -> Callable[[], nn.Module]:
    """Return a net of none to three hidden layers."""
    widths = [between(lot, 12, 128)] * int(lot.integers(4))
    norm = one_of(lot, (None, None, nn.LayerNorm, nn.BatchNorm1d))
    return partial(models.perceptron, inputs, *widths, outputs, norm=norm, act=one_of(lot, ACTIVATIONS))


def loss(lot: Lot, usual: Callable) -> Callable:
    """Return a loss in its own unit, or, one time in three, in another."""
    factor = float(one_of(lot, (1.0, 1.0, 1.0, 1.0, 0.01, 300.0)))
    return lambda outputs, targets: factor * usual(outputs, targets)


def task(lot: Lot, model: Callable[[], nn.Module], usual: Callable, pairs: Data) -> Task:
    """Return a task of all samples, or one time in four of a few hundred; batches of 8 to 128, 200 to 500 updates."""
    (x, y), held_out = pairs
    kept = between(lot, 150, 500) if lot.random() < 0.25 else len(x)
    batch, steps = between(lot, 8, 128), int(lot.integers(200, 501))
    return Task(model, loss(lot, usual), (x[:kept], y[:kept]), held_out, min(batch, kept, len(x)), steps)


def table(lot: Lot, x: np.ndarray, y: np.ndarray, name: str) -> Data:
    """Return a table with features as they are, or standardised, or each in another unit."""
    scale = one_of(lot, ("as measured", "standardised", "standardised", "uneven"))
    if scale != "as measured":
        x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    if scale == "uneven":
        x = x * lot.permutation(np.geomspace(0.1, 30, x.shape[1]))
    return data.split(x.astype(np.float32), y, name, len(x) // 4)


def classes(lot: Lot) -> Task:
    """Wines, tumours or made-up classes."""
    made = partial(
        datasets.make_classification, 1600, int(lot.integers(8, 31)), n_informative=6,
        n_classes=int(lot.integers(2, 7)), flip_y=0.1 * lot.random(), random_state=int(lot.integers(1000)),
    )  # fmt: skip
    found = one_of(lot, (partial(datasets.load_wine, return_X_y=True), made, made,
                         partial(datasets.load_breast_cancer, return_X_y=True)))()  # fmt: skip
    pairs = table(lot, found[0], found[1].astype(np.int64), "classes")
    return task(lot, perceptron(lot, found[0].shape[1], int(found[1].max()) + 1), functional.cross_entropy, pairs)


def values(lot: Lot) -> Task:
    """Patients, Friedman's functions, or what a random net makes of noise."""
    seed, noise = int(lot.integers(1000)), 0.3 * lot.random()
    x = np.random.default_rng(seed).standard_normal((1800, between(lot, 6, 30)))
    net = np.tanh(x @ lot.standard_normal((x.shape[1], 24)) / 2) @ lot.standard_normal(24)
    x, y = one_of(lot, (
        partial(datasets.load_diabetes, return_X_y=True),
        partial(datasets.make_friedman1, 1600, 10, noise=3 * noise, random_state=seed),
        partial(datasets.make_friedman2, 1600, noise=300 * noise, random_state=seed),
        lambda: (x, net + noise * net.std() * lot.standard_normal(len(x))),
        lambda: (x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + noise * lot.standard_normal(len(x))),
    ))()  # fmt: skip
    y = ((y - y.mean()) / y.std())[:, None].astype(np.float32)
    return task(lot, perceptron(lot, x.shape[1], 1), functional.mse_loss, table(lot, x, y, "values"))


def digits(lot: Lot) -> Task:
    """Digits of 0 to 1, 4 or 16 a pixel, some of them with a wrong label."""
    (x, y), held_out = data.digits()
    scale = float(one_of(lot, (1.0, 1.0, 4.0, 16.0)))
    wrong = torch.from_numpy(lot.random(len(y)) < one_of(lot, (0.0, 0.0, 0.2)))
    y = torch.where(wrong, torch.from_numpy(lot.integers(0, 10, len(y))), y)
    pairs = (scale * x, y), (scale * held_out[0], held_out[1])
    return task(lot, perceptron(lot, 64, 10), functional.cross_entropy, pairs)


def pictures(lot: Lot) -> Task:
    """Digits and convolutions of two layers or three."""
    (x, y), held_out = data.digits((1, 8, 8))
    scale, width = float(one_of(lot, (1.0, 1.0, 4.0, 16.0))), between(lot, 4, 12)
    norm, act = one_of(lot, (None, nn.BatchNorm2d)), one_of(lot, ACTIVATIONS)
    channels = [width, 2 * width, 2 * width][: int(lot.integers(2, 4))]
    pixels = 4 if len(channels) == 2 else 1

    def model() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in zip([1, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), *([norm(after)] if norm else []), act()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * pixels, 10))

    return task(lot, model, functional.cross_entropy, ((scale * x, y), (scale * held_out[0], held_out[1])))


def codes(lot: Lot) -> Task:
    """Digits, or features that few numbers make, which a narrow layer encodes."""
    made = np.tanh(lot.standard_normal((1600, 5)) @ lot.standard_normal((5, 30)))
    made = made + 0.1 * lot.standard_normal((1600, 30))
    pairs = data.digits_alone() if lot.random() < 0.5 else data.split(*[made.astype(np.float32)] * 2, "codes", 400)
    features, wide = pairs[0][0].shape[1], between(lot, 16, 64)
    norm, act = one_of(lot, (None, nn.BatchNorm1d, nn.LayerNorm)), one_of(lot, ACTIVATIONS)
    sizes = features, wide, between(lot, 4, 14), wide, features
    return task(lot, partial(models.perceptron, *sizes, norm=norm, act=act), functional.mse_loss, pairs)


def ratings(lot: Lot) -> Task:
    """Some of the ratings of a table of low rank, from factors."""
    rows, columns, rank = between(lot, 40, 140), between(lot, 40, 140), int(lot.integers(2, 6))
    whole = lot.standard_normal((rows, rank)) @ lot.standard_normal((rank, columns)) / np.sqrt(rank)
    whole = whole + lot.uniform(0.1, 0.6) * lot.standard_normal(whole.shape)
    pairs = np.argwhere(lot.random(whole.shape) < lot.uniform(0.15, 0.5))
    known = whole[pairs[:, 0], pairs[:, 1]].astype(np.float32)
    model = partial(models.Factors, rows, columns, rank + int(lot.integers(3)))
    return task(lot, model, functional.mse_loss, data.split(pairs, known, "ratings", len(pairs) // 5))


def bag(lot: Lot) -> Task:
    """Pieces of source as bags of pairs of characters, and the package that they are from."""
    packages = lot.choice(SOURCES, int(lot.integers(3, 7)), replace=False)
    length, each, numbers = between(lot, 20, 60), between(lot, 250, 700), int(one_of(lot, (512, 1024, 2048)))
    parts = [data.windows(length, str(package)) for package in packages]
    parts = [part[lot.permutation(len(part))[:each]] for part in parts]
    pieces = np.concatenate(parts)
    pairs = (pieces[:, :-1] * 31 + pieces[:, 1:] * 97) % numbers
    labels = np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)])
    model = partial(models.Bag, numbers, between(lot, 8, 32), len(packages))
    return task(lot, model, functional.cross_entropy, data.split(pairs, labels, "bag", len(pieces) // 5))


def sequences(lot: Lot) -> Task:
    """Source and a transformer, or digits that a recurrent cell reads row by row."""
    if lot.random() < 0.3:
        return task(lot, partial(models.Recurrent, between(lot, 24, 64)), functional.cross_entropy, data.digits((8, 8)))
    context, heads = int(lot.integers(8, 17)), int(lot.integers(1, 4))
    packages = lot.choice(SOURCES, int(lot.integers(2, 6)), replace=False)
    pieces = np.concatenate([data.windows(context + 1, str(package)) for package in packages])
    pieces = pieces[lot.permutation(len(pieces))[:5000]]
    width, blocks = heads * int(lot.integers(6, 13)), int(lot.integers(1, 3))
    model = partial(models.Transformer, data.CHARACTERS, context, width, heads=heads, blocks=blocks)
    return task(lot, model, models.next_character, data.split(pieces[:, :-1], pieces[:, 1:], "sequences", 200))


KINDS = (classes, values, digits, pictures, codes, ratings, bag, sequences)

RULES = (
    rules.SGD(), rules.Momentum(), rules.Nesterov(), rules.RMSProp(), rules.Adagrad(), rules.Adam(), rules.AdamW(),
    rules.Lion(),
)  # fmt: skip

EACH, STEADY = 3, 0.05

RATES, SEEDS = np.arange(-4.5, 1.01, 0.25), range(300, 308)
"""log10 of the rates of AdamW and the seeds that tell a draw's luck."""

KEPT: dict[str, tuple[int, ...]] = {
    "tried": (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 23, 30, 38, 69, 85),
    "drawn": (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 23, 24, 30, 46, 54),
    "fresh": (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 23, 38, 61, 77, 189),
}
"""The draws of three urns. What is learned from the first may change a search; the others judge it, and the last was
filled when what is lost on the second was known."""

JUDGES = ("drawn", "fresh")


def lot_of(urn: str, number: int) -> Lot:
    return seeds.generator(0, urn, number)


def name_of(number: int) -> str:
    return f"{KINDS[number % len(KINDS)].__name__}_{number}"


def rule_of(urn: str, number: int) -> rules.Rule:
    """Return the rule whose rate is asked for."""
    return one_of(lot_of(urn, number), RULES)


def draw(urn: str, number: int) -> Task:
    """Return the task of a number; two urns have nothing in common but what they are filled with."""
    lot = lot_of(urn, number)
    one_of(lot, RULES)  # the draw of `rule_of`
    return KINDS[number % len(KINDS)](lot)


def tells(problem: Task) -> bool:
    """Whether AdamW with 1cycle at its best rate learns more than a constant output, and luck is little of that."""
    trials = [Trial(Strategy.of("AdamW", "one_cycle", 10.0**x), seed) for x in RATES for seed in SEEDS]
    final = Ensemble(device="cpu").run(problem, trials, problem.steps).final.reshape(len(RATES), len(SEEDS))
    best = final[np.nan_to_num(final.mean(axis=1), nan=np.inf).argmin()]
    start = float(np.mean([problem.score(problem.build(seed)) for seed in SEEDS]))
    return best.mean() < learned_below(problem, start) and best.std(ddof=1) <= STEADY * (start - best.mean())


def main() -> None:
    for urn in KEPT:
        kept: list[int] = []
        for kind in range(len(KINDS)):
            numbers = (number for number in count(kind, len(KINDS)) if tells(draw(urn, number)))
            kept += islice(numbers, EACH)
        print(urn, sorted(kept), flush=True)


if __name__ == "__main__":
    main()
