"""Optimizers by their class: a trial of one is a plain loop with it, in any engine, and what it cannot do is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_optimizer
import schedulefree
import torch

from stepsize import load_task, race
from stepsize.engines import Ensemble, FunctionTask, Loop
from stepsize.engines.by_class import ClassWeights
from stepsize.execution.runner import Runner
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.policies import Policy, constant, one_cycle
from stepsize.rules import AdamW, TorchRule
from stepsize.schedules import Linear
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS = 40
POLICY = one_cycle(0.01)


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


def trial(rule, policy=POLICY, seed=0):
    return Trial(Strategy(rule, policy.only(rule.hyperparameters)), seed)


def by_hand(task, make, *, seed=0, steps=STEPS, evaluate=False):
    """The losses and the score of a loop of plain torch, whose rate and momentum are set by hand."""
    model = task.build(seed).train()
    optimizer = make(model.parameters())
    if evaluate:
        optimizer.train()
    table, losses = POLICY.over(steps).table(0, steps), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = float(table["lr"][step])
            group["betas"] = (float(table["momentum"][step]), group["betas"][1])
        x, y = task.batch(step, seed)
        optimizer.zero_grad()
        loss = task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if evaluate:
        optimizer.eval()
    return np.array(losses, np.float32), task.score(model)


def test_a_trial_is_a_plain_loop_with_the_class_to_the_last_bit(task):
    losses, score = by_hand(task, torch.optim.AdamW)
    found = Loop().run(task, [trial(TorchRule(torch.optim.AdamW))], STEPS)
    np.testing.assert_array_equal(found.losses[:, 0], losses)
    assert found.scores[-1, 0] == score


def test_it_is_the_rule_of_ours_up_to_rounding(task):
    """In float64, where rounding says nothing for so few steps."""
    engine = Loop(torch.float64)
    theirs, ours = (engine.run(task, [trial(rule)], STEPS) for rule in (TorchRule(torch.optim.AdamW), AdamW()))
    np.testing.assert_allclose(theirs.losses, ours.losses, rtol=1e-10)
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-10)


def test_one_that_averages_is_scored_at_its_average(task):
    losses, score = by_hand(task, lambda p: schedulefree.AdamWScheduleFree(p, lr=0.01), evaluate=True)
    found = Loop().run(task, [trial(TorchRule(schedulefree.AdamWScheduleFree))], STEPS)
    np.testing.assert_array_equal(found.losses[:, 0], losses)
    assert found.scores[-1, 0] == score


def test_an_ensemble_runs_it_in_a_loop_and_all_else_as_ever(task):
    rules = (AdamW(), TorchRule(torch.optim.AdamW), AdamW(), TorchRule(torch.optim.NAdam))
    trials = [trial(rule, seed=index // 2) for index, rule in enumerate(rules)]
    assert sorted(Ensemble().split(trials)) == [[0, 2], [1], [3]]
    together = Ensemble().run(task, trials, STEPS, score_every=10)
    assert together.trials == tuple(trials)
    alone = Loop().run(task, trials[1::2], STEPS, score_every=10)
    np.testing.assert_array_equal(together.losses[:, 1::2], alone.losses)
    np.testing.assert_array_equal(together.scores[:, 1::2], alone.scores)
    ours = Ensemble().run(task, trials[::2], STEPS, score_every=10)
    np.testing.assert_array_equal(together.losses[:, ::2], ours.losses)


def test_lbfgs_gets_a_closure_that_computes_the_loss_again(task):
    """As in torch's own documentation: the same losses as a loop that gives it one."""
    rule, rate = TorchRule(torch.optim.LBFGS, max_iter=3, history_size=5), 0.1
    assert rule.closure
    model, losses = task.build(0).train(), []
    optimizer = torch.optim.LBFGS(model.parameters(), lr=rate, max_iter=3, history_size=5)
    for step in range(10):
        x, y = task.batch(step, 0)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = task.loss(model(x), y)
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    found = Loop().run(task, [Trial(Strategy(rule, constant(rate)), 0)], 10)
    np.testing.assert_array_equal(found.losses[:, 0], np.array(losses, np.float32))


class Insists(torch.optim.SGD):
    """Refuses to step without a closure, though its signature does not say so."""

    def step(self, closure=None):
        """Step along twice the gradient that the closure computes."""
        if closure is None:
            raise ValueError("a closure, please")
        closure()
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad.mul_(2.0)
        super().step()


