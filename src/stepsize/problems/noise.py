"""Gradient noise as a value: a pure function of the seed, the step and the place.

Two runs with one seed see the same noise, whichever strategy they follow, however their rows are cut into blocks, and
wherever they begin. The random bits come from NumPy's Philox, whose counter is set to the step and the place; one word
of 64 bits makes two uniform numbers, and one number of noise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.spec import NonNegative, Positive, Spec

NUMBERS = 4
"""Numbers of 64 bits that Philox makes for one count."""


@dataclass(frozen=True)
class Noise(Spec, ABC):
    """What is added to a gradient; `scale` is its size, in units of the gradient unless the class says otherwise.

    multiplies: whether the noise is multiplied by the gradient before it is added.
    """

    multiplies: ClassVar[bool] = False

    scale: NonNegative = 1.0

    @abstractmethod
    def shape(self, u: Floats, v: Floats) -> Floats:
        """Return numbers of the noise's kind, of scale 1, from two uniform numbers in (0, 1) each."""

    def draw(self, seed: int, step: int, first: int, rows: int, columns: int) -> Floats:
        """Return the noise of rows `first` to `first + rows - 1` at `step`, (rows, columns) float64.

        seed: of the run. columns: the dimensions of the landscape.
        """
        u, v = _uniforms(seeds.child(seed, "noise"), step, first * columns, rows * columns)
        return floats(self.scale * self.shape(u, v).reshape(rows, columns))


@dataclass(frozen=True)
class Gaussian(Noise):
    """`g + scale * z`, z normal: the usual model of a mini-batch's error.

    Watch out: as large near a minimum as far away, so a constant rate never settles.
    """

    def shape(self, u: Floats, v: Floats) -> Floats:
        """Return normal numbers [box1958note]."""
        return floats(np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v))


@dataclass(frozen=True)
class StudentT(Noise):
    """`g + scale * t`, t of Student's distribution: heavy tails, as language models have [zhang2020why].

    freedom: degrees of freedom; up to 2 the variance is infinite, up to 1 there is no mean.

    Watch out: the largest of ten million draws is cut off at a probability of 2**-32.
    """

    freedom: Positive = 2.0

    def shape(self, u: Floats, v: Floats) -> Floats:
        """Return Student's numbers [bailey1994polar]."""
        return floats(np.sqrt(self.freedom * np.expm1(-2 / self.freedom * np.log(u))) * np.cos(2 * math.pi * v))


@dataclass(frozen=True)
class Multiplicative(Gaussian):
    """`g * (1 + scale * z)`, z normal: noise that vanishes with the gradient, as in an interpolating model.

    scale: relative to the gradient of each coordinate.

    Watch out: a point without a slope has no noise either, so it shakes no run off a saddle.
    """

    multiplies: ClassVar[bool] = True


def _uniforms(key: int, step: int, first: int, count: int) -> tuple[Floats, Floats]:
    """Return two arrays of `count` uniform numbers, from number `first` on, each a pure function of its place."""
    skip = first % NUMBERS
    source = np.random.Philox(key=key, counter=[first // NUMBERS, step, 0, 0])
    bits = source.random_raw(skip + count)[skip:]
    low, high = bits & np.uint64(0xFFFFFFFF), bits >> np.uint64(32)
    return floats((high + 0.5) * 2.0**-32), floats((low + 0.5) * 2.0**-32)
