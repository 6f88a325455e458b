"""Strategies as people write them: files and lines, and errors that say where and what was meant."""

import json

import pytest

from stepsize.jobs.race.entrants import Entrants, line_up
from stepsize.jobs.race.strategy_files import read_strategies
from stepsize.kernel.errors import FormatError, ParameterError, SpecError
from stepsize.policies import constant
from stepsize.problems import load_task
from stepsize.results import save
from stepsize.rules import SGD, AdamW, TorchRule
from stepsize.strategy import Strategy

TOML = """
[[strategies]]
rule = "AdamW"
policy = "one_cycle"
lrs = [0.003, 0.01]

[[strategies]]
rule = {kind = "AdamW", weight_decay = 0.1}
policy = "wsd"
lr = 0.1
name = "heavy"

[[strategies]]
rule = "SGD"
lr = 0.5

[strategies.policy]
kind = "Policy"
lr = {kind = "Cosine", start = 1.0, end = 0.0}
"""


def written(tmp_path, data, name="field.json"):
    file = tmp_path / name
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(file)


def test_a_toml_file_has_short_forms_and_specs(tmp_path):
    found = read_strategies(written(tmp_path, TOML, "field.toml"))
    names = ["AdamW one_cycle 0.003", "AdamW one_cycle 0.01", "heavy 0.1", "SGD Cosine 0.5"]
    assert [each.name for each in found] == names
    assert found[0] == Strategy.of("AdamW", "one_cycle", 0.003)
    assert found[2] == Strategy.of(AdamW(weight_decay=0.1), "wsd", 0.1, name="heavy 0.1")
    assert found[3].peak == pytest.approx(0.5)


def test_a_rule_has_arguments_and_may_be_a_class_of_torch(tmp_path):
    heavy, classed = AdamW(weight_decay=0.1), TorchRule("torch.optim.Adam", betas=(0.8, 0.95))
    line = "AdamW(weight_decay=0.1) wsd 0.1, torch.optim.Adam(betas=(0.8, 0.95)) cosine 0.01 0.03"
    made = [Strategy.of(heavy, "wsd", 0.1), *(Strategy.of(classed, "cosine", rate) for rate in (0.01, 0.03))]
    entries = [
        {"rule": "AdamW(weight_decay=0.1)", "policy": "wsd", "lr": 0.1},
        {"rule": "torch.optim.Adam(betas=(0.8, 0.95))", "policy": "cosine", "lrs": [0.01, 0.03]},
    ]
    assert read_strategies(line) == read_strategies(written(tmp_path, entries)) == made
    saved = [read_strategies(str(save(each, tmp_path / "one.json"))) for each in made]
    assert saved == [[each] for each in made]
    assert [each.name for each in read_strategies(", ".join(each.name for each in made))] == [e.name for e in made]


def test_a_json_file_is_a_list_an_object_or_what_save_wrote(tmp_path):
    entry = {"rule": "SGD", "policy": "one_cycle", "lr": 0.1}
    plain = Strategy.of("SGD", "one_cycle", 0.1)
    assert read_strategies(written(tmp_path, [entry])) == [plain]
    assert read_strategies(written(tmp_path, {"strategies": [entry]})) == [plain]
    saved = save(Strategy(SGD(), constant(0.1), "mine"), tmp_path / "one.json")
    assert read_strategies(str(saved)) == [Strategy(SGD(), constant(0.1), "mine")]
    whole = json.loads(saved.read_text())["value"]
    assert [s.name for s in read_strategies(written(tmp_path, [entry, whole]))] == ["SGD one_cycle 0.1", "mine"]


def test_a_policy_without_a_rate_keeps_its_own(tmp_path):
    policy = {"kind": "Policy", "lr": {"kind": "Linear", "start": 0.3, "end": 0.0}}
    (found,) = read_strategies(written(tmp_path, [{"rule": "SGD", "policy": policy, "name": "own"}]))
    assert (found.name, found.peak) == ("own", pytest.approx(0.3))


