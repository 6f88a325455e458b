"""The article's formulas and those of its references, each written anew in a few lines from the paper, to 1e-12.

No library stands between: 1001 steps of a schedule, and 200 updates of a rule on a rotated quadratic with waves, in
float64. A rule gets the gradients at the paper's points: near the minimum RMSProp would enlarge what is rounded.
"""

import math

import numpy as np
import pytest

from stepsize.policies import Policy, exp_range_paper, hann, smith_one_cycle, welch
from stepsize.rules import (
    EMA,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    GradientNoise,
    Momentum,
    NAdam,
    Nesterov,
    RMSProp,
)
from stepsize.schedules import (
    Constant,
    Exponential,
    ExpRange,
    Polynomial,
    PowerLaw,
    Staircase,
    Triangular,
    Triangular2,
)

T, HALF, TOP, LOW = 1000, 125, 0.3, 0.05


def tent(t):
    """Smith's `max(0, 1 - x)`, x from 1 at both ends of a cycle to 0 in its middle, and the number of the cycle."""
    cycle = math.floor(1 + t / (2 * HALF))
    return max(0.0, 1 - abs(t / HALF - 2 * cycle + 1)), cycle


def between(share):
    return LOW + (TOP - LOW) * share


def one_cycle(t, low, top, last):
    """Up over 460 steps and down over as many, between these values, and then the last one."""
    if t < 460:
        return low[0] + (top - low[0]) * t / 460
    return top + (low[1] - top) * (t - 460) / 460 if t < 920 else last


