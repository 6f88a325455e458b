"""A model with sparse embeddings trains as the dense one in every engine; one with complex parameters is refused."""

import numpy as np
import pytest
import torch

from stepsize import Task, rules
from stepsize.adapters.torch.flat_parameters import FlatParameters
from stepsize.diagnostics import sharpness
from stepsize.engines import Ensemble, Loop
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant
from stepsize.problems.gradient_size import gradient_size
from stepsize.strategy import Strategy, Trial

X = torch.tensor([[0], [1], [2], [1], [4], [3], [3], [0]])
Y = (X[:, 0] > 2).long()
loss = torch.nn.functional.cross_entropy


def model(*, sparse):
    return torch.nn.Sequential(torch.nn.Embedding(5, 3, sparse=sparse), torch.nn.Flatten(), torch.nn.Linear(3, 2))


def task(*, sparse):
    return Task(lambda: model(sparse=sparse), loss, (X, Y), (X, Y), 4, steps=5)


@pytest.mark.parametrize("engine", [Loop, Ensemble])
@pytest.mark.parametrize("rule", [rules.AdamW(), rules.Momentum(), rules.Muon()], ids=lambda rule: rule.title)
def test_sparse_gradients_make_the_updates_of_the_dense_ones(engine, rule):
    trials = [Trial(Strategy(rule, constant(0.1)), seed) for seed in (0, 1)]
    sparse, dense = (engine().run(task(sparse=each), trials, 5, score_every=5) for each in (True, False))
    assert np.array_equal(sparse.losses, dense.losses)
    assert np.array_equal(sparse.scores, dense.scores)


def test_what_looks_at_gradients_knows_sparse_ones():
    """The sharpness, the sizes and the row; the model is sparse again afterwards."""
    found = {}
    for sparse in (True, False):
        torch.manual_seed(0)
        net = model(sparse=sparse)
        sharp = sharpness(net, loss, [(X, Y)])
        loss(net(X), Y).backward()
        row = FlatParameters.of(net).gradient([p.grad for p in net.parameters()])
        found[sparse] = (sharp, gradient_size(1.0, net.parameters()), row.tolist())
        assert net[0].sparse is sparse
    assert found[True] == found[False]


def test_complex_parameters_are_refused():
    class Complex(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wave = torch.nn.Parameter(torch.ones(1, 2, dtype=torch.complex64))

        def forward(self, x):
            return (x.to(torch.complex64) @ self.wave).abs()

    trial = Trial(Strategy(rules.AdamW(), constant(0.1)), 0)
    with pytest.raises(TaskError, match=r"1 of this model are complex, first 'wave'.*view_as_real"):
        Loop().run(Task(Complex, loss, (X.float(), Y), (X.float(), Y), 4, steps=5), [trial], 5)
