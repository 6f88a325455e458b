"""Runs a script that starts processes of its own, and leaves none of them behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


def run(script, *arguments, timeout=90):
    """Run a script beside this file on the loopback interface; raise what it printed where it fails or hangs."""
    command = [sys.executable, Path(__file__).with_name(script), *map(str, arguments)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):  # the whole group, also what a dead parent has left
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-3000:]