def test_one_that_refuses_to_step_without_a_closure_gets_one(task):
    double, plain = TorchRule(Insists), TorchRule(torch.optim.SGD)
    assert not double.closure
    found = Loop().run(task, [trial(double, constant(0.05)), trial(plain, constant(0.1))], STEPS)
    np.testing.assert_allclose(found.losses[:, 0], found.losses[:, 1], rtol=1e-5)


class Fragile(torch.optim.SGD):
    """Raises at gradients that are not finite, as a decomposition of a matrix does."""

    def step(self, closure=None):
        """Step, unless a gradient is not finite."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if not parameter.grad.isfinite().all():
                    raise ArithmeticError("the decomposition failed")
        super().step(closure)


def test_a_run_that_diverges_is_data_where_the_class_raises(task):
    model, strategy = task.build(0), Strategy(TorchRule(Fragile), constant(0.1)).over(2)
    weights, slopes = (
        ClassWeights(task, model, strategy, 2),
        [torch.full_like(p, torch.inf) for p in model.parameters()],
    )
    weights.update(0, slopes, torch.tensor(1.0), lambda: (slopes, torch.tensor(1.0)))
    assert all(p.isnan().all() for p in model.parameters())
    found = Loop().run(task, [trial(TorchRule(Fragile), constant(rate)) for rate in (0.01, 1e38)], STEPS)
    assert np.isfinite(found.final).tolist() == [True, False]


class Broken(torch.optim.SGD):
    """Fails in its third update."""

    def step(self, closure=None):
        """Fail sooner or later."""
        self.count = getattr(self, "count", 0) + 1
        if self.count == 3:
            raise KeyError("no state")
        super().step(closure)


def test_one_that_fails_is_named_and_the_others_go_on(task):
    with pytest.raises(TaskError, match=r"Broken cannot make update 2: KeyError: 'no state'\. It is called as"):
        Loop().run(task, [trial(TorchRule(Broken))], STEPS)
    runner = Runner(task, engine=Ensemble())
    found = runner.run("both", [trial(TorchRule(Broken)), trial(TorchRule(torch.optim.Adam))], STEPS)
    assert np.isfinite(found.final).tolist() == [False, True]
    assert "Broken cannot make update 2" in next(iter(runner.failures.values()))


def test_a_parameter_that_the_loss_does_not_use_has_no_gradient():
    used = load_task(f"{TINY}:perceptron")

    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.idle = used.model(), torch.nn.Parameter(torch.ones(2))

        def forward(self, x):
            return self.net(x)

    losses, _ = by_hand(used, lambda p: torch.optim.AdamW(p, weight_decay=0.5))
    found = Loop().run(replace(used, model=Half), [trial(TorchRule(torch.optim.AdamW, weight_decay=0.5))], STEPS)
    np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-5)


def test_a_race_has_both_and_says_which_is_the_same_as_one_of_ours(task):
    lion = "pytorch_optimizer.Lion(betas=(0.9,0.98)) cosine 0.001"
    raced = ["torch.optim.AdamW one_cycle 0.01", "AdamW one_cycle 0.01", lion]
    record = race(task, ",".join(raced), steps=STEPS, seeds=2, runner=Runner(task, engine=Ensemble()))
    scores = {standing.strategy.name: standing.score.mean for standing in record.standings}
    assert scores[raced[0]] == pytest.approx(scores[raced[1]], rel=1e-4)
    assert set(scores) == set(raced)
    said = [sentence for sentence in record.sentences if "catalogue" in sentence]
    assert said == ["AdamW of the catalogue is the same rule as torch.optim.AdamW, and runs in the ensemble."]


def test_a_training_function_follows_a_class(task):
    def train(trial):
        model = task.build(trial.seed)
        optimizer = trial.optimizer(model)
        assert type(optimizer) is pytorch_optimizer.Lion
        for step in trial:
            trial.apply(optimizer)
            x, y = task.batch(step, trial.seed)
            optimizer.zero_grad()
            loss = task.loss(model(x), y)
            loss.backward()
            optimizer.step()
            trial.report(loss, score=lambda: task.score(model))

    rule, policy = TorchRule(pytorch_optimizer.Lion), Policy(lr=Linear(1e-3, 0.0))
    found = FunctionTask(train, steps=STEPS, rule=rule).run(Strategy(rule, policy))
    np.testing.assert_array_equal(found.losses, Loop().run(task, [trial(rule, policy)], STEPS).losses)
    with pytest.raises(ParameterError, match=r"follows pytorch_optimizer\.Lion, so a strategy of torch\.optim\.AdamW"):
        FunctionTask(train, steps=STEPS, rule=rule).run(Strategy(TorchRule(torch.optim.AdamW), policy))
