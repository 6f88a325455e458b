"""A gradient that is replayed is the gradient of the model as it runs, and a model that no recording follows is not."""

import dataclasses
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from stepsize import load_task
from stepsize.engines import Ensemble
from stepsize.engines.vectorised import ensemble, replay
from stepsize.engines.vectorised.replay import Replay
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.policies import one_cycle
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS = 12
TRIALS = [Trial(Strategy(AdamW(), one_cycle(rate)), seed) for rate in (0.003, 0.01) for seed in (0, 1)]


@pytest.fixture
def compiled(monkeypatch):
    """The recordings that became functions."""
    made, plain = [], replay.Recording.function.func
    monkeypatch.setattr(replay.Recording, "function", property(lambda one: made.append(plain(one)) or made[-1]))
    return made


def losses(task, monkeypatch, *, replayed, steps=STEPS):
    monkeypatch.setattr(ensemble, "LONG", 0 if replayed else float("inf"))
    return Ensemble(dtype=torch.float64).run(task, TRIALS, steps).losses


def same(task, monkeypatch, steps=STEPS):
    """Whether a run with a replay has the losses of one without."""
    found, expected = (losses(task, monkeypatch, replayed=replayed, steps=steps) for replayed in (True, False))
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["perceptron", "batchnorm", "dropout", "tied", "convolution", "regression"])
def test_a_replayed_gradient_is_the_gradient(name, monkeypatch, compiled):
    same(load_task(f"{TINY}:{name}"), monkeypatch)
    assert len(compiled) == 1


def test_pieces_of_an_update_are_recorded_one_by_one(monkeypatch, compiled):
    task = dataclasses.replace(load_task(f"{TINY}:dropout"), batch_size=4, accumulate=3)
    same(task, monkeypatch)
    assert len(compiled) == 1


def test_a_product_is_written_where_it_is_wanted_and_few_channels_lie_together(monkeypatch, compiled):
    layers = torch.nn.Unflatten(1, (1, 2, 3)), torch.nn.Conv2d(1, 4, 2), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    task = dataclasses.replace(load_task(f"{TINY}:perceptron"), model=lambda: torch.nn.Sequential(*layers))
    same(task, monkeypatch)
    code = compiled[0].__wrapped__.__self__.code
    assert code.count("bmm.out") == 1
    assert "channels_last" in code
    assert "detach" not in code


class Counting(torch.nn.Module):
    """Its output is scaled by a number that its Python makes anew in every call."""

    def __init__(self, scale):
        super().__init__()
        self.layer, self.scale, self.calls, self.iterator = torch.nn.Linear(6, 3), scale, 0, itertools.count()
        LATE[0] = 0

    def forward(self, x):
        self.calls += self.scale in {"calls", "late"}
        return self.layer(x) * SCALES[self.scale](self)


SCALES = {
    "calls": lambda model: 1 + model.calls / 10,
    "late": lambda model: 2.0 if model.calls > 8 else 1.0,
    "random": lambda _: random.Random.random(random._inst) * 0 + 1.0,
    "iterator": lambda model: 2.0 if next(model.iterator) > 8 else 1.0,
    "far": lambda _: far_away(),
    "clock": lambda _: 2.0 if CLOCK.now > 8 else 1.0,
}
LATE = [0]


def far_away():
    LATE[0] += 1
    return 2.0 if LATE[0] > 8 else 1.0


class Clock:
    """What nobody sees who does not know its name."""

    __slots__ = ("now",)

    def tick(self, _):
        self.now += 1


CLOCK = Clock()


@pytest.mark.parametrize("scale", ["calls", "late", "random", "iterator", "far"])
def test_a_model_whose_python_changes_is_never_replayed(scale, monkeypatch, compiled):
    same(dataclasses.replace(load_task(f"{TINY}:perceptron"), model=lambda: Counting(scale)), monkeypatch)
    assert not compiled


