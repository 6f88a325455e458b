"""Any optimizer of torch as a rule: a name and arguments as data, read without an import, and what is known of it."""

import inspect
import json
import pickle
import subprocess
import sys

import pytest
import pytorch_optimizer
import torch

from stepsize import rules
from stepsize.adapters.torch import RuleOptimizer, build_optimizer, torch_arguments
from stepsize.adapters.torch.groups import read
from stepsize.adapters.torch.optimizers import TWINS, rule_of
from stepsize.kernel.errors import DriveError, MissingPackageError, ParameterError, SpecError
from stepsize.policies import Policy, one_cycle
from stepsize.results.io import dumps, loads
from stepsize.rules import ClipNorm, Momentum, Rule, TorchRule
from stepsize.strategy import Strategy, find_rule

LION = TorchRule(pytorch_optimizer.Lion, betas=(0.9, 0.98), weight_decay=0.1)


class Mine(torch.optim.SGD):
    """An optimizer of the user's own."""


def parameters():
    return [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(3))]


def test_it_prints_as_the_code_that_makes_it_and_goes_through_a_file():
    rule = TorchRule(torch.optim.SGD, momentum=0.9, nesterov=True)
    assert repr(rule) == 'TorchRule("torch.optim.SGD", momentum=0.9, nesterov=True)'
    spec = json.loads(dumps(rule))["value"]
    assert (spec["kind"], spec["optimizer"]) == ("TorchRule", "torch.optim.SGD")
    assert spec["arguments"] == {"momentum": 0.9, "nesterov": True}
    for value in (rule, LION, Strategy.of(LION, "one_cycle", 0.001)):
        for again in (loads(dumps(value)), pickle.loads(pickle.dumps(value))):  # noqa: S301  (written in this line)
            assert again == value
            assert hash(again) == hash(value)
    assert TorchRule("torch.optim.sgd.SGD", {"momentum": 0.9, "nesterov": True}) == rule


def test_reading_a_file_imports_nothing_and_a_run_says_what_is_missing(tmp_path):
    """Neither the package of the class, nor torch; a class that is not installed can be read, looked at and not run."""
    text = dumps(Strategy.of(LION, "one_cycle", 0.001)).replace("pytorch_optimizer.Lion", "not_installed_here.Lion")
    (tmp_path / "strategy.json").write_text(text)
    code = (
        "import sys, stepsize\n"
        "strategy = stepsize.load(sys.argv[1])\n"
        "strategy.over(100).table(0, 100), strategy.family, strategy.at(0.1), strategy.rule.known, repr(strategy)\n"
        "print([name for name in ('torch', 'pytorch_optimizer', 'scipy') if name in sys.modules])\n"
        "strategy.rule.load()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "strategy.json"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]"
    assert "not_installed_here.Lion cannot be imported: there is no module 'not_installed_here' here." in done.stderr
    with pytest.raises(MissingPackageError, match="Install the package that has it"):
        build_optimizer(parameters(), loads(text).rule)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "import os; os.system('x')"}, "TorchRule.optimizer is a dotted name"),
        ({"optimizer": 3}, "TorchRule.optimizer"),
        ({"arguments": {"lr": {"deep": 1}}}, r"TorchRule\.arguments\.lr is \{'deep': 1\}"),
        ({"arguments": [1, 2]}, "TorchRule.arguments are values by name"),
        ({"arguments": {"a b": 1}}, "no name of an argument"),
        ({"defaults": {}}, "has no number lr in its parameter groups"),
        ({"defaults": {"lr": [[[[[0.1]]]]]}}, r"TorchRule\.defaults\.lr"),
        ({"closure": "yes"}, "TorchRule.closure must be a bool"),
        ({"averages": 1}, "TorchRule.averages must be a bool"),
        ({"more": 1}, "TorchRule has no field 'more'"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(change, message):
    data = json.loads(dumps(LION))
    data["value"] |= change
    with pytest.raises(SpecError, match=message):
        loads(json.dumps(data))


def test_a_file_without_what_the_class_has_is_refused_and_nothing_is_imported_to_find_it():
    data = json.loads(dumps(LION))
    del data["value"]["defaults"]
    with pytest.raises(SpecError, match="TorchRule needs the field 'defaults'"):
        loads(json.dumps(data))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (TorchRule(torch.optim.SGD), {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}),
        (
            TorchRule(torch.optim.AdamW, betas=[0.8, 0.99]),
            {"lr": 1e-3, "momentum": 0.8, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 1e-2},
        ),
        (LION, {"lr": 1e-4, "momentum": 0.9, "beta2": 0.98, "weight_decay": 0.1}),
    ],
)
def test_hyperparameters_are_the_numbers_of_its_groups_under_our_names(rule, expected):
    found = rule.hyperparameters
    assert expected.items() <= found.items()
    assert (rule.lr, rule.weight_decay) == (found["lr"], found["weight_decay"])
    group = build_optimizer(parameters(), rule).param_groups[0]
    assert {name: read(group, name) for name in found} == found


