"""Convolutions and batch norms of all replicas at once are what each replica's own are, and so are their gradients."""

import pytest
import torch
from torch.func import functional_call, vmap
from torch.nn import functional

from stepsize.engines.dropout import Dropout

COUNT, KEY = 3, torch.zeros(2, dtype=torch.int32)


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def held(function, *tensors, shared=()):
    """Hold a function of replicas, and its gradients, to the function of each; shared: what all of them have."""

    def together(*tensors):
        with Dropout(KEY, mapped=True):
            return function(*tensors)

    def each(*tensors):
        rows = [[x if i in shared else x[row] for i, x in enumerate(tensors)] for row in range(COUNT)]
        return torch.stack([function(*row) for row in rows])

    dims = tuple(None if index in shared else 0 for index in range(len(tensors)))
    found = []
    for run in (vmap(together, dims), each):
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        out = run(*leaves)
        found.append([out, *torch.autograd.grad(out, leaves, drawn(*out.shape, seed=9))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}, {"groups": 2, "stride": (2, 1)}],
    ids=["plain", "strided", "dilated", "grouped"],
)
def test_convolutions_of_all_replicas_are_those_of_each(options, biased):
    x, weight = drawn(COUNT, 2, 4, 7, 6), drawn(COUNT, 6, 4 // options.get("groups", 1), 3, 3, seed=1)
    bias = [drawn(COUNT, 6, seed=2)] if biased else []
    held(lambda x, weight, *bias: functional.conv2d(x, weight, *bias, **options), x, weight, *bias)


def test_convolutions_of_lines_volumes_and_single_images():
    held(functional.conv1d, drawn(COUNT, 2, 3, 8), drawn(COUNT, 4, 3, 3, seed=1), drawn(COUNT, 4, seed=2))
    held(functional.conv3d, drawn(COUNT, 2, 1, 4, 4, 4), drawn(COUNT, 2, 1, 3, 3, 3, seed=1))
    held(functional.conv2d, drawn(COUNT, 3, 6, 6), drawn(COUNT, 4, 3, 3, 3, seed=1), drawn(COUNT, 4, seed=2))

    def by_name(x, w):
        return functional.conv2d(weight=w, input=x)

    held(by_name, drawn(COUNT, 2, 3, 6, 6), drawn(COUNT, 4, 3, 3, 3, seed=1))


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_what_replicas_share_is_convolved_too(shared):
    shapes = (2, 3, 6, 6), (4, 3, 3, 3), (4,)
    tensors = [drawn(*(() if i == shared else (COUNT,)), *shape, seed=i) for i, shape in enumerate(shapes)]
    held(functional.conv2d, *tensors, shared=(shared,))


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 3, 3)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norms_of_all_replicas_are_those_of_each(shape, training, affine):
    parameters = [drawn(COUNT, 4, seed=1), drawn(COUNT, 4, seed=2)] if affine else []
    mean, variance = drawn(COUNT, 4, seed=3), drawn(COUNT, 4, seed=4).square()

    def function(x, *parameters):
        return functional.batch_norm(x, mean[0], variance[0], *parameters, training=training)

    if not training:  # the mean and variance are shared
        held(function, drawn(COUNT, *shape), *parameters)
    held(lambda x, *rest: functional.batch_norm(x, None, None, *rest, training=True), drawn(COUNT, *shape), *parameters)


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_of_replicas_keeps_the_running_mean_and_variance_of_each(training):
    layer = torch.nn.BatchNorm2d(4, momentum=0.3).double().train(training)
    x = drawn(COUNT, 2, 4, 3, 3)
    state = {name: tensor.expand(COUNT, *tensor.shape).clone() for name, tensor in layer.state_dict().items()}

    def run(state, x):
        with Dropout(KEY, mapped=True):
            return functional_call(layer, state, (x,))

    alone = [{name: tensor[row].clone() for name, tensor in state.items()} for row in range(COUNT)]
    out = vmap(run)(state, x)
    for row, own in enumerate(alone):
        torch.testing.assert_close(out[row], functional_call(layer, own, (x[row],)), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close({name: tensor[row] for name, tensor in state.items()}, own, rtol=1e-10, atol=1e-12)
