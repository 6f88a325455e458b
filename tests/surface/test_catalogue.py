"""Schedules, rules and policies of somebody else's: registered, or of a package that is installed."""

import json
import sys
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from click.testing import CliRunner
from teacher import teacher

import stepsize
from stepsize.catalogue import RULES, SCHEDULES
from stepsize.cli.main import cli
from stepsize.codegen import native_script
from stepsize.kernel import extensions
from stepsize.kernel.errors import ParameterError, PluginError, SpecError
from stepsize.policies import RECIPES, Policy
from stepsize.results.io import dumps, loads
from stepsize.rules import SGD
from stepsize.schedules import Linear, Segment
from stepsize.strategy import Strategy

PACKAGE = """
from dataclasses import dataclass
from stepsize.policies import Policy
from stepsize.rules import SGD
from stepsize.schedules import Segment

@dataclass(frozen=True)
class Halved(SGD):
    "Gradient descent by half of the gradient."
    facts = SGD.facts
    def step(self, p, g, slots, c, xp):
        return super().step(p, 0.5 * g, slots, c, xp)

@dataclass(frozen=True)
class Wavy(Segment):
    "A wave that falls."
    def curve(self, u, xp):
        return u + 0.1 * xp.cos(20 * u) * u * (1 - u)

def wavy(peak):
    "A wave from the peak to 0."
    return Policy(lr=Wavy(peak, 0.0))
"""
ENTRIES = """
[stepsize.rules]
Halved = waves:Halved
[stepsize.schedules]
Wavy = waves:Wavy
[stepsize.policies]
wavy = waves:wavy
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Leave nothing registered behind."""
    monkeypatch.setattr(extensions, "REGISTERED", {group: {} for group in extensions.GROUPS})
    monkeypatch.setattr(extensions, "_ENTRIES", {})
    yield
    sys.modules.pop("waves", None)


def install(folder, monkeypatch, *, code=PACKAGE, entries=ENTRIES):
    """Put a package of two files where Python finds it, as pip would."""
    (folder / "waves.py").write_text(code, encoding="utf-8")
    info = folder / "waves-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waves\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


def test_a_package_of_two_files_races_saves_loads_and_shows(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch)
    assert "Wavy" in SCHEDULES
    assert "waves" not in sys.modules  # nothing is imported before it is asked for
    strategies = [Strategy.of("Halved", "wavy", 0.2), Strategy.of("SGD", "wavy", 0.1)]
    result = stepsize.race(teacher(), strategies, seeds=(0, 1), steps=40)
    assert stepsize.load(stepsize.save(result, tmp_path / "race.json")).rungs[0].strategies[0].rule == RULES["Halved"]()
    torch.testing.assert_close(
        *torch.as_tensor(result.rungs[0].scores), rtol=1e-4, atol=0
    )  # half the step, twice the rate
    shown = CliRunner().invoke(cli, ["show", "Wavy", "start=0.1", "end=0", "--steps", "20", "--json"])
    assert json.loads(shown.output)["value"]["lr"]["kind"] == "Wavy"
    listed = json.loads(CliRunner().invoke(cli, ["list", "--json"]).output)
    assert listed["rules"]["Halved"] == "Gradient descent by half of the gradient."
    assert {"Wavy"} <= set(listed["schedules"])
    assert {"wavy"} <= set(listed["policies"])


def test_a_class_and_a_function_are_registered_by_a_decorator():
    @stepsize.register
    @dataclass(frozen=True)
    class Bent(Segment):
        def curve(self, u, xp):
            return u * u

    @stepsize.register
    def bent(peak, *, end=0.0):
        return Policy(lr=Bent(peak, end))

    strategy = Strategy.of("SGD", "bent", 0.1, end=0.05)
    assert strategy.name == "SGD bent 0.1"
    assert loads(dumps(strategy)) == strategy
    assert (SCHEDULES["Bent"], RECIPES["bent"]) == (Bent, bent)


def test_a_name_belongs_to_one_kind():
    def cosine(peak):
        return Policy(lr=peak)

    with pytest.raises(ParameterError, match=r"cannot be registered as 'cosine', which .*recipes\.cosine is"):
        stepsize.register(cosine)

    def mine(peak):
        return Policy(lr=peak)

    assert stepsize.register(stepsize.register(mine)) is mine  # the same again, as a file that is read twice has it