def test_other_values_reach_the_class_by_its_own_names():
    rule = TorchRule(torch.optim.AdamW, lr=0.1).having(momentum=0.5, beta2=0.9, epsilon=1e-3, weight_decay=0.0)
    assert rule == TorchRule(torch.optim.AdamW, lr=0.1, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.0)
    assert ClipNorm(Momentum(momentum=0.5)).having(momentum=0.8, max_norm=2.0) == ClipNorm(Momentum(momentum=0.8), 2.0)


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_a_class_that_is_a_rule_of_ours_is_known(kind):
    for rule in (kind(), kind(lr=0.03, weight_decay=0.2)):
        name, arguments = torch_arguments(rule)
        theirs = TorchRule(getattr(torch.optim, name), **arguments)
        assert theirs.known == rule
        assert theirs.facts.euclidean == rule.facts.euclidean
        assert theirs.facts.threshold is rule.facts.threshold


DECOUPLED = pytest.param(
    "torch.optim.Adam(decoupled_weight_decay=True)",
    marks=pytest.mark.skipif(
        "decoupled_weight_decay" not in inspect.signature(torch.optim.Adam).parameters, reason="it came with torch 2.6"
    ),
)


@pytest.mark.parametrize(
    "named",
    [
        "torch.optim.Adam(maximize=True)", DECOUPLED,
        "torch.optim.RAdam(decoupled_weight_decay=True)", "torch.optim.Rprop", "pytorch_optimizer.RAdam",
        "torch.optim.LBFGS",
    ],
)  # fmt: skip
def test_of_another_nothing_is_known(named):
    rule = find_rule(named)
    assert rule.known is rule
    assert set(vars(rule.facts).values()) == {None}
    assert rule_of(build_optimizer([torch.nn.Parameter(torch.ones(2, 2))], rule)) is None


def test_the_family_is_the_class_with_its_arguments_and_not_its_rate():
    one, other = (Strategy(TorchRule(torch.optim.SGD, momentum=0.9, lr=rate), one_cycle(0.1)) for rate in (0.1, 0.2))
    assert one.family == other.family == one.at(0.3).family == loads(dumps(one)).family
    assert one.family != Strategy(TorchRule(torch.optim.SGD, momentum=0.8), one_cycle(0.1)).family
    assert one.family != Strategy(TorchRule(Mine, momentum=0.9), one_cycle(0.1)).family


def test_any_of_its_numbers_is_scheduled_and_none_that_it_has_not():
    rule = TorchRule(torch.optim.Rprop)
    assert set(one_cycle(0.1).only(rule.hyperparameters)) == {"lr"}
    strategy = Strategy(TorchRule(torch.optim.ASGD), Policy(lr=0.1, lambd=one_cycle(0.2)["lr"]))
    assert strategy.over(10).table(0, 10)["lambd"].max() == pytest.approx(0.2)
    with pytest.raises(ParameterError, match=r"torch\.optim\.Rprop has no hyperparameter 'momentum' to schedule"):
        Strategy(rule, one_cycle(0.1))


