"""The engines: a replica is the same trial run alone, and nothing that one trial does reaches another."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from stepsize import Task, build_optimizer, drive, load_task
from stepsize.engines import Ensemble, Loop, choose
from stepsize.engines.vectorised.ensemble import UPDATE_BLOCK
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant, one_cycle
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
RATES = {SGD: 0.3, Momentum: 0.05, Nesterov: 0.05, RMSProp: 0.003, Adam: 0.01, AdamW: 0.01}
STEPS = 60


@pytest.fixture(scope="module")
def tasks():
    found = {}

    def get(name):
        if name not in found:
            found[name] = load_task(f"{TINY}:{name}")
        return found[name]

    return get


def trial_of(rule, seed=0, *, rate=None, name=""):
    policy = one_cycle(rate or RATES[type(rule)]).only(rule.hyperparameters)
    return Trial(Strategy(rule, policy, name), seed)


def alone(task, trial, steps, dtype=torch.float64, every=None, **options):
    """Train one trial with `torch.optim` and return its losses and scores."""
    model = task.build(trial.seed).to(dtype)
    optimizer = build_optimizer(model, trial.strategy)
    for name, value in options.items():
        for group in optimizer.param_groups:
            group[name] = value
    losses, scores = [], []
    for step in drive(optimizer, trial.strategy.policy, steps):
        x, y = (tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in task.batch(step, trial.seed))
        optimizer.zero_grad()
        loss = task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step + 1 == steps or (every and (step + 1) % every == 0):
            model.eval()
            x, y = task.validation
            with torch.no_grad():
                scores.append(task.loss(model(x.to(dtype)), y).item())
            model.train()
    return np.array(losses), np.array(scores)


def assert_alone(task, trials, curves, steps=STEPS, every=None):
    for column, trial in enumerate(trials):
        losses, scores = alone(task, trial, steps, every=every)
        np.testing.assert_allclose(curves.losses[:, column], losses, rtol=1e-9)
        np.testing.assert_allclose(curves.scores[:, column], scores, rtol=1e-9)


@pytest.mark.parametrize("rule", RATES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_a_replica_is_its_trial_run_alone_by_torch(tasks, rule, decay):
    task = tasks("perceptron")
    trials = [trial_of(rule(weight_decay=decay), seed) for seed in (0, 3)]
    trials.append(trial_of(rule(weight_decay=decay), 0, rate=RATES[rule] / 3))
    curves = Ensemble(dtype=torch.float64).run(task, trials, STEPS, score_every=25)
    assert curves.score_steps.tolist() == [25, 50, 60]
    assert_alone(task, trials, curves, every=25)


@pytest.mark.parametrize("model", ["batchnorm", "attention", "tied", "regression", "tuples", "one_element_loss"])
def test_a_replica_of_another_model_is_its_trial_run_alone(tasks, model):
    task = tasks(model)
    trials = [trial_of(AdamW(), 1), trial_of(AdamW(), 2, rate=0.003)]
    assert_alone(task, trials, Ensemble(dtype=torch.float64).run(task, trials, 30), 30)


@pytest.mark.parametrize("rule", [Momentum(dampening=0.3), Adam(epsilon=1e-3, beta2=0.9), RMSProp(alpha=0.9)])
def test_the_other_hyperparameters_reach_the_replica(tasks, rule):
    task = tasks("perceptron")
    trials = [trial_of(rule), trial_of(type(rule)())]
    assert_alone(task, trials, Ensemble(dtype=torch.float64).run(task, trials, 20), 20)


@pytest.mark.parametrize("model", ["perceptron", "batchnorm", "dropout", "branching", "averaging"])
def test_the_loop_is_a_trial_run_alone(tasks, model):
    task = tasks(model)
    trials = [trial_of(AdamW(), 1), trial_of(Momentum(), 2)]
    curves = Loop(torch.float64).run(task, trials, 20, score_every=8)
    if model == "dropout":  # the masks of the two runs differ, so only what precedes them agrees
        assert np.isfinite(curves.losses).all()
        again = Loop(torch.float64).run(task, trials, 20, score_every=8)
        np.testing.assert_array_equal(curves.losses, again.losses)
        return
    assert_alone(task, trials, curves, 20, every=8)


def test_the_loop_and_the_ensemble_agree(tasks):
    task = tasks("batchnorm")
    trials = [trial_of(rule(), seed) for rule in RATES for seed in (0, 1)]
    loop, ensemble = (engine(dtype=torch.float64).run(task, trials, 25, score_every=10) for engine in (Loop, Ensemble))
    np.testing.assert_allclose(ensemble.losses, loop.losses, rtol=1e-9)
    np.testing.assert_allclose(ensemble.scores, loop.scores, rtol=1e-9)
    assert ensemble.score_steps.tolist() == loop.score_steps.tolist() == [10, 20, 25]


@pytest.mark.parametrize("rule", [AdamW, Momentum])
def test_in_float32_a_replica_is_within_the_noise_between_torchs_own_paths(tasks, rule):
    task = tasks("attention")
    trials = [trial_of(rule(), seed) for seed in range(3)]
    curves = Ensemble().run(task, trials, STEPS)
    noise, distance = [], []
    for column, trial in enumerate(trials):
        single, _ = alone(task, trial, STEPS, torch.float32, foreach=False, fused=False)
        others = [
            alone(task, trial, STEPS, torch.float32, **{"foreach": False, "fused": False, way: True})[0]
            for way in ("foreach", "fused")
        ]
        noise += [np.abs(other - single).max() for other in others]
        exact, _ = alone(task, trial, STEPS)
        noise.append(np.abs(single - exact).max())
        distance.append(np.abs(curves.losses[:, column] - exact).max())
    assert max(distance) <= 10 * max(noise)


def test_the_losses_have_the_dtype_of_the_engine(tasks):
    for dtype, expected in ((torch.float32, np.float32), (torch.float64, np.float64)):
        for engine in (Ensemble(dtype=dtype), Loop(dtype)):
            curves = engine.run(tasks("perceptron"), [trial_of(SGD())], 2)
            assert (curves.losses.dtype, curves.scores.dtype) == (expected, np.float64)


def test_float64_data_is_read_in_the_engines_precision(tasks):
    task = tasks("doubles")
    trials = [trial_of(SGD(), seed) for seed in (0, 1)]
    loop, ensemble = Loop().run(task, trials, 10), Ensemble().run(task, trials, 10)
    np.testing.assert_allclose(loop.losses, ensemble.losses, rtol=1e-5)
    np.testing.assert_allclose(loop.scores, ensemble.scores, rtol=1e-5)
    assert np.isfinite(Loop().run(tasks("double_dropout"), trials, 3).scores).all()


def test_mixed_rules_come_back_in_the_order_of_the_trials(tasks):
    task, engine = tasks("perceptron"), Ensemble(size=2, dtype=torch.float64)
    trials = [trial_of(rule(), seed) for seed in (0, 1) for rule in (SGD, AdamW, Momentum)]
    curves = engine.run(task, trials, 10)
    assert curves.trials == tuple(trials)
    assert_alone(task, trials, curves, 10)


@pytest.mark.parametrize(("counts", "size"), [((7, 3), 3), ((64,), 64), ((65, 1), 64), ((5, 5, 5), 4)])
def test_waves_are_even_and_of_one_kind_of_rule(counts, size):
    rules = (SGD(), AdamW(), Momentum())
    trials = [
        trial_of(rule, seed) for seed in range(max(counts)) for rule, n in zip(rules, counts, strict=False) if seed < n
    ]
    batches = Ensemble(size).split(trials)
    assert sorted(index for batch in batches for index in batch) == list(range(len(trials)))
    for rule in rules[: len(counts)]:
        sizes = [len(batch) for batch in batches if {type(trials[i].strategy.rule) for i in batch} == {type(rule)}]
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == -(-sum(sizes) // size)


def test_the_loops_waves_are_single_trials():
    assert Loop().split([trial_of(SGD(), seed) for seed in range(3)]) == [[0], [1], [2]]


def test_a_diverging_replica_is_data_and_leaves_the_others_alone(tasks):
    task = tasks("regression")
    quiet = [trial_of(SGD(), seed, rate=0.05) for seed in (0, 1)]
    wild = Trial(Strategy(SGD(), constant(1e9)), 0)
    with_wild = Ensemble().run(task, [quiet[0], wild, quiet[1]], 20, score_every=5)
    without = Ensemble().run(task, [quiet[0], quiet[0], quiet[1]], 20, score_every=5)
    # not to the bit: the dead are left behind, and fewer rows may be rounded otherwise by the vectors of a processor
    np.testing.assert_allclose(with_wild.losses[:, [0, 2]], without.losses[:, [0, 2]], rtol=1e-5)
    np.testing.assert_allclose(with_wild.scores[:, [0, 2]], without.scores[:, [0, 2]], rtol=1e-5)
    died = int(with_wild.died_at[1])
    assert with_wild.died_at.tolist() == [-1, died, -1]
    assert np.isfinite(with_wild.losses[:died, 1]).all()
    assert not np.isfinite(with_wild.losses[died, 1])
    assert 0 < died < 20
    assert with_wild.final.tolist() == [with_wild.scores[-1, 0], np.inf, with_wild.scores[-1, 2]]


def test_the_loop_sees_the_same_divergence(tasks):
    task, wild = tasks("regression"), Trial(Strategy(SGD(), constant(1e9)), 0)
    loop, ensemble = (engine().run(task, [wild], 20) for engine in (Loop, Ensemble))
    assert loop.died_at.tolist() == ensemble.died_at.tolist()
    assert loop.final.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("steps", "every", "points"),
    [(20, None, [20]), (20, 5, [5, 10, 15, 20]), (20, 7, [7, 14, 20]), (20, 40, [20]), (1, 1, [1]), (3, 1, [1, 2, 3])],
)
@pytest.mark.parametrize("engine", [Ensemble(), Loop()], ids=["ensemble", "loop"])
def test_scores_are_taken_every_so_often_and_at_the_end(tasks, engine, steps, every, points):
    curves = engine.run(tasks("perceptron"), [trial_of(SGD()), trial_of(SGD(), 1)], steps, score_every=every)
    assert curves.score_steps.tolist() == points
    assert curves.scores.shape == (len(points), 2)
    assert curves.losses.shape == (steps, 2)


@pytest.mark.parametrize("model", ["perceptron", "dropout"])
def test_torchs_global_generator_is_left_as_it_was(tasks, model):
    task = tasks(model)
    before = torch.get_rng_state()
    engine = choose(task).engine
    engine.run(task, [trial_of(SGD())], 3)
    task.check()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("model", ["perceptron", "dropout"])
def test_a_run_depends_on_nothing_but_its_seed(tasks, model):
    task = tasks(model)
    engine = choose(task).engine
    first = engine.run(task, [trial_of(AdamW())], 5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        second = engine.run(task, [trial_of(AdamW())], 5)
    np.testing.assert_array_equal(first.losses, second.losses)


def test_trials_of_one_seed_share_their_weights_and_batches(tasks):
    trials = [trial_of(SGD(), 0), trial_of(SGD(), 0, rate=1e-9), trial_of(SGD(), 1), trial_of(AdamW(), 0)]
    first = Ensemble().run(tasks("perceptron"), trials, 2).losses[0]
    assert first[[1, 3]] == pytest.approx(first[0], rel=1e-6)
    assert abs(first[0] - first[2]) > 1e-3


@pytest.mark.parametrize(
    ("model", "reason"),
    [("dropped_encoder", "random"), ("branching", r"\.item\(\)"), ("averaging", "'mean' is not updated in place")],
)
def test_the_loop_is_chosen_for_what_cannot_be_vectorised(tasks, model, reason):
    choice = choose(tasks(model))
    assert isinstance(choice.engine, Loop)
    assert re.search(f"cannot be vectorised.*{reason}", choice.reason)
    assert "\n" not in choice.reason
    assert len(str(choice)) < 300


@pytest.mark.parametrize(
    "model", ["perceptron", "batchnorm", "attention", "tied", "regression", "doubles", "one_element_loss", "tuples"]
)
def test_the_ensemble_is_chosen_otherwise(tasks, model):
    choice = choose(tasks(model))
    assert isinstance(choice.engine, Ensemble)
    assert str(choice) == "ensemble on cpu: the model can be vectorised, and its steps are small"


def test_labels_name_the_precision_since_journals_key_on_them():
    labels = {engine.label for d in (torch.float32, torch.float64) for engine in (Ensemble(dtype=d), Loop(d))}
    assert len(labels) == 4


def test_progress_adds_up_to_all_updates(tasks):
    trials = [trial_of(rule(), seed) for rule in (SGD, AdamW) for seed in (0, 1, 2)]
    for engine in (Ensemble(size=2), Loop()):
        told = []
        engine.run(tasks("perceptron"), trials, 7, progress=told.append)
        assert sum(told) == 6 * 7


def test_many_rows_are_updated_in_blocks_without_a_seam(tasks, monkeypatch):
    trials = [trial_of(AdamW(), seed) for seed in range(5)]
    whole = Ensemble().run(tasks("perceptron"), trials, 5)
    monkeypatch.setattr("stepsize.engines.vectorised.ensemble.UPDATE_BLOCK", 200)
    blocks = Ensemble().run(tasks("perceptron"), trials, 5)
    assert UPDATE_BLOCK > 5 * 83 > 200
    np.testing.assert_allclose(whole.losses, blocks.losses, rtol=1e-5)  # the last of a block may be rounded otherwise


def test_the_table_is_read_in_chunks_without_a_seam(tasks, monkeypatch):
    monkeypatch.setattr("stepsize.engines.base.CHUNK", 7)
    task, trial = tasks("perceptron"), trial_of(AdamW())
    assert_alone(task, [trial], Ensemble(dtype=torch.float64).run(task, [trial], 20), 20)


@pytest.mark.parametrize("engine", [Ensemble(), Loop()], ids=["ensemble", "loop"])
def test_an_error_in_the_middle_says_at_which_update(tasks, engine):
    plain = tasks("perceptron")
    x, y = plain.train[0], plain.train[1].clone()
    y[int(plain.order(0, 0)[3, 0])] = 7
    task = Task(plain.model, plain.loss, (x, y), plain.validation, plain.batch_size, 40, "rare label")
    with pytest.raises(TaskError, match=r"'rare label' fails at update 3: .*7 is out of bounds"):
        engine.run(task, [trial_of(SGD())], 10)


def test_a_model_with_an_operation_that_has_no_batching_rule_runs_without_a_word(tasks):
    plain = tasks("perceptron")

    def model():
        return torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 3))

    task = Task(model, plain.loss, plain.train, plain.validation, 16, 40, "normed")
    trials = [trial_of(AdamW(), seed) for seed in (0, 1)]
    assert isinstance(choose(task).engine, Ensemble)
    assert_alone(task, trials, Ensemble(dtype=torch.float64).run(task, trials, 10), 10)
