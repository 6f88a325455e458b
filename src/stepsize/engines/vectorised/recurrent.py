"""torch's recurrent layers as matrix products, which `vmap` can map; its own are single operations, which it cannot.

The arguments are those of `torch.lstm`, `torch.gru`, `torch.rnn_tanh` and `torch.rnn_relu`, on the same parameters:
(input, states, parameters, has_biases, num_layers, dropout, train, bidirectional, batch_first).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.functional import linear

Tensors = tuple[torch.Tensor, ...]
Advance = Callable[..., Tensors]
"""advance(inputs, state, w_hh, b_hh, w_hr) -> state: one step of a cell; `inputs` are already times their weights."""


def _simple(
    active: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, state: Tensors, w: Any, b: Any, _: Any
) -> Tensors:
    return (active(inputs + linear(state[0], w, b)),)


def _gru(inputs: torch.Tensor, state: Tensors, w: Any, b: Any, _: Any) -> Tensors:
    (h,) = state
    reset, update, new = inputs.chunk(3, -1)
    reset_h, update_h, new_h = linear(h, w, b).chunk(3, -1)
    z = torch.sigmoid(update + update_h)
    n = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
    return (n + z * (h - n),)


def _lstm(inputs: torch.Tensor, state: Tensors, w: Any, b: Any, projection: Any) -> Tensors:
    h, c = state
    i, f, g, o = (inputs + linear(h, w, b)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return (h if projection is None else linear(h, projection)), c


ADVANCES: dict[str, Advance] = {
    "lstm": _lstm, "gru": _gru, "rnn_tanh": partial(_simple, torch.tanh), "rnn_relu": partial(_simple, torch.relu),
}  # fmt: skip


def _direction(advance: Advance, x: torch.Tensor, state: Tensors, weights: Sequence[Any], *, back: bool) -> Any:
    """Return the outputs of one layer in one direction, (time, batch, features), and the last state."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    inputs = linear(x, w_ih, b_ih)
    outputs = []
    for now in reversed(inputs.unbind(0)) if back else inputs.unbind(0):
        state = advance(now, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if back else outputs), state


def _layers(advance: Advance, args: Sequence[Any], drop: Callable[[torch.Tensor], torch.Tensor]) -> Tensors:
    """Run all layers; `drop` is applied between them."""
    x, initial, parameters, biased, layers, _, _, both, batch_first = args
    states = initial if isinstance(initial, tuple | list) else (initial,)
    ways = 2 if both else 1
    tensors = len(parameters) // (layers * ways)  # of one layer in one direction
    x = x.transpose(0, 1) if batch_first else x
    last = []
    for layer in range(layers):
        outputs = []
        for row in range(layer * ways, (layer + 1) * ways):
            weights = list(parameters[row * tensors : (row + 1) * tensors])
            if not biased:
                weights[2:2] = [None, None]
            weights += [None] * (5 - len(weights))
            out, state = _direction(advance, x, tuple(s[row] for s in states), weights, back=row % ways == 1)
            outputs.append(out)
            last.append(state)
        x = torch.cat(outputs, -1)
        if layer < layers - 1:
            x = drop(x)
    return (x.transpose(0, 1) if batch_first else x), *(torch.stack(rows) for rows in zip(*last, strict=True))


def _cell(advance: Advance, x: torch.Tensor, state: Any, *weights: Any) -> Any:
    """Run one step of a cell; the arguments are those of `torch.lstm_cell` and its like."""
    w_ih, w_hh, b_ih, b_hh = weights
    several = isinstance(state, tuple | list)
    after = advance(linear(x, w_ih, b_ih), tuple(state) if several else (state,), w_hh, b_hh, None)
    return after if several else after[0]


LAYERS: dict[str, Callable[..., Tensors]] = {name: partial(_layers, advance) for name, advance in ADVANCES.items()}
CELLS: dict[str, Callable[..., Any]] = {f"{name}_cell": partial(_cell, advance) for name, advance in ADVANCES.items()}
"""By their names in torch."""
