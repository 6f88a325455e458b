"""The built-in tasks in JAX, trained by `jit(vmap(scan))` and optax: a peer for `ensemble.py`.

The weights come from the torch model, so that the first loss says whether it is the same model. Running averages of
batch norm are left out, as no loss of a training needs them, and so is the schedule of the momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax, nn

from stepsize.problems import Task
from stepsize.strategy import Strategy

Weights = dict[str, Any]


def linear(w: Weights, name: str, x: Any) -> Any:
    """torch's nn.Linear, by its name."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def perceptron(w: Weights, x: Any) -> Any:
    """The model of `digits`."""
    return linear(w, "4", nn.relu(linear(w, "2", nn.relu(linear(w, "0", x)))))


def convolution(w: Weights, x: Any) -> Any:
    """The model of `digits-cnn`."""
    for conv, norm, stride in (("0", "1", 1), ("3", "4", 2)):
        x = lax.conv_general_dilated(x, w[f"{conv}.weight"], (stride, stride), [(1, 1), (1, 1)])
        x = x + w[f"{conv}.bias"][:, None, None]
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        x = (x - mean) / jnp.sqrt(var + 1e-5) * w[f"{norm}.weight"][:, None, None] + w[f"{norm}.bias"][:, None, None]
        x = nn.relu(x)
    return linear(w, "7", x.reshape(len(x), -1))


def normed(w: Weights, name: str, x: Any) -> Any:
    """torch's nn.LayerNorm, by its name."""
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def transformer(w: Weights, tokens: Any) -> Any:
    """The model of `stdlib-text`."""
    batch, length = tokens.shape
    x = w["token.weight"][tokens] + w["position.weight"][:length]
    hidden = jnp.tril(jnp.ones((length, length))) == 0
    for block in ("blocks.0", "blocks.1"):
        qkv = linear(w, f"{block}.qkv", normed(w, f"{block}.before", x)).reshape(batch, length, 3, 4, -1)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / jnp.sqrt(q.shape[-1])
        attended = nn.softmax(jnp.where(hidden, -jnp.inf, scores)) @ v
        x = x + linear(w, f"{block}.out", attended.transpose(0, 2, 1, 3).reshape(batch, length, -1))
        inner = nn.gelu(linear(w, f"{block}.mlp.0", normed(w, f"{block}.after", x)), approximate=False)
        x = x + linear(w, f"{block}.mlp.2", inner)
    return linear(w, "head", normed(w, "norm", x))


MODELS = {"digits": perceptron, "digits-cnn": convolution, "stdlib-text": transformer}


class Training:
    """All replicas of a task for some steps; `run()` returns the losses, (steps, replicas)."""

    def __init__(self, task: Task, strategy: Strategy, seeds: Sequence[int], steps: int) -> None:
        model, rule = MODELS[task.name], strategy.rule
        made = {seed: dict(task.build(seed).named_parameters()) for seed in set(seeds)}
        self._weights = {
            name: jnp.stack([made[seed][name].detach().numpy() for seed in seeds]) for name in made[seeds[0]]
        }
        data = tuple(jnp.asarray(part.numpy()) for part in task.train)
        orders = {seed: np.concatenate([task.order(e, seed) for e in range(1 + steps // task.batches_per_epoch)])
                  for seed in set(seeds)}  # fmt: skip
        self._rows = jnp.stack([orders[seed][:steps] for seed in seeds])
        self._rates = jnp.tile(jnp.asarray(strategy.over(steps).table(0, steps)["lr"], jnp.float32), (len(seeds), 1))
        change = optax.chain(optax.scale_by_adam(b2=rule.beta2), optax.add_decayed_weights(rule.weight_decay))

        def loss(w: Weights, rows: Any) -> Any:
            outputs, targets = model(w, data[0][rows]), data[1][rows]
            return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()

        def step(state: Any, now: Any) -> Any:
            w, slots = state
            rows, rate = now
            value, gradient = jax.value_and_grad(loss)(w, rows)
            updates, slots = change.update(gradient, slots, w)
            return (jax.tree.map(lambda p, m: p - rate * m, w, updates), slots), value

        def train(w: Weights, *rows: Any) -> Any:
            return lax.scan(step, (w, change.init(w)), rows)[1]

        self._train = jax.jit(jax.vmap(train))
        self.run()  # compiles

    def run(self) -> np.ndarray:
        """Train all replicas from their start."""
        return np.asarray(self._train(self._weights, self._rows, self._rates)).T
