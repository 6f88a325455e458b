"""Masks: the hash against its authors' form in NumPy, the frequencies, and the stand-ins against torch's functions."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from stepsize.engines.dropout import Dropout, Keys


def triple32(x, salt):
    """The hash as its author writes it, on uint32, with half of the key after the first round."""
    x = x ^ (x >> np.uint32(17))
    x = x * np.uint32(0xED5AD4BB)
    x = x ^ salt
    x = x ^ (x >> np.uint32(11))
    x = x * np.uint32(0xAC4C1B51)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x31848BAB)
    return x ^ (x >> np.uint32(14))


@pytest.mark.parametrize("piece", [0, 3])
def test_a_mask_is_the_hash_of_key_call_and_place(piece):
    key = Keys([7])(5)[0]
    with Dropout(key, piece):
        found = [functional.dropout(torch.ones(40, 25), 0.3) for _ in range(2)]
    for call, mask in enumerate(found, 1 + (piece << 16)):
        first, second = (int(part) % 2**32 for part in key)
        places = np.arange(1000, dtype=np.uint32) + np.uint32((first + 0x9E3779B9 * call) % 2**32)
        bits = triple32(places, np.uint32((second ^ (0x85EBCA6B * call)) % 2**32))
        kept = bits.view(np.int32).astype(np.int64) + 2**31 < 0.7 * 2**32
        np.testing.assert_array_equal(mask.numpy().ravel() > 0, kept)
        assert mask.unique().tolist() == [0.0, pytest.approx(1 / 0.7, rel=1e-6)]


def test_keys_are_a_function_of_seed_and_step():
    keys = Keys([3, 4])
    assert torch.equal(keys(600)[1], Keys([4])(600)[0])
    assert torch.equal(keys(2), Keys([3, 4])(2))
    assert len({tuple(key.tolist()) for step in range(300) for key in keys(step)}) == 600


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_should_be_and_no_two_go_together(p):
    """Places, steps, seeds and calls: the counts and the products lie within 4.5 standard errors."""
    keys, count = Keys([0, 1]), 20_000
    masks = []
    for step in range(3):
        for key in keys(step):
            with Dropout(key):
                masks += [functional.dropout(torch.ones(count, dtype=torch.float64), p) * (1 - p) for _ in range(2)]
    deviations = [(mask - (1 - p)) / math.sqrt(p * (1 - p)) for mask in masks]
    pairs = [(a, b) for i, a in enumerate(deviations) for b in deviations[:i]]
    pairs += [(a[lag:], a[:-lag]) for a in deviations for lag in (1, 2, 64)]
    for mean in [*(a.mean() for a in deviations), *((a * b).mean() for a, b in pairs)]:
        assert abs(mean.item()) * math.sqrt(count) < 4.5


def drawn(run, seed=0):
    with Dropout(Keys([seed])(0)[0]):
        return run()


@pytest.mark.parametrize(
    ("module", "shape", "channel"),
    [
        (nn.Dropout1d(0.5), (6, 5, 7), 2), (nn.Dropout1d(0.5), (30, 7), 1), (nn.Dropout2d(0.5), (6, 5, 3, 4), 2),
        (nn.Dropout3d(0.5), (6, 5, 2, 3, 4), 2), (nn.Dropout3d(0.5), (30, 2, 3, 4), 1),
    ],
)  # fmt: skip
def test_whole_channels_are_dropped(module, shape, channel):
    out = drawn(lambda: module(torch.ones(shape))).flatten(channel)
    assert torch.equal(out, out[..., :1].expand_as(out))
    assert set(out.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("module", [nn.Dropout(0.0), nn.Dropout(1.0), nn.Dropout(0.4).eval(), nn.Dropout2d(0.4).eval()])
def test_where_nothing_is_drawn_torch_runs(module):
    x = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn(lambda: module(x)), module(x))


def test_in_place_is_in_place():
    x = torch.ones(50)
    assert drawn(lambda: functional.dropout(x, 0.5, inplace=True)) is x
    assert set(x.tolist()) == {0.0, 2.0}


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    drawn(lambda: functional.dropout(torch.ones(9)))
    assert torch.equal(torch.get_rng_state(), before)


LOWER = torch.ones(4, 4).tril()
CAUSAL = {"is_causal": True}
ATTENTION = [{}, CAUSAL, {"attn_mask": LOWER.bool()}, {"attn_mask": LOWER}, {"scale": 0.3}, {"enable_gqa": True}]
MAPPED = [(shape, options) for shape in ((2, 4, 4, 3), (2, 4, 3)) for options in ATTENTION]


@pytest.mark.parametrize("options", ATTENTION)
def test_attention_with_dropped_weights_is_torchs_where_hardly_any_is_dropped(options):
    source = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, heads, 4, 3, generator=source, dtype=torch.float64)
               for heads in ((4, 2, 2) if "enable_gqa" in options else (2, 2, 2)))  # fmt: skip
    expected = functional.scaled_dot_product_attention(q, k, v, **options)
    found = drawn(lambda: functional.scaled_dot_product_attention(q, k, v, dropout_p=1e-12, **options))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    half = drawn(lambda: functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5, **options))
    assert (half - expected).abs().max() > 0.01


@pytest.mark.parametrize(("shape", "options"), [*MAPPED, ((4, 3), {}), ((4, 3), CAUSAL)])
def test_attention_that_is_mapped_is_torchs_one_by_one(options, shape):
    """The values are of another replica each, but for the keys, which all share; with the gradients."""
    source = torch.Generator().manual_seed(0)
    few = (2, 2, 4, 3) if "enable_gqa" in options and len(shape) == 4 else shape
    q, k, v = (torch.randn(sizes, generator=source, dtype=torch.float64).requires_grad_()
               for sizes in ((5, *shape), few, (5, *few)))  # fmt: skip

    def attend(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, **options)

    def mapped(q, k, v):
        with Dropout(Keys([0])(0)[0], mapped=True):
            return attend(q, k, v)

    with sdpa_kernel(SDPBackend.MATH):
        found = torch.func.vmap(mapped, in_dims=(0, None, 0))(q, k, v)
        expected = torch.stack([attend(one, k, other) for one, other in zip(q, v, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    slopes = (torch.autograd.grad(each.sin().sum(), (q, k, v)) for each in (found, expected))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


LAYERS = {
    "LSTM": (nn.LSTM, {}), "two layers": (nn.LSTM, {"num_layers": 2}), "both ways": (nn.LSTM, {"bidirectional": True}),
    "projected": (nn.LSTM, {"proj_size": 2, "num_layers": 2}), "GRU": (nn.GRU, {"num_layers": 2, "bias": False}),
    "GRU both ways": (nn.GRU, {"bidirectional": True, "num_layers": 2, "batch_first": True}), "RNN": (nn.RNN, {}),
    "ReLU": (nn.RNN, {"nonlinearity": "relu", "batch_first": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 4)], ids=["batch", "one sequence"])
def test_recurrent_layers_that_can_be_mapped_are_torchs(name, shape):
    kind, options = LAYERS[name]
    layer = kind(4, 3, **options).double()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def run():
        outputs, states = layer(x)
        states = states if isinstance(states, tuple) else (states,)
        loss = outputs.square().sum() + sum(state.sum() for state in states)
        return outputs, *states, *torch.autograd.grad(loss, list(layer.parameters()))

    expected = run()
    with Dropout(Keys([0])(0)[0], mapped=True):
        found = run()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_packed_sequences_are_left_to_torch():
    layer = nn.GRU(2, 3)
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    with Dropout(Keys([0])(0)[0], mapped=True):
        found = layer(packed)[1]
    assert torch.equal(found, layer(packed)[1])
