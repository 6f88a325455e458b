"""Noise of the gradient: normal, a function of seed, update and parameter alone, and the same in every engine."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from stepsize import load_task
from stepsize.engines import Ensemble, Loop, normals
from stepsize.engines.landscape.descend import descend
from stepsize.engines.normals import Normals
from stepsize.policies import Policy, constant
from stepsize.problems.landscapes import Booth
from stepsize.problems.noise import Gaussian
from stepsize.rules import SGD, ClipNorm, GradientNoise, Momentum, Muon
from stepsize.schedules import Constant
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STILL = GradientNoise(SGD(), noise_variance=0.04, noise_decay=1.0)


def drawn(seeds, step, width=20_000, number=0, dtype=torch.float32):
    return Normals(seeds, torch.zeros(len(seeds), width, dtype=dtype), number)(step).double().numpy()


def test_the_numbers_are_normal_and_independent_of_step_seed_and_group():
    streams = [drawn([0], 0)[0], drawn([0], 1)[0], drawn([1], 0)[0], drawn([0], 0, number=1)[0]]
    for each in streams:
        assert stats.kstest(each, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(streams) - np.eye(4)).max() < 0.03  # four standard deviations of such a correlation
    assert np.abs(np.corrcoef(streams[0][:-1], streams[0][1:])[0, 1]) < 0.03


@pytest.mark.parametrize(("bits", "largest"), [(-(2**31), 5.77), (2**31 - 1, 0.001)])
def test_the_numbers_at_both_ends_of_the_bits_are_finite(monkeypatch, bits, largest):
    """One number in some millions is drawn of such bits."""
    monkeypatch.setattr(normals, "random_bits", lambda *_: torch.tensor([bits], dtype=torch.int32))
    assert 0 < abs(drawn([0], 0, width=1)[0, 0]) < largest


def test_a_seed_sees_the_same_numbers_in_any_company_and_precision():
    alone = drawn([7], 300)
    together = drawn([3, 7, 5, 7], 300, dtype=torch.float64)
    np.testing.assert_array_equal(together[[1, 3]], np.repeat(alone, 2, axis=0))


@pytest.mark.parametrize("rule", [SGD(0.1), ClipNorm(Muon(0.01), 0.5)], ids=lambda rule: rule.title)
def test_both_engines_add_the_same_noise(rule):
    task = load_task(f"{TINY}:perceptron")
    noisy = GradientNoise(rule, 0.3)
    trials = [Trial(Strategy(noisy, constant(rule.lr * scale)), seed) for scale in (1.0, 0.5) for seed in (0, 3)]
    one, other = (
        engine.run(task, trials, 12)
        for engine in (Ensemble(dtype=torch.float64), Loop(torch.float64))
    )  # fmt: skip
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-9)
    plain = Loop(torch.float64).run(task, [Trial(Strategy(rule, constant(rule.lr)), 0)], 12)
    assert (np.abs(plain.losses[1:, 0] - other.losses[1:, 0]) > 1e-6).all()


def test_strategies_of_a_seed_see_the_same_noise():
    """At a rate that moves next to nothing, two rules differ by the noise alone if it is not the same."""
    task = load_task(f"{TINY}:perceptron")
    paths = [Strategy(GradientNoise(kind(), 1.0), constant(1e-7)) for kind in (SGD, lambda: Momentum(momentum=0.0))]
    found = Ensemble(dtype=torch.float64).run(task, [Trial(each, 0) for each in paths], 20).losses
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-13)


def test_the_variance_on_a_landscape_is_that_of_the_formula():
    """From the minimum one step of plain descent is rate times noise; both kinds of noise are independent."""
    starts = np.tile([[1.0, 3.0]], (20_000, 1))
    policy = Policy(lr=Constant(1e-6))
    found = descend(Booth(), [Strategy(STILL, policy)], starts=starts, steps=3, watched=20_000, points=600)
    moves = np.diff(found.paths[0], axis=0) / 1e-6
    np.testing.assert_allclose(moves.var(axis=(1, 2)), 0.04 / np.arange(1, 4), rtol=0.03)
    shaken = descend(Booth(), [Strategy(STILL, policy)], starts=starts, steps=1, noise=Gaussian(0.3))
    assert ((shaken.last[0] - starts) / 1e-6).var() == pytest.approx(0.04 + 0.09, rel=0.03)
