"""Products of small matrices in C are torch's products, and a recording has them where there are enough."""

import dataclasses

import numpy as np
import pytest
import torch

from stepsize import load_task
from stepsize.engines import Ensemble
from stepsize.engines.vectorised import ensemble, products, replay, rewriting
from stepsize.engines.vectorised.products import multiplications, product
from stepsize.engines.vectorised.replay import Replay
from stepsize.policies import one_cycle
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

COUNT = 3

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def compiled():
    """That there is a compiler, and a processor for it."""
    if products.compiled(torch.float64) is None:
        pytest.skip("there is no compiler of C, or MKL is as fast")


def turned(*shape, **options):
    *before, rows, columns = shape
    return drawn(*before, columns, rows, **options).transpose(-1, -2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sizes", [(16, 128, 40), (1, 3, 7), (9, 1, 16), (17, 5, 33), (8, 70, 1), (30, 20, 64)])
@pytest.mark.parametrize("first", [drawn, turned])
@pytest.mark.parametrize("second", [drawn, turned])
def test_products_are_torchs(sizes, first, second, dtype, compiled):
    off = 1e-12 if dtype == torch.float64 else 1e-4
    m, k, n = sizes
    a, b = first(COUNT, m, k, dtype=dtype), second(COUNT, k, n, seed=1, dtype=dtype)
    expected = torch.bmm(a, b)
    torch.testing.assert_close(product(a, b), expected, rtol=off, atol=off)
    rows = torch.zeros(COUNT, m * n + 3, dtype=dtype)
    out = rows[:, 2:-1].view(COUNT, m, n)
    assert product(a, b, out=out) is out
    torch.testing.assert_close(out, expected, rtol=off, atol=off)
    assert not torch.cat([rows[:, :2], rows[:, -1:]], 1).any()
    for shape in ((COUNT, 1, n), (1, m, 1), (COUNT, m, n)):
        bias = drawn(*shape, seed=2, dtype=dtype)
        torch.testing.assert_close(product(a, b, bias), expected + bias, rtol=off, atol=off)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_part_of_a_matrix_is_multiplied_as_torch_does_it(threads, compiled):
    a, b, bias = drawn(COUNT, 40, 30)[:, ::2, 1:], drawn(COUNT, 60, 90, seed=1)[:, 1:59:2, ::3], drawn(COUNT, 1, 30)
    torch.set_num_threads(threads)
    torch.testing.assert_close(product(a, b), torch.bmm(a, b), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(product(a, b, bias), torch.bmm(a, b) + bias, rtol=1e-12, atol=1e-12)
    out = torch.empty(COUNT, 20, 30, dtype=torch.float64)
    assert product(a, b, bias, out=out) is out
    torch.testing.assert_close(product(a, b, out=out), torch.bmm(a, b), rtol=1e-12, atol=1e-12)


def code_of(function, *inputs, updates):
    """The code of a function that was recorded, after it has been held to the function."""
    replayed = Replay(function, {}, updates)
    for _ in range(3):
        for one, other in zip(replayed(*inputs), function(*inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    (ready,) = replayed._ready.values()
    return ready.__wrapped__.__self__.code


@pytest.mark.parametrize(("width", "updates", "written"), [(64, 1e9, True), (64, 100, False), (8, 1e9, False)])
def test_a_recording_has_them_where_there_are_enough(width, updates, written, compiled):
    def function(x, out, weight, bias):
        out.copy_(torch.bmm(x.transpose(1, 2), x))
        return [torch.bmm(x, weight.transpose(1, 2)) + bias, out]

    forms = (COUNT, 32, width), (COUNT, width, width), (COUNT, width, width), (COUNT, 1, width)
    code = code_of(function, *(drawn(*form, seed=seed) for seed, form in enumerate(forms)), updates=updates)
    assert ("products_product" in code) == written
    assert ("bmm" in code.replace("baddbmm_default", "").replace("bmm_default", "").replace("bmm_out", "")) != written


def test_which_products_are_taken_is_a_matter_of_shapes():
    def many(*sizes, turned=False, dtype=torch.float32):
        m, k, n = sizes
        return multiplications(torch.Size((COUNT, m, k)), torch.Size((COUNT, k, n)), dtype, turned=turned)

    assert many(16, 128, 128) == many(16, 128, 128, turned=True) == 16 * 128 * 128
    assert not many(4, 16, 16)
    assert not many(100, 8, 784)
    assert not many(512, 512, 512)
    assert not many(64, 128, 10, turned=True)
    assert not many(16, 128, 128, dtype=torch.bfloat16)


@pytest.mark.parametrize("name", ["digits", "digits-cnn"])
def test_a_run_with_compiled_gradients_is_one_without(name, monkeypatch):
    task = dataclasses.replace(load_task(name), batch_size=16)
    trials = [Trial(Strategy(AdamW(), one_cycle(0.003)), seed) for seed in range(3)]
    codes, plain = [], replay._Tape.recording
    monkeypatch.setattr(replay._Tape, "recording", lambda tape, found: codes.append(plain(tape, found)) or codes[-1])
    monkeypatch.setattr(rewriting, "WORTH_COMPILING", 0)
    runs = []
    for least in (0, float("inf")):
        monkeypatch.setattr(ensemble, "WORTH_RECORDING", least)
        runs.append(Ensemble(4, torch.float64, "cpu").run(task, trials, 6).losses)
    assert len(codes) == 1
    np.testing.assert_allclose(*runs, rtol=1e-10)


def test_without_a_compiler_they_are_torchs(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(products, "compiled", products.compiled.__wrapped__)
    a, b = drawn(COUNT, 16, 64), drawn(COUNT, 64, 64, seed=1)
    assert torch.equal(product(a, b), torch.bmm(a, b))
    assert "products_product" not in code_of(lambda a, b: [torch.bmm(a, b)], a, b, updates=1e9)


@pytest.mark.parametrize("shape", [(64,), (1, 64), (16, 64), (1, 1, 1), (1, 16, 64), (4, 1, 64), (4, 16, 1)])
@pytest.mark.usefixtures("compiled")
def test_a_bias_of_any_shape_that_fits_is_added(shape):
    a, b, bias = drawn(4, 16, 64), drawn(4, 64, 64, seed=1), drawn(*shape, seed=2)
    torch.testing.assert_close(product(a, b, bias), torch.baddbmm(bias, a, b))
    replay = Replay(lambda a, b, bias: (torch.baddbmm(bias, a, b),), {})
    for _ in range(3):
        torch.testing.assert_close(replay(a, b, bias)[0], torch.baddbmm(bias, a, b))
