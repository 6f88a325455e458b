"""A task that begins where a run has ended."""

import numpy as np
import pytest
import torch
from teacher import teacher

from stepsize.adapters.torch import build_optimizer, drive
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import continued
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.strategy import Strategy, Trial

STEPS = 30
STRATEGY = Strategy.of("Momentum", "cosine", 0.05)


def trained(task, seed):
    """The model after a plain loop of torch."""
    model = task.build(seed)
    optimizer = build_optimizer(model, STRATEGY)
    batches = task.batches(seed)
    for _ in drive(optimizer, STRATEGY.policy, steps=STEPS):
        inputs, targets = next(batches)
        optimizer.zero_grad()
        task.loss(model(inputs), targets).backward()
        optimizer.step()
    return model


def test_it_begins_where_a_loop_of_torch_ends():
    task = teacher()
    later = continued(task, STRATEGY, STEPS, seed=3)
    wanted = trained(task, 3).state_dict()
    for seed in (0, 7):
        for name, value in later.build(seed).state_dict().items():
            torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-7)
    assert later.score(later.build(0)) < 0.5 * task.score(task.build(0))


@pytest.mark.parametrize("engine", [Loop(), Ensemble()], ids=lambda engine: engine.label)
def test_its_runs_leave_the_snapshot_as_it_was(engine):
    later = continued(teacher(), STRATEGY, STEPS)
    trials = [Trial(Strategy.of("SGD", "constant", rate).over(10), seed) for rate in (0.01, 0.1) for seed in (0, 1)]
    first = engine.run(later, trials, 10)
    again = engine.run(later, trials, 10)
    np.testing.assert_array_equal(first.losses, again.losses)
    assert first.scores.shape[1] == 4


def test_what_cannot_be_continued():
    with pytest.raises(ParameterError, match="at least 1 step, not 0"):
        continued(teacher(), STRATEGY, 0)
    with pytest.raises(TaskError, match=r"SGD constant 1e\+06 diverges on .* lower its rate"):
        continued(teacher(), Strategy.of("SGD", "constant", 1e6), STEPS)
    with pytest.raises(TaskError, match=r"diverges on .* after 1 updates"):  # by its one update, which no loss follows
        continued(teacher(), Strategy.of("SGD", "constant", 1e38), 1)


def test_a_length_may_have_a_unit():
    assert continued(teacher(), STRATEGY, "1 epoch").name == f"teacher after 12 steps of {STRATEGY.name}"