WRONG = {
    "number": 3, "policy": Policy, "class": type("Plain", (), {}), "abstract": Segment, "partial": partial(Policy),
    "lambda": lambda peak: peak,
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_cannot_be_registered(wrong):
    with pytest.raises(ParameterError, match="a class of schedules or of rules can be registered"):
        stepsize.register(wrong)


def no_policy(peak):
    """A schedule, where a policy is wanted."""
    return Linear(peak, 0.0)


ASKED = {
    "strategy": lambda: Strategy.of("SGD", "no_policy", 0.1),
    "command": lambda: CliRunner().invoke(cli, ["show", "no_policy"], catch_exceptions=False, standalone_mode=False),
    "drive": lambda: stepsize.drive(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), "no_policy", 4),
    "function": lambda: stepsize.drive(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), no_policy, 4),
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_function_that_makes_no_policy_is_refused_where_it_is_asked(asked):
    stepsize.register(no_policy)
    with pytest.raises(
        ParameterError, match=r"no_policy makes a policy of its peak, and has returned Linear.*\. Return"
    ):
        asked()


def test_a_rule_needs_defaults():
    @dataclass(frozen=True, kw_only=True)
    class Needy(SGD):
        facts = SGD.facts
        more: float

    with pytest.raises(ParameterError, match="the rule Needy needs a default for each of its fields"):
        stepsize.register(Needy)


def test_a_record_of_kinds_that_are_gone_opens_and_says_so(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        install(tmp_path, patch)
        strategies = [Strategy.of("Halved", "wavy", 0.2), Strategy.of("SGD", "cosine", 0.1)]
        path = stepsize.save(stepsize.race(teacher(), strategies, seeds=(0, 1), steps=40), tmp_path / "race.json")
        alone = stepsize.save(strategies[0], tmp_path / "strategy.json")
    monkeypatch.setattr(extensions, "REGISTERED", {group: {} for group in extensions.GROUPS})
    monkeypatch.setattr(extensions, "_ENTRIES", {})
    with pytest.warns(UserWarning, match="the (rule 'Halved'|schedule 'Wavy') is not here: install the package"):
        found = stepsize.load(path)
    assert json.loads(dumps(found)) == json.loads(path.read_text(encoding="utf-8"))  # nothing is lost
    gone = next(each for each in found.rungs[0].strategies if each.rule.title == "Halved")
    with pytest.warns(UserWarning, match="is not here"):
        stepsize.write_report(tmp_path / "race.html", stepsize.load(path))
    assert gone.name in (tmp_path / "race.html").read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="the schedule 'Wavy' is not here"):
        stepsize.race(teacher(), [gone, Strategy.of("SGD", "cosine", 0.1)], steps=40)
    with pytest.raises(ParameterError, match="the rule 'Halved' is not here"):
        native_script("torch", Strategy(gone.rule, Policy(lr=Linear(0.1, 0.0))), 40)
    with pytest.raises(SpecError, match="no rule is called 'Halved'"):  # what is to run is refused when it is read
        stepsize.load(alone)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module_of_theirs", "package waves, which does not import: ModuleNotFoundError"),
        ("raise SystemError('broken\\nhere')", "does not import: SystemError: broken here"),
        ("x = 1", "does not import: AttributeError"),
        (
            "from math import sin as Halved",
            "of the package waves is among its rules, and is none: <built-in function sin>",
        ),
        ("Halved = 3", "is among its rules, and is none: 3. Update it"),
    ],
)
def test_a_package_that_does_not_import_is_one_sentence(code, said, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, code=code)
    with pytest.raises(PluginError, match=said) as refused:
        Strategy.of("Halved", "cosine", 0.1)
    assert "\n" not in str(refused.value)
    assert Linear(0.1, 0.0, 2)(0) == 0.1  # and what is ours works
    assert loads(dumps(Strategy.of("SGD", "cosine", 0.1))).name == "SGD cosine 0.1"


BROKEN = "'Wavy' is of the package waves, which does not import: ValueError: broken"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "Linar"], "no schedule or policy is called 'Linar'. Did you mean 'Linear'? Besides, " + BROKEN),
        (["show", "Wavy"], BROKEN),
        (["show", "OneCycleLR", "max_lr=0.1", "total_steps=10"], None),
        (["list"], "(" + BROKEN),
    ],
)
def test_a_package_that_does_not_import_hides_nothing_else(arguments, said, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, code="raise ValueError('broken')", entries="[stepsize.schedules]\nWavy = waves:Wavy")
    done = CliRunner().invoke(cli, arguments)
    words = " ".join(f"{done.output} {done.exception or ''}".split())
    assert (said or "Area under the learning rate") in words
    assert "Linear" in words or arguments[1] != "Linar"


def test_a_file_with_a_misspelt_kind_says_the_near_miss_and_the_broken_package(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, code="raise ValueError('broken')", entries="[stepsize.schedules]\nWavy = waves:Wavy")
    text = dumps(Linear(0.1, 0.0)).replace("Linear", "Linar")
    with pytest.raises(
        SpecError, match=r"no .* is called 'Linar'\. Did you mean 'Linear'\? Besides, 'Wavy' is of the pack"
    ):
        loads(text)
