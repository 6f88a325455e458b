"""What the command line says about a journal: another driver, an earlier version, a task that has changed."""

import os
from pathlib import Path

from stepsize.jobs import Journal

RACE = ("race", "../tiny.py", "--steps", "12", "--seeds", "2", "--rules", "SGD", "--policies", "constant", "--rates")


def test_a_journal_in_use_is_refused(refused, folder):
    with Journal(folder / "kept"):
        said = refused(*RACE, "0.01,0.1", "--journal", "kept")
    assert f"the journal kept is in use by process {os.getpid()} on " in said


def test_a_journal_of_an_earlier_version_is_refused(refused, folder):
    (folder / "kept").mkdir()
    (folder / "kept" / "race-tiny-py.sqlite").write_bytes(b"")
    assert "a journal of an earlier version of stepsize" in refused(*RACE, "0.01,0.1", "--journal", "kept")


def test_a_task_that_changed_is_said_and_one_that_did_not_is_not(stepsize, folder):
    first = stepsize(*RACE, "0.01,0.1", "--journal", "kept")
    assert "Note:" not in first.err
    more = stepsize(*RACE, "0.01,0.1,0.2", "--journal", "kept")
    assert (more.code, "Note:" in more.err) == (0, False)
    file = folder.parent / "tiny.py"
    file.write_text(file.read_text().replace("batch_size: int = 16", "batch_size: int = 8"))
    changed = stepsize(*RACE, "0.01,0.1", "--journal", "kept")
    assert "Note: ../tiny.py is not what it was when kept was written (another batch size)" in changed.err
    assert changed.code == 0
    assert Path("kept/journal.sqlite").is_file()


def test_workers_are_a_number_or_auto(refused):
    assert "0 is not in the range x>=1" in refused("advise", "../tiny.py", "--workers", "0")
    assert "'many' is not a valid integer" in refused("advise", "../tiny.py", "--workers", "many")
