"""What is believed before anything runs, of every rule and policy there is."""

import math

import pytest

from stepsize import rules
from stepsize.jobs.advise.belief import prior
from stepsize.jobs.advise.field import complement, families, primary
from stepsize.policies import RECIPES
from stepsize.rules import SGD, Adam, AdamW, ClipNorm, Momentum
from stepsize.search_space import POLICIES, RULES
from stepsize.strategy import Strategy, find_rule, known_rules

KINDS = sorted(name for name, kind in known_rules().items() if kind.core is rules.Rule.core)
"""Those that wrap no other rule."""


@pytest.mark.parametrize("policy", ["one_cycle", "wsd", "constant", "noam"])
@pytest.mark.parametrize("name", KINDS)
def test_every_rule_has_a_prior(name, policy):
    found = prior.family_prior(Strategy.of(find_rule(name), policy, 1.0))
    assert math.isfinite(found.offset)
    assert 0 <= found.spread < 1.5
    assert abs(found.offset) < 3


@pytest.mark.parametrize("policy", sorted(RECIPES))
def test_every_policy_has_a_prior(policy):
    found = prior.family_prior(Strategy.of("AdamW", policy, 1.0))
    assert abs(found.offset) < 1.5


def test_the_reference_families_are_the_centres_of_their_groups():
    for rule in ("AdamW", "Momentum", "Prodigy"):
        found = prior.family_prior(Strategy.of(rule, "one_cycle", 1.0))
        assert (found.offset, found.spread) == (0.0, 0.0)


def test_a_wrapped_rule_is_like_the_rule_in_it_and_adam_like_adamw():
    adam = prior.family_prior(Strategy.of("AdamW", "wsd", 1.0))
    for rule in (ClipNorm(AdamW()), Adam()):
        assert prior.family_prior(Strategy.of(rule, "wsd", 1.0)).offset == adam.offset


def test_a_class_that_is_one_of_ours_is_believed_to_be_like_it():
    for named in ("torch.optim.AdamW", "torch.optim.SGD(momentum=0.9,nesterov=True)", "torch.optim.RMSprop"):
        rule = find_rule(named)
        theirs, ours = (prior.family_prior(Strategy.of(each, "wsd", 1.0)) for each in (rule, rule.known))
        assert (theirs.group, theirs.offset, theirs.spread) == (ours.group, ours.offset, ours.spread)


def test_of_a_class_that_nothing_is_known_of_the_belief_is_wide_and_around_its_own_default():
    known = prior.family_prior(Strategy.of("RMSProp", "one_cycle", 1.0))
    for rate, offset in ((1e-3, 0.0), (1e-1, 2.0)):
        found = prior.family_prior(Strategy.of(find_rule(f"torch.optim.Rprop(lr={rate})"), "one_cycle", 1.0))
        assert found.group == "adaptive"
        assert found.spread > known.spread + 0.5
        assert found.offset == pytest.approx(offset)
        assert (found.loses > 0).all()


def test_a_step_is_as_long_as_the_momentum_makes_it():
    usual = prior.family_prior(Strategy.of("Momentum", "wsd", 1.0)).offset
    assert prior.family_prior(Strategy.of(SGD(), "wsd", 1.0)).offset == pytest.approx(usual + 1)
    heavy = Momentum(momentum=0.99)
    assert prior.family_prior(Strategy.of(heavy, "wsd", 1.0)).offset == pytest.approx(usual - 1)


def test_the_search_begins_with_what_forgives_and_is_known_best():
    field = families(RULES, POLICIES)
    assert str(primary(field).family) == "AdamW one_cycle"
    assert str(primary(families((Momentum(), SGD()), ("cosine", "constant"))).family).endswith("cosine")


def test_the_second_family_is_of_another_rule():
    field = families(RULES, POLICIES)
    first = primary(field)
    assert type(complement(field, first).rule) is not type(first.rule)
    assert complement([first], first) is None


def test_the_default_field_has_what_people_train_with():
    assert {"warmup_cosine", "warmup_linear", "one_cycle", "wsd"} <= set(POLICIES)
