"""What holds for every function of every dialect: its policy is a plain value that needs no binding."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stepsize import schedules
from stepsize.policies import Policy, dialects
from stepsize.policies.dialects import fastai, keras, optax, pytorch, timm, transformers
from stepsize.results.io import dumps, loads

STEPS = 60
EXAMPLES = {
    "pytorch.ConstantLR": pytorch.ConstantLR(0.3),
    "pytorch.StepLR": pytorch.StepLR(0.3, 7),
    "pytorch.MultiStepLR": pytorch.MultiStepLR(0.3, [5, 5, 20]),
    "pytorch.ExponentialLR": pytorch.ExponentialLR(0.3, 0.9),
    "pytorch.LinearLR": pytorch.LinearLR(0.3),
    "pytorch.PolynomialLR": pytorch.PolynomialLR(0.3, 20, 2.0),
    "pytorch.CosineAnnealingLR": pytorch.CosineAnnealingLR(0.3, 20, 0.01),
    "pytorch.CosineAnnealingWarmRestarts": pytorch.CosineAnnealingWarmRestarts(0.3, 5, 2),
    "pytorch.CyclicLR": pytorch.CyclicLR(0.1, 0.3, 5, 9, "exp_range", 0.99),
    "pytorch.OneCycleLR": pytorch.OneCycleLR(0.3, 31, three_phase=True),
    "pytorch.SequentialLR": pytorch.SequentialLR([pytorch.LinearLR(0.3), pytorch.StepLR(0.3, 7)], [9]),
    "optax.constant_schedule": optax.constant_schedule(0.3),
    "optax.polynomial_schedule": optax.polynomial_schedule(0.3, 0.1, 2.0, 20, 5),
    "optax.linear_schedule": optax.linear_schedule(0.1, 0.3, 20, 5),
    "optax.exponential_decay": optax.exponential_decay(0.3, 7, 0.5, 5, staircase=True, end_value=0.01),
    "optax.piecewise_constant_schedule": optax.piecewise_constant_schedule(0.3, {5: 0.5, 9: 0.1}),
    "optax.cosine_decay_schedule": optax.cosine_decay_schedule(0.3, 20, 0.1, exponent=2.0),
    "optax.warmup_constant_schedule": optax.warmup_constant_schedule(0.0, 0.3, 5),
    "optax.warmup_cosine_decay_schedule": optax.warmup_cosine_decay_schedule(0.0, 0.3, 5, 30, 0.1, exponent=1.5),
    "optax.warmup_exponential_decay_schedule": optax.warmup_exponential_decay_schedule(0.0, 0.3, 5, 7, 0.5),
    "optax.piecewise_interpolate_schedule": optax.piecewise_interpolate_schedule("cosine", 0.3, {5: 0.5, 9: 0.1}),
    "optax.linear_onecycle_schedule": optax.linear_onecycle_schedule(40, 0.3),
    "optax.cosine_onecycle_schedule": optax.cosine_onecycle_schedule(40, 0.3),
    "optax.sgdr_schedule": optax.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 0.3, "warmup_steps": 3, "decay_steps": 20}] * 2
    ),
    "optax.join_schedules": optax.join_schedules([optax.constant_schedule(0.3), optax.constant_schedule(0.1)], [9]),
    "keras.ExponentialDecay": keras.ExponentialDecay(0.3, 7, 0.5, staircase=True),
    "keras.InverseTimeDecay": keras.InverseTimeDecay(0.3, 7, 0.5, staircase=True),
    "keras.PolynomialDecay": keras.PolynomialDecay(0.3, 9, 0.01, 2.0, cycle=True),
    "keras.PiecewiseConstantDecay": keras.PiecewiseConstantDecay([5, 9], [0.3, 0.2, 0.1]),
    "keras.CosineDecay": keras.CosineDecay(0.0, 20, 0.1, warmup_target=0.3, warmup_steps=5),
    "keras.CosineDecayRestarts": keras.CosineDecayRestarts(0.3, 7, 2.5, 0.9, 0.1),
    "transformers.get_constant_schedule": transformers.get_constant_schedule(0.3),
    "transformers.get_constant_schedule_with_warmup": transformers.get_constant_schedule_with_warmup(0.3, 5),
    "transformers.get_linear_schedule_with_warmup": transformers.get_linear_schedule_with_warmup(0.3, 5, 40),
    "transformers.get_cosine_schedule_with_warmup": transformers.get_cosine_schedule_with_warmup(0.3, 5, 40, 1.3),
    "transformers.get_cosine_with_hard_restarts_schedule_with_warmup": (
        transformers.get_cosine_with_hard_restarts_schedule_with_warmup(0.3, 5, 40, 3)
    ),
    "transformers.get_polynomial_decay_schedule_with_warmup": (
        transformers.get_polynomial_decay_schedule_with_warmup(0.3, 5, 40, power=2.0)
    ),
    "transformers.get_inverse_sqrt_schedule": transformers.get_inverse_sqrt_schedule(0.3, 5),
    "transformers.get_cosine_with_min_lr_schedule_with_warmup": (
        transformers.get_cosine_with_min_lr_schedule_with_warmup(0.3, 5, 40, min_lr_rate=0.1)
    ),
    "transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate": (
        transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate(0.3, 5, 40, min_lr_rate=0.1)
    ),
    "transformers.get_wsd_schedule": transformers.get_wsd_schedule(0.3, 5, 9, 40, warmup_type="1-sqrt"),
    "transformers.get_scheduler": transformers.get_scheduler("linear", 0.3, 5, 40),
    "timm.CosineLRScheduler": timm.CosineLRScheduler(0.3, 9, 0.01, 2.0, 0.9, 3, 5, k_decay=1.5),
    "timm.TanhLRScheduler": timm.TanhLRScheduler(0.3, 9, cycle_limit=3, warmup_t=5),
    "timm.StepLRScheduler": timm.StepLRScheduler(0.3, 9, 0.5, warmup_t=5, warmup_prefix=False),
    "timm.MultiStepLRScheduler": timm.MultiStepLRScheduler(0.3, [4, 9], 0.5, warmup_t=5),
    "timm.WSDLRScheduler": timm.WSDLRScheduler(0.3, 30, 9, 0.01, "rsqrt", decay_fn="exp", warmup_t=5),
    "timm.PolyLRScheduler": timm.PolyLRScheduler(0.3, 9, 0.5, cycle_limit=2, k_decay=2.0),
    "fastai.fit_one_cycle": fastai.fit_one_cycle(3, 0.3, n_iter=11),
    "fastai.fit_flat_cos": fastai.fit_flat_cos(3, 0.3, n_iter=11),
    "fastai.fit_sgdr": fastai.fit_sgdr(3, 1, 0.3, n_iter=5),
}
policies = pytest.mark.parametrize("policy", EXAMPLES.values(), ids=EXAMPLES.keys())


def test_every_function_that_returns_a_policy_is_an_example():
    found = {
        f"{peer}.{name}"
        for peer, module in vars(dialects).items()
        if inspect.ismodule(module) and peer != "shared"
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert found - {"fastai.combined_cos"} == set(EXAMPLES)


@policies
def test_it_needs_no_binding_and_holds_or_goes_on_past_any_horizon(policy):
    for values in policy.table(0, 5 * STEPS).values():
        assert np.isfinite(values).all()
        assert (values >= 0).all()


@policies
def test_it_fits_a_run_of_any_length_that_it_does_not_overrun(policy):
    bound = policy.over(3 * STEPS)
    for name, values in bound.table(0, 3 * STEPS).items():
        np.testing.assert_array_equal(values, policy.table(0, 3 * STEPS)[name])


@policies
@pytest.mark.parametrize("steps", [1, 17, 2 * STEPS])
def test_it_fits_a_run_that_stops_before_its_end(policy, steps):
    bound = dialects.stopped(policy, steps).over(steps)
    for name, values in bound.table(0, steps).items():
        np.testing.assert_array_equal(values, policy.table(0, steps)[name])


@policies
def test_it_is_saved_and_prints_as_code(policy):
    assert loads(dumps(policy), Policy) == policy
    assert eval(repr(policy), vars(schedules) | {"Policy": Policy}) == policy  # noqa: S307  (that is the law)


@policies
def test_torch_and_compiled_jax_give_its_table(policy):
    for schedule in dict(policy.schedules).values():
        table = schedule.table(0, STEPS)
        np.testing.assert_allclose(schedule(torch.arange(STEPS)), table, rtol=1e-12, atol=1e-15)
        compiled = jax.jit(schedule)(jnp.arange(STEPS))
        np.testing.assert_allclose(compiled, table, rtol=1e-5, atol=2e-6 * table.max())


def test_one_name_and_three_curves():
    """Where the peers' conventions differ, the dialects do."""
    torchs, optaxs = pytorch.OneCycleLR(1.0, 10)["lr"], optax.cosine_onecycle_schedule(10, 1.0)["lr"]
    assert [int(curve.table(0, 10).argmax()) for curve in (torchs, optaxs)] == [2, 3]
    assert [torchs(9), optaxs(10), fastai.fit_one_cycle(1, 1.0, n_iter=10)["lr"](10)] == pytest.approx(
        [4e-6, 4e-6, 1e-5]
    )
    stairs = pytorch.MultiStepLR(1.0, [3]), optax.piecewise_constant_schedule(1.0, {3: 0.1})
    assert [policy.at(3)["lr"] for policy in stairs] == pytest.approx([0.1, 0.1])
    assert keras.PiecewiseConstantDecay([3], [1.0, 0.1]).at(3)["lr"] == 1.0
    inside = optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)["lr"]
    added = keras.CosineDecay(0.0, 20, warmup_target=1.0, warmup_steps=5)["lr"]
    assert [inside(20), added(25)] == pytest.approx([0.0, 0.0])
    assert added(20) > 0.1
