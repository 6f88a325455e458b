"""A recorded gradient that was rewritten says the same, and what must not be rewritten is not."""

import pytest
import torch

from stepsize.engines.vectorised.replay import Replay

ATEN = torch.ops.aten


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def code_of(function, *forms, dtype=torch.float64):
    """The code of a function that was recorded on arrays of these forms, after it has been held to the function."""
    replayed = Replay(function, {})
    for seed in range(4):
        inputs = [drawn(*form, seed=seed, dtype=dtype) for form in forms]
        expected = function(*(each.clone() for each in inputs))
        for one, other in zip(replayed(*inputs), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)
    (ready,) = replayed._ready.values()
    return ready.__wrapped__.__self__.code


def slope(x, g):
    leaf = x.detach().requires_grad_()
    return [*torch.autograd.grad(torch.log_softmax(leaf, -1), leaf, g)]


@pytest.mark.parametrize(("classes", "kept"), [(5, False), (100, True)])
def test_a_softmax_over_a_few_classes_is_written_out(classes, kept):
    assert ("log_softmax" in code_of(lambda x: [torch.log_softmax(40 * x, -1)], (2, 3, classes))) == kept
    assert ("log_softmax" in code_of(slope, (2, 3, classes), (2, 3, classes))) == kept


def test_a_softmax_that_is_masked_or_infinite_is_as_torch_has_it():
    def function(x):
        masked = torch.where(x < 0.5, x, -torch.inf)
        return [torch.log_softmax(masked, -1), torch.log_softmax(torch.where(x < 0, x, torch.inf), -1)]

    assert "log_softmax" not in code_of(function, (2, 3, 4))


def test_a_softmax_along_another_axis_or_of_fewer_bits_stays():
    assert "log_softmax" in code_of(lambda x: [torch.log_softmax(x, 1)], (2, 3, 4))
    assert "log_softmax" in code_of(lambda x: [torch.log_softmax(x, -1)], (2, 3, 4), dtype=torch.bfloat16)


@pytest.mark.parametrize("turned", [False, True])
def test_a_bias_is_part_of_the_product(turned):
    def function(a, b, bias):
        return [bias + torch.bmm(a, b) if turned else torch.bmm(a, b) + bias]

    assert "baddbmm" in code_of(function, (2, 3, 4), (2, 4, 5), (2, 1, 5))


def test_a_sum_that_is_larger_than_the_product_stays():
    code = code_of(lambda a, b, c: [torch.bmm(a, b) + c], (2, 1, 4), (2, 4, 5), (2, 3, 5))
    assert "baddbmm" not in code
    code = code_of(lambda a, b, c: [torch.bmm(a, b) + c.float()], (2, 3, 4), (2, 4, 5), (2, 1, 5))
    assert "baddbmm" not in code


def test_a_product_that_is_read_twice_stays():
    def function(a, b, bias):
        product = torch.bmm(a, b)
        return [product + bias, product]

    assert "baddbmm" not in code_of(function, (2, 3, 4), (2, 4, 5), (2, 1, 5))


def test_sums_of_two_products_and_a_bias_are_rewritten_one_after_the_other():
    code = code_of(lambda a, b, bias: [torch.bmm(a, b) + torch.bmm(a, b) + bias], (2, 3, 4), (2, 4, 5), (2, 1, 5))
    assert code.count("aten.baddbmm") == 1
