"""A gradient that is replayed is the gradient of the model as it runs, and a model that no recording follows is not."""

import dataclasses
import itertools
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
    made, plain = [], replay._Tape.recording
    monkeypatch.setattr(replay._Tape, "recording", lambda tape, found: made.append(plain(tape, found)) or made[-1])
    return made


def losses(task, monkeypatch, *, replayed, steps=STEPS):
    monkeypatch.setattr(ensemble, "WORTH_RECORDING", 0 if replayed else float("inf"))
    return Ensemble(8, torch.float64).run(task, TRIALS, steps).losses


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


def test_a_value_that_goes_to_python_is_not_recorded():
    runs = []

    def function(x):
        runs.append(1)
        return [x * x.sum().item()]

    replayed = Replay(function, {})
    for number in (1.0, 2.0, 3.0):
        x = torch.full((2,), number)
        assert torch.equal(replayed(x)[0], x * x.sum())
    assert len(runs) == 3


def test_inputs_of_ever_new_shapes_are_not_recorded_for_ever():
    replayed = Replay(lambda x: [2 * x], {})
    for width in range(1, 30):
        for _ in range(3):
            assert torch.equal(replayed(torch.ones(width))[0], torch.full((width,), 2.0))
    assert len(replayed._ready) == replay.MOST_FORMS


def test_what_is_written_over_is_written_over_in_a_replay_too():
    def function(x, buffer):
        buffer.mul_(0.5).add_(x)
        return [buffer.sum(1), buffer]

    replayed, buffer = Replay(function, {}), torch.zeros(1, 3)
    for step in range(1, 6):
        total, same = replayed(torch.full((1, 3), float(step)), buffer)
        assert same is buffer
    assert total.item() == 3 * (5 + 4 / 2 + 3 / 4 + 2 / 8 + 1 / 16)


def test_a_second_batch_of_the_same_form_is_not_recorded_and_has_the_same_bits(monkeypatch, compiled):
    ran, run = [], Replicas._slopes
    monkeypatch.setattr(Replicas, "_slopes", lambda *given: ran.append(1) or run(*given))
    monkeypatch.setattr(ensemble, "WORTH_RECORDING", 0)
    task = load_task(f"{TINY}:perceptron")
    found = [Ensemble(4).run(task, TRIALS, STEPS).losses for _ in range(2)]
    assert (len(compiled), len(ran)) == (1, 2 * 2)  # two times before a replay, in both
    np.testing.assert_array_equal(*found)


def test_a_replica_that_diverges_is_no_reason_to_give_up(monkeypatch):
    ran, run = [], Replicas._slopes
    monkeypatch.setattr(Replicas, "_slopes", lambda *given: ran.append(1) or run(*given))
    monkeypatch.setattr(ensemble, "WORTH_RECORDING", 0)
    wild = [Trial(Strategy(AdamW(), one_cycle(1e30)), 0), *TRIALS]
    Ensemble(8).run(load_task(f"{TINY}:perceptron"), wild, STEPS)
    assert len(ran) == 2


def test_a_recording_that_says_something_else_is_not_used():
    calls = itertools.count()
    replayed = Replay(lambda x: [x * (2.0 if next(calls) else 1.0)], {})
    for _ in range(4):
        found = replayed(torch.ones(1, 2))[0]
    assert torch.equal(found, torch.full((1, 2), 2.0))


def test_what_changes_the_shape_of_a_tensor_is_not_recorded():
    held = torch.ones(2)

    def function(x):
        row = held.detach()
        row.unsqueeze_(0)
        return [x * row]

    replayed = Replay(function, {})
    for _ in range(4):
        assert replayed(torch.ones(3, 2))[0].shape == (3, 2)
    assert held.shape == (2,)


def test_a_product_stays_where_it_is_when_a_factor_is_written_over():
    def function(out, a, b):
        product = torch.bmm(a, b)
        a.mul_(2)
        out.copy_(product)
        return [out]

    replayed, out = Replay(function, {}), torch.empty(2, 3, 3)
    for seed in range(4):
        a, b = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
        expected = a @ b
        replayed(out, a, b)
        torch.testing.assert_close(out, expected)


def test_matrices_of_more_dimensions_are_not_turned_back():
    replayed = Replay(lambda x: [x.transpose(1, 2).transpose(-1, -2) + 0], {})
    for seed in range(4):
        x = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(replayed(x)[0], x.transpose(1, 2).transpose(-1, -2))
