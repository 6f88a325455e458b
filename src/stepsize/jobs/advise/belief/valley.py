"""A valley: how much a run loses at a distance from its best rate, and where the best rate of some runs may lie.

A hypothesis is a shape, one of the valleys of other tasks; its centre, the best log10 rate; and how much lower than the
best loss seen the bottom lies. Losses near the best seen count by value, worse ones by order alone: far up its walls
one valley is unlike another, and a likelihood that believes the shapes there is led astray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stepsize.kernel.arrays import Floats, floats

STEP = 0.05
"""Between neighbouring centres, and between the points of a shape, in decades."""

DISTANCES = np.round(np.arange(-3.0, 2.0 + STEP / 2, STEP), 3)
"""Where a shape is known: decades above the best rate."""

DEEPER = floats([0.97, 0.985, 1, 1.01, 1.02, 1.04, 1.07, 1.12, 1.2, 1.35, 1.6, 2, 3, 6])
"""What the bottom gains, as a multiple of what the best run gained."""

PRIOR_OF_DEEPER = np.log([0.5, 1, 1.5, 1.5, 1.5, 1.5, 1.5, 1.2, 1, 0.8, 0.5, 0.3, 0.15, 0.08])

NEAR, CLEAR = 0.25, 2.0
"""Losses within this share of the gain, or so many standard deviations of the best one, count by value."""

WORSE = 5.0
"""Log odds against a centre at which a run that was clearly worse would not have been."""

MARGIN = 0.02
"""How much lower than at the best run, as a share of the gain, the loss at a worse one may have been expected."""

ROUGH = 0.3
"""How far up a shape's walls its value may be wrong: the standard deviation of a loss grows so much with its height."""

HOT = 3.0
"""Log odds against a best rate above one that did harm or diverged."""

FREEDOM = 4.0
"""Degrees of freedom of the noise, Student's."""


@dataclass(frozen=True)
class Losses:
    """The runs of one family at one length: where they ran, and what share of the best one's gain each has.

    x: log10 of the peak rates, (runs,). gains: 1 for the best, 0 for one that learned nothing, (runs,).
    dead: log10 of the rates that diverged, or ended above the start, (dead,).
    noise: the standard deviation of a gain, of one seed.
    """

    x: Floats
    gains: Floats
    dead: Floats
    noise: float


def at_distance(shapes: Floats, distance: Floats) -> Floats:
    """Return what share of the gain a run loses at `distance` decades from the best rate, (shapes, *distance)."""
    position = np.clip((distance - DISTANCES[0]) / STEP, 0, len(DISTANCES) - 1.001)
    left = position.astype(int)
    right = position - left
    return floats((1 - right) * shapes[:, left] + right * shapes[:, left + 1])


def log_likelihood(shapes: Floats, centres: Floats, losses: Losses) -> Floats:
    """Return the log likelihood of every shape and centre, (shapes, centres), the depth of the bottom averaged out.

    A single run says nothing: where the best rate lies is learned by comparing.
    """
    total = np.zeros((len(shapes), len(centres), len(DEEPER))) + PRIOR_OF_DEEPER
    if len(losses.x) > 1:
        lost = [at_distance(shapes, x - centres) for x in losses.x]
        best = lost[int(losses.gains.argmax())]
        for own, gain in zip(lost, losses.gains, strict=True):
            if 1 - gain < max(NEAR, CLEAR * losses.noise):
                total += _by_value(own, float(gain), losses.noise)
            else:
                total -= WORSE * (own < best + MARGIN)[..., None]
    for x in losses.dead:
        total -= HOT * (centres > x - 0.1)[None, :, None]
    peak = total.max()
    return floats(peak + np.log(np.exp(total - peak).sum(axis=-1)))


def _by_value(lost: Floats, gain: float, noise: float) -> Floats:
    spread = (noise + ROUGH * min(max(1 - gain, 0.0), 1.0)) * np.maximum(DEEPER, 1)
    return _log_density((gain - DEEPER * (1 - lost)[..., None]) / spread)


def log_of_steep(lost: Floats, seen: float, spread: float) -> Floats:
    """Return the log likelihood of what is said to be lost somewhere, where it is `seen` at least, give or take."""
    return _log_density(np.maximum(seen - lost, 0.0) / spread)


def _log_density(residual: Floats) -> Floats:
    return floats(-(FREEDOM + 1) / 2 * np.log1p(residual**2 / FREEDOM))


def monotone(values: Floats) -> Floats:
    """Return the nearest non-decreasing sequence, by pooling adjacent violators.

    >>> monotone(floats([0, 3, 1, 4])).tolist()
    [0.0, 2.0, 2.0, 4.0]
    """
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return floats([mean for mean, count in blocks for _ in range(count)])


def shape_of(x: Floats, lost: Floats, centre: float) -> Floats:
    """Return the shape that losses make around their best rate, (distances,): 0 there, rising to 1 on both sides.

    x: log10 rates, rising, (rates,). lost: shares of the gain, (rates,). Beyond the rates that ran a shape goes on
    rising, by .6 a decade or more below them, and as a wall above.
    """
    points = centre + DISTANCES
    values = np.interp(points, x, lost)
    low, high = points < x[0] - 1e-9, points > x[-1] + 1e-9
    values[low] = lost[0] + (x[0] - points[low]) * max(0.6, 1 - lost[0])
    values[high] = max(lost[-1], 0.5) + (points[high] - x[-1]) * 4
    bottom = int(np.abs(DISTANCES).argmin())
    falling = monotone(values[: bottom + 1][::-1])[::-1]
    rising = np.maximum.accumulate(values[bottom:])[1:]  # a wall stays a wall
    return floats(np.clip(np.concatenate([falling, rising]) - values[bottom], 0, 1))
