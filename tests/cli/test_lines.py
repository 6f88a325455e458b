"""Wrong command lines as data, by the hundred: exit code 2, one line, no traceback, and the folder as it was.

Most are made from the options of the commands themselves, so a new option is tried without another edit.
"""

import shutil
import sys

import click
import pytest

from stepsize.cli.main import cli, main
from stepsize.cli.strict import USELESS
from stepsize.policies import one_cycle
from stepsize.results.io import save

COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}
ARGUMENTS = {
    "advise": ("../tiny.py",), "race": ("../tiny.py",), "range-test": ("../tiny.py",), "refine": ("../tiny.py",),
    "predict": ("log.csv",), "landscape": ("Rastrigin",), "show": ("one_cycle",), "transfer": ("policy.json",),
    "watch": (".",), "report": ("policy.json",), "figures": (), "list": (), "four-steps": ("../tiny.py",),
}  # fmt: skip
"""What each command takes, so that an option alone can be wrong."""

NUMBERS = ("nan", "inf", "-inf", "1e400", "-1", "many", "0x10", "1" * 5000, "1,5")
WHOLE = ("0", "1.5", "nan", "many", "1" * 401, "1" * 5000, str(10**12))


def generated():
    """Every option of every command with values that its kind does not take, empty, unknown, or without any."""
    for name, command in COMMANDS.items():
        yield name, "--nothing-is-called-so"
        yield name, "--help-me", "3"
        for option in [param for param in command.params if isinstance(param, click.Option) and not param.is_flag]:
            flag = option.opts[0]
            yield name, flag
            yield name, flag, ""
            yield name, flag, "  "
            yield name, f"{flag}="
            if isinstance(option.type, click.FloatRange):
                yield from ((name, flag, number) for number in NUMBERS)
            elif isinstance(option.type, click.IntRange) and flag not in {"--seed", "--tune-seeds", "--warmup"}:
                yield from ((name, flag, number) for number in WHOLE)
            elif isinstance(option.type, click.Choice):
                yield from ((name, flag, text) for text in ("nope", "N" * 5000, "[/b]", "\x1b[2J"))


WRITTEN = [
    ("nothing",), ("RACE", "digits"), ("race",), ("race", "no.py", "x.py"), ("--version=3",),
    ("race", "../tiny.py", "--rules", ","), ("figures", "--only", ","), ("figures", "--only", "[/b]"),
    ("race", "../tiny.py", "--workers", "0"), ("race", "../tiny.py", "--workers", "some"),
    ("race", "../tiny.py", "--cpus", "1"), ("race", "../tiny.py", "--rates", "1e400"),
    ("race", "../tiny.py", "--strategies", "twice.json"), ("race", "../tiny.py", "--strategies", "long.json"),
    ("race", "../tiny.py", "--rungs", "none", "--view", "prefix"),
    *(("range-test", "../tiny.py", "--of", "momentum", "--values", text) for text in ("nan,inf", "0.5,2", "0.9,0.90")),
    *(("range-test", "../tiny.py", "--of", "batch_size", "--values", text) for text in ("1.5,2", "inf,4", "0,8")),
    *(("range-test", "../tiny.py", "--compare", text) for text in ("=", "rule=", "lr=1,2", "momentum=1", "rule=a,b")),
    *(("range-test", "../tiny.py", "--momentum", text) for text in ("1", "a,b", "nan,inf", "0.9,2")),
    *(("four-steps", "../tiny.py", "--sizes", text) for text in ("8", "8,0", "8,1.5", "8,999999", "a,b")),
    ("four-steps", "../tiny.py", "--policy", "nope"), ("four-steps", "../tiny.py", "--rule", "nope"),
    ("range-test", "../tiny.py", "--metric", "nope"), ("range-test", "../tiny.py", "--largest"),
    ("range-test", "../tiny.py", "--of", "batch_size", "--lr", "0.1"),
    ("range-test", "../tiny.py", "--of", "momentum", "--held-out"),
    ("range-test", "../tiny.py", "--of", "nope"), ("range-test", "../tiny.py", "--budget", "3"),
    ("range-test", "../tiny.py", "--horizon", "30"), ("range-test", "../tiny.py", "--values", "1,2"),
    ("range-test", "../tiny.py", "--lr", "0.1"),
    ("range-test", "../tiny.py", "--of", "momentum", "--lr", "0.1", "--low", "0.1"),
    ("refine", "log.csv", "--race"), ("refine", "log.csv", "--strategy", "SGD cosine 1"),
    ("refine", "log.csv", "--seed", "3"),
    ("refine", "../tiny.py", "--norm", "l1"), ("refine", "../tiny.py", "--norm-column", "g"),
    ("predict", "log.csv", "--check"), ("predict", "log.csv", "--rule", "SGD"),
    ("predict", "log.csv", "--recorded", "99"),
    ("predict", "../tiny.py", "--held-out", "log.csv"), ("predict", "../tiny.py", "--skip", "0.1"),
    ("predict", "../tiny.py", "--step-column", "s"),
    ("watch", ".", "--once", "--every", "3"), ("advise", "../tiny.py", "--json", "--code", "keras"),
    ("show", "one_cycle", "--code", "--json"), ("show", "one_cycle", "--table", "--code"), ("show", "twice.json"),
    ("show", "huge.json"), ("show", "cosine", "--steps", "99999999"), ("show", "cosine", "peak=" + "1" * 401),
    ("show", "a\x1b[2Jb"), ("show", "x" * 100_000), ("landscape", "Rastrigin", "x[/b]=3"),
    ("landscape", "DoubleWell", "tilt=" + "1" * 401), ("landscape", "DoubleWell", "tilt=NaN"),
    ("transfer", "SGD cosine 0.1", "--from", "4", "--to", "1" * 401), ("transfer", "policy.json", "--to", "9"),
    *(("range-test", "../tiny.py", "--group", text)
      for text in ("head", "=1,3", "head=", "head=1", "head=1,x", "nope=1,3")),
    ("range-test", "../tiny.py", "--group", "head=1,3", "--of", "momentum"),
    *((command, "../tiny.py", "--steps", text) for command in ("race", "advise", "range-test")
      for text in ("0epochs", "-1epochs", "nanepochs", "1e400epochs", "epochs", "3 weeks", "0samples", "1.5")),
    ("transfer", "SGD cosine 0.1", "--from", "100", "--to", "99999"), ("transfer", "SGD cosin 0.1", "--to", "400"),
    ("transfer", "SGD cosine nan", "--from", "100", "--to", "400"), ("transfer", "SGD cosine 0.1", "--to", "400"),
    ("refine", "log.csv", "log.csv"), ("refine", "no.csv"), ("refine", "log.csv", "../tiny.py"),
    ("predict", "no.csv"), ("predict", "log.csv", "--schedules", "cosin"), ("predict", "log.csv", "--laws", "nope"),
    ("show", "OnecycleLR"), ("show", "OneCycleLR", "max_lr=0.1"), ("show", "StepLR", "step_size=2"),
    ("show", "StepLR", "lr=1", "step_size=2", "peak=3"), ("show", "StepLR", "lr=1", "step_size=0"),
    ("show", "SequentialLR", "schedulers=a,b", "milestones=3"),
    ("show", "join_schedules", "schedules=1", "boundaries=2"),
    ("report", "broken.json"), ("report", "/dev/zero"), ("report", "."), ("race", "asynchronous.py"),
]  # fmt: skip

