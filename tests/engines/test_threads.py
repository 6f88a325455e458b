"""A small update runs on one thread, and afterwards torch has as many as before."""

from dataclasses import replace

import pytest
import torch
from teacher import teacher

from stepsize.engines import Ensemble, Loop, threads
from stepsize.engines.threads import SMALL, threads_for
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    """Two cores, as torch finds them, whatever is here; nobody asked for a number of threads."""
    for name in threads.ASKED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def within(work):
    with threads_for(work):
        return torch.get_num_threads()


def test_a_small_update_has_one_thread_and_a_large_one_all():
    assert (within(SMALL - 1), within(SMALL)) == (1, 2)
    assert torch.get_num_threads() == 2


def test_an_error_gives_the_threads_back():
    with pytest.raises(ZeroDivisionError), threads_for(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", threads.ASKED)
def test_what_the_environment_says_holds(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    assert within(1) == 2


def test_what_a_task_file_sets_holds():
    torch.set_num_threads(3)
    assert within(1) == 3


@pytest.mark.parametrize("engine", [Loop(), Ensemble(2)])
def test_the_engines_train_a_small_model_on_one(engine):
    seen = set()

    def loss(outputs, targets):
        seen.add(torch.get_num_threads())
        return torch.nn.functional.mse_loss(outputs, targets)

    trial = Trial(Strategy(SGD(), constant(0.1)), 0)
    engine.train(replace(teacher(), loss=loss), [trial], [2], lambda _: None)
    assert seen == {1}
    assert torch.get_num_threads() == 2
