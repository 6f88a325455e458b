"""Defaults from the environment, and what a shell completes."""

import click
import pytest

from stepsize.cli.main import cli
from stepsize.policies import RECIPES, cosine
from stepsize.results.io import loads

COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}


def test_an_option_is_given_by_the_environment_and_the_command_line_wins(stepsize, monkeypatch):
    monkeypatch.setenv("STEPSIZE_SHOW_STEPS", "30")
    monkeypatch.setenv("STEPSIZE_SHOW_JSON", "1")
    assert loads(stepsize("show", "cosine").out) == cosine(1.0).over(30)
    assert loads(stepsize("show", "cosine", "--steps", "7").out) == cosine(1.0).over(7)


@pytest.mark.parametrize("line", ["show cosine", "show cosin"])
def test_an_error_names_what_the_environment_sets(refused, monkeypatch, line):
    monkeypatch.setenv("STEPSIZE_SHOW_STEPS", "x" if line == "show cosine" else "3")
    assert refused(*line.split()).endswith("Set in the environment: STEPSIZE_SHOW_STEPS.")


def test_the_variable_of_an_option_is_called_as_it_is_typed():
    names = {param.envvar for command in COMMANDS.values() for param in command.params}
    assert {"STEPSIZE_ADVISE_BUDGET", "STEPSIZE_RANGE_TEST_FOR", "STEPSIZE_RACE_SAVE"} <= names
    assert "STEPSIZE_SHOW_DEBUG" not in names


def completed(command, name, typed):
    (param,) = [param for param in COMMANDS[command].params if param.name == name]
    there = click.Context(COMMANDS[command], parent=click.Context(cli, **cli.context_settings))
    return [item.value for item in param.shell_complete(there, typed) if item.type == "plain"]


def test_names_are_completed_after_the_last_comma():
    assert completed("advise", "rules", "AdamW,Li") == ["AdamW,Lion"]
    assert completed("advise", "policies", "") == sorted(RECIPES)
    assert completed("race", "task", "digits-") == ["digits-cnn"]
    assert completed("show", "tokens", "OneC") == ["OneCycleLR"]
