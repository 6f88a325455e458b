"""The replay of races on recorded scores, on made-up tables; and the recorded table is whole."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "bench" / "rungs" / "replay.py"


@pytest.fixture(scope="module")
def replay():
    """The module, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("bench_rungs_replay", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def made_up(replay, short, full):
    """Two families of three rates; the short rungs show `short`, the end `full`, on two seeds and two more."""
    names = [f"{family} {rate}" for family in ("a", "b") for rate in (1, 2, 3)]
    narrow, wide = (np.repeat(np.array(means, dtype=float)[:, None], n, axis=1) for means, n in ((short, 2), (full, 4)))
    return replay.Recorded("made up", "dev", names, 10.0, {"full": wide, "prefix 9": narrow, "prefix 3": narrow})


def test_halving_keeps_the_best_of_every_family_at_the_first_rung_only(replay):
    """b looks worst by far on the short rungs and is the best at the end: one short rung lets it win, two do not."""
    task = made_up(replay, short=[1, 2, 3, 7, 8, 9], full=[2, 3, 4, 1, 5, 5])
    assert task.strategies[replay.halving(task, "prefix", cuts=(9,))[0]] == "b 1"
    winner, cost = replay.halving(task, "prefix")
    assert task.strategies[winner] == "a 1"
    assert cost == pytest.approx(6 / 9 + 3 / 3 + 1)
    assert task.regret(winner) == pytest.approx((2 - 1) / (10 - 1))


def test_what_diverges_last_is_never_picked(replay):
    task = made_up(replay, short=[1, 2, 3, 4, 5, 6], full=[np.inf, 2, 3, 4, 5, 6])
    assert task.strategies[replay.halving(task, "prefix", cuts=(9,), eta=2)[0]] == "a 2"


def test_every_recorded_task_has_every_view_of_thirty_strategies(replay):
    tasks = replay.recorded()
    assert len(tasks) == 18
    for task in tasks:
        assert len(task.families) == 30
        assert task.views["full"].shape == (30, 6)
        for view in replay.VIEWS:
            assert task.rung(view, 9).shape == task.rung(view, 3).shape == (30, 3)
        assert np.isfinite(task.truth).sum() >= 15
        assert task.truth.min() < task.start
