"""What a strided convolution takes has the gradient that torch gives it, and a recording takes it from there."""

import pytest
import torch
from torch.nn import functional

from stepsize.engines.vectorised import strided
from stepsize.engines.vectorised.replay import Replay
from stepsize.engines.vectorised.strided import Strides, slope_before

LAST = torch.channels_last

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def compiler():
    """That there is one."""
    if strided.compiled(torch.float64) is None:
        pytest.skip("there is no compiler of C")


def both(x, weight, how):
    """The gradient of what a convolution takes, and torch's."""
    leaf = x.clone().requires_grad_()
    out = functional.conv2d(leaf, weight, None, how.stride, how.padding, 1, how.groups)
    slope = drawn(*out.shape, seed=2, dtype=x.dtype)
    return slope_before(slope, x, weight, how), *torch.autograd.grad(out, leaf, slope)


FORMS = {
    "square": ((2, 16, 8, 8), (32, 16, 3, 3), Strides((2, 2), (1, 1), 1)),
    "groups of odd sizes": ((3, 2 * 17, 7, 9), (2 * 5, 17, 3, 3), Strides((2, 2), (1, 1), 2)),
    "pixels that no weight met": ((1, 16, 9, 7), (4, 16, 1, 1), Strides((2, 3), (0, 0), 1)),
    "more padding than weights": ((5, 16, 5, 6), (3, 16, 2, 1), Strides((3, 2), (4, 3), 1)),
    "no padding, a long side": ((2, 16, 12, 31), (3, 16, 5, 4), Strides((1, 4), (0, 1), 1)),
    "rows that are left over": ((2, 16, 12, 12), (3, 16, 3, 3), Strides((5, 5), (0, 0), 1)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "off"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_what_a_strided_convolution_takes_has_the_gradient_that_torch_gives_it(form, dtype, off, compiler):
    x, weight, how = FORMS[form]
    found, expected = both(drawn(*x, dtype=dtype), drawn(*weight, seed=1, dtype=dtype), how)
    torch.testing.assert_close(found, expected, rtol=off, atol=off * float(expected.abs().max()))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_gradient_lies_in_memory_as_torch_has_it(threads, compiler):
    x, weight, how = FORMS["square"]
    torch.set_num_threads(threads)
    for layout in (torch.contiguous_format, LAST):
        given = [drawn(*shape).contiguous(memory_format=layout) for shape in (x, weight)]
        found, expected = both(*given, how)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        assert found.stride() == expected.stride()


def slopes(x, weight):
    leaves = [each.detach().requires_grad_() for each in (x, weight)]
    return [*torch.autograd.grad(functional.conv2d(*leaves, stride=2, padding=1).square().sum(), leaves)]


def code_of(function, *inputs, updates=1e9):
    """The code of a function that was recorded, after it has been held to the function."""
    replayed = Replay(function, {}, updates)
    for _ in range(3):
        for one, other in zip(replayed(*inputs), function(*inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    (ready,) = replayed._ready.values()
    return ready.__wrapped__.__self__.code


@pytest.mark.parametrize(("channels", "updates", "written"), [(16, 1e9, True), (16, 10, False), (8, 1e9, False)])
def test_a_recording_has_it_where_it_is_worth_a_compiler(channels, updates, written, compiler):
    code = code_of(slopes, drawn(8, channels, 24, 24), drawn(16, channels, 3, 3, seed=1), updates=updates)
    assert ("slope_before" in code) == written


@pytest.mark.parametrize("options", [{"dilation": 2, "stride": 2}, {"stride": 1}])
def test_other_convolutions_are_torchs(options, compiler):
    def function(x, weight):
        leaves = [each.detach().requires_grad_() for each in (x, weight)]
        return [*torch.autograd.grad(functional.conv2d(*leaves, **options).square().sum(), leaves)]

    assert "slope_before" not in code_of(function, drawn(8, 16, 24, 24), drawn(16, 16, 3, 3, seed=1))


def test_a_transposed_convolution_is_torchs(compiler):
    def function(x, weight):
        leaves = [each.detach().requires_grad_() for each in (x, weight)]
        return [*torch.autograd.grad(functional.conv_transpose2d(*leaves, stride=2).square().sum(), leaves)]

    assert "slope_before" not in code_of(function, drawn(8, 16, 24, 24), drawn(16, 16, 3, 3, seed=1))


def test_without_a_compiler_it_is_torchs(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(strided, "compiled", strided.compiled.__wrapped__)
    assert "slope_before" not in code_of(slopes, drawn(8, 16, 24, 24), drawn(16, 16, 3, 3, seed=1))
    x, weight, how = FORMS["square"]
    torch.testing.assert_close(*both(drawn(*x), drawn(*weight, seed=1), how), rtol=1e-13, atol=1e-13)
