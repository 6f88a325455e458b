"""Muon and Adafactor against torch.optim and Keras, on tensors of every number of axes, in float64.

1e-12 relative where the peer computes in float64 too; torch's Muon orthogonalises in bfloat16.
"""

import numpy as np
import pytest
import torch
from torch import optim

from stepsize.rules import Adafactor, AdamW, Muon

pytestmark = pytest.mark.usefixtures("double")

SHAPES = (4, 3), (3,), (2, 5), (2, 3, 4), ()
SIZES = [int(np.prod(shape)) for shape in SHAPES]
STEPS = 60
RNG = np.random.default_rng(4)
START = RNG.normal(size=(3, sum(SIZES)))
PULL = RNG.normal(size=(3, sum(SIZES), sum(SIZES))) / 6
LR = 0.02 * np.cos(np.linspace(0, 1.5, STEPS))


def gradient(p):
    return np.einsum("rij,rj->ri", PULL, np.tanh(np.einsum("rji,rj->ri", PULL, p)))


def run(rule, steps=STEPS):
    bound, p, path = rule.over(SHAPES), START, []
    slots = bound.init(p, np)
    for k in range(steps):
        c = bound.coefficients({**rule.hyperparameters, "lr": LR[k]}, k + 1)
        p, slots = bound.step(p, gradient(p), slots, c, np)
        path.append(p)
    return np.array(path)


def by_torch(make, steps=STEPS):
    """Each of three models: parameters of the given shapes, and the optimizers that `make` returns for them."""
    models = [
        [torch.nn.Parameter(torch.tensor(piece.reshape(s))) for piece, s in zip(_split(row), SHAPES, strict=True)]
        for row in START
    ]
    optimizers, path = [make(model) for model in models], []
    for k in range(steps):
        slopes = gradient(np.array([_joined(model) for model in models]))
        for model, group, slope in zip(models, optimizers, slopes, strict=True):
            for p, piece in zip(model, _split(slope), strict=True):
                p.grad = torch.tensor(piece.reshape(p.shape))
            for optimizer in group:
                optimizer.param_groups[0]["lr"] = LR[k] * optimizer.param_groups[0].get("ratio", 1.0)
                optimizer.step()
        path.append([_joined(model) for model in models])
    return np.array(path)


def _split(row):
    return np.split(row, np.cumsum(SIZES)[:-1])


def _joined(model):
    return np.concatenate([p.detach().numpy().ravel() for p in model])


def since(version, name):
    """A mark for a test against a class that older versions of torch lack."""
    return pytest.mark.skipif(not hasattr(optim, name), reason=f"torch.optim has {name} since torch {version}")


@since("2.5", "Adafactor")
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adafactor_is_torchs(decay):
    rule = Adafactor(weight_decay=decay, clip=1.3, beta2_decay=0.7, floor=0.01)
    expected = by_torch(
        lambda m: [optim.Adafactor(m, 1.0, beta2_decay=-0.7, eps=(None, 0.01), d=1.3, weight_decay=decay)]
    )
    np.testing.assert_allclose(run(rule), expected, rtol=1e-11, atol=1e-12)


@since("2.5", "Adafactor")
def test_the_epsilon_of_adafactor_is_torchs():
    expected = by_torch(lambda m: [optim.Adafactor(m, 1.0, eps=(0.3, 1e-3))])
    np.testing.assert_allclose(run(Adafactor(epsilon=0.3)), expected, rtol=1e-11, atol=1e-12)


def muon(rule):
    """torch's Muon for the matrices and its AdamW for the rest."""

    def make(model):
        matrices = [p for p in model if p.ndim == 2]
        others = [p for p in model if p.ndim != 2]
        how = "match_rms_adamw" if rule.match_rms else None
        betas, decay = (rule.adam_momentum, rule.beta2), rule.weight_decay
        first = optim.Muon(matrices, 1.0, decay, rule.momentum, nesterov=rule.nesterov, adjust_lr_fn=how)
        second = optim.AdamW(others, 1.0, betas=betas, eps=rule.epsilon, weight_decay=decay)
        second.param_groups[0]["ratio"] = rule.adam_ratio
        return [first, second]

    return make


MUONS = [Muon(), Muon(match_rms=True, adam_ratio=0.3, beta2=0.95), Muon(nesterov=False, momentum=0.8, weight_decay=0.0)]


@since("2.9", "Muon")
@pytest.mark.parametrize("rule", MUONS, ids=["default", "match_rms", "no nesterov"])
def test_muon_is_torchs_in_float64(rule, monkeypatch):
    """With its bfloat16 taken for the precision that the parameters have, however it is asked for."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    monkeypatch.setattr(torch, "bfloat16", torch.float64)
    np.testing.assert_allclose(run(rule), by_torch(muon(rule)), rtol=1e-11, atol=1e-12)


@since("2.9", "Muon")
def test_difference_muon_iterates_in_the_parameters_precision_and_torch_in_bfloat16():
    """bfloat16 has 8 bits: five iterations are off by some percent of a step, here of 0.02 a coordinate."""
    apart = np.abs(run(Muon(), 10) - by_torch(muon(Muon()), 10)).max()
    assert 1e-6 < apart < 10 * 0.02 * 0.1


def test_what_is_no_matrix_moves_as_under_adamw():
    rule = Muon(adam_ratio=0.5)
    plain = AdamW(weight_decay=rule.weight_decay)
    bound, slots, p, q = rule.over([(5,)]), None, START[:, :5], START[:, :5]
    slots, other = bound.init(p, np), plain.init(q, np)
    for k in range(1, 30):
        g = np.cos(p)
        p, slots = bound.step(p, g, slots, bound.coefficients({**rule.hyperparameters, "lr": 0.02}, k), np)
        q, other = plain.step(q, g, other, plain.coefficients({**plain.hyperparameters, "lr": 0.01}, k), np)
    np.testing.assert_array_equal(p, q)


def test_a_step_of_muon_is_nearly_orthogonal():
    """Its singular values come out between about 0.7 and 1.2, whatever the gradient's are."""
    g = RNG.normal(size=(50, 6, 4)) * 10 ** RNG.uniform(-3, 3, size=(50, 1, 1))
    rule = Muon(weight_decay=0.0).over([(6, 4)])
    p = np.zeros((50, 24))
    c = rule.coefficients({**rule.rule.hyperparameters, "lr": 1.0}, 1)
    new, _ = rule.step(p, g.reshape(50, -1), rule.init(p, np), c, np)
    values = np.linalg.svd(new.reshape(50, 6, 4), compute_uv=False) / np.sqrt(6 / 4)
    assert values.min() > 0.4
    assert values.max() < 1.25