def test_a_saved_rule_keeps_its_numbers_where_a_package_has_others_by_now():
    data = json.loads(dumps(TorchRule(torch.optim.AdamW)))
    data["value"]["defaults"] |= {"eps": 1e-4, "betas": [0.9, 0.95]}
    group = build_optimizer(parameters(), loads(json.dumps(data), Rule)).param_groups[0]
    assert (group["eps"], group["betas"], group["weight_decay"]) == (1e-4, (0.9, 0.95), 1e-2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TorchRule(torch.nn.Linear), "takes a class of torch's optimizers"),
        (lambda: TorchRule(torch.optim.Optimizer), "takes a class of torch's optimizers"),
        (lambda: TorchRule(torch.optim.SGD(parameters())), "not an instance of SGD"),
        (lambda: TorchRule("SGD"), "or its dotted name, not 'SGD'"),
        (lambda: TorchRule(type("Local", (Mine,), {"__qualname__": "f.<locals>.Local"})), "inside of a function"),
        (lambda: TorchRule(torch.optim.SGD, momentun=0.9), "no argument 'momentun'. Did you mean 'momentum'"),
        (lambda: TorchRule(torch.optim.SGD, lr=torch.tensor(0.1)), "so that a file can hold it"),
        (lambda: TorchRule(torch.optim.SGD, lr=float("inf")), "finite numbers"),
        (lambda: TorchRule(torch.optim.SGD, nesterov=True), "Nesterov momentum requires a momentum"),
        (lambda: TorchRule(pytorch_optimizer.SAM), "missing 1 required positional argument: 'base_optimizer'"),
        (lambda: TorchRule(pytorch_optimizer.AliG), "no number lr in its parameter groups"),
        (lambda: TorchRule(pytorch_optimizer.AdamMini), "made of a whole model"),
        (lambda: ClipNorm(LION), r"ClipNorm cannot be around pytorch_optimizer\.Lion, a class"),
        (lambda: ClipNorm(TorchRule(torch.optim.AdamW)), "Wrap AdamW, which is the same rule"),
        (lambda: LION.step(1.0, 1.0, (), {}, None), "no formula of arrays"),
        (lambda: TorchRule(torch.optim.Adamax).init(1.0, None), "Or take AdaMax, which is the same rule"),
    ],
)
def test_what_cannot_be_one_is_refused_with_a_sentence(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_step_that_needs_more_than_a_closure_is_refused():
    class Needy(torch.optim.SGD):
        def step(self, hessian, closure=None):
            """Step along a Hessian."""

    Needy.__qualname__ = "Needy"
    with pytest.raises(ParameterError, match=r"Needy\.step needs 'hessian', which no loop of ours has"):
        TorchRule(Needy)


def test_an_unknown_name_has_a_near_miss():
    with pytest.raises(MissingPackageError, match=r"no 'SDG' in torch\.optim\. Did you mean 'SGD'"):
        find_rule("torch.optim.SDG")
    with pytest.raises(DriveError, match="is a class itself; build_optimizer makes one of it"):
        torch_arguments(LION)
    with pytest.raises(DriveError, match=r"not pytorch_optimizer\.Lion, a class itself: build_optimizer makes it"):
        RuleOptimizer(parameters(), LION)


@pytest.mark.parametrize(
    "text", ["SGD(0.1)", "SGD(lr=f())", "SGD(**{'lr': 1})", "SGD(lr=", "torch.optim.SGD().step", "a-b", "", "(1)(lr=1)"]
)
def test_a_rule_in_one_line_is_a_name_with_literals_and_nothing_runs(text):
    with pytest.raises(ParameterError, match="is no name with arguments"):
        find_rule(text)


def test_a_rule_of_ours_in_one_line_has_arguments_too():
    assert find_rule("AdamW(weight_decay=0.1)") == rules.AdamW(weight_decay=0.1)
    with pytest.raises(ParameterError, match=r"no argument of AdamW is called 'weight_deca'\. Did you mean"):
        find_rule("AdamW(weight_deca=0.1)")
