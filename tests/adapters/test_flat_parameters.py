"""A model as one row: there and back, and what a parameter that the loss does not use keeps."""

import pytest
import torch
from torch import nn

from stepsize.adapters.torch import RuleOptimizer
from stepsize.adapters.torch.flat_parameters import FlatParameters
from stepsize.engines import Loop
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.policies import constant
from stepsize.problems import Task
from stepsize.rules import SGD, AdamW, DoG, Lion
from stepsize.strategy import Strategy, Trial

STEPS = 4


class Partly(nn.Module):
    """Its second layer, in the middle of the row, is used by every second batch alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        hidden = self.first(x).tanh()
        return self.last(self.second(hidden) if x[0, 0] > 0 else hidden)


def task(model=Partly):
    made = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=made, dtype=torch.float64)
    return Task(lambda: model().double(), nn.functional.mse_loss, (x, x[:, :1]), (x, x[:, :1]), batch_size=4)


def test_a_row_goes_there_and_back():
    model = Partly()
    flat = FlatParameters.of(model)
    torch.testing.assert_close(flat.row()[0], nn.utils.parameters_to_vector(model.parameters()), rtol=0, atol=0)
    row = torch.arange(flat.row().numel(), dtype=torch.float32).unsqueeze(0)
    flat.write(row)
    assert torch.equal(flat.row(), row)
    assert torch.equal(flat.views(torch.cat([row, 2 * row]))[0][1], 2 * model.first.weight)


@pytest.mark.parametrize("rule", [SGD(weight_decay=0.1), AdamW(lr=0.01), Lion(lr=0.01), DoG()], ids=lambda r: r.title)
def test_the_loop_and_the_rule_optimizer_agree_about_what_is_not_used(rule):
    """Both keep the weights and the slots of a layer without a gradient, and take it in again when it has one."""
    problem, seen, unused = task(), [], set()
    trained = Loop(torch.float64).run(problem, [Trial(Strategy(rule, constant(rule.lr)), 0)], STEPS)
    model = problem.build(0).double()
    optimizer = RuleOptimizer(model.parameters(), rule)
    for step in range(STEPS):
        x, y = problem.batch(step, 0)
        optimizer.zero_grad()
        loss = problem.loss(model(x), y)
        loss.backward()
        seen.append(loss.item())
        before = model.second.weight.detach().clone()
        optimizer.step()
        unused.add(model.second.weight.grad is None)
        assert torch.equal(before, model.second.weight) == (model.second.weight.grad is None)
    assert unused == {False, True}
    torch.testing.assert_close(torch.from_numpy(trained.losses[:, 0]), torch.tensor(seen, dtype=torch.float64))
    assert problem.score(model) == pytest.approx(trained.scores[-1, 0], rel=1e-9)


def test_the_ensemble_has_the_row_of_the_model_in_every_replica():
    problem = task(lambda: nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)))
    replicas = Replicas(problem, [0, 1, 0], torch.float64, torch.device("cpu"))
    for row, seed in zip(replicas.flat, (0, 1, 0), strict=True):
        assert torch.equal(row, FlatParameters.of(problem.build(seed)).row()[0])
