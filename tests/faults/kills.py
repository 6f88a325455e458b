"""Commands that are killed at random moments: `python kills.py FOLDER KILLS SEED [KIND ...]` prints what became of it.

A kind is a command line of `KINDS`. This process imports everything once and forks: a command runs in a process group
of its own, which is killed at a random moment of its run; where workers run the trials, one of them is killed alone
before that. The same command line goes on with the journal, until it is done; then its result is compared with that of
a run that nobody killed, number for number but for the seconds, and another one begins.
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

os.environ.update(
    RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_worker_niceness="0",
)  # fmt: skip

import numpy as np
import torch

import stepsize.engines.choice
from stepsize.cli.main import main as stepsize_main

TASK = Path(__file__).parents[1] / "problems" / "tiny.py"
FIELD = ("--rules", "SGD,AdamW", "--policies", "constant,cosine", "--rates", "0.003,0.01,0.03")
RACE = ("race", TASK, *FIELD, "--steps", "200", "--rungs", "screening", "--journal", "kept")
KINDS = {
    "race": (*RACE, "--workers", "1"),
    "advise": ("advise", TASK, "--steps", "200", "--budget", "22", "--rules", "SGD,AdamW", "--policies",
               "constant,cosine,one_cycle", "--journal", "kept", "--workers", "1"),
    "workers": (*RACE, "--workers", "2"),
    "ray": ("race", TASK, *FIELD[:4], "--rates", "0.01,0.03", "--steps", "100", "--journal", "kept",
            "--executor", "ray"),
}  # fmt: skip
MARK = "STEPSIZE_KILLS"
"""In the environment of a command, and so of all that it starts."""

PATIENCE = 600
"""Seconds after which a command that hangs ends."""


def begin(command, folder):
    """Fork a process that runs a command in a folder, and return its number."""
    folder.mkdir(exist_ok=True)
    driver = os.fork()
    if driver:
        return driver
    os.setsid()
    os.chdir(folder)
    os.environ[MARK] = str(folder)
    signal.alarm(PATIENCE)
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["stepsize", *map(str, command), "--save", "result.json"]
    try:
        stepsize_main()
    except SystemExit as done:
        sys.stdout.flush()
        os._exit(done.code or 0)
    sys.stdout.flush()
    os._exit(0)


def started_by(folder):
    """The processes that a command in a folder has started, all of them, by what they are called."""
    mark, found = f"{MARK}={folder}".encode(), {}
    for home in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (home / "environ").read_bytes().split(b"\0"):
                found[int(home.name)] = (home / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def end(driver, folder):
    """Kill a command with its process group, and wait until all that it started has ended by itself."""
    os.killpg(driver, signal.SIGKILL)
    status = os.waitpid(driver, 0)[1]
    until = time.monotonic() + PATIENCE
    while started_by(folder):
        if time.monotonic() > until:
            raise TimeoutError(f"still there: {started_by(folder)}")
        time.sleep(0.05)
    return status


def has_ended(driver):
    """Whether a command has ended; it is waited for by whoever began it."""
    return os.waitid(os.P_PID, driver, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def lasts(driver, folder, length, total, dice):
    """Wait for a random moment, and return whether the command still runs then.

    That is after some more trials, however fast this machine is, or a quarter of the times after some of the time that
    a whole run takes: it may have hardly begun.
    """
    early = dice.random() < 0.25
    wanted = 0 if early else finished(folder) + dice.integers(1, total // 3)
    while finished(folder) < wanted and not has_ended(driver):
        time.sleep(0.005)
    until = time.monotonic() + dice.uniform(0, length if early else 2 * length / total)
    while time.monotonic() < until and not has_ended(driver):
        time.sleep(0.005)
    return not has_ended(driver)


def kill_a_worker(folder, dice):
    """Kill one process that runs trials, and return whether there was one."""
    workers = [pid for pid, name in started_by(folder).items() if "spawn_main" in name or name.startswith("ray::_run")]
    if workers:
        with suppress(ProcessLookupError):
            os.kill(workers[dice.integers(len(workers))], signal.SIGKILL)
    return bool(workers)


def finished(folder):
    """How many trials the journal in a folder holds."""
    file = folder / "kept" / "journal.sqlite"
    with suppress(sqlite3.OperationalError):  # killed before it had made its tables
        base = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            return base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        finally:
            base.close()
    return 0


def result(folder):
    """What a command has saved, but for the seconds."""

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(each) for key, each in value.items() if key != "seconds"}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    return timeless(json.loads((folder / "result.json").read_text()))


def differences(one, other, path="$"):
    """Where two results differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for key in one for place in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            place for i, pair in enumerate(zip(one, other, strict=True)) for place in differences(*pair, f"{path}[{i}]")
        ]
    return [] if one == other else [f"{path}: {str(one)[:80]} became {str(other)[:80]}"]


def kill(kind, home, most, dice):
    """Kill a kind of command so many times; return what became of it."""
    command, found, moments, wrong = KINDS[kind], Counter(kills=0, workers=0, runs=0), [], []
    began = time.monotonic()
    status = os.waitpid(begin(command, home / f"{kind}-whole"), 0)[1]
    length = time.monotonic() - began
    if status:
        raise RuntimeError((home / f"{kind}-whole" / "said").read_text()[-2000:])
    whole, total = result(home / f"{kind}-whole"), finished(home / f"{kind}-whole")
    folder = home / kind
    while found["kills"] < most or folder.exists():
        driver, killing = begin(command, folder), found["kills"] < most
        moment = driver, folder, length, total, dice
        if killing and kind in {"workers", "ray"} and lasts(*moment):
            found["workers"] += kill_a_worker(folder, dice)
        if killing and lasts(*moment):
            end(driver, folder)
            found["kills"] += 1
            moments.append(finished(folder))
            continue
        status = os.waitpid(driver, 0)[1]
        wrong += [f"it ended with {status}: {(folder / 'said').read_text()[-500:]}"] if status else []
        wrong += differences(whole, result(folder)) if not status else []
        found["runs"] += 1
        shutil.rmtree(folder)
    return {**found, "moments": moments, "wrong": wrong, "seconds": round(time.monotonic() - began)}


def main(home, most, seed, *kinds):
    torch.set_num_threads(1)
    stepsize.engines.choice.ratio_of_times = lambda *_: 2.0  # one by one: that is no timing's to say here
    found = {kind: kill(kind, home, most, np.random.default_rng([seed, i])) for i, kind in enumerate(kinds or KINDS)}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.exit(any(each["wrong"] for each in found.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
