"""The status of a job, from its journal: how far, how many, who failed, and whether the job lives."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize import load_task
from stepsize.engines import Ensemble
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
        ({"pid": os.getpid(), "host": socket.gethostname(), "since": 0.0}, True),
        ({"pid": int(ended.stdout), "host": socket.gethostname(), "since": 0.0}, False),
        ({"pid": os.getpid(), "host": "another-machine", "since": 0.0}, None),
        ([], None),
    ):
        holder_file.write_text(json.dumps(process))
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
