"""A disk that is full: one clear line, what is finished stays, and with some space the race goes on."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.engines import Loop
from stepsize.execution import journal_store
from stepsize.jobs import Journal, Runner, race
from stepsize.kernel.errors import JournalError
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy

TASK = f"{Path(__file__).parent / 'faulty.py'}:task"
FIELD = [Strategy(SGD(), constant(rate)) for rate in (0.01, 0.02, 0.03)]
STEPS = 60


def run(path, **options):
    task = load_task(TASK)
    with Journal(path) as journal:
        runner = Runner(task, engine=Loop(), journal=journal, **options)
        return race(task, FIELD, steps=STEPS, runner=runner)


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of 256 kB, where this user may mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("only root can mount a small disk; the tests beside this one say what SQLite would")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False).returncode:
        pytest.skip("this machine does not let root mount a disk")
    yield path
    subprocess.run([umount, path], check=True)


@pytest.mark.parametrize("large", [1 << 16, 8], ids=["in the tables", "in files"])
def test_a_full_disk_loses_nothing_that_is_finished(disk, tmp_path, monkeypatch, large):
    monkeypatch.setattr(journal_store, "LARGE", large)
    whole = run(tmp_path / "whole")
    filler = disk / "filler"

    def fill(stage, updates):
        """Take a little more space with every update, once two trials are done."""
        if len(told) > 2 * STEPS:
            with filler.open("ab") as file:
                file.write(bytes(min(4096, shutil.disk_usage(disk).free)))
        told.append(updates)

    told = []
    with pytest.raises(JournalError, match=r"cannot be written \(.*(full|No space).* MB free\)") as caught:
        run(disk / "j", progress=fill)
    assert str(caught.value).count("\n") == 0
    filler.unlink()
    with Journal(disk / "j") as journal:
        kept = len(journal)
    assert 0 < kept < 9
    assert f"The {kept} finished trials in it are safe" in str(caught.value)
    updates = []
    record = run(disk / "j", progress=lambda stage, done: updates.append(done))
    np.testing.assert_array_equal(record.curves.losses, whole.curves.losses)
    assert sum(done for done in updates if done == 1) == (9 - kept) * STEPS


class Full(sqlite3.Connection):
    """A connection to a disk that is full from the third trial on."""

    rows = 0

    def execute(self, statement, *arguments):
        if statement.startswith("INSERT OR REPLACE INTO trials"):
            Full.rows += 1
            if Full.rows == 3:
                raise sqlite3.OperationalError("database or disk is full")
        return super().execute(statement, *arguments)


def test_what_sqlite_says_becomes_one_line_and_the_race_goes_on_later(tmp_path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(Full, "rows", 0)
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, factory=Full))
    with pytest.raises(JournalError, match=r"cannot be written \(database or disk is full; .*The 2 finished trials"):
        run(tmp_path / "j")
    record = run(tmp_path / "j")
    assert Full.rows == 10  # two, the one that failed, and the seven that were missing
    assert np.isfinite(record.curves.final).all()


def test_a_disk_that_is_full_from_the_start_is_no_foreign_file(disk):
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
    with pytest.raises(JournalError, match="cannot be written"):
        Journal(disk / "j")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path):
    (tmp_path / "j").mkdir(mode=0o500)
    with pytest.raises(JournalError, match="cannot be written"):
        Journal(tmp_path / "j")
