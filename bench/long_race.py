"""A race of 1000 strategies x 5 seeds, killed twice and resumed: memory, time and the size of its journal.

    python bench/long_race.py [--strategies 1000] [--seeds 5] [--steps 100] [--workers 1]

A driver runs the race in a process of its own; this one looks at it ten times a second, kills it (kill -9) once a third
and once two thirds of the trials are finished, and starts the next one on the same journal. The task is a linear model
of 4 numbers, so that all there is to see is what the race itself costs: one trial a batch, one transaction a trial.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS = "driver  trials finished  seconds  RSS MB  journal MB"


def task():
    """Return a linear model of four numbers."""
    import torch

    import stepsize
    from stepsize.kernel import seeds

    x = torch.from_numpy(seeds.generator(0, "long race").standard_normal((64, 4))).float()
    y = x.sum(1, keepdim=True)
    return stepsize.Task(lambda: torch.nn.Linear(4, 1), torch.nn.functional.mse_loss, (x, y), (x, y), 8, name="linear")


def drive(options: argparse.Namespace) -> None:
    """Run the race, or what is left of it, and print a digest of its numbers."""
    import torch

    from stepsize.engines import Loop
    from stepsize.execution.process_pool import Processes
    from stepsize.jobs import Journal, Runner, race
    from stepsize.policies import cosine
    from stepsize.rules import SGD
    from stepsize.strategy import Strategy

    torch.set_num_threads(1)
    field = [
        Strategy(SGD(), cosine(float(rate)), f"SGD {number}")
        for number, rate in enumerate(np.geomspace(1e-4, 0.5, options.strategies))
    ]
    executor = Processes(options.workers) if options.workers > 1 else None
    with Journal(options.journal) as journal:
        runner = Runner(given := task(), engine=Loop(), journal=journal, executor=executor)
        record = race(
            given, field, steps=options.steps, seeds=range(options.seeds), rungs="none", tune_seeds=0, runner=runner
        )
    runner.close()
    print(repr(float(record.rungs[-1].scores.sum())), record.standings[0].strategy.name)


def finished(journal: Path) -> int:
    """Return how many trials the journal holds."""
    try:
        base = sqlite3.connect(f"{(journal / 'journal.sqlite').as_uri()}?mode=ro", uri=True)
        try:
            return int(base.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
        finally:
            base.close()
    except sqlite3.Error:
        return 0


def resident(pid: int) -> float:
    """Return the megabytes of RAM that a process uses."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def size(journal: Path) -> float:
    """Return the megabytes on disk."""
    return sum(path.stat().st_size for path in journal.rglob("*") if path.is_file()) / 1e6


def watch(number: int, command: list[str], journal: Path, marks: list[int], stop: int | None) -> str:
    """Run one driver, print a row at each mark, kill it at `stop`, and return what it printed."""
    began, most = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None:
            time.sleep(0.1)
            done = finished(journal)
            try:
                most = max(most, now := resident(driver.pid))
            except (OSError, IndexError):
                break
            if marks and done >= marks[0]:
                marks[:] = [mark for mark in marks if mark > done]
                row(number, done, began, now, journal=journal)
            if stop is not None and done >= stop:
                driver.send_signal(signal.SIGKILL)
                break
        said = driver.communicate()[0]
    row(number, finished(journal), began, most, journal=journal, more="killed" if stop else "end, most RSS")
    return said


def row(number: int, done: int, began: float, rss: float, *, journal: Path, more: str = "") -> None:
    """Print one row."""
    seconds = time.perf_counter() - began
    print(f"{number:6}  {done:15}  {seconds:7.1f}  {rss:6.0f}  {size(journal):10.2f}  {more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--journal", help="run as the driver of this journal, and nothing else")
    options = parser.parse_args()
    if options.journal:
        drive(options)
        return
    total = options.strategies * options.seeds
    own = [sys.executable, __file__, *sys.argv[1:], "--journal"]
    with tempfile.TemporaryDirectory() as home:
        whole, parts = Path(home) / "whole", Path(home) / "parts"
        print(COLUMNS)
        said = watch(0, [*own, str(whole)], whole, [total * k // 8 for k in range(1, 8)], None)
        marks = [total * k // 8 for k in range(1, 8)]
        for number, stop in enumerate([total // 3, 2 * total // 3, None], start=1):
            again = watch(number, [*own, str(parts)], parts, marks, stop)
    print("resumed twice, the numbers are", "the same" if said == again and said else f"OTHERS: {said!r} {again!r}")


if __name__ == "__main__":
    main()
