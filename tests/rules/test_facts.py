"""What is known of a rule is on the rule: one from a test file is searched, raced, rescaled and limited by itself."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from stepsize import Policy, Task
from stepsize.adapters.torch import RuleOptimizer, build_optimizer, torch_arguments
from stepsize.engines import Ensemble
from stepsize.jobs import advise, race
from stepsize.jobs.range_test.stability_limit import stable_rates
from stepsize.jobs.refine import norm_of
from stepsize.jobs.rescale import rescale_exponent, rescale_to_shape
from stepsize.kernel.errors import ParameterError
from stepsize.policies import constant, linear_to_zero
from stepsize.rules import EMA, SGD, Adam, ClipNorm, DecoupledDecay, DoG, Facts, Lion, Muon, ScheduleFreeSGD, Twin
from stepsize.search_space import policies_of
from stepsize.strategy import Strategy, Trial
from stepsize.testing import check_rule


@dataclass(frozen=True)
class Tenfold(SGD):
    """Gradient descent at ten times the rate: all that is known of it follows from SGD."""

    facts = replace(SGD.facts, threshold=lambda _: 0.2, torch=None, optax=None, keras=None)

    def step(self, p, g, slots, c, xp):
        return super().step(p, g, slots, {**c, "lr": 10 * c["lr"]}, xp)


@dataclass(frozen=True)
class Signs(SGD):
    """The sign of the gradient, times the rate."""

    facts = replace(Lion.facts, decoupled=False, keras=None)

    def step(self, p, g, slots, c, xp):
        return p - c["lr"] * xp.sign(g + c["weight_decay"] * p), ()


@dataclass(frozen=True)
class Renamed(SGD):
    """Torch's gradient descent under another name."""

    facts = SGD.facts


@dataclass(frozen=True)
class Found(SGD):
    """Gradient descent that is said to find its own rate."""

    facts = DoG.facts


@dataclass(frozen=True)
class Averaging(ScheduleFreeSGD):
    """Schedule-Free under another name."""

    facts = ScheduleFreeSGD.facts


@pytest.fixture(scope="module")
def task():
    noise = np.random.default_rng(0)
    x = torch.from_numpy(noise.standard_normal((256, 8))).float()
    y = x @ torch.from_numpy(noise.standard_normal((8, 1))).float()
    y = y + 0.3 * torch.from_numpy(noise.standard_normal((256, 1))).float()
    train, validation = (x[:192], y[:192]), (x[192:], y[192:])
    return Task(lambda: torch.nn.Linear(8, 1), torch.nn.functional.mse_loss, train, validation, 16, 120, "teacher")


@pytest.mark.parametrize("rule", [Tenfold(), Signs()])
def test_its_facts_hold(rule):
    check_rule(rule, libraries=())


def test_it_is_searched(task):
    asked = {"policies": ["linear_to_zero"], "budget": 1.0, "engine": Ensemble()}
    own, found = (advise(task, rules=[rule], **asked).strategy for rule in (SGD(), Tenfold()))
    assert 2 < own.peak / found.peak < 50
    trials = [Trial(strategy.over(120), 7) for strategy in (own, found)]
    scores, start = Ensemble().run(task, trials, 120).final, task.score(task.build(7))
    assert abs(scores[0] - scores[1]) < 0.05 * (start - scores.min())


def test_it_is_raced(task):
    policy, tenth = Policy(lr=linear_to_zero(0.1)["lr"]), Policy(lr=linear_to_zero(0.01)["lr"])
    result = race(task, [Strategy(SGD(), policy, "own"), Strategy(Tenfold(), tenth, "tenfold")], seeds=(0, 1), steps=40)
    scores = result.rungs[-1].scores
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)


def test_it_is_rescaled():
    assert rescale_exponent(Signs()) == rescale_exponent(Lion()) < rescale_exponent(SGD())
    assert rescale_exponent(Tenfold()) == rescale_exponent(SGD()) < 0
    assert rescale_exponent(Found()) == 0
    assert rescale_to_shape(Found(), constant(1.0), linear_to_zero(1.0), 100) == 1
    assert rescale_to_shape(Tenfold(), constant(1.0), linear_to_zero(1.0), 100) > 2


def test_it_is_limited(task):
    assert 10 * stable_rates(task, Tenfold(), (0, 1)) == pytest.approx(stable_rates(task, SGD(), (0, 1)))
    assert stable_rates(task, Signs(), (0,)) is None


def test_it_takes_the_policies_and_the_norm_that_its_facts_say():
    assert policies_of(Averaging(), ("cosine", "constant")) == ("constant",)
    assert policies_of(Tenfold(), ("cosine", "constant")) == ("cosine", "constant")
    assert (norm_of(Tenfold()), norm_of(Signs())) == ("l2", "l1")


def test_it_is_torchs_class_where_it_says_so():
    assert torch_arguments(Renamed(lr=0.3)) == ("SGD", {"lr": 0.3, "weight_decay": 0.0})
    assert type(build_optimizer([torch.nn.Parameter(torch.ones(1))], Tenfold())) is RuleOptimizer


def test_a_rule_that_says_nothing_of_itself_is_refused_when_its_class_is_made():
    with pytest.raises(ParameterError, match=r"the rule Silent does not say .*scale_free.*optax.*write `facts = Facts"):
        type("Silent", (SGD,), {})


def test_a_fact_that_is_forgotten_is_an_error():
    known = {name: getattr(SGD.facts, name) for name in Facts.__annotations__}
    for name in known:
        with pytest.raises(TypeError, match=name):
            Facts(**{other: value for other, value in known.items() if other != name})


def test_a_wrapper_has_the_facts_of_what_is_in_it():
    assert EMA(ClipNorm(Lion())).facts is Lion.facts
    assert Muon().over([(2, 2)]).facts is Muon.facts
    assert DecoupledDecay(Adam()).facts == replace(Adam.facts, decoupled=True)


def test_a_twin_is_named_and_not_imported():
    assert Adam.facts.torch == Twin("Adam", ("momentum", "beta2", "epsilon"))
