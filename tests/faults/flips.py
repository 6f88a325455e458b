"""Bits that flip: `python flips.py FOLDER COUNT SEED` prints what became of a journal with one bit changed.

Every file of a journal is hit: the database, its write-ahead log, the arrays, the lock and who held it. Allowed are
"same" (nothing was run again), "again" (what could not be believed was) and "refused" (by an error of ours).
"""

import json
import shutil
import sqlite3
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from stepsize import load_task
from stepsize.engines import Loop
from stepsize.execution import journal_store
from stepsize.execution.status import read_status
from stepsize.jobs import Journal, Runner, race
from stepsize.kernel.errors import FormatError, StepsizeError
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy

STEPS = 30
FIELD = [Strategy(SGD(), constant(rate)) for rate in (0.01, 0.02)]


def run(task, folder, keep=None):
    """Race, and return every number and how many updates were made; `keep` is a copy of the open journal."""
    made = []
    with Journal(folder) as journal:
        runner = Runner(task, engine=Loop(), journal=journal, progress=lambda _, done: made.append(done))
        record = race(task, FIELD, steps=STEPS, seeds=(0, 1), tune_seeds=0, runner=runner)
        journal.keep_answer("an answer")
        if keep is not None:
            shutil.copytree(folder, keep)
    return (record.curves.losses.tolist(), record.rungs[-1].scores.tolist()), sum(done == 1 for done in made)


def flip(folder, dice):
    """Change one bit of one file, a file as likely as any other."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    file = files[dice.integers(len(files))]
    content = bytearray(file.read_bytes())
    place = int(dice.integers(len(content)))
    content[place] ^= 1 << int(dice.integers(8))
    file.write_bytes(content)
    return f"{file.name} at {place}"


def outcome(task, folder, whole):
    """Return what became of a journal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            numbers, updates = run(task, folder)
    except StepsizeError:
        return "refused"
    except BaseException as error:  # noqa: BLE001  (this is what is looked for)
        return f"{type(error).__name__}: {error}"
    if numbers != whole:
        return "another number"
    return "again" if updates else "same"


def watched(folder):
    """Whether `stepsize watch` could show it, or refuses it."""
    try:
        read_status(folder)
    except FormatError:
        pass
    except BaseException as error:  # noqa: BLE001  (this is what is looked for)
        return f"watch: {type(error).__name__}: {error}"
    return ""


def main(home, count, seed):
    torch.set_num_threads(1)
    task = load_task(f"{Path(__file__).parent / 'faulty.py'}:task")
    journal_store.LARGE = 8 * STEPS + 1
    (home / "first").mkdir()
    whole, _ = run(task, home / "first" / "j", home / "open")
    journal_store.LARGE = 8
    run(task, home / "second" / "j", home / "files")
    shutil.rmtree(home / "first")
    dice, found, wrong = np.random.default_rng(seed), Counter(), []
    for number in range(count):
        folder = home / "j"
        shutil.copytree(home / ("open", "files")[number % 2], folder)
        if number % 4 > 1:  # closed: all of it in the database, and no log
            with sqlite3.connect(folder / "journal.sqlite") as base:
                base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            base.close()
        where = flip(folder, dice)
        became = watched(folder) or outcome(task, folder, whole)
        found[became] += 1
        if became not in {"same", "again", "refused"}:
            wrong.append([where, became])
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps({"found": found, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
