"""What the command line says about a journal: another driver, an earlier version, a task that has changed."""

import json
import os
from pathlib import Path

import pytest

from stepsize import load_task
from stepsize.jobs import Journal, race
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy

RACE = ("race", "../tiny.py", "--steps", "12", "--seeds", "2", "--rules", "SGD", "--policies", "constant", "--rates")
FIELD = [Strategy(SGD(), constant(rate)) for rate in (0.01, 0.1)]


def test_a_journal_in_use_is_refused(refused, folder):
    with Journal(folder / "kept"):
        said = refused(*RACE, "0.01,0.1", "--journal", "kept")
    assert f"the journal kept is in use by process {os.getpid()} on " in said


def test_a_journal_of_an_earlier_version_is_refused(refused, folder):
    (folder / "kept").mkdir()
    (folder / "kept" / "race-tiny-py.sqlite").write_bytes(b"")
    assert "a journal of an earlier version of stepsize" in refused(*RACE, "0.01,0.1", "--journal", "kept")


def test_a_task_that_changed_is_refused_and_one_that_did_not_is_not(stepsize, folder):
    assert stepsize(*RACE, "0.01,0.1", "--journal", "kept").code == 0
    assert stepsize(*RACE, "0.01,0.1,0.2", "--journal", "kept").code == 0
    file = folder.parent / "tiny.py"
    file.write_text(file.read_text().replace("batch_size: int = 16", "batch_size: int = 8"))
    done = stepsize(*RACE, "0.01,0.1", "--journal", "kept")
    assert (done.code, done.out) == (2, "")
    assert "../tiny.py is not what it was when kept was written (another batch size), so its finished" in done.err
    assert done.err.endswith("Name another folder, or undo that.\n")
    with Journal(folder / "kept") as journal:
        assert len(journal) == 6


def test_a_journal_that_nobody_asked_for_goes_on_with_a_changed_task(stepsize, folder):
    with Journal(".stepsize/race-tiny-py") as journal:
        race(load_task("../tiny.py"), FIELD, steps=12, seeds=(0,), journal=journal)
    file = folder.parent / "tiny.py"
    file.write_text(file.read_text().replace("batch_size: int = 16", "batch_size: int = 8"))
    done = stepsize(*RACE, "0.01,0.1")
    assert "Note: ../tiny.py is not what it was" in done.err
    assert "so its trials are run anew." in done.err
    assert done.code == 0
    assert not Path(".stepsize").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--address", "127.0.0.1:6379"), "--address belongs to a Ray cluster; add --executor ray."),
        (("--gpus", "1"), "--gpus belongs to a Ray cluster; add --executor ray."),
        (("--executor", "ray", "--workers", "2"), "--workers is of worker processes on this machine"),
        (("--executor", "ray", "--memory-limit", "2"), "--memory-limit is of worker processes on this machine"),
        (("--executor", "ray", "--cpus", "0"), "raise --cpus or --gpus"),
        (("--time-limit", "0"), "0.0 is not in the range x>0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(refused, options, said):
    assert said in refused(*RACE, "0.01,0.1", *options)
    assert said in refused("advise", "../tiny.py", *options)


def test_a_race_with_limits_runs_in_a_worker_process(stepsize):
    done = stepsize(*RACE, "0.01,0.1", "--time-limit", "60", "--memory-limit", "3", "--json")
    assert done.code == 0
    assert json.loads(done.out)["value"]["executor"] == "in 1 worker process"


def test_workers_are_a_number_or_auto(refused):
    assert "0 is not in the range x>=1" in refused("advise", "../tiny.py", "--workers", "0")
    assert "'many' is not a valid integer" in refused("advise", "../tiny.py", "--workers", "many")
