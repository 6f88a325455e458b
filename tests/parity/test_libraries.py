"""One object, every array library: eager, compiled, and mapped."""

import os

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stepsize.kernel.arrays import functions
from stepsize.policies import RECIPES
from stepsize.schedules import (
    Constant,
    Cosine,
    Geometric,
    Linear,
    MultiStep,
    Repeat,
    Staircase,
    Stepped,
    Triangular,
    Triangular2,
)
from stepsize.testing.schedules import FUNCTIONS, Recorder

STEPS = 240
SCHEDULES = {
    f"{name}.{parameter}": schedule.over(STEPS)
    for name, recipe in RECIPES.items()
    for parameter, schedule in recipe(0.3).schedules
} | {
    "chain of three": (Linear(0.0, 1.0, 7) >> Constant(1.0, 20) >> Cosine(1.0, 0.1)).over(STEPS),
    "sum": (0.5 * Triangular(0.1, 1.0, 9) + Staircase(1.0, 0.5, 11)).over(STEPS),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@schedules
def test_torch_gives_the_table_in_float64_eager_and_under_vmap(schedule):
    steps = torch.arange(STEPS + 9)
    expected = schedule.table(0, STEPS + 9)
    for values in (schedule(steps), torch.func.vmap(schedule)(steps), torch.stack([schedule(k) for k in steps])):
        assert values.dtype == torch.float64
        np.testing.assert_allclose(values.numpy(), expected, rtol=1e-13, atol=1e-15)


@schedules
def test_jax_gives_the_table_in_its_float32_eager_compiled_and_mapped(schedule):
    steps = jnp.arange(STEPS + 9)
    expected = schedule.table(0, STEPS + 9)
    for values in (schedule(steps), jax.jit(schedule)(steps), jax.vmap(schedule)(steps)):
        assert values.dtype == jnp.float32
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6 * expected.max())


@schedules
def test_a_strict_array_api_library_gives_the_table_in_float64(schedule):
    values = schedule(strict.arange(STEPS + 9))
    assert values.dtype == strict.float64
    np.testing.assert_allclose(np.asarray(values), schedule.table(0, STEPS + 9), rtol=1e-13, atol=1e-15)


@schedules
def test_a_formula_calls_only_the_ten_functions(schedule):
    recorder = Recorder()
    schedule.value(np.arange(9.0), recorder)
    assert recorder.used <= FUNCTIONS


def test_the_ten_functions_are_ten():
    assert sorted(FUNCTIONS) == ["abs", "clip", "cos", "exp", "floor", "log", "maximum", "minimum", "sqrt", "where"]


@schedules
def test_floating_steps_keep_their_precision(schedule):
    assert schedule(torch.arange(5, dtype=torch.float32)).dtype == torch.float32
    assert schedule(np.arange(5, dtype=np.float32)).dtype == np.float32


@pytest.mark.parametrize("library", [torch, np], ids=["torch", "numpy"])
def test_steps_above_two_to_the_24_are_still_whole(library):
    """In float32 the steps 2**24 and 2**24 + 1 would be one."""
    first = 2**24
    values = Linear(0.0, 1.0, 2**25)(library.asarray([first, first + 1]))
    assert float(values[1] - values[0]) == pytest.approx(2.0**-25, rel=1e-6)


def test_stairs_and_cycles_turn_at_their_edge_in_float32_whatever_their_length():
    """A compiler that divides by multiplying with the reciprocal falls just short of a whole number."""
    steps = jnp.arange(400)
    for every in (3, 41, 47, 55, 61, 82, 83, 94, 97):
        for schedule in (Staircase(1.0, 0.5, every), Triangular2(0.0, 1.0, every, fall=every + 1)):
            values = np.asarray(jax.jit(schedule)(steps))
            np.testing.assert_allclose(values, schedule.table(0, 400), rtol=0, atol=1e-4)


def test_a_long_table_is_the_same_in_blocks():
    """BLOCK is 65536; a table across its edges is a slice of any other."""
    schedule = Linear(0.0, 1.0, 1000) >> Cosine(1.0, 0.0, 199_000)
    table = schedule.table(0, 200_100)
    assert table.shape == (200_100,)
    np.testing.assert_array_equal(table[65_000:66_000], schedule.table(65_000, 66_000))
    np.testing.assert_array_equal(table[131_070:131_075], [schedule(k) for k in range(131_070, 131_075)])


@pytest.mark.parametrize(
    "schedule",
    [
        Cosine(1.0, 0.0, 10**10),
        Constant(1.0, 10**10) >> Linear(1.0, 0.0, 10**10),
        Triangular(0.1, 1.0, half_cycle=10**10),
        Staircase(1.0, 0.5, every=10**10),
        Repeat(Cosine(1.0, 0.0, 10**10)),
        Geometric(1.0, 0.5, every=10**10),
        Stepped(Cosine(1.0, 0.0, 10**10), every=10**10),
        MultiStep(1.0, 0.5, at=(10**10,)),
    ],
)
def test_lengths_beyond_32_bits_do_not_overflow_under_jit(schedule):
    steps = [0, 1, 1000, 10**6]
    np.testing.assert_allclose(jax.jit(schedule)(jnp.array(steps)), [schedule(step) for step in steps], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # how Keras on torch makes an array, with NumPy 2
@schedules
def test_keras_ops_give_the_table(schedule):
    """As inside a Keras model: the formula is handed `keras.ops` itself, on whichever backend."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    ops = pytest.importorskip("keras").ops
    steps = ops.cast(ops.arange(STEPS + 9), "float32")
    expected = schedule.table(0, STEPS + 9)
    values = ops.convert_to_numpy(schedule.value(steps, ops)).tolist()
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-5 * expected.max())


@pytest.mark.parametrize("name", ["one_cycle.lr", "triangular2.lr", "step_decay.lr", "wsd.lr", "restarts.lr"])
def test_torch_compiles_a_formula_as_one_graph(name):
    """`fullgraph` refuses a break; the backend is left out, since generating code takes seconds and changes nothing."""
    schedule = SCHEDULES[name]
    steps = torch.arange(STEPS + 9, dtype=torch.float64)
    xp = functions(steps)
    compiled = torch.compile(lambda t: schedule.value(t, xp), fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(compiled(steps).numpy(), schedule.table(0, STEPS + 9), rtol=0, atol=1e-12)
