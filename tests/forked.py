"""Scripts in processes of their own, forked from one that has loaded torch: to load it takes longer than they run.

A script finds what `python -W ignore SCRIPT ARGUMENTS` finds, in a session of its own and with a thread for its sums.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from patience import HUNG

TRAINERS = ("lightning.pytorch", "transformers.trainer")
"""What scripts of Trainers load besides, where it is installed."""


def run(command, folder, *settings, loaded=()):
    """Run a script with its arguments once for each of several settings, at the same time, and return how each ended.

    settings: what is added to the environment. When one fails, the others are ended.
    """
    with tempfile.TemporaryDirectory() as kept:
        prints = [[f"{kept}/{number}.{name}" for name in ("out", "err")] for number in range(len(settings))]
        environments = [{**os.environ, "OMP_NUM_THREADS": "1", **each} for each in settings]
        order = [*map(str, command)], str(folder), list(zip(environments, prints, strict=True))
        server = _server(loaded)
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        return [
            subprocess.CompletedProcess(command, status, *(Path(file).read_text(encoding="utf-8") for file in files))
            for status, files in zip(json.loads(server.stdout.readline()), prints, strict=True)
        ]


@functools.cache
def _server(loaded):
    """Return the process that forks, with these modules loaded; it ends with this one."""
    command = [sys.executable, "-W", "ignore", __file__, "torch._dynamo", *loaded]
    server = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server


def _serve():
    """Fork for each order, and answer with how its processes ended; return, in each of those, what it is to run."""
    for line in sys.stdin:
        (command, folder, each), started = json.loads(line), []
        for environment, prints in each:
            process = os.fork()
            if process == 0:
                _become(folder, environment, prints)
                return command
            started.append(process)
        sys.stdout.write(json.dumps(_await(started)) + "\n")
        sys.stdout.flush()
    sys.exit()


def _become(folder, environment, prints):
    """Be a process that was started for itself."""
    os.setsid()
    signal.alarm(HUNG)
    for number, file in enumerate([os.devnull, *prints]):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def _await(started):
    """Return the exit statuses of processes in their order."""
    statuses = {}
    while len(statuses) < len(started):
        process, status = os.wait()
        statuses[process] = os.waitstatus_to_exitcode(status)
        for other in set(started) - set(statuses) if status else ():
            with suppress(ProcessLookupError):
                os.killpg(other, signal.SIGKILL)
    return [statuses[process] for process in started]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # else each process copies all of this as it ends, to look for what is left
    sys.argv[:] = _serve()
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    runpy.run_path(sys.argv[0], run_name="__main__")