def test_what_changes_unseen_is_found_at_the_end_and_run_again(monkeypatch, compiled):
    task = dataclasses.replace(load_task(f"{TINY}:perceptron"), model=lambda: Counting("clock"))
    monkeypatch.setattr(ensemble, "LONG", 0)
    CLOCK.now = 0
    found = Ensemble(dtype=torch.float64).run(task, TRIALS, STEPS, progress=CLOCK.tick).losses
    assert (len(compiled), CLOCK.now) == (1, STEPS)
    np.testing.assert_allclose(found, losses(task, monkeypatch, replayed=False), rtol=1e-11)


def test_a_constant_that_is_made_anew_may_have_the_same_value(monkeypatch, compiled):
    task = load_task(f"{TINY}:perceptron")

    def weighed(outputs, targets):
        return task.loss(outputs, targets) * torch.tensor(3.0, dtype=torch.float64)

    same(dataclasses.replace(task, loss=weighed), monkeypatch)
    assert len(compiled) == 1


def test_a_value_that_goes_to_python_is_not_recorded():
    runs = []

    def function(x):
        runs.append(1)
        return [x * x.sum().item()]

    replayed = Replay(function, lambda: None, {})
    for number in (1.0, 2.0, 3.0):
        x = torch.full((2,), number)
        assert torch.equal(replayed(x)[0], x * x.sum())
    assert len(runs) == 3


def test_inputs_of_ever_new_shapes_are_not_recorded_for_ever():
    replayed = Replay(lambda x: [2 * x], lambda: None, {})
    for width in range(1, 30):
        for _ in range(3):
            assert torch.equal(replayed(torch.ones(width))[0], torch.full((width,), 2.0))
    assert sum(ready is not replayed._function for ready in replayed._ready.values()) == replay.MOST_FORMS


def test_what_is_written_over_is_written_over_in_a_replay_too():
    def function(x, buffer):
        buffer.mul_(0.5).add_(x)
        return [buffer.sum(), buffer]

    replayed, buffer = Replay(function, lambda: None, {}), torch.zeros(3)
    for step in range(1, 6):
        total, same = replayed(torch.full((3,), float(step)), buffer)
        assert same is buffer
    assert total.item() == 3 * (5 + 4 / 2 + 3 / 4 + 2 / 8 + 1 / 16)


def test_a_second_batch_of_the_same_form_is_recorded_once_and_has_the_same_bits(monkeypatch):
    recorded, ran = [], []
    record, run = replay._Tape.recording, Replicas._slopes
    monkeypatch.setattr(replay._Tape, "recording", lambda tape, found: recorded.append(1) or record(tape, found))
    monkeypatch.setattr(Replicas, "_slopes", lambda *given: ran.append(1) or run(*given))
    monkeypatch.setattr(ensemble, "LONG", 0)
    task = load_task(f"{TINY}:perceptron")
    found = [Ensemble(4).run(task, TRIALS, STEPS).losses for _ in range(2)]
    assert (len(recorded), len(ran)) == (2 + 1, 2 * (2 + 1))  # two times before a replay, and one at the end, in both
    np.testing.assert_array_equal(*found)


def test_a_replica_that_diverges_is_no_drift(monkeypatch, compiled):
    wild = [Trial(Strategy(AdamW(), one_cycle(1e30)), 0), *TRIALS]
    task, runs, plain = load_task(f"{TINY}:perceptron"), [], Ensemble._trained
    monkeypatch.setattr(Ensemble, "_trained", lambda *given, **options: runs.append(1) or plain(*given, **options))
    monkeypatch.setattr(ensemble, "LONG", 0)
    Ensemble(8).run(task, wild, STEPS)
    assert (len(runs), len(compiled)) == (1, 1)


def test_a_product_stays_where_it_is_when_a_factor_is_written_over():
    def function(out, a, b):
        product = torch.bmm(a, b)
        a.mul_(2)
        out.copy_(product)
        return [out]

    replayed, out = Replay(function, lambda: None, {}), torch.empty(2, 3, 3)
    for seed in range(4):
        a, b = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
        expected = a @ b
        replayed(out, a, b)
        torch.testing.assert_close(out, expected)


def test_matrices_of_more_dimensions_are_not_turned_back():
    replayed = Replay(lambda x: [x.transpose(1, 2).transpose(-1, -2) + 0], lambda: None, {})
    for seed in range(4):
        x = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(replayed(x)[0], x.transpose(1, 2).transpose(-1, -2))
