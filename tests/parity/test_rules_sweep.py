"""Every rule against torch.optim or its authors' package: 200 random problems, 500 steps, float64, all that can move
moving.

A tolerance is the largest difference of any parameter at any step, relative to the larger of 1 and the problem's own
largest parameter. The formulas agree term by term, so what is left is the rounding of 500 steps.
"""

from functools import partial

import dadaptation
import dog
import lion_pytorch
import numpy as np
import prodigyopt
import pytest
import pytorch_optimizer
import schedulefree
import torch
from prodigyopt.prodigy_reference import ProdigyReference
from sweep import PROBLEMS, SHARE, SIZE, START, STEPS, distance, drawn, gradient, loss, moving, walk
from torch import optim

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
    PolynomialAverage,
    Prodigy,
    RAdam,
    RMSProp,
    RMSPropMomentum,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)

pytestmark = pytest.mark.usefixtures("double")


def adam(cls, **more):
    def make(p, h):
        return cls(
            p, lr=1.0, betas=(h["momentum"], h["beta2"]), eps=h["epsilon"], weight_decay=h["weight_decay"], **more
        )

    return make


def sgd(p, h, **more):
    return optim.SGD(
        p,
        lr=1.0,
        momentum=h.get("momentum", 0),
        dampening=h.get("dampening", 0),
        weight_decay=h["weight_decay"],
        **more,
    )


def rmsprop(p, h, **more):
    momentum = h.get("momentum", 0)
    return optim.RMSprop(
        p, 1.0, alpha=h["alpha"], eps=h["epsilon"], weight_decay=h["weight_decay"], momentum=momentum, **more
    )


def adagrad(p, h, **more):
    settings = {"lr_decay": h["lr_decay"], "eps": h["epsilon"], "weight_decay": h["weight_decay"]}
    return optim.Adagrad(p, 1.0, **settings, **more)


TOLERANCE = 1e-12
"""Of every rule but one; 1e-15 to 1e-14 was seen."""

ALIG = 1e-6
"""Of the stochastic Polyak step: its peer sums the squares of the gradient in float32."""

ELEMENTWISE = {
    "SGD": (SGD(), sgd, (1e-3, 1e-2)),
    "Momentum": (Momentum(), sgd, (1e-4, 1e-3)),
    "Nesterov": (Nesterov(), partial(sgd, nesterov=True), (1e-4, 1e-3)),
    "Adagrad": (Adagrad(), adagrad, (1e-2, 1e-1)),
    "Adagrad, initial": (Adagrad(initial=0.1), partial(adagrad, initial_accumulator_value=0.1), (1e-2, 1e-1)),
    "Adadelta": (
        Adadelta(),
        lambda p, h: optim.Adadelta(p, 1.0, rho=h["rho"], eps=h["epsilon"], weight_decay=h["weight_decay"]),
        (0.1, 1.0),
    ),
    "RMSProp": (RMSProp(), rmsprop, (1e-3, 1e-2)),
    "RMSProp, centred": (RMSProp(centered=True), partial(rmsprop, centered=True), (1e-3, 1e-2)),
    "RMSPropMomentum": (RMSPropMomentum(), rmsprop, (1e-3, 1e-2)),
    "Adam": (Adam(), adam(optim.Adam), (1e-3, 1e-2)),
    "AdamW": (AdamW(), adam(optim.AdamW), (1e-3, 1e-2)),
    "AMSGrad": (AMSGrad(), adam(optim.Adam, amsgrad=True), (1e-3, 1e-2)),
    "AdaMax": (AdaMax(), adam(optim.Adamax), (1e-3, 1e-2)),
    "NAdam": (NAdam(), lambda p, h: adam(optim.NAdam, momentum_decay=h["momentum_decay"])(p, h), (1e-3, 1e-2)),
    "RAdam": (RAdam(), adam(optim.RAdam), (1e-3, 1e-2)),
    "Lion": (
        Lion(),
        lambda p, h: lion_pytorch.Lion(p, 1.0, (h["momentum"], h["beta2"]), weight_decay=h["weight_decay"]),
        (1e-4, 1e-3),
    ),
    "SGDW": (
        DecoupledDecay(Momentum()),
        lambda p, h: pytorch_optimizer.SGDW(
            p, 1.0, momentum=h["momentum"], dampening=h["dampening"], weight_decay=h["weight_decay"]
        ),
        (1e-4, 1e-3),
    ),
    "ScheduleFreeSGD": (
        ScheduleFreeSGD(),
        lambda p, h: schedulefree.SGDScheduleFree(
            p, 1.0, h["momentum"], h["weight_decay"], r=h["r"], weight_lr_power=h["weight_lr_power"]
        ),
        (1e-3, 1e-2),
    ),
    "ScheduleFreeAdamW": (
        ScheduleFreeAdamW(),
        lambda p, h: schedulefree.AdamWScheduleFree(
            p,
            1.0,
            (h["momentum"], h["beta2"]),
            h["epsilon"],
            h["weight_decay"],
            r=h["r"],
            weight_lr_power=h["weight_lr_power"],
        ),
        (1e-3, 1e-2),
    ),
}

