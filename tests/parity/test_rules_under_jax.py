"""Every rule compiled by JAX, and in torch, against itself in NumPy: 200 problems, 500 steps, in float64.

All get the gradients at NumPy's points, as in the sweeps. 1e-12 of the larger of 1 and the largest parameter; Prodigy's
steps depend on its own way from the start, and 1e-7 is held for it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sweep import PROBLEMS, START, STEPS, coefficients, distance, gradient, loss, moving
from x64 import enable_x64

from stepsize.rules import EMA, ClipNorm, DecoupledDecay, Muon
from stepsize.strategy import known_rules

EVERY = {name: kind() for name, kind in known_rules().items()}
EVERY["all at once"] = EMA(ClipNorm(DecoupledDecay(Muon())))
SHAPES = (2, 2), (2,)


def prepared(rule):
    """Coefficients, the path in NumPy, and its gradients and losses."""
    bound = rule.over(SHAPES)
    h = {**rule.hyperparameters, "lr": min(rule.lr, 0.5)}
    table = coefficients(bound, [moving(h)], PROBLEMS)
    p, path, slopes, losses = START, [], [], []
    if rule.takes_noise:
        table["noise"] = np.random.default_rng(0).normal(size=(STEPS, *START.shape))
    slots = bound.init(p, np)
    for k in range(STEPS):
        c = {name: values[k] for name, values in table.items()}
        slopes.append(gradient(p))
        losses.append(loss(p))
        if rule.core.takes_loss:
            c["loss"] = losses[-1]
        p, slots = bound.step(p, slopes[-1], slots, c, np)
        path.append(p)
    if rule.core.takes_loss:
        table["loss"] = np.array(losses)
    return bound, table, np.array(slopes), np.array(path), bound.readout(p, slots, np)


def by_jax(bound, table, slopes):
    def step(carry, given):
        p, slots = carry
        p, slots = bound.step(p, given[0], slots, given[1], jnp)
        return (p, slots), p

    def run(p, *given):
        (p, slots), path = jax.lax.scan(step, (p, bound.init(p, jnp)), given)
        return path, bound.readout(p, slots, jnp)

    return jax.jit(run)(jnp.asarray(START), jnp.asarray(slopes), {name: jnp.asarray(c) for name, c in table.items()})


def by_torch(bound, table, slopes):
    p = torch.tensor(START)
    slots, path = bound.init(p, torch), []
    table = {name: torch.tensor(values) for name, values in table.items()}
    for k, g in enumerate(torch.tensor(slopes)):
        p, slots = bound.step(p, g, slots, {name: values[k] for name, values in table.items()}, torch)
        path.append(p)
    return torch.stack(path), bound.readout(p, slots, torch)


@pytest.mark.parametrize("name", EVERY)
def test_a_rule_is_the_same_in_torch_and_compiled_by_jax(name):
    bound, table, slopes, path, readout = prepared(EVERY[name])
    tolerance = 1e-7 if name == "Prodigy" else 1e-12
    with enable_x64(True):
        found, weights = by_jax(bound, table, slopes)
        assert distance(found, path) < tolerance
        assert distance(weights[None], readout[None]) < tolerance
    found, weights = by_torch(bound, table, slopes)
    assert distance(found, path) < tolerance
    assert distance(weights[None], readout[None]) < tolerance
