"""Real worker processes: killed, raising, hanging and eating memory; the numbers are those of one process."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stepsize import Task, advise, load_task
from stepsize.engines import Loop
from stepsize.execution import all_cores, dispatch
from stepsize.execution.process_pool import Processes
from stepsize.jobs import Journal, Runner, race
from stepsize.kernel.errors import JournalError, PoolError, TaskError
from stepsize.policies import constant
from stepsize.rules import SGD, AdamW
from stepsize.strategy import Strategy, Trial

FAULTY = Path(__file__).parent / "faulty.py"
STEPS = 10
BAD = 1e9


@pytest.fixture(scope="module")
def pool():
    """Two workers for all tests of this file; nobody may take more than 1.2 GB."""
    workers = Processes(2, memory=1.2e9)
    yield workers
    pids = workers.pids
    workers.close()
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def task_of(name):
    return load_task(f"{FAULTY}:{name}")


def threes():
    task_of("task")
    return sys.modules["faulty"].Threes()


def field(*rates):
    return [Strategy(SGD(), constant(rate)) for rate in rates]


def trials(rates, seeds=(0,)):
    return [Trial(strategy, seed) for strategy in field(*rates) for seed in seeds]


def failing(pool, name, engine, **options):
    """Run five good trials and a bad one, and check that the bad one alone has failed; return the reason."""
    given = trials([0.01, 0.02, BAD, 0.03, 0.04, 0.05])
    runner = Runner(task_of(name), engine=engine, executor=pool, **options)
    curves = runner.run("stage", given, STEPS)
    good = [trial for trial in given if trial.strategy.peak < BAD]
    alone = Runner(task_of("task"), engine=engine).run("stage", good, STEPS)
    np.testing.assert_array_equal(curves.select([0, 1, 3, 4, 5]).losses, alone.losses)
    assert curves.final[2] == np.inf
    ((trial, reason),) = runner.failures.items()
    assert trial == given[2]
    return reason


def test_the_standings_are_those_of_one_process(pool):
    told = []
    records = [
        race(
            task_of("task"), field(0.01, 0.02, 0.03), steps=STEPS,
            runner=Runner(task_of("task"), engine=threes(), progress=lambda stage, done: told.append(done), **options),
        )
        for options in ({}, {"executor": pool})
    ]  # fmt: skip
    assert records[0].standings == records[1].standings
    np.testing.assert_array_equal(records[0].curves.losses, records[1].curves.losses)
    assert records[1].executor == "in 2 worker processes"
    assert sum(told) == 2 * 9 * STEPS


@pytest.fixture
def eager(tmp_path, monkeypatch):
    """Take a worker as soon as a batch waits; it must not run the script that began this process."""
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('the script was run again')")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    for name, value in {"PAYS": 0.0, "KNOWN": 0.0, "CHECK": 0.0, "cores": lambda: 2}.items():
        monkeypatch.setattr(all_cores, name, value)
    monkeypatch.setattr(all_cores, "worth", lambda count, used, seconds, left: min(1, left))


def test_a_worker_that_is_taken_unasked_changes_no_number_and_stays(eager):
    pids = []

    def listen(stage, done):
        beside = runner.executor._beside
        while beside is not None and not pids:  # until it is there, however long that takes here
            beside._listen(1.0)
            pids.extend(beside.pids * beside.free)

    def finds(runner):
        found = race(task_of("task"), field(0.01, 0.02, 0.03, 0.04), steps=90, rungs="halving", tune_seeds=0,
                     runner=runner)  # fmt: skip
        advice = advise(task_of("task"), steps=45, budget=3, rules=[SGD(), AdamW()], policies=["constant"],
                        runner=runner)  # fmt: skip
        return found.standings, [rung.scores.tolist() for rung in found.rungs], advice.strategy, advice.best_score

    runner = Runner(task_of("task"), engine=threes(), progress=listen)
    found = finds(runner)
    assert runner.executor.pids == pids
    assert len(pids) == 1
    assert runner.executor.label == "in 2 processes"
    runner.close()
    assert not alive(pids[0])
    assert found == finds(Runner(task_of("task"), engine=threes(), workers=1))


def test_a_trial_that_raises_is_left_out(pool):
    before = set(pool.pids)
    assert "ArithmeticError: far out" in failing(pool, "raises", threes())
    assert before <= set(pool.pids)


def test_a_trial_that_kills_its_process_is_left_out(pool, monkeypatch):
    monkeypatch.setattr(dispatch, "RETRIES", 0)
    assert failing(pool, "dies", threes()) == "its worker was killed by SIGKILL"


def test_a_trial_that_hangs_is_left_out(pool, monkeypatch):
    """Its time is over once all others are finished, however long that takes here."""
    finished = []
    monkeypatch.setattr(dispatch, "RETRIES", 0)
    monkeypatch.setattr(dispatch.Deadline, "learn", lambda deadline, seconds, steps: finished.append(seconds))
    monkeypatch.setattr(dispatch.Deadline, "limit", lambda deadline, steps: 0.0 if len(finished) == 5 else math.inf)
    assert failing(pool, "hangs", Loop()) == "it ran for longer than its 0 seconds"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is watched on Linux alone")
def test_a_trial_that_eats_memory_is_left_out(pool, monkeypatch):
    monkeypatch.setattr(dispatch, "RETRIES", 0)
    assert "GB of memory, above its 1.20 GB" in failing(pool, "eats", Loop())


def test_a_worker_that_is_killed_costs_nothing_but_time(pool):
    killed = []

    def kill(stage, done):
        if not killed:
            killed.append(next(worker.pid for worker in pool._workers if worker.key is not None))
            os.kill(killed[0], signal.SIGKILL)

    given = trials([0.01, 0.02, 0.03], seeds=(0, 1))
    runner = Runner(task_of("slow"), engine=threes(), executor=pool, progress=kill)
    curves = runner.run("stage", given, STEPS)
    np.testing.assert_array_equal(curves.losses, Runner(task_of("task"), engine=threes()).run("", given, STEPS).losses)
    assert not alive(killed[0])
    assert runner.failures == {}


def test_a_task_that_is_another_each_time_is_refused(pool):
    with pytest.raises(TaskError, match=r"changing makes another task in a worker process \(another training data\)"):
        Runner(task_of("changing"), engine=Loop(), executor=pool).run("stage", trials([0.01]), STEPS)


def test_a_task_that_cannot_be_sent_is_refused(pool):
    fine = task_of("task")
    local = Task(fine.model, fine.loss, fine.train, fine.validation, 8, name="local")
    with pytest.raises(TaskError, match=r"'local' cannot be sent to worker processes .* use workers=1"):
        Runner(local, engine=Loop(), executor=pool).run("stage", trials([0.01]), STEPS)


SCRIPT = """
import sys
from stepsize import load_task
from stepsize.jobs import Runner, race
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy

