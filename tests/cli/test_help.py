"""What `--help` shows: every option under a heading, every command under another, and examples that parse."""

import shlex

import click
import pytest

from stepsize.cli.help import HEADINGS, Command, typed
from stepsize.cli.main import SECTIONS, cli
from stepsize.cli.strict import refuse_useless

COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_every_option_once_under_a_heading(stepsize, name):
    done = stepsize(name, "--help")
    assert (done.code, done.err) == (0, "")
    lines = done.out.partition(":\n")[2].splitlines()
    options = [line.split()[0].rstrip(",") for line in lines if line.startswith("  -")]
    declared = [param for param in COMMANDS[name].params if isinstance(param, click.Option)]
    assert sorted(options) == sorted(["-h", *(f"--{typed(param)}" for param in declared)])
    headings = [line.rstrip(":") for line in done.out.splitlines() if line.endswith(":") and line[0].isalpha()]
    assert headings[-1] == "Examples"
    assert headings[:-1] == [heading for heading in HEADINGS if heading in headings]


def test_a_help_option_has_both_names_wherever_it_is_first_asked_for():
    own = Command("own")
    with own.make_context("own", []) as alone:
        assert set(own.get_help_option(alone).opts) == {"-h", "--help"}


def test_a_heading_names_options_that_are_there():
    there = {typed(param) for command in COMMANDS.values() for param in command.params} | {"version", "help"}
    assert {name for names in HEADINGS.values() for name in names.split()} <= there


EXAMPLES = [(name, line) for name, command in COMMANDS.items() for line, _ in command.examples]


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_an_example_is_a_line_that_its_command_takes(folder, name, line):
    program, own, *words = shlex.split(line)
    assert (program, own) == ("stepsize", name)
    with COMMANDS[name].make_context(name, words, parent=click.Context(cli, **cli.context_settings)):
        refuse_useless(COMMANDS[name])


def test_every_command_has_an_example_and_a_place_in_the_list(stepsize):
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)
    assert all(isinstance(command, Command) for command in COMMANDS.values())
    shown = stepsize("--help").out
    for heading, commands in SECTIONS.items():
        part = shown.partition(f"{heading}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in part.splitlines() if line[2] != " "] == list(commands)
