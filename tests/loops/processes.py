"""Runs a script beside this file as two processes that belong together, and leaves none of them behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from patience import HUNG
from torch import distributed


def two(script, folder, *arguments):
    """Run a script twice, as torchrun would: with an address in common, and each with its own rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    _wait([_start(script, [folder, *arguments], {**both, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"])


def leave():
    """End one of two processes, at once: torn down, gloo waits for a process that is gone, or aborts now and then."""
    distributed.barrier()
    sys.stdout.flush()
    os._exit(0)


def _wait(started):
    """Wait for all of them to end well; end them, with what they have started, when one fails or the time is up."""
    end = time.monotonic() + HUNG
    try:
        for process in started:
            output, _ = process.communicate(timeout=max(0.1, end - time.monotonic()))
            assert process.returncode == 0, output[-3000:]
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def _start(script, arguments, settings):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **settings}
    return subprocess.Popen(
        [sys.executable, here / script, *arguments],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
