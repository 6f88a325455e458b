"""The tasks of the benchmark: varied, small, and in two halves, of which the test half is never used for tuning.

Every task is a function that returns a `stepsize.Task`; its row in PROBLEMS says which rule trains it, and to which
half it belongs. Each rule, and nearly each kind of model, is in both halves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import data
import lots
import models
from torch import nn
from torch.nn import functional

from stepsize import rules
from stepsize.problems import Task
from stepsize.strategy import Strategy

HALVES = ("dev", "test", *lots.JUDGES)
SCHEDULES = ("constant", "cosine", "linear_to_zero", "one_cycle")

SEEDS = range(5)
"""Every method is asked with each of these."""


@dataclass(frozen=True)
class Problem:
    """A task, the rule that trains it, and the half of the benchmark that it belongs to."""

    make: Callable[[], Task]
    rule: rules.Rule
    half: str
    title: str = ""

    @property
    def name(self) -> str:
        return f"{self.title or self.make.__name__}-{type(self.rule).__name__.lower()}"

    @cached_property
    def task(self) -> Task:
        return self.make()

    def strategy(self, schedule: str, rate: float) -> Strategy:
        """Return the rule with the recipe `schedule` at the peak `rate`."""
        return Strategy.of(self.rule, schedule, rate, name=f"{schedule} {rate:.4g}")


def scaled(loss, factor: float):
    """The loss in another unit."""
    return lambda outputs, targets: factor * loss(outputs, targets)


entropy, squares = functional.cross_entropy, functional.mse_loss


def digits_faint() -> Task:
    return Task(partial(models.perceptron, 64, 64, 64, 10), scaled(entropy, 0.01), *data.digits(), 32, 300)


def units_softmax() -> Task:
    return Task(partial(models.linear, 20, 4, bias=True), entropy, *data.units(), 16, 400)


def text_transformer() -> Task:
    model = partial(models.Transformer, data.CHARACTERS, 16, 24, heads=2, blocks=2)
    return Task(model, models.next_character, *data.text(16), 16, 200)


def digits_convolution_norm() -> Task:
    return Task(partial(models.convolutions, nn.BatchNorm2d), entropy, *data.digits((1, 8, 8)), 64, 200)


def ratings_small() -> Task:
    return Task(partial(models.Factors, 60, 80, 4), squares, *data.ratings(60, 80, 3), 128, 400)


def friedman_perceptron() -> Task:
    return Task(partial(models.perceptron, 10, 48, 48, 1), squares, *data.friedman(), 64, 400)


def digits_layer_norm() -> Task:
    return Task(partial(models.perceptron, 64, 48, 48, 10, norm=nn.LayerNorm), entropy, *data.digits(), 128, 300)


def digits_by_rows() -> Task:
    return Task(models.Recurrent, entropy, *data.digits((8, 8)), 32, 300)


def digits_autoencoder() -> Task:
    model = partial(models.perceptron, 64, 48, 12, 48, 64, norm=nn.BatchNorm1d, act=nn.Tanh)
    return Task(model, squares, *data.digits_alone(), 64, 400)


def diabetes_least_squares() -> Task:
    return Task(partial(models.linear, 10, 1, bias=False), squares, *data.diabetes(), 8, 400)


def teacher_loud() -> Task:
    model = partial(models.perceptron, 16, 64, 64, 1)
    return Task(model, scaled(squares, 1000.0), *data.teacher(), 32, 500)


def packages_bag() -> Task:
    return Task(lambda: models.Bag(data.BIGRAMS, 16, len(data.PACKAGES)), entropy, *data.packages(), 64, 300)


def digits_convolution_raw() -> Task:
    return Task(models.convolutions, entropy, *data.digits((1, 8, 8), scale=1.0), 32, 250)


def text_one_block() -> Task:
    model = partial(models.Transformer, data.CHARACTERS, 12, 24, heads=3, blocks=1)
    return Task(model, models.next_character, *data.text(12), 24, 250)


def ratings_large() -> Task:
    return Task(partial(models.Factors, 100, 90, 5), squares, *data.ratings(100, 90, 4), 256, 500)


def cancer_layer_norm() -> Task:
    def model() -> nn.Module:
        return nn.Sequential(nn.LayerNorm(30), *models.perceptron(30, 32, 2))

    return Task(model, entropy, *data.breast_cancer(), 8, 250)


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem(digits_faint, rules.Momentum(), "dev"),
        Problem(units_softmax, rules.SGD(), "dev"),
        Problem(text_transformer, rules.AdamW(), "dev"),
        Problem(digits_convolution_norm, rules.Nesterov(), "dev"),
        Problem(ratings_small, rules.Adagrad(), "dev"),
        Problem(friedman_perceptron, rules.RMSProp(), "dev"),
        Problem(digits_layer_norm, rules.Lion(), "dev"),
        Problem(digits_by_rows, rules.Adam(), "dev"),
        Problem(digits_autoencoder, rules.Adam(), "test"),
        Problem(diabetes_least_squares, rules.SGD(), "test"),
        Problem(teacher_loud, rules.Momentum(), "test"),
        Problem(packages_bag, rules.Adagrad(), "test"),
        Problem(digits_convolution_raw, rules.RMSProp(), "test"),
        Problem(text_one_block, rules.Lion(), "test"),
        Problem(ratings_large, rules.Nesterov(), "test"),
        Problem(cancer_layer_norm, rules.AdamW(), "test"),
        *(
            Problem(partial(lots.draw, urn, number), lots.rule_of(urn, number), urn, f"{urn}_{lots.name_of(number)}")
            for urn in lots.JUDGES
            for number in lots.KEPT[urn]
        ),
    )
}
"""All problems by name."""


def half(name: str) -> list[Problem]:
    """Return the problems of one half."""
    return [problem for problem in PROBLEMS.values() if problem.half == name]
