"""The rules against Keras, each in Keras's convention, in float64.

1e-11 relative over 100 steps. The rates are powers of 2: Keras keeps a rate in float32.
"""

import os

import numpy as np
import pytest
from sweep import START, gradient

from stepsize.rules import (
    EMA,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    ClipNorm,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    RMSProp,
    RMSPropMomentum,
)

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
optimizers = keras.optimizers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS, LR = 100, 2.0**-8
PLACES = slice(0, 20)

CASES = {
    "Momentum": (Momentum(lr=LR, rate_inside=True), lambda: optimizers.SGD(LR, 0.9)),
    "Nesterov": (Nesterov(lr=LR, rate_inside=True), lambda: optimizers.SGD(LR, 0.9, nesterov=True)),
    "Adagrad": (
        Adagrad(lr=LR, epsilon=1e-7, epsilon_inside=True, initial=0.1),
        lambda: optimizers.Adagrad(LR),
    ),
    "Adadelta": (Adadelta(lr=LR, rho=0.95, epsilon=1e-7), lambda: optimizers.Adadelta(LR)),
    "RMSProp": (RMSProp(lr=LR, alpha=0.9, epsilon=1e-7, epsilon_inside=True), lambda: optimizers.RMSprop(LR)),
    "RMSProp, centred": (
        RMSProp(lr=LR, alpha=0.9, epsilon=1e-7, epsilon_inside=True, centered=True),
        lambda: optimizers.RMSprop(LR, centered=True),
    ),
    "RMSPropMomentum": (
        RMSPropMomentum(lr=LR, alpha=0.9, epsilon=1e-7, epsilon_inside=True, momentum=0.7, rate_inside=True),
        lambda: optimizers.RMSprop(LR, momentum=0.7),
    ),
    "Adam": (Adam(lr=LR, epsilon=1e-7, epsilon_hat=True), lambda: optimizers.Adam(LR)),
    "AdamW": (
        AdamW(lr=LR, epsilon=1e-7, epsilon_hat=True, weight_decay=2.0**-4),
        lambda: optimizers.AdamW(LR, weight_decay=2.0**-4),
    ),
    "AMSGrad": (AMSGrad(lr=LR, epsilon=1e-7, epsilon_hat=True), lambda: optimizers.Adam(LR, amsgrad=True)),
    "AdaMax": (AdaMax(lr=LR, epsilon=1e-7, epsilon_in_max=False), lambda: optimizers.Adamax(LR)),
    "NAdam": (NAdam(lr=LR, epsilon=1e-7, momentum_decay=1.0), lambda: optimizers.Nadam(LR)),
    "Lion": (Lion(lr=LR), lambda: optimizers.Lion(LR)),
    "Adafactor": (
        Adafactor(lr=LR, epsilon=1e-30, epsilon_inside=True).over([(2, 3)]),
        lambda: optimizers.Adafactor(LR),
    ),
    "Muon": (
        Muon(lr=LR, weight_decay=0.0, match_rms=True).over([(2, 3)]),
        lambda: optimizers.Muon(LR, weight_decay=0.0, exclude_embeddings=False),
    ),
    "ClipNorm": (
        ClipNorm(Adam(lr=LR, epsilon=1e-7, epsilon_hat=True), 0.5),
        lambda: optimizers.Adam(LR, global_clipnorm=0.5),
    ),
    "EMA": (
        EMA(Adam(lr=LR, epsilon=1e-7, epsilon_hat=True), 0.9),
        lambda: optimizers.Adam(LR, use_ema=True, ema_momentum=0.9),
    ),
}
LOOSE = 1e-6
"""Where Keras rounds to float32: NAdam's product, Adafactor's and the average's weights, the clipped norm; and for
Muon, to whose norm it adds the 1e-7 that ours is at least."""


def by_rule(rule, along, places):
    """The path of a rule on the gradients along Keras's path, and the weights to evaluate at."""
    p = START[places]
    slots, path = rule.init(p, np), []
    for k, at in enumerate([p, *along[:-1]], start=1):
        p, slots = rule.step(p, gradient(at, places), slots, rule.coefficients(rule.hyperparameters, k), np)
        path.append(p)
    return np.array(path), rule.readout(p, slots, np)


def by_keras(make, places, shape):
    def numbers(variable):
        return keras.ops.convert_to_numpy(variable).reshape(START[places].shape).copy()

    optimizer = make()
    variable = keras.Variable(START[places].reshape(shape), dtype="float64")
    optimizer.build([variable])
    path = []
    for _ in range(STEPS):
        now = numbers(variable)
        slope = keras.ops.convert_to_tensor(gradient(now, places).reshape(shape), dtype="float64")
        optimizer.apply([slope], [variable])
        path.append(numbers(variable))
    if optimizer.use_ema:
        optimizer.finalize_variable_values([variable])
    return np.array(path), numbers(variable)


@pytest.mark.parametrize("name", CASES)
def test_it_is_keras(name):
    rule, make = CASES[name]
    if name == "Muon" and not hasattr(optimizers, "Muon"):
        pytest.skip("Keras has Muon since 3.10")
    whole = name in {"Adafactor", "Muon", "ClipNorm"}
    places = slice(0, 1) if whole else PLACES
    expected, last = by_keras(make, places, (2, 3) if whole else START[places].shape)
    path, readout = by_rule(rule, expected, places)
    tolerance = LOOSE if name in {"NAdam", "Adafactor", "Muon", "ClipNorm", "EMA"} else 1e-11
    np.testing.assert_allclose(path, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(readout, last, rtol=tolerance, atol=tolerance)
