"""The rate of a parameter group as what is tested: backbone against head."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from grouped import FILE

from stepsize import FunctionTask, Task
from stepsize.engines import Ensemble, Loop
from stepsize.execution.worker_process import pack, unpack
from stepsize.jobs import suggest, sweep_hyperparameter
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.policies import constant, cosine
from stepsize.problems import load_task
from stepsize.rules import SGD, TorchRule
from stepsize.strategy import Strategy, Trial

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(96, 4, generator=GENERATOR)
Y = X @ torch.randn(4, 1, generator=GENERATOR)
STEPS = 24


def net():
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def groups(body=1.0, head=1.0):
    def named(model):
        return [
            {"name": "body", "params": model[0].parameters(), "lr": body},
            {"name": "head", "params": model[2].parameters(), "lr": head},
        ]

    return named


@pytest.fixture(scope="module")
def task():
    train, validation = (X[:64], Y[:64]), (X[64:], Y[64:])
    return Task(net, torch.nn.functional.mse_loss, train, validation, 16, STEPS, "two groups", groups=groups(body=0.1))


def test_a_factor_is_beside_the_ratios_that_the_groups_have(task):
    found = replace(task, group_rates={"head": 0.5, "body": 3.0}).parameter_groups(net())
    assert [(group.called, group.ratios["lr"]) for group in found] == [("body", pytest.approx(0.3)), ("head", 0.5)]
    assert [group.ratios["weight_decay"] for group in found] == [1.0, 1.0]


def test_it_is_a_plain_loop_with_groups_of_these_rates(task):
    rate = cosine(0.05)["lr"].over(STEPS).table(0, STEPS)
    model, losses = task.build(1), []
    optimizer = torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[2].parameters()}], lr=1.0)
    for step in range(STEPS):
        for group, ratio in zip(optimizer.param_groups, (0.3, 0.5), strict=True):
            group["lr"] = ratio * float(rate[step])
        x, y = task.batch(step, 1)
        optimizer.zero_grad()
        loss = task.loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    variant = replace(task, group_rates={"head": 0.5, "body": 3.0})
    for rule in (SGD(), TorchRule(torch.optim.SGD)):
        for engine in (Loop(), Ensemble()):
            found = engine.run(variant, [Trial(Strategy.of(rule, "cosine", 0.05), 1)], STEPS)
            np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-5)


def test_the_best_factor_is_found_where_one_group_alone_has_to_learn(task):
    """The body is frozen from the start, so that the head has to do it all, and a rate of nearly nothing is no use."""
    frozen = replace(task, groups=lambda model: [
        {"name": "body", "params": model[0].parameters(), "lr": 0.0}, {"name": "head", "params": model[2].parameters()},
    ])  # fmt: skip
    sweep = sweep_hyperparameter(
        frozen, "rate of head", (0.01, 1.0, 10.0), policy=constant(0.1), rule=SGD(), steps=STEPS
    )
    assert (sweep.hyperparameter, sweep.values.tolist()) == ("rate of head", [0.01, 1.0, 10.0])
    assert sweep.final_losses.mean(axis=1).argmin() == 1
    found = suggest(sweep)
    assert found.lr.value == 1.0
    assert "rate of head 1" in found.reason


def test_without_values_a_tenth_to_ten_times_is_tried(task):
    sweep = sweep_hyperparameter(task, "rate of body", policy=constant(0.01), steps=8, seeds=(0, 1))
    assert sweep.values.tolist() == [0.1, 0.3, 1.0, 3.0, 10.0]
    assert sweep.losses.shape == (5, 2)


def test_another_rate_is_another_task_to_a_journal_and_reaches_a_worker(tmp_path):
    (tmp_path / "tuned.py").write_text(FILE)
    loaded = load_task(str(tmp_path / "tuned.py"))
    variant = replace(loaded, group_rates={"head": 3.0})
    assert variant.fingerprint_parts() != loaded.fingerprint_parts()
    there = unpack(pack(variant))
    assert there.group_rates == {"head": 3.0}
    assert there.fingerprint_parts() == variant.fingerprint_parts()


def test_what_is_no_group_or_no_factor_is_refused(task):
    with pytest.raises(ParameterError, match=r"'rate of haed' is no hyperparameter .* Did you mean 'rate of head'"):
        sweep_hyperparameter(task, "rate of haed", policy=constant(0.1))
    with pytest.raises(ParameterError, match=r"has no parameter groups with names.*'name': 'head'"):
        sweep_hyperparameter(replace(task, groups=None), "rate of head", policy=constant(0.1))
    with pytest.raises(ParameterError, match="keeps its parameter groups to itself"):
        sweep_hyperparameter(FunctionTask(lambda _: None), "rate of head", policy=constant(0.1))
    for rates, message in (
        ({"haed": 1.0}, "Did you mean 'head'"),
        ({"head": -1.0}, "at least 0"),
        ({"head": "3"}, "'3'"),
    ):
        with pytest.raises(TaskError, match=message):
            replace(task, group_rates=rates).parameter_groups(net())
