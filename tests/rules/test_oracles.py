"""Three steps of every rule, to the printed digits.

The numbers come from torch.optim and the authors' packages, run by hand once: `f = .5*(x1**2 + 10*x2**2)` from (1, -2)
in float64. The problem is diagonal, so it separates rules that look at each coordinate from those that look at all.
"""

import numpy as np
import pytest

from stepsize.rules import (
    SGD,
    SPS,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    DAdaptAdam,
    DAdaptSGD,
    DecoupledDecay,
    DoG,
    Lion,
    Momentum,
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

CURVATURE = np.array([1.0, 10.0])

ORACLE = {
    "SGD": (SGD(lr=0.1), (0.9, 0), (0.81, 0), (0.729, 0)),
    "SGD with L2": (SGD(lr=0.1, weight_decay=0.01), (0.899, 0.002), (0.808201, -0.000002), (0.7265727, 0)),
    "heavy ball": (Momentum(lr=0.05), (0.95, -1), (0.8575, 0.4), (0.731375, 1.46)),
    "heavy ball, rate inside": (Momentum(lr=0.05, rate_inside=True), (0.95, -1), (0.8575, 0.4), (0.731375, 1.46)),
    "dampened": (Momentum(lr=0.05, dampening=0.9), (0.95, -1), (0.90025, -0.05), (0.85097375, 0.8075)),
    "Nesterov": (Nesterov(lr=0.05), (0.905, -0.1), (0.778525, 0.805), (0.63146263, 0.80975)),
    "Nesterov, rate inside": (
        Nesterov(lr=0.05, rate_inside=True),
        (0.905, -0.1),
        (0.778525, 0.805),
        (0.63146263, 0.80975),
    ),
    "Adagrad": (Adagrad(lr=0.1), (0.9, -1.9), (0.83310353, -1.83112505), (0.78045618, -1.77582152)),
    "Adadelta": (Adadelta(), (0.99683774, -1.99683772), (0.9935982, -1.99359573), (0.99030908, -1.99030075)),
    "RMSProp": (RMSProp(), (0.90000001, -1.9), (0.83291798, -1.83094333), (0.77998228, -1.77534944)),
    "RMSProp, centred": (
        RMSProp(centered=True),
        (0.89949623, -1.89949622),
        (0.83175939, -1.82975215),
        (0.77806842, -1.77333541),
    ),
    "RMSProp with momentum": (
        RMSPropMomentum(),
        (0.90000001, -1.9),
        (0.74291798, -1.74094333),
        (0.55291495, -1.54412996),
    ),
    "Adam": (Adam(lr=0.1), (0.9, -1.9), (0.80041223, -1.80016649), (0.70158627, -1.70062339)),
    "AMSGrad": (AMSGrad(lr=0.1), (0.9, -1.9), (0.80041223, -1.80016649), (0.70158627, -1.70062339)),
    "AdamW": (
        AdamW(lr=0.1, weight_decay=0.1),
        (0.89, -1.88),
        (0.78157186, -1.76140895),
        (0.67510122, -1.64436868),
    ),
    "AdamW from Adam": (
        DecoupledDecay(Adam(lr=0.1, weight_decay=0.1)),
        (0.89, -1.88),
        (0.78157186, -1.76140895),
        (0.67510122, -1.64436868),
    ),
    "AdaMax": (AdaMax(lr=0.1), (0.9, -1.9), (0.80516833, -1.80253411), (0.71549947, -1.70764823)),
    "NAdam": (NAdam(lr=0.1), (0.89435482, -1.89435482), (0.81997307, -1.81789753), (0.75272927, -1.7475085)),
    "RAdam": (RAdam(lr=0.1), (0.9, 0), (0.80526316, 0.94736842), (0.71577005, 1.19557196)),
    "Lion": (Lion(lr=0.1), (0.9, -1.9), (0.8, -1.8), (0.7, -1.7)),
    "DoG": (DoG(reps_rel=0.01), (0.99838398, -1.9676797), (0.9972339, -1.94501312), (0.99562772, -1.91368599)),
    "D-Adapted SGD": (
        DAdaptSGD(d0=0.01),
        (0.99950062, -1.99001248),
        (0.9990015, -1.98007483),
        (0.99850262, -1.97018681),
    ),
    "D-Adapted Adam": (
        DAdaptAdam(d0=0.01),
        (0.96837723, -1.96837722),
        (0.9259224, -1.92590031),
        (0.61928335, -1.61358845),
    ),
    "Prodigy": (
        Prodigy(d0=0.01),
        (0.96837723, -1.96837722),
        (0.9259224, -1.92590031),
        (0.84863456, -1.84874111),
    ),
    "Schedule-Free SGD": (ScheduleFreeSGD(lr=0.05), (0.95, -1), (0.923875, -0.725), (0.8982725, -0.505)),
    "Schedule-Free AdamW": (
        ScheduleFreeAdamW(lr=0.1),
        (0.9, -1.9),
        (0.84796539, -1.84642718),
        (0.79683008, -1.79327855),
    ),
}

READOUTS = {"Schedule-Free SGD": (0.90293542, -0.54583333), "Schedule-Free AdamW": (0.80614103, -1.80294836)}


def walk(rule, steps, p=(1.0, -2.0), curvature=CURVATURE):
    """The parameters after each step, and the weights to evaluate at."""
    p = np.array([p])
    slots = rule.init(p, np)
    path = []
    for k in range(1, steps + 1):
        c = rule.coefficients(rule.hyperparameters, k)
        c["loss"] = 0.5 * (curvature * p * p).sum(axis=-1, keepdims=True)
        p, slots = rule.step(p, curvature * p, slots, c, np)
        path.append(p[0])
    return path, rule.readout(p, slots, np)[0]


@pytest.mark.parametrize("name", ORACLE)
def test_three_steps_are_the_printed_ones(name):
    """Eight decimals are printed, and seven in one row."""
    rule, *printed = ORACLE[name]
    path, _ = walk(rule, 3)
    np.testing.assert_allclose(path, printed, rtol=0, atol=5.1e-8 if name == "SGD with L2" else 5.1e-9)


@pytest.mark.parametrize("name", READOUTS)
def test_the_weights_to_evaluate_at_are_the_printed_ones(name):
    _, readout = walk(ORACLE[name][0], 3)
    np.testing.assert_allclose(readout, READOUTS[name], rtol=0, atol=5.1e-9)


def test_polyaks_step_halves_the_way_on_a_sum_of_squares():
    """The example of optax.polyak_sgd: x = (1, 2, 3), f = sum(x**2) falls 14, 3.5, .875."""
    path, _ = walk(Polyak(), 3, (1.0, 2.0, 3.0), np.full(3, 2.0))
    assert [(p * p).sum() for p in path] == [3.5, 0.875, 0.21875]


def test_the_stochastic_polyak_step_is_bounded_by_the_rate_and_by_its_growth():
    """With c = 1/2 the step on `a*x**2/2` is 1/a: one step to the minimum, unless a bound is shorter."""
    for rule, first in ((SPS(lr=1.0), 0.0), (SPS(lr=0.1), 0.6), (SPS(lr=1.0, growth=2.0, initial=0.05), 0.6)):
        path, _ = walk(rule, 2, (1.0,), np.full(1, 4.0))
        np.testing.assert_allclose(path[0], first, atol=1e-15)
    np.testing.assert_allclose(path[1], 0.6 * (1 - 4 * 0.2), rtol=1e-14)


def test_dampening_is_not_applied_to_the_first_gradient():
    full, dampened = (walk(Momentum(lr=0.05, dampening=d), 1)[0][0] for d in (0.0, 0.9))
    np.testing.assert_array_equal(full, dampened)


def test_the_variance_of_rmsprop_is_not_taken_below_zero():
    """A constant gradient has a variance of 0, which float32 rounds to less."""
    rule = RMSProp(centered=True, alpha=0.9)
    p = np.full((1, 1000), 1.0, dtype=np.float32)
    g = np.linspace(0.1, 10, 1000, dtype=np.float32)[None]
    slots, low = rule.init(p, np), 0.0
    for k in range(1, 200):
        c = {name: np.float32(value) for name, value in rule.coefficients(rule.hyperparameters, k).items()}
        p, slots = rule.step(p, g, slots, c, np)
        low = min(low, (slots[0] - slots[1] ** 2).min())
    assert low < 0
    assert np.isfinite(p).all()