FEW = 3
"""Problems a draw for peers that look at all parameters, and so have to be run one problem at a time."""

WHOLE = {
    "DAdaptSGD": (
        DAdaptSGD(),
        lambda p, h: dadaptation.DAdaptSGD(p, momentum=h["momentum"], weight_decay=h["weight_decay"], d0=1e-6),
    ),
    "DAdaptSGD, held back": (
        DAdaptSGD(d0=1e-3, growth=1.02),
        lambda p, h: dadaptation.DAdaptSGD(
            p, momentum=h["momentum"], weight_decay=h["weight_decay"], d0=1e-3, growth_rate=1.02
        ),
    ),
    "DAdaptAdam": (DAdaptAdam(), adam(dadaptation.DAdaptAdam)),
    "DAdaptAdam, corrected": (
        DAdaptAdam(corrected=True, decoupled=True, d0=1e-4, growth=1.1),
        adam(dadaptation.DAdaptAdam, use_bias_correction=True, decouple=True, d0=1e-4, growth_rate=1.1),
    ),
    "Prodigy, reference": (Prodigy(), lambda p, h: adam(ProdigyReference, d_coef=h["d_coef"])(p, h)),
    "Prodigy": (
        Prodigy(corrected=True, decoupled=False, safeguarded=True, beta3=0.95, d0=1e-4, growth=1.05),
        lambda p, h: adam(
            prodigyopt.Prodigy,
            d_coef=h["d_coef"],
            use_bias_correction=True,
            decouple=False,
            safeguard_warmup=True,
            beta3=0.95,
            d0=1e-4,
            growth_rate=1.05,
        )(p, h),
    ),
    "DoG": (DoG(), lambda p, h: dog.DoG(p, weight_decay=h["weight_decay"])),
    "SPS": (SPS(epsilon=1e-6), lambda p, h: pytorch_optimizer.AliG(p, max_lr=h["lr"])),
}


def write(optimizer, h, k):
    """Set what a torch optimizer has of the hyperparameters of step k."""
    for group in optimizer.param_groups:
        group.update({name: h[name][k] for name in ("lr", "weight_decay") if name in group})
        if "max_lr" in group:
            group["max_lr"] = h["lr"][k]
        if "betas" in group:
            group["betas"] = (h["momentum"][k], group["betas"][1])
        elif "momentum" in group and "momentum" in h:
            group["momentum"] = h["momentum"][k]


def by_peer(make, draw, table, places):
    """The parameters after each step of the peer, and those that it evaluates at, of the problems at `places`."""
    p = torch.nn.Parameter(torch.tensor(START[places]))
    optimizer, path = make([p], draw), []
    if hasattr(optimizer, "train"):
        optimizer.train()
    for k in range(STEPS):
        write(optimizer, table, k)
        now = p.detach().numpy()
        p.grad = torch.tensor(gradient(now, places))
        value = float(loss(now, places).sum())
        optimizer.step(lambda value=value: value)
        path.append(p.detach().numpy().copy())
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return np.array(path), p.detach().numpy().copy()


