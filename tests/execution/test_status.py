"""The status of a job, from its journal: how far, how many, who failed, and whether the job lives."""

import io
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from stepsize import load_task
from stepsize.cli.watch import clock, render, summarise
from stepsize.engines import Ensemble
from stepsize.execution.journal_lock import Holder
from stepsize.execution.status import Stage, Status, read_status
from stepsize.jobs import Journal, Runner
from stepsize.kernel.errors import FormatError
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"


def test_a_running_job_is_seen_batch_by_batch(tmp_path):
    seen = []
    task = load_task(f"{TINY}:perceptron")
    trials = [Trial(Strategy(SGD(), constant(0.1)), seed) for seed in range(4)]
    with Journal(tmp_path / "j") as journal:
        runner = Runner(
            task, engine=Ensemble(size=2), journal=journal, progress=lambda *_: seen.append(read_status(tmp_path / "j"))
        )
        runner.run("rung 1", trials, 20)
    assert {(found.stages[-1].done, found.trials) for found in seen} >= {(0, 0), (1, 2)}
    assert all(found.running in (True, None) for found in seen)  # None: Windows, where nobody can tell
    last = read_status(tmp_path / "j")
    assert (last.trials, last.failures, last.left) == (4, (), 0.0)


@pytest.mark.skipif(os.name == "nt", reason="a signal 0 would end the process there")
def test_a_process_that_ended_is_known_to_have(tmp_path):
    Journal(tmp_path / "j").close()
    holder_file = tmp_path / "j" / "holder.json"
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    for process, running in (
        (Holder(os.getpid(), socket.gethostname(), 0.0).to_json(), True),
        (Holder(int(ended.stdout), socket.gethostname(), 0.0).to_json(), False),
        (Holder(os.getpid(), "another-machine", 0.0).to_json(), None),
        (Holder(0, socket.gethostname(), 0.0).to_json(), None),
        (Holder(10**400, socket.gethostname(), 0.0).to_json(), None),
        (Holder(os.getpid(), socket.gethostname(), "never").to_json(), None),
        (Holder(os.getpid(), socket.gethostname(), 0.0).to_json().replace('"since": 0.0', '"since": 1.0'), None),
        ("[]", None),
        ("[" * 3000, None),
    ):
        holder_file.write_text(process)
        assert read_status(tmp_path / "j").running is running


def test_what_is_left_follows_the_pace_of_the_stage():
    def left(done, total):
        return Status((Stage("rung 1", done, total, 100.0, 130.0),), 0, (), None).left

    assert left(3, 5) == pytest.approx(20.0)
    assert left(0, 5) is None
    assert left(5, 5) == 0.0
    assert Status((), 0, (), None).left is None


def test_a_folder_without_a_journal_is_refused(tmp_path):
    with pytest.raises(FormatError, match="not a journal"):
        read_status(tmp_path)


def test_what_a_stranger_wrote_is_shown_without_escapes_or_not_at_all(tmp_path):
    """NULLs and texts in place of numbers fail the checksum; escapes are shown as what they are."""
    with Journal(tmp_path / "j") as journal:
        journal.keep_failure("key", "SGD\x1b[2J", "a\x07reason")
        journal.keep_status("rung 1", 1, 4)
        journal.keep_answer("\x1b]0;title\x07")
    shown = Console(width=200, file=io.StringIO())
    shown.print(render(read_status(tmp_path / "j"), time.time()))
    assert "\x1b" not in shown.file.getvalue()
    assert "failed: SGD\\x1b[2J: a\\x07reason" in shown.file.getvalue()
    with sqlite3.connect(tmp_path / "j" / "journal.sqlite") as base:
        base.execute("UPDATE status SET began = NULL")
        base.execute("UPDATE failures SET at = 'yesterday'")
        base.execute("UPDATE answers SET answer = 'another'")
    base.close()
    status = read_status(tmp_path / "j")
    assert (status.stages, status.failures, status.answer) == ((), (), "")


def test_a_clock_that_was_set_back_leaves_nothing_negative():
    assert Status((Stage("rung 1", 1, 4, 200.0, 100.0),), 0, (), None).left is None
    assert clock(-25207.0) == "0:00"


def test_a_clock_that_jumped_by_years_is_no_time_left():
    jumped = Status((Stage("rung 1", 1, 4, 1e9, 3e9),), 3, (), True)
    assert summarise(jumped, 3e9) == "3 trials are finished."
    assert summarise(jumped, 6e9) == "3 trials are finished; no sign of life for more than a year."
    days = Status((Stage("rung 1", 1, 4, 0.0, 90000.0),), 3, (), True)
    assert summarise(days, 90000.0) == "3 trials are finished; about 3 days 3:00:00 left of this stage."


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes with names")
@pytest.mark.parametrize("name", ["lock", "holder.json", "journal.sqlite", "arrays", "journal.sqlite-wal"])
def test_links_and_pipes_in_the_folder_of_a_stranger_are_not_followed(tmp_path, name):
    for kind in ("link", "pipe"):
        folder, other = tmp_path / kind, tmp_path / "other"
        folder.mkdir()
        other.write_text("untouched")
        if kind == "link":
            (folder / name).symlink_to(other)
        else:
            os.mkfifo(folder / name)
        for use in (Journal, read_status):
            with pytest.raises(FormatError, match=f"its '{name}' is a link"):
                use(folder)
        assert other.read_text() == "untouched"
