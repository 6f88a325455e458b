"""200 random problems, 500 steps, in float64: what a rule is run on beside its peer.

`f(x) = s * (sum(log(1 + (A x)**2)) + |x|**2 / 20)`: neither convex nor quadratic, of random sizes s from 1/30 to 30,
and no two alike. Every hyperparameter that a rule has is drawn, four times; the rate, weight decay and momentum move
from step to step.

Both are given the gradient at the peer's point. Each at its own, a steep problem or a rule at the edge of stability
(Prodigy goes there by design) doubles the rounding of one step in each of the next 499, and the test would be of that.
"""

import zlib

import numpy as np

PROBLEMS, STEPS, SIZE, DRAWS = 200, 500, 6, 4
SHARE = PROBLEMS // DRAWS

_NOISE = np.random.default_rng(2)
MIX = _NOISE.normal(size=(PROBLEMS, 4, SIZE))
SCALE = 10 ** _NOISE.uniform(-1.5, 1.5, size=(PROBLEMS, 1))
START = _NOISE.normal(size=(PROBLEMS, SIZE))

WARM = np.minimum((np.arange(STEPS) + 1) / 50, 1.0)
DECAYING = WARM * (0.5 + 0.5 * np.cos(np.pi * np.arange(STEPS) / STEPS))
WAVE = 1 - 0.2 * np.sin(np.arange(STEPS) / 40) ** 2
SHAPES = {"lr": DECAYING, "weight_decay": WAVE, "momentum": WAVE}
"""How those hyperparameters move that do."""

RANGES = {
    "momentum": lambda u: 0.5 + 0.45 * u,
    "beta2": lambda u: 1 - 10 ** (-1 - 2 * u),
    "alpha": lambda u: 1 - 10 ** (-1 - 1.5 * u),
    "rho": lambda u: 0.8 + 0.19 * u,
    "epsilon": lambda u: 10 ** (-8 + 4 * u),
    "weight_decay": lambda u: 0.02 * u,
    "dampening": lambda u: u,
    "lr_decay": lambda u: 0.1 * u,
    "momentum_decay": lambda u: 0.001 + u / 50,
    "d_coef": lambda u: 0.5 + u,
    "f_min": lambda u: -u,
    "c": lambda u: 0.5 + u,
    "weight_lr_power": lambda u: 1 + u,
    "r": lambda u: 0.5 * u,
    "max_norm": lambda u: 0.1 + 2 * u,
    "clip_value": lambda u: 0.1 + u,
    "decay": lambda u: 0.9 + 0.09 * u,
    "gamma": lambda u: 8 * u,
}


def loss(x, rows=slice(None), xp=np):
    """The loss of each problem, (problems, 1)."""
    along = xp.einsum("pij,pj->pi", MIX[rows], x)
    inside = xp.log(1 + along * along).sum(-1) + (x * x).sum(-1) / 20
    return SCALE[rows] * inside[:, None]


def gradient(x, rows=slice(None), xp=np):
    """The gradient of each problem, (problems, parameters)."""
    mix = MIX[rows]
    along = xp.einsum("pij,pj->pi", mix, x)
    return SCALE[rows] * (xp.einsum("pij,pi->pj", mix, 2 * along / (1 + along * along)) + x / 10)


def drawn(rule, peak):
    """Hyperparameters for each of the draws; `peak` is the range of the rate."""
    rng = np.random.default_rng(zlib.crc32(repr(rule).encode()))
    low, high = np.log10(peak)
    draws = []
    for _ in range(DRAWS):
        numbers = {name: float(RANGES[name](rng.uniform())) for name in rule.hyperparameters if name != "lr"}
        draws.append({"lr": float(10 ** rng.uniform(low, high)), **numbers})
    return draws


def moving(draw, still=()):
    """The hyperparameters of each step, (steps,) each."""
    return {
        name: value * (1.0 if name in still else SHAPES.get(name, 1.0)) * np.ones(STEPS) for name, value in draw.items()
    }


def coefficients(rule, tables, rows):
    """The coefficients of each step, (steps, problems, 1) each; `rows` says how many problems a draw has."""
    names = tables[0]
    h = {name: np.concatenate([np.tile(t[name][:, None], rows) for t in tables], axis=1) for name in names}
    found = rule.coefficients(h, np.arange(1.0, STEPS + 1)[:, None])
    width = rows * len(tables)
    return {name: np.broadcast_to(c, (STEPS, width))[:, :, None] for name, c in found.items()}


def walk(rule, tables, along, rows=SHARE, places=slice(None)):
    """The parameters after each step, (steps, problems, parameters), and the weights to evaluate at in the end.

    along: the peer's path, whose gradients these are.
    """
    p = START[places]
    table, slots, path = coefficients(rule, tables, rows), rule.init(p, np), []
    for k, at in enumerate([p, *along[:-1]]):
        c = {name: values[k] for name, values in table.items()}
        if rule.core.takes_loss:
            c["loss"] = loss(at, places)
        p, slots = rule.step(p, gradient(at, places), slots, c, np)
        path.append(p)
    return np.array(path), rule.readout(p, slots, np)


def distance(found, expected):
    """The largest difference, relative to the larger of 1 and the largest parameter of that problem."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.isfinite(expected).all()
    return float((np.abs(found - expected).max(axis=(0, 2)) / np.maximum(1, np.abs(expected).max(axis=(0, 2)))).max())
