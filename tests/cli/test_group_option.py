"""`stepsize range-test --group`: what the rate of a parameter group is multiplied by."""

import pytest

from stepsize.results.io import loads

FILE = """
import torch
from stepsize import Task

x = torch.linspace(-1, 1, 96).reshape(48, 2)


def model():
    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def groups(model):
    return [{"name": "body", "params": model[0].parameters()}, {"name": "head", "params": model[2].parameters()}]


def task():
    y = x.sum(1, keepdim=True)
    return Task(model, torch.nn.functional.mse_loss, (x[:32], y[:32]), (x[32:], y[32:]), 8, steps=40, groups=groups)
"""


@pytest.fixture
def tuned(folder):
    (folder / "tuned.py").write_text(FILE)
    return ("range-test", "tuned.py", "--lr", 0.01, "--steps", 10, "--seeds", 2)


def test_it_stands_for_of_and_values(stepsize, tuned, folder):
    short = stepsize(*tuned, "--group", "head=0.1,1", "--save", "short.json", "--json")
    stepsize(*tuned, "--of", "rate of head", "--values", "0.1,1", "--save", "long.json", "--json")
    one, other = (loads((folder / name).read_text()) for name in ("short.json", "long.json"))
    assert one.hyperparameter == "rate of head"
    assert one.values.tolist() == [0.1, 1.0]
    assert (one.losses == other.losses).all()
    assert loads(short.out).smooth.shape == (2, 2)


def test_what_is_no_group_is_refused(refused, tuned):
    assert "Did you mean 'rate of head'" in refused(*tuned, "--group", "haed=1,2")
    assert "--group says what is tested, and so do" in refused(*tuned, "--group", "head=1,2", "--of", "momentum")
    assert "a rate of head is a number, not 'x'" in refused(*tuned, "--group", "head=1,x")