GOOD = {"rule": "SGD", "policy": "cosine", "lr": 0.1}
MOMENTUM = {"kind": "Policy", "lr": {"kind": "Constant", "level": 0.1}, "momentum": {"kind": "Constant", "level": 0.9}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            [GOOD, {**GOOD, "policy": "cosin"}],
            r"at \$\[1\]\.policy: no policy is called 'cosin'. Did you mean 'cosine'",
        ),
        ([{**GOOD, "rule": "SDG"}], r"at \$\[0\]\.rule: no rule is called 'SDG'. Did you mean 'SGD'"),
        ([{**GOOD, "rule": "torch.optim.SDG"}], r"at \$\[0\]\.rule: there is no 'SDG' in torch\.optim"),
        ([{**GOOD, "rule": "SGD(0.1)"}], r"at \$\[0\]\.rule: 'SGD\(0\.1\)' is no name with arguments"),
        ([{**GOOD, "rule": {"kind": "SGD", "wd": 1}}], r"at \$\[0\]\.rule: SGD has no field 'wd'"),
        ([{**GOOD, "rate": 1}], r"at \$\[0\]: a strategy has no field 'rate'"),
        ([{"rule": "SGD", "lr": 1}], r"at \$\[0\]: a strategy needs the field 'policy'"),
        ([{**GOOD, "lrs": [1.0]}], r"at \$\[0\]: a strategy has one rate, lr, or several, lrs; not both"),
        ([{**GOOD, "lr": -1}], r"at \$\[0\]\.lr: a learning rate is a number above 0, not -1"),
        ([{**GOOD, "lr": True}], r"number above 0, not True"),
        ([{**GOOD, "lr": "fast"}], r"number above 0, not 'fast'"),
        ([{"rule": "SGD", "policy": "cosine", "lrs": []}], r"at \$\[0\]\.lrs: the rates are a list"),
        ([{"rule": "SGD", "policy": "cosine"}], r"at \$\[0\]: the recipe 'cosine' needs its peak rate: add lr or lrs"),
        ([GOOD, GOOD], r"at \$\[1\]: 'SGD cosine 0.1' is written already, at \$\[0\]; leave one out"),
        ([{**GOOD, "policy": MOMENTUM}], r"at \$\[0\]: SGD has no hyperparameter 'momentum' to schedule"),
        ({"strategies": [GOOD, "SGD"]}, r"at \$\.strategies\[1\]: a strategy is written \{"),
        ({"strategy": [GOOD]}, r"no field 'strategy'. Did you mean 'strategies'"),
        ([], r"at \$: strategies are a list, with at least one"),
        (3, r"strategies are a list"),
        ({"stepsize": 1, "value": {"kind": "AdamW"}}, r"at \$\.value: no strategy is called 'AdamW'"),
    ],
)
def test_an_error_says_where_and_what_was_meant(tmp_path, data, message):
    file = written(tmp_path, data)
    with pytest.raises(SpecError, match=message) as found:
        read_strategies(file)
    assert str(found.value).startswith(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "strategies = [", "is not TOML"),
        ("a.json", "[", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", b"\xff\xfe\x00".decode("latin-1"), "is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, name, text, message):
    with pytest.raises(FormatError, match=message):
        read_strategies(written(tmp_path, text, name))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read .*none.toml: No such file"):
        read_strategies(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AdamV cosine 0.1", "in 'AdamV cosine 0.1': no rule is called 'AdamV'. Did you mean"),
        ("AdamW cosin 0.1", "no policy is called 'cosin'. Did you mean 'cosine'"),
        ("AdamW cosine", "the peak rate is missing; write AdamW cosine 0.01"),
        ("AdamW", "in 'AdamW': its policy and peak rate are missing; write AdamW one_cycle 0.01"),
        ("AdamW(wd=1) cosine 0.1", "no argument of AdamW is called 'wd'"),
        ("torch.optim.SGD(momentum=0.9 cosine 0.1", "is no name with arguments"),
        ("torch.nn.Linear cosine 0.1", "takes a class of torch's optimizers"),
        ("AdamW cosine fast", "a learning rate is a number above 0, not 'fast'"),
        ("AdamW cosine nan", "not 'nan'"),
    ],
)
def test_a_line_says_what_is_missing(line, message):
    with pytest.raises(ParameterError, match=message):
        read_strategies(f"SGD cosine 0.1, {line}")


def test_a_line_that_says_the_same_twice_is_refused():
    with pytest.raises(SpecError, match=r"'SGD cosine 0\.1' is written already"):
        read_strategies("SGD cosine 0.1, SGD cosine 0.10")


def test_two_entries_of_one_name_are_separated_in_print(tmp_path):
    entries = [{**GOOD, "policy": policy, "name": "mine"} for policy in ("cosine", "constant")]
    found = read_strategies(written(tmp_path, entries))
    assert [(each.name, each.recipe) for each in found] == [("mine 0.1", "cosine"), ("mine 0.1 (2)", "constant")]


def test_a_line_a_file_and_the_options_make_what_the_constructor_makes(tmp_path):
    made = [Strategy.of("AdamW", name, rate) for name in ("one_cycle", "cosine") for rate in (0.003, 0.01)]
    line = "AdamW one_cycle 0.003 0.01, AdamW cosine 0.003 0.01"
    entries = [{"rule": "AdamW", "policy": name, "lrs": [0.003, 0.01]} for name in ("one_cycle", "cosine")]
    entrants = Entrants(rules=["AdamW"], policies=["one_cycle", "cosine"], rates=[0.003, 0.01])
    combined = line_up(load_task("digits"), entrants).strategies
    assert read_strategies(line) == read_strategies(written(tmp_path, entries)) == list(combined) == made


def test_a_file_of_another_ending_is_no_list_of_strategies(tmp_path):
    file = tmp_path / "strategies.txt"
    file.write_text("AdamW one_cycle 0.01")
    with pytest.raises(FormatError, match=r"strategies\.txt is neither \.toml nor \.json"):
        read_strategies(str(file))
    assert len(read_strategies(", ".join(f"AdamW one_cycle {rate / 1000}" for rate in range(1, 40)))) == 39  # no name
