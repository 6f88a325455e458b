"""How commands end: never with 0 when there is no result, and outputs that stay where they were named."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import HUNG

from stepsize.cli.endings import CLOSED, EndedBySignal
from stepsize.cli.output import slug
from stepsize.policies import one_cycle
from stepsize.results.io import save

SCRIPT = Path(sys.executable).with_name("stepsize")
RACE = ("--steps", "12", "--seeds", "1", "--rules", "SGD", "--policies", "constant", "--tune-seeds", "0", "--rates")
TASK = """
import asyncio, os, sys, torch
from tiny import classify, CLASSES, FEATURES


def misbehave():
    {misbehave}


def task():
    made = classify(lambda: torch.nn.Linear(FEATURES, CLASSES))

    def loss(outputs, targets):
        if {when}:
            misbehave()
        return torch.nn.functional.cross_entropy(outputs, targets)

    object.__setattr__(made, "loss", loss)
    return made
"""
MISBEHAVE = {
    "sys.exit(0)": "SystemExit: 0",
    "os._exit(0)": "SystemExit: os._exit(0)",
    "raise GeneratorExit('far')": "GeneratorExit: far",
    "raise asyncio.CancelledError('far')": "CancelledError: far",
    "raise EOFError('far')": "EOFError: far",
    "raise BrokenPipeError('far')": "BrokenPipeError: far",
}


@pytest.fixture
def task(folder, monkeypatch):
    """A function that writes a task whose loss misbehaves."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def write(misbehave, when="True"):
        monkeypatch.delitem(sys.modules, "bad", raising=False)
        (folder.parent / "bad.py").write_text(TASK.format(misbehave=misbehave, when=when))
        return "../bad.py"

    return write


@pytest.mark.parametrize(("misbehave", "said"), MISBEHAVE.items())
@pytest.mark.parametrize("command", ["race", "advise", "range-test"])
def test_a_task_that_ends_the_process_is_refused_in_one_line(refused, task, command, misbehave, said):
    assert said in refused(command, task(misbehave), "--save", "a.json")


@pytest.mark.parametrize(("misbehave", "said"), MISBEHAVE.items())
def test_a_trial_that_ends_the_process_is_a_trial_that_fails(stepsize, task, folder, misbehave, said):
    far = task(misbehave, "float(outputs.detach().abs().max()) > 1e3")
    done = stepsize("race", far, *RACE, "0.01,1e9", "--save", "a.json", "--journal", "kept")
    assert done.code == 0, done.err
    assert (folder / "a.json").exists()
    assert said in " ".join(stepsize("watch", "kept").out.split())


def test_in_a_worker_even_the_end_of_the_process_is_a_trial_that_fails(stepsize, task, folder):
    far = task("os._exit(0)", "float(outputs.detach().abs().max()) > 1e3")
    done = stepsize("race", far, *RACE, "0.01,1e9", "--save", "a.json", "--journal", "kept", "--workers", "1",
                    "--time-limit", "600")  # fmt: skip
    assert done.code == 0, done.err
    assert "its worker ended with exit code 0" in " ".join(stepsize("watch", "kept").out.split())


LEAVES = """
import os, threading
from stepsize.cli.endings import noticing_exits

before = os._exit
with noticing_exits():
    if not os.fork():
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
print(os._exit is before, flush=True)
with noticing_exits():
    thread = threading.Thread(target=os._exit, args=(0,))
    thread.start()
    thread.join()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no fork")
def test_a_forked_child_ends_as_ever_and_a_thread_never_with_0():
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, check=False, timeout=HUNG)
    assert (done.returncode, done.stdout) == (1, "7\nTrue\n")
    assert done.stderr == "Error: a thread of the task ended this command by os._exit(0).\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SystemExit(0), 1, "Error: the task ended this command by SystemExit: 0; there is no result.\n"),
        (GeneratorExit(), 1, "Error: the task ended this command by GeneratorExit: ; there is no result.\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (EndedBySignal(signal.SIGTERM), 143, "Ended by SIGTERM.\n"),
    ],
)
def test_no_end_without_a_result_is_0(stepsize, monkeypatch, error, code, said):
    def raising(name):
        raise error

    monkeypatch.setattr("stepsize.cli.output.load_task", raising)
    done = stepsize("race", "digits")
    assert (done.code, done.out) == (code, "")
    assert done.err.lstrip("\n") == said


@pytest.mark.parametrize("error", [EOFError("inside"), BrokenPipeError("inside")])
def test_an_error_inside_is_neither_ctrl_c_nor_a_reader_that_went_away(stepsize, monkeypatch, error):
    def raising(name):
        raise error

    monkeypatch.setattr("stepsize.cli.output.load_task", raising)
    done = stepsize("race", "digits")
    assert (done.code, done.out) == (1, "")
    assert f"{type(error).__name__}: inside" in done.err


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_the_sentence_of_ctrl_c(folder, number):
    command = [SCRIPT, "race", "../tiny.py", "--steps", "20000", "--rules", "SGD", "--rates", "0.01,0.02"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "%" in line:
                process.send_signal(number)
                break
        out, err = process.communicate()
    assert (process.returncode, out) == (128 + number, "")
    assert "finished trials are kept in .stepsize/race-tiny-py; the same command goes on from there." in err
    assert err.endswith(f"Ended by {number.name}.\n")


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_a_reader_that_goes_away_is_no_success(folder):
    command = [SCRIPT, "show", "cosine", "--table", "--steps", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == CLOSED


def test_outputs_stay_where_they_were_named_when_the_task_changes_the_directory(stepsize, task, folder):
    away = folder / "away"
    away.mkdir()
    moving = task("os.chdir(AWAY)").replace("../", f"{folder.parent}/")
    text = (folder.parent / "bad.py").read_text().replace("AWAY", repr(str(away)))
    (folder.parent / "bad.py").write_text(text)
    done = stepsize("race", moving, *RACE, "0.01,0.02", "--save", "a.json", "--journal", "kept", "--csv", "b/c.csv")
    assert done.code == 0, done.err
    assert {path.name for path in folder.iterdir()} == {"a.json", "b", "kept", "away"}
    assert list(away.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("race", "../tiny.py", "--save", ""), "empty"),
        (("race", "../tiny.py", "--tensorboard", ""), "empty"),
        (("race", "../tiny.py", "--save", "a.json", "--report", "a.json"), "a.json is named twice"),
        (("race", "../tiny.py", "--save", "../tiny.py"), "tiny.py is named twice"),
        (("advise", "../tiny.py:perceptron", "--report", "../tiny.py"), "tiny.py is named twice"),
        (("report", "r.json", "--out", "r.json"), "r.json is named twice"),
        (("race", "../tiny.py", "--save", "a" * 300), "name too long"),
        pytest.param(
            ("report", "r.json", "--out", "/dev/full"),
            "it is a device",
            marks=pytest.mark.skipif(os.name == "nt", reason="there is no such device"),
        ),
    ],
)
def test_outputs_that_would_be_lost_are_refused_before_the_work(stepsize, folder, arguments, said):
    save(one_cycle(0.1), "r.json")
    before = Path("r.json").read_bytes()
    done = stepsize(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert Path("r.json").read_bytes() == before


def test_a_long_name_becomes_one_that_a_file_system_takes():
    long = slug("é" * 300)
    assert len(long.encode()) <= 100
    assert long != slug("é" * 301)
    assert slug("../tiny.py") == "tiny-py"