SCHEDULES = {
    "fixed": (Constant(TOP), lambda t: TOP),
    "step": (Staircase(TOP, 0.1, 340), lambda t: TOP * 0.1 ** (t // 340)),
    "exponential": (Exponential(TOP, 0.003, T), lambda t: TOP * math.exp(-math.log(100) / T * t)),
    "polynomial": (Polynomial(TOP, LOW, T, power=2.0), lambda t: between((1 - t / T) ** 2)),
    "polynomial of 0.9": (Polynomial(TOP, LOW, T, power=0.9), lambda t: between((1 - t / T) ** 0.9)),
    "inverse time": (PowerLaw(TOP, exponent=1.0, timescale=100), lambda t: TOP / (1 + 0.01 * t)),
    "1 / sqrt(t)": (PowerLaw(TOP, exponent=0.5, timescale=1), lambda t: TOP / math.sqrt(1 + t)),
    "triangular": (Triangular(LOW, TOP, HALF), lambda t: between(tent(t)[0])),
    "triangular2": (Triangular2(LOW, TOP, HALF), lambda t: between(tent(t)[0] / 2 ** (tent(t)[1] - 1))),
    "exp_range": (ExpRange(LOW, TOP, HALF, gamma=0.999), lambda t: between(tent(t)[0] * 0.999**t)),
    "both bounds": (
        exp_range_paper(TOP, half_cycle=HALF, gamma=0.999)["lr"],
        lambda t: 0.999**t * (TOP / 4 + 3 / 4 * TOP * tent(t)[0]),
    ),
    "Welch": (
        welch(TOP, base=LOW / TOP, half_cycle=HALF)["lr"],
        lambda t: between(1 - (1 - tent(t)[0]) ** 2),
    ),
    "Hann": (
        hann(TOP, base=LOW / TOP, half_cycle=HALF)["lr"],
        lambda t: between((1 - math.cos(math.pi * tent(t)[0])) / 2),
    ),
    "1cycle": (smith_one_cycle(TOP)["lr"], lambda t: one_cycle(t, (TOP / 10, 0.0), TOP, TOP / 10_000)),
    "1cycle, momentum": (smith_one_cycle(TOP)["momentum"], lambda t: one_cycle(t, (0.95, 0.95), 0.85, 0.95)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_the_formula_of_its_paper(name):
    ours, paper = SCHEDULES[name]
    found = Policy(lr=ours).over(T).table(0, T + 1)["lr"]
    steps = range(T) if name.startswith(("1cycle", "step")) else range(T + 1)
    np.testing.assert_allclose(found[: len(steps)], [paper(t) for t in steps], rtol=1e-12, atol=1e-15)


UPDATES, SIZE = 200, 6
RNG = np.random.default_rng(5)
ROTATION = np.linalg.qr(RNG.normal(size=(SIZE, SIZE)))[0]
CURVED = ROTATION @ np.diag(np.geomspace(0.1, 10, SIZE)) @ ROTATION.T
START, NOISE = RNG.normal(size=SIZE), RNG.normal(size=(UPDATES, SIZE))


def gradient(x):
    return CURVED @ x + np.sin(3 * x)


def sgd(x, t, m, v):
    return x - 0.01 * gradient(x), m, v


def momentum(x, t, m, v):
    m = 0.9 * m + 0.01 * gradient(x)
    return x - m, m, v


def adagrad(x, t, m, v):
    g = gradient(x)
    v = v + g**2
    return x - 0.1 / (np.sqrt(v) + 1e-10) * g, m, v


def adadelta(x, t, m, v):
    """m: the mean of the squared updates."""
    g = gradient(x)
    v = 0.9 * v + 0.1 * g**2
    step = np.sqrt(m + 1e-6) / np.sqrt(v + 1e-6) * g
    return x - step, 0.9 * m + 0.1 * step**2, v


def rmsprop(x, t, m, v):
    g = gradient(x)
    v = 0.9 * v + 0.1 * g**2
    return x - 0.01 / (np.sqrt(v) + 1e-8) * g, m, v


def adam(x, t, m, v, decay=0.0):
    g = gradient(x)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x - 0.01 * (step + decay * x), m, v


def adam_with_epsilon_hat(x, t, m, v):
    """Section 2: the order of the computation is another, and epsilon with it."""
    g = gradient(x)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return x - 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8), m, v


def adamax(x, t, m, v):
    g = gradient(x)
    m, v = 0.9 * m + 0.1 * g, np.maximum(0.999 * v, np.abs(g))
    return x - 0.01 / (1 - 0.9**t) * m / v, m, v


def nadam(x, t, m, v):
    """Dozat's, with a constant momentum: the moment is corrected by `1 - b1**(t+1)`."""
    g = gradient(x)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
    return x - 0.01 * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def noisy(x, t, m, v):
    """Neelakantan's noise, whose t begins at 0."""
    return x - 0.01 * (gradient(x) + math.sqrt(0.3 / t**0.55) * NOISE[t - 1]), m, v


RULES = {
    "SGD": (SGD(lr=0.01), sgd),
    "momentum": (Momentum(lr=0.01), momentum),
    "Adagrad": (Adagrad(lr=0.1), adagrad),
    "Adadelta": (Adadelta(), adadelta),
    "RMSProp": (RMSProp(alpha=0.9), rmsprop),
    "Adam": (Adam(lr=0.01), adam),
    "Adam, epsilon hat": (Adam(lr=0.01, epsilon_hat=True), adam_with_epsilon_hat),
    "AdamW": (AdamW(lr=0.01, weight_decay=0.1), lambda *state: adam(*state, decay=0.1)),
    "AdaMax": (AdaMax(lr=0.01, epsilon=0.0), adamax),
    "Nadam": (NAdam(lr=0.01, momentum_decay=1e9), nadam),
    "noise": (GradientNoise(SGD(lr=0.01), 0.3, 0.55), noisy),
}


def path(rule, along=None):
    """The points after each update, and where they are evaluated; the gradients are its own, or those along a path."""
    p, found = START[None], []
    slots = rule.init(p, np)
    for k in range(1, UPDATES + 1):
        c = {**rule.coefficients(rule.hyperparameters, k), "noise": NOISE[k - 1]}
        at = p[0] if along is None or k == 1 else along[k - 2]
        p, slots = rule.step(p, gradient(at)[None], slots, c, np)
        found.append((p[0], rule.readout(p, slots, np)[0]))
    return np.array(found).swapaxes(0, 1)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_the_formula_of_its_paper(name):
    rule, paper = RULES[name]
    x, m, v, expected = START, np.zeros(SIZE), np.zeros(SIZE), []
    for t in range(1, UPDATES + 1):
        x, m, v = paper(x, t, m, v)
        expected.append(x)
    np.testing.assert_allclose(path(rule, expected)[0], expected, rtol=0, atol=1e-12)


def test_nesterovs_gradient_is_at_the_point_ahead():
    """The paper's iterate is x; ours is the point `x - 0.9 v` where the gradient is taken."""
    x, v, expected = START, np.zeros(SIZE), []
    for _ in range(UPDATES):
        v = 0.9 * v + 0.01 * gradient(x - 0.9 * v)
        x = x - v
        expected.append(x - 0.9 * v)
    np.testing.assert_allclose(path(Nesterov(lr=0.01))[0], expected, rtol=0, atol=1e-12)


def test_averages_are_those_of_the_paper_on_adam():
    """Section 7.2: the mean of all points, and the exponential one, divided by `1 - b**t`."""
    points, mean = path(SWA(Adam(lr=0.01)))
    np.testing.assert_allclose(mean, np.cumsum(points, axis=0) / np.arange(1, UPDATES + 1)[:, None], atol=1e-12)
    average, expected = np.zeros(SIZE), []
    for t, x in enumerate(points, 1):
        average = 0.99 * average + 0.01 * x
        expected.append(average / (1 - 0.99**t))
    np.testing.assert_allclose(path(EMA(Adam(lr=0.01), 0.99, corrected=True))[1], expected, rtol=0, atol=1e-12)
