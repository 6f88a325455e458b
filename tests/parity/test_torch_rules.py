"""Every update rule against torch.optim in float64, step by step, on a problem that is not quadratic.

1e-12 relative: the formulas agree term by term and only the order of roundings differs.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import optim
from x64 import enable_x64

from stepsize.policies import Policy
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp
from stepsize.schedules import Constant, Cosine, Linear, Triangular

STEPS = 50
LR = (Linear(0.02, 0.1, 10) >> Cosine(0.1, 0.001)).over(STEPS)
MOMENTUM = Triangular(0.95, 0.8, 7)
FIXED = Constant(0.9)
CASES = {
    "SGD": (SGD(), optim.SGD, {}, FIXED),
    "SGD with L2": (SGD(weight_decay=0.05), optim.SGD, {"weight_decay": 0.05}, FIXED),
    "Momentum": (Momentum(), optim.SGD, {"momentum": 0.9}, MOMENTUM),
    "Momentum with dampening and L2": (
        Momentum(dampening=0.4, weight_decay=0.05),
        optim.SGD,
        {"momentum": 0.9, "dampening": 0.4, "weight_decay": 0.05},
        MOMENTUM,
    ),
    "Nesterov": (Nesterov(), optim.SGD, {"momentum": 0.9, "nesterov": True}, MOMENTUM),
    "Nesterov with L2": (
        Nesterov(weight_decay=0.05),
        optim.SGD,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
        MOMENTUM,
    ),
    "RMSProp": (RMSProp(), optim.RMSprop, {}, FIXED),
    "RMSProp with L2": (
        RMSProp(alpha=0.9, epsilon=1e-3, weight_decay=0.05),
        optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.05},
        FIXED,
    ),
    "Adam": (Adam(), optim.Adam, {}, FIXED),
    "Adam with L2": (
        Adam(beta2=0.95, epsilon=1e-4, weight_decay=0.05),
        optim.Adam,
        {"betas": (0.9, 0.95), "eps": 1e-4, "weight_decay": 0.05},
        FIXED,
    ),
    "Adam with a moving beta1": (Adam(), optim.Adam, {}, MOMENTUM),
    "AdamW": (AdamW(), optim.AdamW, {}, FIXED),
    "AdamW with its own decay": (AdamW(weight_decay=0.3), optim.AdamW, {"weight_decay": 0.3}, MOMENTUM),
}
cases = pytest.mark.parametrize("name", CASES)

RNG = np.random.default_rng(5)
START = RNG.normal(size=6)
MIX = RNG.normal(size=(8, 6))


def problem(p):
    """A smooth function of p, (6,), that is neither convex nor quadratic."""
    return torch.log1p((torch.as_tensor(MIX, dtype=p.dtype) @ p) ** 2).sum() + torch.sin(3 * p).sum()


def gradient(p):
    q = torch.tensor(np.asarray(p)).requires_grad_()
    (slope,) = torch.autograd.grad(problem(q), q)
    return slope.numpy()


def by_torch(name, dtype=torch.float64):
    """The parameters after each step of torch's optimizer, its groups set from the policy before each."""
    _, optimizer_class, settings, momentum = CASES[name]
    p = torch.nn.Parameter(torch.tensor(START, dtype=dtype))
    optimizer = optimizer_class([p], lr=0.1, **settings)
    (group,) = optimizer.param_groups
    path = []
    for step in range(STEPS):
        group["lr"] = LR(step)
        if "betas" in group:
            group["betas"] = (momentum(step), group["betas"][1])
        elif group["momentum"]:
            group["momentum"] = momentum(step)
        optimizer.zero_grad()
        problem(p).backward()
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.array(path)


def coefficients(name):
    """The coefficients of each step, computed over the whole table at once."""
    rule, _, _, momentum = CASES[name]
    policy = Policy(lr=LR, momentum=momentum).only(rule.hyperparameters)
    fixed = {key: np.full(STEPS, value) for key, value in rule.hyperparameters.items()}
    table = rule.coefficients({**fixed, **policy.table(0, STEPS)}, np.arange(1, STEPS + 1))
    return [{key: float(np.broadcast_to(c, STEPS)[k]) for key, c in table.items()} for k in range(STEPS)]


