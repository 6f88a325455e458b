"""Every common kind of model: each replica is the same trial run alone, in the loop and with `torch.optim`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stepsize import build_optimizer, drive, load_task
from stepsize.adapters.torch.optimizers import TWINS
from stepsize.engines import Ensemble, Loop
from stepsize.engines.dropout import Dropout, Keys
from stepsize.engines.vectorised.refusal import refusal
from stepsize.policies import one_cycle
from stepsize.rules import SGD, Adadelta, Adagrad, AdamW, RMSProp, RMSPropMomentum
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS = 200
RATES = {SGD: 0.1, Adadelta: 1.0, Adagrad: 0.05, RMSProp: 0.003, RMSPropMomentum: 0.003}
"""Peaks; 0.01 for the others."""
KINDS = [
    "perceptron", "batchnorm", "convolution", "attention", "encoder", "dropout", "shared", "lstm", "gru", "rnn",
    "cells", "embedded", "tied", "tuples", "accumulated", "accumulated_dropout",
]  # fmt: skip


def trial_of(rule, seed, factor=1.0):
    return Trial(Strategy(rule, one_cycle(factor * RATES.get(type(rule), 0.01)).only(rule.hyperparameters)), seed)


def alone(task, trial, steps, dtype=torch.float64, **options):
    """The losses and the last score of a trial with `torch.optim` on a plain model, with the masks of its seed."""
    model = task.build(trial.seed).to(dtype).train()
    optimizer = build_optimizer(model, trial.strategy)
    for group in optimizer.param_groups:
        group.update(options)
    losses, keys = [], Keys([trial.seed])

    def cast(batch):
        return (part.to(dtype) if part.is_floating_point() else part for part in batch)

    for step in drive(optimizer, trial.strategy.policy, steps):
        x, y = cast(task.batch(step, trial.seed))
        optimizer.zero_grad()
        total = 0.0
        for piece in range(task.accumulate):
            rows = slice(piece * task.batch_size, (piece + 1) * task.batch_size)
            with Dropout(keys(step)[0], piece):
                loss = task.loss(model(x[rows]), y[rows]) / task.accumulate
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    with torch.no_grad():
        x, y = cast(task.validation)
        return np.array(losses), task.loss(model.eval()(x), y).item()


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_of_every_kind_is_its_trial_run_alone(kind):
    task = load_task(f"{TINY}:{kind}")
    assert refusal(task) is None
    trials = [trial_of(AdamW(), 1), trial_of(AdamW(), 2, 0.3)]
    together = Ensemble(dtype=torch.float64).run(task, trials, STEPS)
    loop = Loop(torch.float64).run(task, trials[:1], STEPS)
    np.testing.assert_allclose(together.losses[:, :1], loop.losses, rtol=1e-8)
    np.testing.assert_allclose(together.scores[:, :1], loop.scores, rtol=1e-8)
    for column, trial in enumerate(trials):
        losses, score = alone(task, trial, STEPS)
        np.testing.assert_allclose(together.losses[:, column], losses, rtol=1e-8)
        np.testing.assert_allclose(together.scores[-1, column], score, rtol=1e-8)


@pytest.mark.parametrize("rule", TWINS, ids=lambda rule: rule.__name__)
def test_so_it_is_under_every_rule_that_torch_has(rule):
    task = load_task(f"{TINY}:dropout")
    trials = [trial_of(rule(), seed) for seed in (0, 1)]
    together = Ensemble(8, torch.float64).run(task, trials, STEPS)
    for column, trial in enumerate(trials):
        np.testing.assert_allclose(together.losses[:, column], alone(task, trial, STEPS)[0], rtol=1e-8)


@pytest.mark.parametrize("kind", ["batchnorm", "convolution", "shared", "lstm", "embedded", "accumulated"])
def test_in_float32_a_replica_is_within_the_noise_between_torchs_own_paths(kind):
    """How far torch's default, foreach and fused updates lie from float64 is how much a loss means."""
    task, steps = load_task(f"{TINY}:{kind}"), 60
    trials = [trial_of(AdamW(), seed) for seed in (0, 1)]
    found = Ensemble().run(task, trials, steps).losses
    noise, distance = [], []
    for column, trial in enumerate(trials):
        exact, _ = alone(task, trial, steps)
        ways = {"foreach": False}, {"foreach": True}, {"foreach": False, "fused": True}
        noise += [np.abs(alone(task, trial, steps, torch.float32, **way)[0] - exact).max() for way in ways]
        distance.append(np.abs(found[:, column] - exact).max())
    assert max(distance) <= 5 * max(noise)


@pytest.mark.parametrize("kind", ["dropout", "convolution", "shared", "lstm", "accumulated_dropout"])
def test_the_masks_of_a_replica_do_not_depend_on_its_wave(kind):
    task = load_task(f"{TINY}:{kind}")
    trials = [trial_of(AdamW(), seed) for seed in range(5)]
    whole, pairs, turned = (
        Ensemble(size, torch.float64).run(task, order, 20).losses
        for size, order in ((5, trials), (2, trials), (5, trials[::-1]))
    )
    np.testing.assert_allclose(pairs, whole, rtol=1e-12)
    np.testing.assert_allclose(turned[:, ::-1], whole, rtol=1e-12)


def test_masks_differ_from_seed_to_seed_and_from_step_to_step():
    """With inputs of ones and weights that stay, the losses differ by the masks alone."""
    plain = load_task(f"{TINY}:dropout")
    task = type(plain)(
        plain.model, lambda out, y: out.mean(), tuple(map(torch.ones_like, plain.train)), plain.validation, 16
    )
    still = [Trial(Strategy(SGD(), one_cycle(1e-30).only({"lr"})), seed) for seed in (0, 0, 1)]
    losses = Ensemble(dtype=torch.float64).run(task, still, 8).losses
    np.testing.assert_array_equal(losses[:, 0], losses[:, 1])
    assert len(np.unique(losses[:, 0])) == 8
    assert (losses[:, 0] != losses[:, 2]).all()


def test_what_draws_in_another_way_runs_in_the_loop_and_says_so():
    task = load_task(f"{TINY}:dropped_encoder")
    assert "random numbers of its own" in refusal(task)
    trials = [trial_of(AdamW(), 0)]
    np.testing.assert_array_equal(Loop().run(task, trials, 5).losses, Loop().run(task, trials, 5).losses)
