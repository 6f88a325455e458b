"""Accelerate, with the policy as a scheduler that it prepares, and as a driver that it checkpoints."""

import pytest
import tinynet as tiny
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration
from accelerate_loop import go_on, prepared
from tinynet import POLICY, STEPS

from stepsize import drive

ways = pytest.mark.parametrize("way", ["scheduler", "driver"])


@pytest.fixture(autouse=True)
def _new_process():
    """Forget the state that Accelerate keeps for a process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_a_driver_may_be_attached_before_the_optimizer_is_prepared():
    """Accelerate loads the optimizer with its own state to move it, which exchanges the groups."""
    accelerator, net = Accelerator(cpu=True), tiny.model()
    optimizer = tiny.two_groups(net)
    driver = drive(optimizer, POLICY, STEPS).attach()
    assert go_on(accelerator, *accelerator.prepare(net, optimizer, tiny.loader()), driver) == tiny.expected()


@ways
@pytest.mark.parametrize(
    "arguments",
    [{"step_scheduler_with_optimizer": False}, {"dataloader_config": DataLoaderConfiguration(split_batches=True)}],
)
def test_the_ways_to_count_of_accelerate_make_no_difference(way, arguments):
    assert go_on(*prepared(way, **arguments)) == tiny.expected()


@ways
def test_the_last_batches_of_an_epoch_are_an_update(way):
    """Five batches, two for each update, are three updates."""
    assert go_on(*prepared(way, batches=5, gradient_accumulation_steps=2), end=20) == tiny.expected()