def by_rule(name, xp=np, convert=np.asarray):
    rule = CASES[name][0]
    p = convert(START[None])
    slots = rule.init(p, xp)
    path = []
    for c in coefficients(name):
        p, slots = rule.step(p, convert(gradient(p[0])[None]), slots, c, xp)
        path.append(np.asarray(p[0]))
    return np.array(path)


@cases
def test_rule_is_torch_optim_step_by_step(name):
    np.testing.assert_allclose(by_rule(name), by_torch(name), rtol=1e-12, atol=1e-12)


@cases
def test_rule_is_the_same_on_torch_and_under_jax(name):
    expected = by_rule(name)
    np.testing.assert_allclose(by_rule(name, torch, torch.as_tensor), expected, rtol=1e-12, atol=1e-12)
    with enable_x64(True):
        np.testing.assert_allclose(by_rule(name, jnp, jnp.asarray), expected, rtol=1e-12, atol=1e-12)


@cases
def test_in_float32_rule_is_torch_optim_to_the_precision_of_float32(name):
    """Both paths part by roundings of 6e-8 that the problem amplifies over 50 steps."""

    def single(values):
        return np.asarray(values, dtype=np.float32)

    ours = by_rule(name, convert=single)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_torch(name, torch.float32), rtol=2e-4, atol=2e-4)


@cases
def test_replicas_along_a_leading_axis_move_as_they_do_alone(name):
    """Three replicas, each with its own rate, in one array and one by one."""
    rule = CASES[name][0]
    factors = np.array([0.5, 1.0, 2.0])
    p = START + np.arange(3.0)[:, None]
    lr = LR.table(0, STEPS)[:, None] * factors
    wide = {key: np.full((STEPS, 3), value) for key, value in rule.hyperparameters.items()} | {"lr": lr}
    table = rule.coefficients(wide, np.arange(1, STEPS + 1)[:, None])
    slots = rule.init(p, np)
    solo = [(p[j : j + 1], rule.init(p[j : j + 1], np)) for j in range(3)]
    for k in range(STEPS):
        g = np.stack([gradient(row) for row in p])
        row = {key: np.broadcast_to(c, (STEPS, 3))[k][:, None] for key, c in table.items()}
        p, slots = rule.step(p, g, slots, row, np)
        for j, (alone, memory) in enumerate(solo):
            own = rule.coefficients({key: float(value[k, j]) for key, value in wide.items()}, k + 1)
            solo[j] = rule.step(alone, g[j : j + 1], memory, own, np)
        np.testing.assert_allclose(p, np.concatenate([alone for alone, _ in solo]), rtol=1e-12, atol=1e-13)


def test_the_defaults_are_those_of_torch():
    p = [torch.nn.Parameter(torch.zeros(1))]
    adam, adamw, rmsprop = (cls(p).defaults for cls in (optim.Adam, optim.AdamW, optim.RMSprop))
    for ours, theirs in ((Adam(), adam), (AdamW(), adamw)):
        assert (ours.lr, ours.momentum, ours.beta2) == (theirs["lr"], *theirs["betas"])
        assert (ours.epsilon, ours.weight_decay) == (theirs["eps"], theirs["weight_decay"])
    assert (RMSProp().lr, RMSProp().alpha, RMSProp().epsilon) == (rmsprop["lr"], rmsprop["alpha"], rmsprop["eps"])


def test_difference_momentum_has_a_default_of_nine_tenths_where_torch_sgd_has_none():
    assert optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1).defaults["momentum"] == 0
    assert Momentum().momentum == Nesterov().momentum == 0.9
    assert SGD().lr == Momentum().lr == Nesterov().lr == 0.1
    assert Momentum().dampening == 0
