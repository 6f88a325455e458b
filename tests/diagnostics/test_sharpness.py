"""The sharpness is the largest eigenvalue of the whole Hessian, which torch can write down for a small net."""

import math

import numpy as np
import pytest
import torch
from nets import NETS, data, loss, perceptron
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from stepsize.diagnostics import adam_preconditioner, sharpness
from stepsize.kernel.errors import ParameterError, TaskError


def full_hessian(model, x, y):
    """By torch.autograd.functional.hessian, (parameters, parameters)."""
    named = dict(model.named_parameters())
    sizes = [p.numel() for p in named.values()]

    def value(row):
        pieces = torch.split(row, sizes)
        weights = {name: piece.view(p.shape) for (name, p), piece in zip(named.items(), pieces, strict=True)}
        return loss(functional_call(model, weights, (x,)), y)

    row = torch.cat([p.detach().reshape(-1) for p in named.values()])
    with sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.functional.hessian(value, row).numpy()


def double(name):
    x, y = data(torch.float64)
    return NETS[name]().double().eval(), x, y


@pytest.mark.parametrize("name", NETS)
def test_it_is_the_largest_eigenvalue_of_the_whole_hessian(name):
    model, x, y = double(name)
    found = sharpness(model, loss, [(x, y)], tolerance=1e-6)
    assert found.value == pytest.approx(np.linalg.eigvalsh(full_hessian(model, x, y))[-1], rel=1e-8)
    assert found.converged
    assert found.method == "double backward"
    assert found.gradients == 1 + 2 * found.products


@pytest.mark.parametrize("name", NETS)
def test_batches_of_unequal_size_add_up_to_the_whole(name):
    model, x, y = double(name)
    whole = sharpness(model, loss, [(x, y)], tolerance=1e-6)
    parts = sharpness(model, loss, list(zip(x.split(15), y.split(15), strict=True)), tolerance=1e-6)
    assert parts.value == pytest.approx(whole.value, rel=1e-9)
    assert parts.gradients == 1 + 3 * parts.products


@pytest.mark.parametrize("name", NETS)
def test_the_default_is_within_one_percent_in_float32(name):
    model, x, y = double(name)
    true = np.linalg.eigvalsh(full_hessian(model, x, y))[-1]
    found = sharpness(model.float(), loss, [(x.float(), y)])
    assert found.value == pytest.approx(true, rel=0.01)
    assert abs(found.value - true) <= max(found.residual, 1e-4 * true)


def test_a_frozen_parameter_is_no_direction():
    model, x, y = double("perceptron")
    first = sum(p.numel() for p in model[0].parameters())
    hessian = full_hessian(model, x, y)
    model[0].requires_grad_(requires_grad=False)
    found = sharpness(model, loss, [(x, y)], tolerance=1e-8)
    assert found.value == pytest.approx(np.linalg.eigvalsh(hessian[first:, first:])[-1], rel=1e-8)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_preconditioned_it_is_that_of_the_scaled_hessian(kind):
    """`P**-1 H` is not symmetric; its eigenvalues are real all the same, and NumPy finds them."""
    model, x, y = double("perceptron")
    optimizer = kind(model.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    p = adam_preconditioner(optimizer, model)
    slow = [optimizer.state[q]["exp_avg_sq"] / (1 - 0.999**5) for q in model.parameters()]
    assert torch.equal(p, torch.cat([(v.sqrt() + 1e-8).reshape(-1) for v in slow]))
    true = np.linalg.eigvals(full_hessian(model, x, y) / p.numpy()[:, None]).real.max()
    assert sharpness(model, loss, [(x, y)], preconditioner=p, tolerance=1e-8).value == pytest.approx(true, rel=1e-6)


class OnlyOnce(torch.autograd.Function):
    """A kernel without a second derivative: x**2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


@pytest.mark.parametrize("splits", [40, 15])
def test_without_a_second_derivative_it_differences_gradients_and_says_so(splits):
    class Squared(torch.nn.Module):
        def __init__(self, square):
            super().__init__()
            self.net, self.square = perceptron().double(), square

        def forward(self, x):
            return self.square(self.net(x))

    x, y = data(torch.float64)
    batches = list(zip(x.split(splits), y.split(splits), strict=True))
    exact = sharpness(Squared(lambda z: z * z), loss, batches, tolerance=1e-5)
    found = sharpness(Squared(OnlyOnce.apply), loss, batches, tolerance=1e-5)
    assert found.value == pytest.approx(exact.value, rel=1e-6)
    assert "differences of gradients" in found.method
    assert found.gradients == 1 + 2 * found.products


def test_a_loss_that_is_linear_in_the_weights_is_flat():
    model = torch.nn.Linear(3, 1)
    found = sharpness(model, lambda out, _: out.mean(), [(torch.ones(4, 3), torch.ones(4))])
    assert (found.value, found.converged) == (0.0, True)


def test_a_model_that_diverged_gives_nan_and_no_error():
    model = perceptron()
    model[0].weight.data.fill_(math.nan)
    found = sharpness(model, loss, [data()])
    assert math.isnan(found.value)
    assert not found.converged


def test_the_same_seed_gives_the_same_number():
    assert sharpness(perceptron(), loss, [data()]) == sharpness(perceptron(), loss, [data()])


def test_a_data_loader_is_a_list_of_batches():
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=15)
    assert sharpness(perceptron(), loss, loader).value == pytest.approx(
        sharpness(perceptron(), loss, [(x, y)]).value, 1e-3
    )


@pytest.mark.parametrize(
    ("batches", "message"), [([], "there are no batches"), ([torch.ones(3)], "a batch must be a pair")]
)
def test_batches_that_are_none_are_refused(batches, message):
    with pytest.raises(TaskError, match=message):
        sharpness(perceptron(), loss, batches)


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(TaskError, match="no trainable parameter"):
        sharpness(perceptron().requires_grad_(requires_grad=False), loss, [data()])


@pytest.mark.parametrize("preconditioner", [torch.ones(3), torch.zeros(57)])
def test_a_preconditioner_that_does_not_fit_is_refused(preconditioner):
    with pytest.raises(ParameterError, match=r"57.* numbers above 0"):
        sharpness(perceptron(), loss, [data()], preconditioner=preconditioner)


def test_an_optimizer_without_second_moments_has_no_preconditioner():
    model = perceptron()
    for optimizer in (torch.optim.SGD(model.parameters()), torch.optim.Adam(model.parameters())):
        with pytest.raises(ParameterError, match=r"no second moment for '0.weight'"):
            adam_preconditioner(optimizer, model)
