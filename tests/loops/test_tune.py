"""A loop that is tuned in two processes, and one of jax; in one process of torch it is in tests/jobs/tune."""

import itertools

import jax
import jax.numpy as jnp
import optax
import processes
import pytest
import torch
from accelerate import Accelerator

import stepsize
from stepsize.rules import AdamW


def test_two_processes_agree_and_train_bit_by_bit_as_drive_makes_them(tmp_path):
    processes.two("tune_of_two.py", tmp_path, "work")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["first"] != other["first"]  # each has batches of its own
    assert one["start"] == other["start"] == pytest.approx((one["first"] + other["first"]) / 2)
    for name in ("turns", "rates", "scores", "rate"):
        assert one[name] == other[name]
    assert len(one["rates"]) > 1
    assert torch.equal(one["weights"], other["weights"])
    for each in (one, other):
        assert torch.equal(each["weights"], each["driven"])


def test_what_one_of_two_processes_finds_wrong_both_refuse(tmp_path):
    processes.two("tune_of_two.py", tmp_path, "refuse")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["said"] == other["said"]
    assert "kept a finite training loss" in one["said"]
    assert one["same"] is other["same"] is True


def test_a_compiled_update_of_jax_is_tuned():
    inputs = jax.random.normal(jax.random.key(0), (256, 8))
    outputs = inputs[:, 0] * inputs[:, 1]
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)
    first, second = jax.random.split(jax.random.key(1))
    params = (0.3 * jax.random.normal(first, (8, 32)), 0.3 * jax.random.normal(second, (32,)))
    state = [params, tx.init(params)]

    @jax.jit
    def update(params, opt_state, rate):
        opt_state.hyperparams["learning_rate"] = rate
        loss, gradient = jax.value_and_grad(lambda p: ((jnp.tanh(inputs @ p[0]) @ p[1] - outputs) ** 2).mean())(params)
        updates, opt_state = tx.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    def step(rate):
        state[0], state[1], loss = update(*state, rate)
        return loss

    def restore(kept):
        state[:] = kept

    start = float(step(0.0))
    answer = stepsize.tuned(step, "cosine", steps=200, snapshot=state.copy, restore=restore, task="product")
    assert answer.task == "product"
    assert answer.strategy.rule == AdamW()
    assert float(step(0.0)) < 0.2 * start


class Accelerated:
    """A training by Accelerate, two batches an update."""

    def __init__(self):
        torch.manual_seed(0)
        self.accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        x = torch.randn(96, 4)
        data = torch.utils.data.TensorDataset(x, (x[:, 0] > x[:, 1]).long())
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))
        self.model, self.optimizer, self.loader = self.accelerator.prepare(
            model, torch.optim.AdamW(model.parameters()), torch.utils.data.DataLoader(data, 16, shuffle=True)
        )

    def turn(self, batch):
        x, y = batch
        with self.accelerator.accumulate(self.model):
            loss = torch.nn.functional.cross_entropy(self.model(x), y)
            self.accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss


def test_what_accelerate_has_prepared_is_tuned_and_driven_alike():
    tuned = Accelerated()
    loop = stepsize.tune(tuned.model, tuned.optimizer, tuned.loader, steps=60, share=0.7)
    for batch in loop:
        loop.tell(tuned.turn(batch))
    driven = Accelerated()
    batches = itertools.chain.from_iterable(itertools.repeat(driven.loader))
    for _ in stepsize.drive(driven.optimizer, loop.answer.policy, 60).attach():
        driven.turn(next(batches))
    assert len(loop.answer.runs) > 1
    for ours, theirs in zip(tuned.model.parameters(), driven.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
