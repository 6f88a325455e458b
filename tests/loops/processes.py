"""Runs a script beside this file as two processes that belong together, and leaves none of them behind."""

import os
import socket
import sys
from pathlib import Path

import forked
from torch import distributed

HERE = Path(__file__).parent


def two(script, folder, *arguments):
    """Run a script twice, as torchrun would: with an address in common, and each with its own rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    ranks = (
        {**both, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"
    )
    for done in forked.run([HERE / script, folder, *arguments], HERE, *ranks, loaded=forked.TRAINERS):
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"[-3000:]


def leave():
    """End one of two processes, at once: torn down, gloo waits for a process that is gone, or aborts now and then."""
    distributed.barrier()
    sys.stdout.flush()
    os._exit(0)
