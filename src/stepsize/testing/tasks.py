"""The laws of a task: everything random in it is a pure function of the seed and the step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stepsize.kernel.arrays import dense
from stepsize.kernel.errors import TaskError
from stepsize.kernel.optional import need
from stepsize.problems import Loader, Task
from stepsize.problems.checks import named
from stepsize.testing.values import law


def check_task(task: Task) -> None:
    """Check that `task` keeps every law of a task.

    Raises AssertionError that says which law failed.

    Watch out: it builds the model a few times and scores it twice on all validation data.
    """
    try:
        task.check()
    except TaskError as error:
        raise AssertionError(str(error)) from error
    _check_build(task)
    _check_batches(task)
    _check_score(task)
    _check_gradient(task)


def _state(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    torch = need("torch")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _check_build(task: Task) -> None:
    torch = need("torch")
    before = torch.random.get_rng_state()
    first, again = task.build(0), task.build(0)
    law(
        torch.equal(before, torch.random.get_rng_state()), f"{task.name}: build must leave torch's generator as it was."
    )
    law(_same(_state(first), _state(again)), f"{task.name}: one seed must give the same initial weights each time.")


def _check_batches(task: Task) -> None:
    torch = need("torch")
    read = isinstance(task.train, Loader)
    last = 1 if task.samples_per_epoch is None else task.batches_per_epoch - 1
    for step in {0, last, last + 1}:
        first, again = task.batch(step, 0), task.batch(step, 0)
        same = all(torch.equal(a, b) for (_, a), (_, b) in zip(named(first), named(again), strict=True))
        law(same, f"{task.name}: the batch of step {step} must be the same each time.")
        sizes = {len(part) for part in first}
        law(
            read or sizes == {task.update_size},
            f"{task.name}: a batch must hold {task.update_size} samples, not {sizes}.",
        )
    if not read:
        _check_order(task)


def _check_order(task: Task) -> None:
    rows = task.order(0, 0).ravel()
    law(len(np.unique(rows)) == rows.size, f"{task.name}: an epoch must visit no sample twice.")
    law((rows >= 0).all() and (rows < len(task)).all(), f"{task.name}: an epoch must visit only samples that exist.")
    if len(task) > 8:  # of a handful of samples two orders may well agree
        for what, order in (("seeds", task.order(0, 1)), ("epochs", task.order(1, 0))):
            law(not np.array_equal(order.ravel(), rows), f"{task.name}: two {what} must differ in their order.")


def _check_score(task: Task) -> None:
    model = task.build(0)
    model.train()
    before = _state(model)
    first, second = task.score(model), task.score(model)
    law(math.isfinite(first), f"{task.name}: the score of the initial weights must be finite, not {first}.")
    law(first == second, f"{task.name}: one model must score the same each time, not {first} and {second}.")
    law(model.training, f"{task.name}: score must leave the model in training mode.")
    law(_same(before, _state(model)), f"{task.name}: score must leave weights and buffers as they were.")


def _check_gradient(task: Task) -> None:
    torch = need("torch")
    model = task.build(0)
    inputs, targets = task.batch(0, 0)
    task.loss(model(inputs), targets).backward()
    gradients = [dense(p.grad) for p in model.parameters() if p.requires_grad and p.grad is not None]
    law(gradients, f"{task.name}: the loss must have a gradient in the parameters.")
    finite = all(torch.isfinite(gradient).all() for gradient in gradients)
    law(finite, f"{task.name}: the gradient of the first batch must be finite.")
    law(
        any(gradient.any() for gradient in gradients),
        f"{task.name}: the gradient of the first batch is zero everywhere.",
    )
