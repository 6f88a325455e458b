"""A sharpness leaves a model bit for bit as it was: weights, gradients, buffers, modes, and the generators."""

import pytest
import torch
from nets import NETS, data, loss

from stepsize.diagnostics import sharpness


def state(model):
    return {
        **{name: tensor.clone() for name, tensor in model.state_dict().items()},
        **{f"{name}.grad": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None},
        "generator": torch.get_rng_state(),
    }


def mixed(name):
    """A model with gradients, one part of which is in evaluation mode while the rest trains."""
    model = NETS[name]().train()
    loss(model(data()[0]), data()[1]).backward()
    next(iter(model.children())).eval()
    return model


@pytest.mark.parametrize("name", NETS)
def test_a_model_is_left_as_it_was(name):
    model = mixed(name)
    parameters = [id(p) for p in model.parameters()]
    before, modes = state(model), [module.training for module in model.modules()]
    sharpness(model, loss, [data()])
    after = state(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [module.training for module in model.modules()] == modes
    assert [id(p) for p in model.parameters()] == parameters


def test_a_model_is_left_as_it_was_when_the_loss_fails():
    model = mixed("batch norm and dropout")
    before, modes = state(model), [module.training for module in model.modules()]

    def broken(outputs, targets):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        sharpness(model, broken, [data()])
    after = state(model)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [module.training for module in model.modules()] == modes
