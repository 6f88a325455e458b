"""`build_optimizer`: what torch makes of a rule is the rule, and what torch does not have is stepped by ours."""

import dataclasses

import numpy as np
import pytest
import torch

from stepsize import rules
from stepsize.adapters.torch import RuleOptimizer, build_optimizer, torch_arguments
from stepsize.adapters.torch.optimizers import TWINS, rule_of
from stepsize.kernel.errors import DriveError

STEPS = 20


def changed(kind):
    """A rule of this kind, no hyperparameter of which is the default."""
    usual = kind()
    return kind(**{name: 0.7 * value if value else 0.01 for name, value in usual.hyperparameters.items()})


def ours(rule, start, scale):
    p, seen = start.copy(), []
    slots = rule.init(p, np)
    for k in range(1, STEPS + 1):
        c = rule.coefficients(rule.hyperparameters, np.float64(k))
        p, slots = rule.step(p, scale * p, slots, c, np)
        seen.append(p)
    return np.stack(seen)


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("make", [lambda kind: kind(), changed], ids=["default", "changed"])
def test_torchs_optimizer_is_the_rule(kind, make):
    rule = make(kind)
    start, scale = np.array([[1.0, -2.0, 0.5]]), np.array([[1.0, 4.0, 0.25]])
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer, seen = build_optimizer([parameter], rule), []
    for _ in range(STEPS):
        parameter.grad = torch.from_numpy(scale) * parameter.detach()
        optimizer.step()
        seen.append(parameter.detach().numpy().copy())
    np.testing.assert_allclose(np.stack(seen), ours(rule, start, scale), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_a_switch_that_torch_does_not_have_makes_no_twin(kind):
    taken = {"centered"}
    switches = [field.name for field in dataclasses.fields(kind) if field.type in ("bool", bool)]
    for name in set(switches) - taken:
        rule = kind(**{name: not getattr(kind(), name)})
        with pytest.raises(DriveError, match=f"has no {name}="):
            torch_arguments(rule)
        assert build_optimizer([torch.nn.Parameter(torch.ones(1))], rule).rule == rule


@pytest.mark.parametrize("rule", [rules.Lion(), rules.DoG(), rules.Muon(), rules.ClipNorm(rules.SGD())])
def test_a_rule_that_torch_does_not_have_is_stepped_by_ours(rule):
    with pytest.raises(DriveError, match=r"torch\.optim has no .*build_optimizer makes one"):
        torch_arguments(rule)
    assert isinstance(build_optimizer([torch.nn.Parameter(torch.ones(1))], rule), RuleOptimizer)


@pytest.mark.parametrize("kind", TWINS)
def test_the_rule_of_a_torch_optimizer_is_the_one_that_it_was_made_of(kind):
    rule = kind(lr=0.03)
    assert rule_of(build_optimizer([torch.nn.Parameter(torch.zeros(2))], rule)) == rule


def test_an_optimizer_that_is_none_of_ours_has_no_rule():
    assert rule_of(torch.optim.LBFGS([torch.nn.Parameter(torch.zeros(2))])) is None


def test_a_rate_that_is_a_tensor_is_read_as_a_number():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], lr=torch.tensor(0.5))
    assert rule_of(optimizer).lr == 0.5
