"""Accelerate, with the policy as a scheduler that it prepares, and as a driver that it checkpoints."""

import processes
import pytest
import tinynet as tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration
from accelerate_loop import prepared, train
from tinynet import POLICY, STEPS

from stepsize import drive
from stepsize.kernel.errors import DriveError
from stepsize.policies import cosine

ways = pytest.mark.parametrize("way", ["scheduler", "driver"])


@pytest.fixture(autouse=True)
def _new_process():
    """Forget the state that Accelerate keeps for a process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@ways
def test_values_right_at_each_update(way):
    assert train(*prepared(way)) == tiny.expected()


@ways
@pytest.mark.parametrize("stop", [4, 6])
def test_resume_is_bit_identical(way, stop, tmp_path):
    """From save_state at the end of an epoch or within one, with skip_first_batches."""
    whole = prepared(way)
    train(*whole)
    first = prepared(way)
    train(*first, end=stop)
    first[0].save_state(tmp_path)
    second = prepared(way)
    second[0].load_state(tmp_path)
    assert train(*second, begin=stop) == tiny.expected()[stop:]
    assert torch.equal(tiny.weights(second[1]), tiny.weights(whole[1]))


@ways
def test_accumulation(way):
    parts = prepared(way, batches=16, gradient_accumulation_steps=4)
    assert train(*parts, end=4 * STEPS) == tiny.expected()


@ways
@pytest.mark.parametrize("fused", [False, True])
def test_skipped_steps(way, fused):
    """Accelerate has a GradScaler for fp16 on an accelerator alone; here it is given the one of the CPU.

    A fused optimizer is called for an update that is to be skipped, so Accelerate does not see that it was.
    """
    parts = prepared(way, fused=fused, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
    assert train(*parts, end=STEPS + 3, infinite=(0, 5, 6)) == tiny.expected()


def test_two_processes(tmp_path):
    """Accelerate steps a scheduler twice for each update of two processes, and ours counts the updates."""
    processes.two("accelerate_loop.py", tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["processes"] == 2
    for way in ("scheduler", "driver"):
        assert first[way]["seen"] == second[way]["seen"] == tiny.expected()
        assert torch.equal(first[way]["weights"], second[way]["weights"])


@ways
def test_saved_and_reloaded(way, tmp_path):
    """Through save_state and load_state; another policy or horizon is refused."""
    parts = prepared(way)
    train(*parts, end=5)
    parts[0].save_state(tmp_path)
    name = "scheduler.bin" if way == "scheduler" else "custom_checkpoint_0.pkl"
    assert torch.load(tmp_path / name, weights_only=True)["step"] == 5
    for other in ({"policy": cosine(0.1)}, {"steps": STEPS + 1}):
        with pytest.raises(DriveError, match="another policy"):
            prepared(way, **other)[0].load_state(tmp_path)


def test_a_driver_may_be_attached_before_the_optimizer_is_prepared():
    """Accelerate loads the optimizer with its own state to move it, which exchanges the groups."""
    accelerator, net = Accelerator(cpu=True), tiny.model()
    optimizer = tiny.two_groups(net)
    driver = drive(optimizer, POLICY, STEPS).attach()
    assert train(accelerator, *accelerator.prepare(net, optimizer, tiny.loader()), driver) == tiny.expected()


@ways
@pytest.mark.parametrize(
    "arguments",
    [{"step_scheduler_with_optimizer": False}, {"dataloader_config": DataLoaderConfiguration(split_batches=True)}],
)
def test_the_ways_to_count_of_accelerate_make_no_difference(way, arguments):
    assert train(*prepared(way, **arguments)) == tiny.expected()


@ways
def test_the_last_batches_of_an_epoch_are_an_update(way):
    """Five batches, two for each update, are three updates."""
    assert train(*prepared(way, batches=5, gradient_accumulation_steps=2), end=20) == tiny.expected()