STILL = {"ScheduleFreeSGD": ("momentum",), "ScheduleFreeAdamW": ("momentum",)}
"""The authors' Schedule-Free recovers x from y, z and the momentum, which must not move then; ours remembers x."""


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_it_is_its_peer_on_200_problems_over_500_steps(name):
    rule, make, peak = ELEMENTWISE[name]
    draws = drawn(rule, peak)
    tables = [moving(draw, STILL.get(name, ())) for draw in draws]
    parts = [slice(i * SHARE, (i + 1) * SHARE) for i in range(len(draws))]
    peers = [by_peer(make, *given) for given in zip(draws, tables, parts, strict=True)]
    expected = np.concatenate([steps for steps, _ in peers], axis=1)
    path, readout = walk(rule, tables, expected)
    assert path.shape == (STEPS, PROBLEMS, SIZE)
    assert distance(path, expected) < TOLERANCE
    assert distance(readout[None], np.concatenate([last for _, last in peers])[None]) < TOLERANCE


@pytest.mark.parametrize("name", WHOLE)
def test_a_rule_with_norms_is_its_peer_one_problem_at_a_time(name):
    rule, make = WHOLE[name]
    draws = drawn(rule, (0.5, 2.0))
    if name == "SPS":
        draws = [{**draw, "c": 1.0, "f_min": 0.0, "epsilon": 1e-6, "weight_decay": 0.0} for draw in draws]
    tables = [moving(draw) for draw in draws]
    places = [draw * SHARE + i for draw in range(len(draws)) for i in range(FEW)]
    alone = [by_peer(make, draws[i // FEW], tables[i // FEW], slice(p, p + 1))[0] for i, p in enumerate(places)]
    expected = np.concatenate(alone, axis=1)
    path, _ = walk(rule, tables, expected, FEW, places)
    assert distance(path, expected) < (ALIG if name == "SPS" else TOLERANCE)


def test_dogs_average_is_its_authors():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.p = torch.nn.Parameter(torch.tensor(START[:1]))

    model = Model()
    optimizer = dog.DoG(model.parameters(), reps_rel=1e-3)
    averager = dog.PolynomialDecayAverager(model)
    path = []
    for _ in range(STEPS):
        model.p.grad = torch.tensor(gradient(model.p.detach().numpy(), slice(0, 1)))
        optimizer.step()
        averager.step()
        path.append(model.p.detach().numpy().copy())
    rule = PolynomialAverage(DoG(reps_rel=1e-3))
    table = {name: np.full(STEPS, value) for name, value in rule.hyperparameters.items()}
    _, readout = walk(rule, [table], path, 1, slice(0, 1))
    np.testing.assert_allclose(readout, averager.averaged_model.p.detach().numpy(), rtol=1e-11)


def test_difference_nadam_keeps_its_product_in_the_default_precision_in_torch():
    """In float32 unless that is changed, whatever the parameters are: 1e-8 of each step."""
    rule, make, peak = ELEMENTWISE["NAdam"]
    (draw, *_), places = drawn(rule, peak), slice(0, SHARE)
    table = moving(draw)
    torch.set_default_dtype(torch.float32)
    expected, _ = by_peer(make, draw, table, places)
    path, _ = walk(rule, [table], expected, SHARE, places)
    assert distance(path, expected) < 1e-6
    p = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    p.grad, optimizer = torch.ones_like(p), optim.NAdam([p])
    optimizer.step()
    assert optimizer.state[p]["mu_product"].dtype == torch.float32


def test_difference_schedule_free_may_move_its_momentum():
    """Ours keeps x, which stays the mean of all z; the authors' recovers it from the momentum of the moment."""
    places = slice(0, 1)
    rule = ScheduleFreeSGD(lr=0.001)
    table = {name: np.full(STEPS, value) for name, value in rule.hyperparameters.items()}
    table["momentum"] = np.linspace(0.9, 0.5, STEPS)
    p = torch.nn.Parameter(torch.tensor(START[places]))
    optimizer = schedulefree.SGDScheduleFree([p], 0.001)
    optimizer.train()
    q, points = START[places], []
    slots = rule.init(q, np)
    for k in range(STEPS):
        c = rule.coefficients({name: values[k] for name, values in table.items()}, k + 1)
        q, slots = rule.step(q, gradient(q, places), slots, c, np)
        points.append(slots[1])
        optimizer.param_groups[0]["momentum"] = table["momentum"][k]
        p.grad = torch.tensor(gradient(p.detach().numpy(), places))
        optimizer.step()
    optimizer.eval()
    mean = np.mean(points, axis=0)
    np.testing.assert_allclose(rule.readout(q, slots, np), mean, rtol=1e-12)
    assert np.abs(p.detach().numpy() - mean).max() > 1e-3
