"""A Ray cluster of three nodes on this machine, one of which dies in the middle; and addresses where there is none."""

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from patience import HUNG

from stepsize.execution import ray_pool
from stepsize.execution.ray_pool import RayPool
from stepsize.kernel.errors import MissingPackageError, ParameterError, TaskError
from stepsize.kernel.optional import installed

HERE = Path(__file__).parent
FAULTY = HERE.parent / "faults" / "faulty.py"
with_ray = pytest.mark.skipif(not installed("ray"), reason="ray is not installed")


@with_ray
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are found in /proc")
def test_a_worker_and_a_node_die_and_the_standings_are_those_of_one_process(tmp_path):
    """All of it in one test: a cluster takes a while to start."""
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY.read_text())
    command = [sys.executable, HERE / "ray_cluster.py", file]
    environment = {**os.environ, "RAY_worker_niceness": "0"}  # else whatever else runs here starves its workers
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not file.exists()
    assert found["killed"] == ["worker", "node"]
    lost = [end for end in found["ends"] if end[0] == "lost"]
    assert len(lost) >= 2
    assert all(reason.startswith("Ray lost it: ") for _, reason in lost)
    assert found["same"]
    assert found["losses"]
    assert found["failed"] == 0
    assert found["executor"].startswith("on the Ray cluster at ")
    assert list(found["bad"]) == ["SGD Constant 1e+09"]
    assert "ArithmeticError: far out" in found["bad"]["SGD Constant 1e+09"]
    assert found["left"] == 0


class Ends:
    """An engine whose trials end the process."""

    def __init__(self, error):
        self.error = error

    def run(self, *_, **__):
        raise self.error


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit("far"), ValueError("far")])
def test_what_a_trial_raises_comes_back_whatever_it_is(monkeypatch, error):
    """Else Ray would take it for a worker that is lost, and have it run again and again."""
    monkeypatch.setitem(ray_pool._TASKS, "known", None)
    found = ray_pool._run("known", [], pickle.dumps((Ends(error), (), 1, None)))
    assert isinstance(found, TaskError)
    assert str(found).startswith(type(error).__name__)


CONNECT = "from stepsize.execution.ray_pool import RayPool; RayPool({address!r})"


def connect(address):
    """Connect in a process of its own; return the last line of what it says."""
    command = [sys.executable, "-c", CONNECT.format(address=address)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


@with_ray
def test_a_dead_address_is_one_clear_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = connect(f"127.0.0.1:{port}")
    assert f"PoolError: nothing answers at 127.0.0.1:{port} (" in said
    assert "ray start --head" in said


@pytest.mark.parametrize("address", ["", "auto", "host", ":6379", "host:port", "ray://host"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ParameterError, match=r'must be "local", "host:6379" or "ray://host:10001", not '):
        RayPool(address)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"stepsize\[ray\]"):
        RayPool("local")
