"""The rules against optax, each in optax's convention: 200 random problems, 500 steps, in float64 under JAX.

1e-12 of the larger of 1 and the problem's own largest parameter: the roundings of 500 steps, of which 1e-13 was seen.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweep import PROBLEMS, SIZE, START, STEPS, distance, drawn, gradient, loss, moving, walk
from x64 import enable_x64

from stepsize.rules import (
    EMA,
    SGD,
    SPS,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    ClipNorm,
    ClipValue,
    DAdaptAdam,
    DoG,
    DoWG,
    GradientNoise,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    Polyak,
    Prodigy,
    RAdam,
    RMSProp,
    RMSPropMomentum,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)

TOLERANCE = 1e-12

PRODIGY = 1e-7
"""Its own way from the start decides on the size of its steps, and so rounding does; 1e-9 was seen, in one problem."""


def adam(make, **more):
    def of(lr, h):
        names = {"weight_decay": h["weight_decay"]} if make is optax.adamw else {}
        return make(lr, b1=h["momentum"], b2=h["beta2"], eps=h["epsilon"], **names, **more)

    return of


def rmsprop(**more):
    return lambda lr, h: optax.rmsprop(lr, h["alpha"], h["epsilon"], momentum=h.get("momentum"), **more)


def free(lr, h, base):
    """Its step count begins at 1, and that of its base at 0."""
    return optax.contrib.schedule_free(base, lambda k: lr(k - 1), h["momentum"], h["weight_lr_power"])


CASES = {
    "SGD": (SGD(), lambda lr, h: optax.sgd(lr), (1e-3, 1e-2)),
    "Momentum": (Momentum(), lambda lr, h: optax.sgd(lr, h["momentum"]), (1e-4, 1e-3)),
    "Nesterov": (Nesterov(), lambda lr, h: optax.sgd(lr, h["momentum"], nesterov=True), (1e-4, 1e-3)),
    "Adagrad": (
        Adagrad(initial=0.1, epsilon_inside=True),
        lambda lr, h: optax.adagrad(lr, eps=h["epsilon"]),
        (1e-2, 1e-1),
    ),
    "Adadelta": (Adadelta(), lambda lr, h: optax.adadelta(lr, h["rho"], h["epsilon"]), (0.1, 1.0)),
    "RMSProp": (RMSProp(epsilon_inside=True), rmsprop(), (1e-3, 1e-2)),
    "RMSProp, outside, corrected": (
        RMSProp(corrected=True, initial=0.5),
        rmsprop(eps_in_sqrt=False, bias_correction=True, initial_scale=0.5),
        (1e-3, 1e-2),
    ),
    "RMSProp, centred": (RMSProp(epsilon_inside=True, centered=True), rmsprop(centered=True), (1e-3, 1e-2)),
    "RMSPropMomentum": (RMSPropMomentum(epsilon_inside=True, rate_inside=True), rmsprop(), (1e-4, 1e-3)),
    "Adam": (Adam(), adam(optax.adam), (1e-3, 1e-2)),
    "AdamW": (AdamW(), adam(optax.adamw), (1e-3, 1e-2)),
    "AMSGrad": (AMSGrad(corrected=True), adam(optax.amsgrad), (1e-3, 1e-2)),
    "AdaMax": (AdaMax(), adam(optax.adamax), (1e-3, 1e-2)),
    "NAdam": (NAdam(momentum_decay=1e5), adam(optax.nadam), (1e-3, 1e-2)),
    "RAdam": (RAdam(epsilon_hat=False), adam(optax.radam), (1e-3, 1e-2)),
    "Lion": (
        Lion(),
        lambda lr, h: optax.lion(lr, h["momentum"], h["beta2"], weight_decay=h["weight_decay"]),
        (1e-4, 1e-3),
    ),
    "ClipNorm": (
        ClipNorm(Adam()),
        lambda lr, h: optax.chain(optax.clip_by_global_norm(h["max_norm"]), adam(optax.adam)(lr, h)),
        (1e-3, 1e-2),
    ),
    "ClipValue": (
        ClipValue(Adam()),
        lambda lr, h: optax.chain(optax.clip(h["clip_value"]), adam(optax.adam)(lr, h)),
        (1e-3, 1e-2),
    ),
    "DAdaptAdam": (
        DAdaptAdam(corrected=True, decoupled=True),
        lambda lr, h: optax.contrib.dadapt_adamw(
            lr, (h["momentum"], h["beta2"]), h["epsilon"], weight_decay=h["weight_decay"]
        ),
        (0.5, 2.0),
    ),
    "Prodigy": (
        Prodigy(corrected=True),
        lambda lr, h: optax.contrib.prodigy(
            lr,
            (h["momentum"], h["beta2"]),
            eps=h["epsilon"],
            estim_lr_coef=h["d_coef"],
            weight_decay=h["weight_decay"],
        ),
        (0.5, 2.0),
    ),
    "DoG": (DoG(reps_rel=1e-4), lambda lr, h: optax.contrib.dog(lr, ("heuristic", 1e-4)), (0.5, 1.0)),
    "DoWG": (DoWG(), lambda lr, h: optax.contrib.dowg(lr, 1e-4, h["epsilon"]), (0.5, 1.0)),
    "Polyak": (
        Polyak(clipped=False),
        lambda lr, h: optax.polyak_sgd(1e9, 1.0, h["f_min"], h["epsilon"], "sps"),
        (1.0, 1.0),
    ),
    "SPS": (
        SPS(),
        lambda lr, h: optax.polyak_sgd(h["lr"], 1.0, h["f_min"], h["epsilon"], "sps+"),
        (0.01, 0.1),
    ),
    "ScheduleFreeSGD": (ScheduleFreeSGD(), lambda lr, h: free(lr, h, optax.sgd(lr)), (1e-3, 1e-2)),
    "ScheduleFreeAdamW": (
        ScheduleFreeAdamW(),
        lambda lr, h: free(lr, h, optax.rmsprop(lr, h["beta2"], h["epsilon"], eps_in_sqrt=False, bias_correction=True)),
        (1e-3, 1e-2),
    ),
}

DECAYS = ("AdamW", "Lion", "DAdaptAdam", "Prodigy")
"""Those of optax that have a weight decay."""

STEADY = {"SPS": ("lr",), "Polyak": ("lr",)}
"""Their largest rate and their factor are numbers there."""


def settings(name):
    rule, _, peak = CASES[name]
    h = drawn(rule, peak)[0]
    h |= {"weight_decay": 0.0} if name not in DECAYS else {}
    h |= {key: 0.0 for key in ("dampening", "lr_decay", "r") if key in h}
    h |= {"momentum_decay": 1e5} if name == "NAdam" else {}
    h |= {"c": 1.0} if name == "SPS" else {}
    h |= {"f_min": 0.0, "epsilon": 1.0} if name == "Polyak" else {}  # or flat places would throw it away
    return h, moving(h, ("weight_decay", "momentum", *STEADY.get(name, ())))


def by_optax(make, h, rates):
    """The parameters after each step, (steps, problems, parameters)."""
    table = jnp.asarray(rates)
    tx = optax.with_extra_args_support(make(lambda k: table[k], h))

    def one(p, slope, value, state):
        updates, state = tx.update(slope, state, p, value=value)
        return optax.apply_updates(p, updates), state

    def step(carry, _):
        p, state = carry
        p, state = jax.vmap(one)(p, gradient(p, xp=jnp), loss(p, xp=jnp)[:, 0], state)
        return (p, state), p

    start = jnp.asarray(START)
    return jax.jit(lambda p: jax.lax.scan(step, (p, jax.vmap(tx.init)(p)), length=STEPS)[1])(start)


@pytest.mark.parametrize("name", CASES)
def test_it_is_optax_on_200_problems_over_500_steps(name):
    rule, make, _ = CASES[name]
    if name == "DoG" and "init_step" not in inspect.signature(optax.contrib.dog).parameters:
        pytest.skip("optax's DoG takes the length of its first step since 0.2.6")
    h, table = settings(name)
    with enable_x64(True):
        expected = np.asarray(by_optax(make, h, table["lr"]))
    assert expected.shape == (STEPS, PROBLEMS, SIZE)
    path, _ = walk(rule, [table], expected, PROBLEMS)
    assert distance(path, expected) < (PRODIGY if name == "Prodigy" else TOLERANCE)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (6, 1)])
def test_muon_without_nesterov_is_optax_of_the_transposed(shape):
    """A layer is (outputs, inputs) in torch and here, and (inputs, outputs) in JAX.

    optax corrects the bias of the momentum, of which the orthogonal step sees only the epsilon beside the norm.
    """
    rule = Muon(nesterov=False, weight_decay=0.05).over([shape])
    h = rule.hyperparameters
    with enable_x64(True):
        tx = optax.contrib.muon(1e-3, beta=h["momentum"], weight_decay=0.05, nesterov=False, ns_steps=5)
        update = jax.jit(tx.update)
        q = {"w": jnp.asarray(START[0].reshape(shape).T)}
        state, p = tx.init(q), START[:1]
        slots = rule.init(p, np)
        for k in range(1, 51):
            g = gradient(p, slice(0, 1))
            p, slots = rule.step(p, g, slots, rule.coefficients(h, k), np)
            updates, state = update({"w": jnp.asarray(g.reshape(shape).T)}, state, q)
            q = optax.apply_updates(q, updates)
        np.testing.assert_allclose(p.reshape(shape).T, q["w"], rtol=1e-7)


def test_difference_a_factor_of_polyaks_step_divides_it_in_optax():
    """optax scales the gradient first, and then divides by its squared norm; ours multiplies the step."""
    p, g = np.array([[4.0]]), np.array([[4.0]])
    for factor, theirs, ours in ((1.0, 2.0, 2.0), (2.0, 3.0, 0.0)):
        tx = optax.polyak_sgd(1e9, factor)
        updates, _ = tx.update(jnp.asarray(g), tx.init(jnp.asarray(p)), jnp.asarray(p), value=8.0)
        assert float(p[0, 0] + updates[0, 0]) == theirs
        rule = Polyak(lr=factor)
        c = rule.coefficients(rule.hyperparameters, 1) | {"loss": np.array([[8.0]])}
        assert rule.step(p, g, (), c, np)[0].item() == ours


@pytest.mark.parametrize(("eta", "gamma"), [(0.01, 0.55), (1.0, 0.0), (0.3, 1.5)])
def test_the_noise_of_the_gradient_fades_as_optaxs(eta, gamma):
    """Whatever optax draws, it draws the same for a variance of 1 that stays, so the quotient is the schedule."""
    rule = GradientNoise(SGD(), eta, gamma)
    with enable_x64(True):
        noisy, plain = (optax.add_noise(*numbers, 0) for numbers in ((eta, gamma), (1.0, 0.0)))
        zero = jnp.zeros(3)
        states = [noisy.init(zero), plain.init(zero)]
        for k in range(1, 101):
            (found, states[0]), (unit, states[1]) = noisy.update(zero, states[0]), plain.update(zero, states[1])
            sigma = rule.coefficients(rule.hyperparameters, np.float64(k))["GradientNoise"]
            np.testing.assert_allclose(found, sigma * np.asarray(unit), rtol=1e-12)


def test_the_corrected_average_is_optaxs():
    rule = EMA(SGD(lr=0.01), 0.9, corrected=True)
    p, slots = START, rule.init(START, np)
    with enable_x64(True):
        average = optax.ema(0.9, debias=True)
        state = average.init(jnp.asarray(START))
        for k in range(1, 51):
            p, slots = rule.step(p, gradient(p), slots, rule.coefficients(rule.hyperparameters, k), np)
            found, state = average.update(jnp.asarray(p), state)
            np.testing.assert_allclose(rule.readout(p, slots, np), found, rtol=1e-12, atol=1e-13)
