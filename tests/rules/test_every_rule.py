"""What holds for every rule of the catalogue, its switches turned both ways."""

import dataclasses

import numpy as np
import pytest
import torch

from stepsize import schedules
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import hints
from stepsize.results.io import CATALOGUE, dumps, loads
from stepsize.rules import EMA, SGD, SPS, ClipNorm, DAdaptAdam, DAdaptSGD, DecoupledDecay, Muon, Prodigy, RMSProp, Rule
from stepsize.strategy import known_rules
from stepsize.testing import check_rule

EVERY = {name: kind() for name, kind in known_rules().items()}


def switched():
    """Each rule with each of its switches turned, and with what is not given by default."""
    for name, rule in EVERY.items():
        for field, hint in hints(type(rule)).items():
            if hint is bool:
                yield f"{name} {field}", dataclasses.replace(rule, **{field: not getattr(rule, field)})
    for rule in (DAdaptSGD(momentum=0.9), DAdaptAdam(), Prodigy(), SPS()):
        yield f"{type(rule).__name__} growth", dataclasses.replace(rule, growth=1.05)
    yield "Prodigy beta3", Prodigy(beta3=0.9)
    yield "RMSProp initial", RMSProp(initial=0.5)
    yield "all at once", EMA(ClipNorm(DecoupledDecay(Muon())))


SWITCHED = dict(switched())
SHAPES = (2, 3), (3,), (), (2, 1, 2)


@pytest.mark.parametrize("name", SWITCHED)
def test_a_rule_keeps_the_laws_with_each_switch_turned(name):
    check_rule(SWITCHED[name], libraries=("torch",))
    assert loads(dumps(SWITCHED[name]), Rule) == SWITCHED[name]


@pytest.mark.parametrize("name", EVERY | SWITCHED)
def test_a_step_stays_on_the_device_of_the_parameters(name):
    """The meta device holds no values, yet refuses to mix with another, as an accelerator does."""
    rule = (EVERY | SWITCHED)[name].over(SHAPES)
    p, g = torch.empty(4, 14, device="meta"), torch.empty(4, 14, device="meta")
    c = {key: torch.empty(4, 1, device="meta") for key in rule.coefficients(rule.hyperparameters, 1)}
    c |= {"loss": torch.empty(4, 1, device="meta")} if rule.core.takes_loss else {}
    c |= {"noise": torch.empty(4, 14, device="meta")} if rule.takes_noise else {}
    slots = rule.init(p, torch)
    new, after = rule.step(p, g, slots, c, torch)
    out = (new, *after, rule.readout(new, after, torch))
    assert {each.device.type for each in out} == {"meta"}
    assert [each.shape for each in after] == [each.shape for each in slots]
    assert new.shape == out[-1].shape == p.shape


@pytest.mark.parametrize("name", EVERY)
def test_hyperparameters_are_numbers_and_every_rule_has_a_rate_and_a_decay(name):
    rule = EVERY[name]
    assert {"lr", "weight_decay"} <= set(rule.hyperparameters)
    assert all(type(value) is float for value in rule.hyperparameters.values())
    assert (rule.lr, rule.weight_decay) == (rule.hyperparameters["lr"], rule.hyperparameters["weight_decay"])


def test_a_rule_without_a_rate_is_refused_at_construction():
    @dataclasses.dataclass(frozen=True)
    class Still(Rule):
        facts = SGD.facts
        weight_decay: float = 0.0

        def coefficients(self, h, k):
            return dict(h)

        def step(self, p, g, slots, c, xp):
            return p, ()

    with pytest.raises(ParameterError, match="Still has no hyperparameter 'lr', which every rule has; give it a field"):
        Still()


@pytest.mark.parametrize("name", EVERY)
def test_every_hyperparameter_moves_something(name):
    """Halved from the third step on, with weight decay and a loss in play, it changes where the rule arrives."""
    rule = EVERY[name].over(((3, 2), (2,)))
    h = {**rule.hyperparameters, "weight_decay": 0.1, "lr": 0.5 * EVERY[name].lr}
    h |= {"f_min": -1.0, "epsilon": 0.5} if rule.core.takes_loss else {}
    h |= {"floor": 2.0} if "floor" in h else {}
    h |= {"lr": 0.01} if name == "SPS" else {}
    plain = arrival(rule, h, {})
    for field, value in h.items():
        lower = {field: value / 2 if value else 0.5}
        if name == "SPS" and field in {"f_min", "c", "epsilon"}:
            continue  # it is at its bound, lr; Polyak and the oracles hold what is inside
        assert not np.array_equal(arrival(rule, h, lower), plain), field


def arrival(rule, h, later):
    p = np.linspace(-1, 1, 8)[None]
    slots = rule.init(p, np)
    for k in range(1, 9):
        c = rule.coefficients({**h, **(later if k > 2 else {})}, k)
        g = np.cos(3 * k * p) + p
        heard = {"loss": (g * g).sum(axis=-1, keepdims=True), "noise": np.sin(7 * k * p)}
        p, slots = rule.step(p, g, slots, {**c, **heard}, np)
    return np.concatenate([p, rule.readout(p, slots, np)])


def test_no_kind_of_rule_has_the_name_of_a_schedule():
    assert not set(EVERY) & set(CATALOGUE.of(schedules.Schedule))
