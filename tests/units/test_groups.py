"""Parameter groups move together, each at its own ratio."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import LengthError, ParameterError, SpecError
from stepsize.kernel.spec import envelope
from stepsize.policies import RECIPES, Policy
from stepsize.policies.groups import Groups
from stepsize.schedules import Chain, Constant, Cosine, Linear
from stepsize.testing import check_value

POLICY = Policy(lr=Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0), weight_decay=0.01, momentum=0.9)
GROUPS = Groups(POLICY, {"head": {}, "body": {"lr": 0.1}, "norm": {"weight_decay": 0.0, "lr": 1.0}})
CATALOGUE = Catalogue([Groups, Policy, Linear, Cosine, Constant, Chain])


def test_it_is_a_value():
    assert len({GROUPS, Groups(POLICY, GROUPS.by_name)}) == 1
    assert CATALOGUE.open(json.loads(json.dumps(envelope(GROUPS))), Groups) == GROUPS
    check_value(GROUPS)
    check_value(GROUPS.over(100))


def test_its_table_is_the_policys_times_the_ratio():
    bound, table = GROUPS.over(50), GROUPS.over(50).table(0, 60)
    whole = POLICY.over(50).table(0, 60)
    assert list(table) == list(GROUPS) == ["head", "body", "norm"]
    for name, values in whole.items():
        assert np.array_equal(table["head"][name], values)
    np.testing.assert_allclose(table["body"]["lr"], 0.1 * whole["lr"], rtol=1e-12)
    assert not table["norm"]["weight_decay"].any()
    assert np.array_equal(table["norm"]["lr"], whole["lr"])
    assert bound.at(7) == {group: {name: rows[7] for name, rows in named.items()} for group, named in table.items()}


@given(ratio=st.floats(0, 10), step=st.integers(0, 99))
def test_proportions_stay_while_rates_move(ratio, step):
    groups = Groups(POLICY, {"all": {}, "some": {"lr": ratio}}).over(100)
    assert groups["some"].at(step)["lr"] == pytest.approx(ratio * groups["all"].at(step)["lr"], rel=1e-12)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_may_have_groups(name):
    groups = Groups(RECIPES[name](0.1), {"a": {}, "b": {"lr": 0.3}}).over(200)
    table = groups.table(0, 200)
    np.testing.assert_allclose(table["b"]["lr"], 0.3 * table["a"]["lr"], rtol=1e-12)


def test_a_group_may_be_unfrozen_later():
    more = GROUPS.with_group("embedding", lr=0.01)
    assert list(more) == ["head", "body", "norm", "embedding"]
    assert len(GROUPS) == 3
    assert GROUPS.with_group("body", lr=0.5).by_name["body"] == {"lr": 0.5}


def test_the_order_of_groups_is_kept_and_that_of_names_is_not():
    assert Groups(POLICY, {"a": {"lr": 1.0, "momentum": 0.5}}) == Groups(POLICY, {"a": {"momentum": 0.5, "lr": 1.0}})
    assert Groups(POLICY, {"a": {}, "b": {}}) != Groups(POLICY, {"b": {}, "a": {}})


@pytest.mark.parametrize("ratios", [{}, [("head", {})], None, {0: {}}])
def test_what_holds_no_ratios_is_refused(ratios):
    with pytest.raises(ParameterError, match=r"Groups\.ratios cannot be .*: it holds the ratios of one group at least"):
        Groups(POLICY, ratios)


@pytest.mark.parametrize("given", [0.1, Constant(0.1), [("lr", 0.1)], None, "cosine"])
def test_a_group_has_ratios_or_a_policy(given):
    words = r"Groups\.ratios\['head'\] cannot be .*: a group has ratios, such as .*, or a policy of its own, such as"
    with pytest.raises(ParameterError, match=words):
        Groups(POLICY, {"body": {}, "head": given})


@pytest.mark.parametrize("ratio", [-0.1, float("nan"), float("inf"), "1", True, None])
def test_what_is_no_ratio_is_refused(ratio):
    words = r"Groups\.ratios\['body'\] has .* for lr; a ratio is a finite number of at least 0\. Leave it out"
    with pytest.raises(ParameterError, match=words):
        Groups(POLICY, {"body": {"lr": ratio}})


def test_a_ratio_of_what_is_not_scheduled_is_refused_with_the_near_miss():
    with pytest.raises(
        ParameterError, match=r"\['body'\] has a ratio for 'weight_dacay', .* Did you mean 'weight_decay'"
    ):
        Groups(POLICY, {"body": {"weight_dacay": 0.0}})


def test_an_unknown_group_is_refused_with_the_near_miss():
    with pytest.raises(ParameterError, match=r"there is no parameter group 'haed'\. Did you mean 'head'"):
        GROUPS["haed"]


def test_groups_need_a_policy():
    with pytest.raises(ParameterError, match=r"Groups\.policy must be a policy, not Constant"):
        Groups(Constant(0.1), {"a": {}})


OWN = Policy(lr=Linear(0.01, 0.0, "20%") >> Constant(0.0), momentum=0.5)


def test_a_policy_of_its_own_is_all_that_moves_its_group():
    groups = GROUPS.with_group("body", OWN)
    assert list(groups) == ["head", "body", "norm"]
    assert (groups["body"], groups.own, groups.by_name["body"]) == (OWN, {"body": OWN}, OWN)
    table = groups.over(50).table(0, 50)
    assert sorted(table["body"]) == ["lr", "momentum"]
    assert table["body"]["lr"].tolist() == OWN.over(50).table(0, 50)["lr"].tolist()
    assert table["norm"]["lr"].tolist() == POLICY.over(50).table(0, 50)["lr"].tolist()


def test_groups_with_a_policy_of_its_own_are_a_value_too():
    groups = GROUPS.with_group("body", OWN)
    assert CATALOGUE.open(json.loads(json.dumps(envelope(groups))), Groups) == groups != GROUPS
    assert Groups.from_json(groups.to_json()) == groups
    check_value(groups)
    check_value(groups.over(100))


def test_a_file_says_where_a_policy_of_a_group_is_wrong():
    data = envelope(GROUPS.with_group("body", OWN))
    data["value"]["ratios"]["body"]["lr"]["parts"][0]["kind"] = "Linar"
    with pytest.raises(SpecError, match=r"at \$\.value\.ratios\.body\.lr\.parts\[0\]: .* Did you mean 'Linear'"):
        CATALOGUE.open(data, Groups)


def test_a_policy_of_another_horizon_is_refused():
    bound = Groups(POLICY.over(100), {"head": {}, "body": OWN.over(100)})
    assert GROUPS.with_group("body", OWN).over(100).own == bound.own
    with pytest.raises(ParameterError, match=r"\['body'\] is a policy of 50 steps, and the others are of 100\. Leave"):
        bound.with_group("body", OWN.over(50))
    with pytest.raises(LengthError, match=r"in the policy of the parameter group 'body': the parts 20 \+ 80 add up"):
        Groups(POLICY, {"body": OWN.over(100)}).over(90)


def test_a_group_takes_no_ratios_beside_a_policy():
    with pytest.raises(ParameterError, match=r"'body' has ratios or a policy of its own, not both"):
        GROUPS.with_group("body", OWN, lr=0.1)


def test_a_file_is_held_to_the_same():
    data = envelope(GROUPS)
    data["value"]["ratios"]["body"]["lr"] = -1
    with pytest.raises(SpecError, match=r"at \$\.value: Groups\.ratios\['body'\] has -1 for lr"):
        CATALOGUE.open(data, Groups)