task = load_task(sys.argv[1])
race(task, [Strategy(SGD(), constant(rate)) for rate in (0.1, 0.2)], steps=5, runner=Runner(task, workers=1 + 1))
"""


def test_a_script_without_its_guard_is_told_so(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr("stepsize.execution.process_pool.ATTEMPTS", 1)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys, "argv", [str(script), f"{FAULTY}:task"])
    workers = Processes(1)
    with pytest.raises(PoolError, match=r'died before their first word .*needs its `if __name__ == "__main__":`'):
        Runner(task_of("task"), engine=Loop(), executor=workers).run("stage", trials([0.01]), STEPS)
    workers.close()


DRIVER = """
import sys
from stepsize import load_task
from stepsize.execution.process_pool import Processes
from stepsize.jobs import Journal, Runner
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

if __name__ == "__main__":
    task, pool = load_task(sys.argv[1]), Processes(2)
    with Journal(sys.argv[2]) as journal:
        tell = lambda stage, done: print(*pool.pids, flush=True)
        runner = Runner(task, engine=sys.modules["faulty"].Threes(), journal=journal, executor=pool, progress=tell)
        trials = [Trial(Strategy(SGD(), constant(0.01)), seed) for seed in range(3000)]
        runner.run("stage", trials, 100)
"""


def test_workers_and_lock_die_with_the_driver(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), f"{FAULTY}:slow", str(tmp_path / "j")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        pids = [int(word) for word in driver.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        with pytest.raises(JournalError, match=f"in use by process {driver.pid} on "):
            Journal(tmp_path / "j")
        driver.kill()
    for _ in range(1200):
        if not any(alive(pid) for pid in pids):
            break
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
    Journal(tmp_path / "j").close()
