"""`stepsize show` and `stepsize list`: every name has a curve, and what cannot be shown is said in one line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from stepsize import save
from stepsize.cli.main import cli
from stepsize.cli.show import bound, named, split
from stepsize.kernel.errors import LengthError, ParameterError, SpecError
from stepsize.policies import RECIPES, Policy, cosine, one_cycle, wsd
from stepsize.policies.dialects import optax, pytorch, timm
from stepsize.policies.dialects.names import DIALECTS, SHORT
from stepsize.results.io import CATALOGUE, loads
from stepsize.rules import AdamW
from stepsize.schedules import Constant, Cosine, Linear, MultiStep, Schedule, Table
from stepsize.strategy import Strategy

WIDE = {"COLUMNS": "160"}


def run(*words, **options):
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(cli, ["show", *map(str, words)], env=WIDE, standalone_mode=False, **options)
    if result.exception is not None:
        raise result.exception
    return result.output


def policies(*words):
    return named(*split(words))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_curve(name):
    shown = run(name, "peak=0.5")
    assert repr(bound({name: RECIPES[name](0.5)}, 1000)[0][name]) in shown
    assert f"Area under the learning rate: {RECIPES[name](0.5).over(1000)['lr'].table(0, 1000).sum():.6g}" in shown


def test_the_rows_are_steps_of_the_table():
    rows = [line.split() for line in run("one_cycle", "peak=0.1").splitlines() if line.split()[0].isdigit()]
    rate = one_cycle(0.1).over(1000)["lr"]
    assert [row[0] for row in rows] == [str(step) for step in np.linspace(0, 999, 21).round().astype(int)]
    assert all(float(row[1]) == float(f"{rate(int(row[0])):.4g}") for row in rows)


def test_fields_are_numbers_lengths_words_lists_and_none():
    assert policies("one_cycle", "peak=1e-1", "warmup=20", "momentum=0.8,0.9", "curve=linear") == {
        "one_cycle": one_cycle(0.1, warmup=20, momentum=(0.8, 0.9), curve="linear")
    }
    assert policies("one_cycle", "momentum=none") == {"one_cycle": one_cycle(1.0, momentum=None)}
    assert policies("MultiStep", "start=1", "factor=0.5", "at=30%,60%") == {
        "MultiStep": Policy(lr=MultiStep(1.0, 0.5, ("30%", "60%")))
    }


def test_a_list_of_one_ends_in_a_comma():
    assert policies("Table", "values=0.5,") == {"Table": Policy(lr=Table((0.5,)))}


def test_a_field_holds_for_every_name_that_has_it():
    assert policies("one_cycle", "cosine", "wsd", "peak=0.1", "cooldown=30%") == {
        "one_cycle": one_cycle(0.1),
        "cosine": cosine(0.1),
        "wsd": wsd(0.1, cooldown="30%"),
    }


def test_several_names_are_printed_side_by_side():
    shown = run("one_cycle", "constant", "wsd", "peak=0.1")
    assert [shown.count(f"learning rate of {name}: ") for name in ("one_cycle", "constant", "wsd")] == [1, 1, 1]
    assert "constant: Policy(lr=Constant(level=0.1, steps=1000))" in shown


def test_bars_of_several_names_are_on_one_scale(tmp_path):
    files = [str(save(Constant(level), tmp_path / f"{level}.json")) for level in (1.0, 0.5)]
    lengths = [len(word) for word in run(*files).split() if set(word) == {"\u2588"}]
    assert lengths[0] == 2 * lengths[1]


def test_more_names_than_bars_have_room_for_are_still_shown():
    result = CliRunner().invoke(cli, ["show", *list(RECIPES)[:7]], env={"COLUMNS": "60"}, standalone_mode=False)
    assert result.exception is None
    assert "\u2588" not in result.output


@pytest.mark.parametrize("value", [one_cycle(0.1), Strategy(AdamW(), one_cycle(0.1)), Cosine(0.1, 0.0)])
def test_a_file_is_shown(value, tmp_path):
    policy = Policy(lr=value) if isinstance(value, Schedule) else getattr(value, "policy", value)
    assert loads(run(save(value, tmp_path / "a.json"), "--json")) == policy


def test_a_bound_file_keeps_its_own_horizon(tmp_path):
    file = save(one_cycle(0.1).over(300), tmp_path / "a.json")
    assert "sum over 300 updates" in run(file)
    longer = [line.split("\t") for line in run(file, "--table", "--steps", 400).splitlines()]
    assert len(longer) == 401
    assert longer[-1][1] == longer[301][1]


def test_the_table_is_every_step():
    lines = [line.split("\t") for line in run("one_cycle", "peak=0.1", "--table", "--steps", 10).splitlines()]
    assert lines[0] == ["step", "lr", "momentum"]
    found = np.array(lines[1:], dtype=float)
    table = one_cycle(0.1).over(10).table(0, 10)
    assert np.allclose(found, np.column_stack([np.arange(10), table["lr"], table["momentum"]]), rtol=1e-9)


def test_the_table_of_several_names_says_whose_each_column_is():
    first = run("cosine", "one_cycle", "--table", "--steps", 3).splitlines()[0]
    assert first.split("\t") == ["step", "cosine lr", "one_cycle lr", "one_cycle momentum"]


def test_json_and_code_give_the_value_back():
    assert loads(run("wsd", "peak=0.1", "--json")) == wsd(0.1)
    assert loads(run("wsd", "peak=0.1", "--json", "--steps", 100)) == wsd(0.1).over(100)
    names = {"Policy": Policy, **CATALOGUE.of(Schedule)}
    assert eval(run("wsd", "peak=0.1", "--code"), names) == wsd(0.1)  # noqa: S307  (our own code)


def test_json_of_several_is_a_line_for_each():
    assert [loads(line) for line in run("wsd", "cosine", "--json").splitlines()] == [wsd(1.0), cosine(1.0)]


@pytest.mark.parametrize("names", [["one_cycle"], ["one_cycle", "cosine", "wsd"]])
def test_a_picture_is_drawn(names, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "x.png"
    assert "Wrote" in run(*names, "peak=0.1", "--plot", file)
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["one_cicle"], SpecError, "no schedule or policy is called 'one_cicle'. Did you mean 'one_cycle'?"),
        (["peak=0.1"], SpecError, "nothing is named before the field 'peak=0.1'"),
        (["cosine", "peak=0.1", "wsd"], SpecError, "'wsd' stands after a field and has no equals sign"),
        (["cosine", "=0.1"], SpecError, "a field is written name=value, not '=0.1'"),
        (["cosine", "cosine"], SpecError, "'cosine' is named twice"),
        (["cosine", "peek=0.1"], SpecError, "cosine has no field 'peek'. Did you mean 'peak'?"),
        (["cosine", "wsd", "half_cycle=3"], SpecError, "cosine and wsd have no field 'half_cycle'. Allowed: cooldown"),
        (["cosine", "peak=high"], ParameterError, "cosine cannot be made of peak='high'|must be a number"),
        (["cosine", "peak=-1"], ParameterError, "must be a number of at least 0"),
        (["wsd", "warmup=90%", "cooldown=90%"], LengthError, "add up to"),
        (["Clipped"], SpecError, "Clipped needs the field 'schedule'"),
        (["nothing.json"], SpecError, "cannot read nothing.json"),
        (["cosine", "--plot", "no/such.xyz"], ParameterError, "cannot draw|cannot write"),
    ],
)
def test_what_cannot_be_shown_is_said(words, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message.replace("?", r"\?")):
        run(*words)


def test_a_file_has_no_fields(tmp_path):
    with pytest.raises(SpecError, match="A file is shown as it is; leave the field out"):
        run(save(Linear(0.1, 0.0), tmp_path / "a.json"), "start=0.2")


def test_a_file_without_a_schedule_is_refused(tmp_path):
    with pytest.raises(SpecError, match="holds a AdamW, which has no schedule to show"):
        run(save(AdamW(), tmp_path / "a.json"))


def listed(*options):
    result = CliRunner().invoke(cli, ["list", *options], env=WIDE, standalone_mode=False)
    assert result.exception is None
    return result.output


def test_the_list_names_everything():
    found = json.loads(listed("--json"))
    assert set(found) == {"schedules", "feedback", "policies", "dialects", "rules", "landscapes", "noise", "tasks"}
    assert set(found["policies"]) == set(RECIPES)
    assert set(found["schedules"]) == set(CATALOGUE.of(Schedule))
    text = listed()
    assert all(name in text for family in found.values() for name in family)


def test_a_source_in_brackets_is_printed():
    assert "[loshchilov2017sgdr]" in listed()
    assert "[loshchilov2017sgdr]" in json.loads(listed("--json"))["policies"]["cosine"]


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("OneCycleLR max_lr=0.1 total_steps=30", pytorch.OneCycleLR(max_lr=0.1, total_steps=30)),
        ("pytorch.OneCycleLR max_lr=0.1 total_steps=30", pytorch.OneCycleLR(max_lr=0.1, total_steps=30)),
        ("MultiStepLR lr=1 milestones=3,6", pytorch.MultiStepLR(1, (3, 6))),
        (
            "optax.exponential_decay init_value=1 transition_steps=9 decay_rate=0.5 staircase=true",
            optax.exponential_decay(1, 9, 0.5, staircase=True),
        ),
        ("timm.CosineLRScheduler lr=0.1 t_initial=90", timm.CosineLRScheduler(0.1, 90)),
    ],
)
def test_a_schedule_of_a_peer_is_shown_by_its_name(stepsize, line, policy):
    assert loads(stepsize("show", *line.split(), "--json").out) == policy


def test_a_name_that_two_have_is_the_policys_or_has_the_peers_before_it():
    assert set(SHORT.values()) <= set(DIALECTS.values())
    assert named(["exponential_decay"], {})["exponential_decay"] == RECIPES["exponential_decay"](1.0)


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("OneCycleLR max_lr=0.1 total_steps=300", 300),
        ("OneCycleLR max_lr=0.1 epochs=3 steps_per_epoch=100", 300),
        ("CosineAnnealingLR lr=0.1 T_max=300", 300),
        ("get_cosine_schedule_with_warmup lr=0.1 num_warmup_steps=10 num_training_steps=300", 300),
        ("get_cosine_with_hard_restarts_schedule_with_warmup lr=0.1 num_warmup_steps=9 num_training_steps=300", 300),
        ("keras.CosineDecay initial_learning_rate=0.1 decay_steps=300", 300),
        ("TanhLRScheduler lr=0.1 t_initial=300", 300),
        ("LinearLR lr=0.1", 1000),  # a warmup, after which the training goes on
        ("MultiStepLR lr=0.1 milestones=30,80", 1000),
        ("keras.PiecewiseConstantDecay boundaries=30,80 values=0.1,0.01,0.001", 1000),  # the last stair is shown too
    ],
)
def test_a_schedule_of_a_peer_is_shown_over_the_horizon_that_its_arguments_say(line, run):
    name, *fields = line.split()
    policies, shown = bound(named(*split((name, *fields))), None)
    assert shown == run
    assert len(policies[name].table(0, run)["lr"]) == run


def test_a_horizon_that_is_asked_for_holds():
    given = named(["CosineAnnealingLR", "cosine"], {"lr": 0.1, "T_max": 300})
    policies, run = bound(given, 500)
    assert run == 500
    assert policies["CosineAnnealingLR"] == given["CosineAnnealingLR"].over(500)
    assert bound(given, None)[1] == 300
