"""Slices: directions scaled filter by filter, losses that are the model's own, a path that is where training went."""

import numpy as np
import pytest
import torch
from nets import FEATURES, NETS, data, loss, perceptron
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from stepsize.diagnostics import Trail, filter_normalised, line, plane, training_plane
from stepsize.kernel.errors import ParameterError

nets = pytest.mark.parametrize("name", NETS)


def at(model, row):
    """The loss with other weights, in evaluation mode, the plain way."""
    own = parameters_to_vector(model.parameters()).detach().clone()
    training = model.training
    vector_to_parameters(row, model.parameters())
    model.eval()
    with torch.no_grad():
        value = float(loss(model(data()[0]), data()[1]))
    model.train(training)
    vector_to_parameters(own, model.parameters())
    return value


def own(model):
    return parameters_to_vector(model.parameters()).detach().clone()


@nets
def test_each_filter_of_a_direction_is_as_long_as_the_models_and_biases_stay(name):
    model = NETS[name]()
    direction = filter_normalised(model)
    for p, d in zip(model.parameters(), torch.split(direction, [p.numel() for p in model.parameters()]), strict=True):
        if p.dim() <= 1:
            assert not d.any()
            continue
        lengths = [torch.linalg.vector_norm(each.detach()) for each in p]
        drawn = [torch.linalg.vector_norm(each) for each in d.view_as(p)]
        torch.testing.assert_close(drawn, lengths, rtol=1e-5, atol=1e-7)


def test_directions_differ_by_seed_and_name_and_repeat():
    model = perceptron()
    assert torch.equal(filter_normalised(model, 1, "x"), filter_normalised(model, 1, "x"))
    assert not torch.equal(filter_normalised(model, 1, "x"), filter_normalised(model, 1, "y"))
    assert not torch.equal(filter_normalised(model, 1, "x"), filter_normalised(model, 2, "x"))


@nets
def test_a_line_holds_the_losses_of_the_model_moved_along_it(name):
    model = NETS[name]()
    found = line(model, loss, [data()], points=5, seed=3)
    direction, row = filter_normalised(model, 3, "x"), own(model)
    expected = [at(model, row + float(place) * direction) for place in found.x]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)
    assert found.centre == pytest.approx(expected[2], rel=1e-5)
    assert found.losses[2] == pytest.approx(found.centre, rel=1e-5)


@nets
def test_the_corners_and_the_centre_of_a_plane_are_the_models_losses_there(name):
    model = NETS[name]()
    found = plane(model, loss, [data()], points=3, reach=0.5)
    first, second = (filter_normalised(model, 0, axis) for axis in "xy")
    row = own(model)
    for i, y in enumerate(found.y):
        for j, x in enumerate(found.x):
            assert found.losses[i, j] == pytest.approx(at(model, row + x * first + y * second), rel=1e-4)
    assert found.centre == pytest.approx(at(model, row), rel=1e-5)


def test_a_model_that_cannot_be_mapped_is_looked_at_point_by_point():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = perceptron()

        def forward(self, x):
            out = self.net(x)
            return out if out.sum() > 0 else 2 * out  # a branch on a value

    model = Branches()
    found = line(model, loss, [data()], points=3)
    assert found.losses[1] == pytest.approx(found.centre) == pytest.approx(at(model, own(model)))


def trained(steps=30, **options):
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    trail = Trail(model, **options)
    walked = [own(model)]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(data()[0]), data()[1]).backward()
        optimizer.step()
        trail.record()
        walked.append(own(model))
    return model, trail, torch.stack(walked)


def test_a_trail_keeps_copies_evenly_and_ends_at_the_model():
    model, trail, walked = trained(steps=30, most=4)
    assert trail.steps.tolist() == [0, 8, 16, 24, 30]
    assert torch.equal(trail.rows, walked[trail.steps])
    assert torch.equal(trail.rows[-1], own(model))


def test_the_plane_of_training_is_that_of_the_singular_vectors():
    model, trail, walked = trained()
    found = training_plane(model, loss, [data()], trail, points=4)
    centred = (walked - walked.mean(0)).double().numpy()
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    shares = sizes**2 / (sizes**2).sum()
    np.testing.assert_allclose(found.explained, shares[:2], rtol=1e-4)
    expected = (walked - walked[-1]).double().numpy() @ axes[:2].T
    signs = np.sign((expected * found.path).sum(0))
    np.testing.assert_allclose(found.path, expected * signs, atol=1e-5)
    np.testing.assert_allclose(found.path[-1], 0.0, atol=1e-7)
    assert found.steps.tolist() == list(range(31))


def test_the_surface_under_the_path_is_the_loss_in_that_plane():
    model, trail, walked = trained()
    found = training_plane(model, loss, [data()], trail, points=3)
    centred = (walked - walked.mean(0)).double()
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    signs = torch.sign((((walked - walked[-1]).double() @ axes.T) * torch.from_numpy(found.path)).sum(0))
    axes = (axes * signs[:, None]).float()
    expected = [[at(model, own(model) + float(x) * axes[0] + float(y) * axes[1]) for x in found.x] for y in found.y]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)
    assert found.x[0] < found.path[:, 0].min() < found.path[:, 0].max() < found.x[-1]


def test_a_trail_that_never_moved_is_drawn_all_the_same():
    model = perceptron()
    trail = Trail(model)
    for _ in range(5):
        trail.record()
    found = training_plane(model, loss, [data()], trail, points=2)
    assert np.isfinite(found.losses).all()
    assert found.explained == (0.0, 0.0)


def test_a_trail_of_too_few_points_or_another_model_is_refused():
    model, trail, _ = trained()
    with pytest.raises(ParameterError, match="at least 3 points"):
        training_plane(model, loss, [data()], Trail(model))
    with pytest.raises(ParameterError, match="this model's 18 trainable"):
        training_plane(nn.Linear(FEATURES, 3), loss, [data()], trail)


@pytest.mark.parametrize("options", [{"points": 1}, {"reach": 0.0}, {"reach": -1.0}])
def test_a_slice_without_extent_is_refused(options):
    with pytest.raises(ParameterError, match="at least 2 points and a reach above 0"):
        line(perceptron(), loss, [data()], **options)
