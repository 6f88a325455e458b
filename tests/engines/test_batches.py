"""Batches: the dead are left behind, the size follows from the memory, and the size of a step picks the engine."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from stepsize import load_task
from stepsize.engines import Ensemble, Loop, base, choice, choose, dropout, refusal
from stepsize.engines.vectorised import ensemble as module
from stepsize.engines.vectorised import memory
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.policies import Policy, constant, one_cycle
from stepsize.rules import EMA, SGD, SPS, AdamW, ClipNorm, Momentum, Muon
from stepsize.schedules import Constant
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
CPU = torch.device("cpu")


def task_of(name="perceptron"):
    return load_task(f"{TINY}:{name}")


def wild(rule=None, seed=0):
    return Trial(Strategy(rule or Momentum(), constant(1e30)), seed)


def calm(rule=None, seed=0, rate=0.01):
    rule = rule or Momentum()
    return Trial(Strategy(rule, one_cycle(rate).only(rule.hyperparameters)), seed)


@pytest.fixture
def rows(monkeypatch):
    """How many rows each gradient was of."""
    seen, plain = [], Replicas.gradient

    def gradient(self, step):
        seen.append(len(self.flat))
        return plain(self, step)

    monkeypatch.setattr(Replicas, "gradient", gradient)
    monkeypatch.setattr(module, "CHECK", 4)
    return seen


RULES = [Momentum(), EMA(ClipNorm(Momentum(), 1e9), 0.9), SPS(), Muon(0.01)]


@pytest.mark.parametrize("rule", RULES, ids=["Momentum", "wrapped", "SPS", "Muon"])
@pytest.mark.parametrize("model", ["perceptron", "batchnorm", "shared", "tied"])
def test_the_living_do_not_notice_that_the_dead_are_left_behind(rows, rule, model, monkeypatch):
    """Weights, slots, buffers, batches, masks and coefficients are gathered; a block of those ends in between."""
    monkeypatch.setattr(base, "CHUNK", 7)
    task, living = task_of(model), [calm(rule, 1), calm(rule, 2, 0.002)]
    trials = [wild(rule), living[0], wild(rule, 1), living[1], wild(rule, 3)]
    monkeypatch.setattr(Replicas, "gradient", spoilt(Replicas.gradient, trials))
    together = Ensemble(8, torch.float64).run(task, trials, 30, score_every=10)
    assert rows[0] == 5
    assert rows[-1] == 2
    apart = Ensemble(dtype=torch.float64).run(task, living, 30, score_every=10)
    np.testing.assert_allclose(together.losses[:, [1, 3]], apart.losses, rtol=1e-12)
    np.testing.assert_allclose(together.scores[:, [1, 3]], apart.scores, rtol=1e-12)
    assert together.died_at[[1, 3]].tolist() == [-1, -1]
    assert (together.died_at[[0, 2, 4]] == 2).all()
    assert np.isnan(together.losses[3:, [0, 2, 4]]).all()
    assert np.isnan(together.scores[:, [0, 2, 4]]).all()


def spoilt(plain, trials):
    """Gradients of which those of the wild trials are not a number from update 2 on."""
    mad = torch.tensor([trial.strategy.policy["lr"] == Constant(1e30) for trial in trials])

    def gradient(self, step):
        slopes, losses = plain(self, step)
        if len(slopes) == len(mad) and step >= 2:
            slopes[mad] = losses[mad] = torch.nan
        return slopes, losses

    return gradient


def test_a_wave_is_kept_while_half_of_it_lives(rows):
    trials = [wild(SGD()), calm(SGD()), wild(SGD(), 1), calm(SGD(), 1)]
    curves = Ensemble(8).run(task_of("regression"), trials, 20)
    assert set(rows) == {4}
    assert np.isfinite(curves.losses[:, [1, 3]]).all()


def test_a_wave_of_the_dead_costs_nothing_more_and_still_counts(rows):
    told = []
    curves = Ensemble(8).run(
        task_of("regression"), [wild(SGD()), wild(SGD(), 1)], 50, score_every=10, progress=told.append
    )
    assert len(rows) < 10
    assert sum(told) == 100
    assert curves.losses.shape == (50, 2)
    assert curves.scores.shape == (5, 2)
    assert np.isnan(curves.scores[1:]).all()
    assert curves.final.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 20])
def test_both_engines_record_the_same_of_a_trial_that_dies(steps):
    trials = [wild(SGD()), calm(SGD())]
    loop, ensemble = (engine().run(task_of("regression"), trials, steps, score_every=2) for engine in (Loop, Ensemble))
    np.testing.assert_array_equal(np.isnan(loop.losses), np.isnan(ensemble.losses))
    np.testing.assert_array_equal(np.isfinite(loop.scores), np.isfinite(ensemble.scores))
    assert loop.died_at.tolist() == ensemble.died_at.tolist()


def test_the_loop_tells_of_all_updates_of_a_trial_that_dies():
    told = []
    Loop().run(task_of("regression"), [wild(SGD())], 50, progress=told.append)
    assert sum(told) == 50
    assert len(told) < 50


def test_a_coefficient_that_all_share_is_one_when_few_are_left(rows):
    """The weight decay differs only between the living and the dead."""
    trials = [Trial(Strategy(SGD(), Policy(lr=Constant(rate), weight_decay=Constant(decay))), seed)
              for seed, (rate, decay) in enumerate([(1e30, 0.1), (0.05, 0.0), (1e30, 0.1), (1e30, 0.2)])]  # fmt: skip
    found = Ensemble(dtype=torch.float64).run(task_of("regression"), trials, 20).losses[:, 1]
    assert rows[-1] == 1
    np.testing.assert_allclose(
        found, Loop(torch.float64).run(task_of("regression"), trials[1:2], 20).losses[:, 0], rtol=1e-9
    )


def test_the_peak_of_memory_is_what_is_held_at_once():
    with memory.Peak() as peak:
        first = torch.ones(1000)
        view = first[:500]
        del first
        second = torch.ones(3000) + view.sum()  # two of 3000 at once, and the number
        del view
    assert 4 * 7000 <= peak.most <= 4 * 7010
    assert len(second) == 3000


@pytest.mark.parametrize("batch", [16, 64])
def test_what_a_replica_needs_grows_with_its_parameters_and_activations(batch):
    wide, depth = 400, 5

    def need(batch):
        layers = [torch.nn.Linear(6, wide), *(torch.nn.Tanh() for _ in range(depth)), torch.nn.Linear(wide, 3)]
        plain = task_of()
        task = type(plain)(lambda: torch.nn.Sequential(*layers), plain.loss, plain.train, plain.validation, batch)
        return memory.per_replica(
            lambda count: Ensemble(count)._train(task, [calm(AdamW())] * count, [1], lambda _: None)
        )

    parameters, activations = 4 * (7 * wide + 3 * wide + 3), 4 * wide * depth * batch
    assert 5 * parameters + activations <= need(batch) <= 12 * parameters + 2.5 * activations


def test_as_many_replicas_run_at_once_as_fit_into_half_of_the_memory(rows, monkeypatch):
    task, trials, engine = task_of(), [calm(seed=seed) for seed in range(7)], Ensemble()
    whole = engine.run(task, trials, 3).losses
    assert rows[-1] == 7
    _, need = engine._needs(task, trials[0])
    monkeypatch.setattr(memory, "available", lambda device: 7 * need)
    rows.clear()
    few = engine.run(task, trials, 3).losses
    assert set(rows) == {2, 3}
    np.testing.assert_allclose(few, whole, rtol=1e-5)


def test_a_wave_stays_within_the_cache_unless_it_is_given_a_size(monkeypatch):
    task = task_of()
    training, whole = Ensemble()._needs(task, calm())
    assert training <= whole
    monkeypatch.setattr(module, "CACHE", 5 * training + 1)
    assert Ensemble().most(task, calm()) == 5
    assert Ensemble(64).most(task, calm()) == 64
    monkeypatch.setattr(module, "CACHE", 1)
    assert Ensemble().most(task, calm()) == 1


def test_an_engine_that_has_measured_goes_into_another_process():
    engine = Ensemble()
    engine.most(task_of(), calm())
    assert pickle.loads(pickle.dumps(engine)).label == engine.label  # noqa: S301  (made in this line)


def test_without_memory_for_one_replica_it_says_how_much_is_missing(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    with pytest.raises(TaskError, match=r"too little memory for one replica of 'tiny'.*needs .* MiB.*free.*batch_size"):
        Ensemble().run(task_of(), [calm()], 3)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="it is read there, and infinite elsewhere")
def test_there_is_memory_here():
    assert 1 << 20 < memory.available(CPU) < 1 << 50


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused(size):
    with pytest.raises(ParameterError, match=f"at least 1 replica, not {size}"):
        Ensemble(size)


def test_a_task_stays_with_the_engine_that_ran_it_before():
    for kind in (Ensemble, Loop):
        chosen = choose(task_of(), (kind().label, "for some reason"))
        assert isinstance(chosen.engine, kind)
        assert chosen.reason == "for some reason"
    assert isinstance(choose(task_of("branching"), (Ensemble().label, "for some reason")).engine, Loop)
    assert isinstance(choose(task_of(), ("an engine of old", "for some reason")).engine, Ensemble)


@pytest.mark.parametrize(("fitting", "kind"), [(choice.FEWEST - 1, Loop), (choice.FEWEST, Ensemble)])
def test_a_task_whose_steps_are_large_runs_in_the_loop(monkeypatch, fitting, kind):
    task = task_of()
    training, _ = Ensemble()._needs(task, calm(AdamW()))
    monkeypatch.setattr(module, "CACHE", fitting * training)
    chosen = choose(task)
    assert isinstance(chosen.engine, kind)
    if kind is Loop:
        assert str(chosen).endswith("its steps are large: 5 at once would be no faster than one after the other")


def test_labels_do_not_depend_on_the_size():
    assert Ensemble(8).label == Ensemble(64).label == Ensemble().label == "ensemble on cpu"


@pytest.mark.parametrize("name", ["perceptron", "batchnorm", "shared", "lstm"])
def test_the_size_of_the_waves_moves_no_result(name):
    trials = [calm(AdamW(), seed, 0.01 / (1 + seed)) for seed in range(6)]
    whole, pairs = (Ensemble(size, torch.float64).run(task_of(name), trials, 40) for size in (6, 2))
    np.testing.assert_allclose(pairs.losses, whole.losses, rtol=1e-11)
    np.testing.assert_allclose(pairs.scores, whole.scores, rtol=1e-11)


def test_a_gradient_that_is_wrong_under_vmap_is_found_out(monkeypatch):
    """torch 2.13 lets a gradient into the padding of every replica's embedding but the first."""

    task = task_of("embedded")
    assert refusal(task) is None
    monkeypatch.delitem(dropout.STAND_INS, torch.nn.functional.embedding)
    assert "its gradient as a replica is off" in refusal(task)