LINES = [*generated(), *WRITTEN]


@pytest.fixture
def furnished(folder):
    save(one_cycle(0.1), "policy.json")
    (folder / "log.csv").write_text(
        "step,lr,loss,grad_norm\n" + "".join(f"{i},0.1,{9 / (i + 1)},1\n" for i in range(99))
    )
    (folder / "twice.json").write_text('{"stepsize": 1, "value": {"kind": "Constant", "level": 1, "level": 2}}')
    (folder / "long.json").write_text('[{"rule": "SGD", "policy": "%s", "lr": 1}]' % ("x" * 100_000))
    (folder / "huge.json").write_text('{"stepsize": 1, "value": {"kind": "Constant", "level": %s}}' % ("1" * 5000))
    (folder / "broken.json").write_text(
        '{"stepsize": 1, "value": {"kind": "Rung", "steps": 1, "scores": {"npy": "AAAA"}}}'
    )
    (folder / "asynchronous.py").write_text("async def task():\n    return 3\n")
    return folder


def run(line, monkeypatch, capsys):
    name, *rest = line
    words = [name, *ARGUMENTS[name], *rest] if line not in WRITTEN else line
    monkeypatch.setattr(sys, "argv", ["stepsize", *words])
    with pytest.raises(SystemExit) as done:
        main()
    return done.value.code, *capsys.readouterr()


def test_there_are_hundreds():
    assert len(LINES) >= 300
    assert set(ARGUMENTS) == set(COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_wrong_line_is_refused_in_one_line_and_leaves_nothing(furnished, command, monkeypatch, capsys):
    for engine in ("vectorised.ensemble.Ensemble", "loop.Loop"):
        monkeypatch.setattr(f"stepsize.engines.{engine}.run", lambda *_, **__: pytest.fail("something was trained"))
    before = {path: path.read_bytes() for path in furnished.rglob("*") if path.is_file()}
    for line in [line for line in LINES if line[0] == command or (not command and line[0] not in COMMANDS)]:
        code, out, err = run(line, monkeypatch, capsys)
        shown = [text[:60] for text in line]
        errors = [text for text in err.splitlines() if text.startswith("Error: ")]
        assert (code, out, len(errors)) == (2, "", 1), (shown, code, out[:300], err[:600])
        assert err.splitlines()[-1] == errors[0], (shown, err[:600])
        assert len(errors[0]) <= 2100, shown
        assert "Traceback" not in err, shown
        assert "\x1b" not in err, shown
        shutil.rmtree(furnished / "__pycache__", ignore_errors=True)
        assert {path: path.read_bytes() for path in furnished.rglob("*") if path.is_file()} == before, shown


def test_what_is_useless_is_named_as_the_commands_name_it():
    """A row about options that a command does not have would refuse nothing."""
    for name, uses in USELESS.items():
        own = {param.name for param in COMMANDS[name].params}
        assert all(own & set(use.options) for use in uses), name


def test_what_nobody_expects_is_one_line_and_exit_1_and_debug_shows_where(stepsize, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("stepsize.cli.show.bound", broken)
    done = stepsize("show", "cosine")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Error: stepsize failed, and that is no fault of the command: ZeroDivisionError: a b. --debug shows where.\n"
    )
    for words in (("show", "cosine", "--debug"), ("--debug", "show", "cosine")):
        assert "Traceback" in stepsize(*words).err


def test_the_end_of_a_file_is_no_interruption(stepsize, monkeypatch):
    def ends(*_):
        raise EOFError("of a pipe")

    monkeypatch.setattr("stepsize.cli.show.bound", ends)
    done = stepsize("show", "cosine")
    assert done.code == 1
    assert "EOFError: of a pipe" in done.err
