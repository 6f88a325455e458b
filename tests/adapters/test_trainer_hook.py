"""What a trainer may do with a hook: train twice, and save before it trains."""

import pytest
import torch

from stepsize.adapters.trainer_hook import TrainerHook
from stepsize.policies import Policy
from stepsize.schedules import Linear


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)


def test_a_second_training_has_drivers_of_its_own():
    hook, first, second = TrainerHook(Policy(lr=Linear(1.0, 0.0))), optimizer(), optimizer()
    hook.begin([first], 10)
    first.step()
    hook.begin([second], 4)
    second.step()
    second.step()
    assert len(hook.drivers) == 1
    assert (hook.driver.step, second.param_groups[0]["lr"]) == (2, 0.5)
    first.step()
    assert first.param_groups[0]["lr"] == pytest.approx(0.9)  # let go of
    again = TrainerHook(Policy(lr=Linear(1.0, 0.0)))
    again.load_state_dict(hook.state_dict())
    again.begin([optimizer()], 4)
    assert again.driver.step == 2


def test_a_state_from_before_the_first_training_is_nothing_to_go_to():
    hook, fresh = TrainerHook(Policy(lr=Linear(1.0, 0.0))), TrainerHook(Policy(lr=Linear(1.0, 0.0)))
    fresh.load_state_dict(hook.state_dict())
    fresh.begin([optimizer()], 4)
    assert fresh.driver.step == 0
