"""What is read off a model before any training: by all sources, and with more doubt where a batch saw little of it."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepsize import Task
from stepsize.jobs.advise.belief import anchor, prior
from stepsize.problems.gradient_size import gradient_size


def words(vocabulary):
    """A bag of words, of which the samples hold the first ten."""
    samples = torch.arange(320).reshape(64, 5) % 10

    def model():
        return nn.Sequential(nn.EmbeddingBag(vocabulary, 4), nn.Linear(4, 2))

    return Task(model, functional.cross_entropy, (samples, samples[:, 0] % 2), (samples, samples[:, 0] % 2), 16, 300)


def test_the_gradient_says_which_parameters_a_batch_does_not_see():
    table = nn.Embedding(10, 3)
    table(torch.tensor([1, 4])).square().sum().backward()
    size = gradient_size(1.0, table.parameters())
    assert size.unseen == pytest.approx(0.8)


def test_what_is_read_off_parameters_that_no_batch_sees_is_doubted_and_other_tasks_are_heard():
    seen, unseen = (anchor.anchors(words(each), ["adaptive"], 0, 300)[0]["adaptive"] for each in (10, 1000))
    assert unseen.spread > seen.spread + 0.1
    usual = prior.numbers()["anchors"]["adaptive"]["none"]["shift"]  # what the doubt makes heard
    measured = anchor.measure(words(1000), "adaptive", 0)
    assert measured.unseen > 0.9
    fitted = prior.numbers()["anchors"]["adaptive"]
    own = [measured.rates[each] + fitted[each]["shift"] for each in ("curvature", "gradient")]
    nearest = min(own, key=lambda each: abs(each - usual))
    assert abs(unseen.centre - usual) < abs(nearest - usual)


def test_a_group_that_is_not_measured_is_as_on_other_tasks():
    found = anchor.anchors(words(10), ["adaptive"], 0, 300)[0]["euclidean"]
    fitted = prior.numbers()["anchors"]["euclidean"]["none"]
    assert found.centre == pytest.approx(fitted["shift"], abs=0.2)
    assert found.spread >= fitted["spread"]
    assert math.isfinite(found.centre)
