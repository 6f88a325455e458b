"""Drivers that are killed at random moments: `python drivers.py FOLDER KILLS SEED` prints what became of their races.

This process imports everything once and forks its drivers. A driver is killed after a random number of trials; the next
one goes on with its journal. A race that is finished before that is compared, and the next driver begins another one.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import torch

from stepsize import load_task
from stepsize.jobs import Journal, RungPlan, Runner, race
from stepsize.policies import constant
from stepsize.rules import SGD, AdamW
from stepsize.strategy import Strategy

TASK = load_task(f"{Path(__file__).parent / 'faulty.py'}:task")
FIELD = [Strategy(rule, constant(rate)) for rule in (SGD(), AdamW()) for rate in (0.005, 0.01, 0.02, 0.04, 0.08)]
RUNGS = [RungPlan(20, (0, 1), 6), RungPlan(60, (0, 1, 2))]


def run(folder, log):
    engine = sys.modules["faulty"].Threes(str(log))
    with Journal(folder) as journal:
        return race(TASK, FIELD, steps=60, rungs=RUNGS, runner=Runner(TASK, engine=engine, journal=journal))


def numbers(record):
    """The standings, and every number of the last rung."""
    places = [(s.strategy.name, s.score.mean, s.score.low, s.score.high) for s in record.standings]
    return json.dumps([places, record.rungs[-1].scores.tolist(), record.curves.losses.tolist()])


def finished(folder):
    """How many trials the journal holds; looked up by a process that holds no lock."""
    if not (folder / "journal.sqlite").exists():
        return 0
    base = sqlite3.connect(f"{(folder / 'journal.sqlite').as_uri()}?mode=ro", uri=True)
    try:
        return base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    except sqlite3.OperationalError:  # killed before it had made its tables
        return 0
    finally:
        base.close()


def trials(log):
    """How many trials have begun."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def await_trials(driver, log, count):
    """Return when so many trials have begun, or the driver has ended: how fast this machine is does not matter."""
    while trials(log) < count and not os.waitid(os.P_PID, driver, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.001)


def live(folder, log):
    """The life of a driver, in a process of its own."""
    (folder / "result.json").write_text(numbers(run(folder, log)))


def main(home, most, seed):
    torch.set_num_threads(1)
    began = time.perf_counter()
    whole = numbers(run(home / "whole", home / "whole.log"))
    length = time.perf_counter() - began
    total = trials(home / "whole.log")
    dice, kills, races, again, wrong, moments = np.random.default_rng(seed), 0, 0, 0, 0, []
    while kills < most or (home / f"race{races}").exists():
        folder, log = home / f"race{races}", home / f"race{races}.log"
        driver = os.fork()
        if driver == 0:
            signal.alarm(900)
            live(folder, log)
            os._exit(0)
        if kills < most:
            await_trials(driver, log, trials(log) + dice.integers(0, total // 3))
            time.sleep(dice.uniform(0.0, 1.0) * length / total)
            os.kill(driver, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(driver, 0)[1]):
            kills += 1
            moments.append(finished(folder))
        else:
            wrong += (folder / "result.json").read_text() != whole
            again += trials(log) - total
            races += 1
    found = {"kills": kills, "races": races, "wrong": wrong, "again": again, "moments": moments}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
