"""Arrays of any library: whose namespace, which float, and whether a value is an array at all.

The formulas of schedules and rules are written once, against the Array API namespace `xp` of their
argument. This is the only file that looks at which library that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

from stepsize.kernel.errors import TaskError, brief
from stepsize.kernel.optional import need

Array = Any
"""An array of NumPy, torch, JAX, or any library with an Array API namespace; shapes are in docstrings."""

Floats = npt.NDArray[np.float64]
"""A NumPy array of float64."""

NUMPY = np
"""The namespace in which tables are computed."""


def is_array(value: object) -> bool:
    """Whether `value` is an array of a library that has an Array API namespace."""
    return bool(compat.is_array_api_obj(value))


def namespace(*arrays: Array) -> Any:
    """Return the Array API namespace that `arrays` share."""
    return compat.array_namespace(*arrays)


def functions(array: Array) -> Any:
    """Return the namespace of the ten functions of a formula, with numbers for arguments, of the library of `array`.

    torch gets its own functions directly: the compatibility layer asks for result types, which `torch.compile` cannot
    put into a graph.
    """
    return _torch_functions() if compat.is_torch_array(array) else namespace(array)


@cache
def _torch_functions() -> Any:
    torch = need("torch")

    def maximum(first: Array, second: Array) -> Array:
        return torch.maximum(first, second) if isinstance(second, torch.Tensor) else torch.clamp(first, min=second)

    def minimum(first: Array, second: Array) -> Array:
        return torch.minimum(first, second) if isinstance(second, torch.Tensor) else torch.clamp(first, max=second)

    same = {name: getattr(torch, name) for name in ("abs", "clip", "cos", "exp", "floor", "log", "sqrt", "where")}
    return SimpleNamespace(**same, maximum=maximum, minimum=minimum)


def real(array: Array, xp: Any) -> Array:
    """Return `array` as floats: float64 wherever the library and the device have it.

    Steps above 2**24 are not whole in float32, so an integer step becomes float64 in NumPy and torch; JAX
    follows its own `jax_enable_x64`; an array that is floating already is left alone.
    """
    if xp.isdtype(array.dtype, "real floating"):
        return array
    return xp.astype(array, _widest(array, xp))


def _widest(array: Array, xp: Any) -> Any:
    if compat.is_torch_array(array):
        return xp.float32 if compat.device(array).type == "mps" else xp.float64
    if compat.is_jax_array(array):
        return xp.asarray(0.0).dtype
    return xp.float64


def values_at(values: Sequence[float], t: Array, xp: Any) -> Array:
    """Return `values[t]` for whole numbers `t`, floating, any shape; the last value beyond them."""
    xp = xp if hasattr(xp, "astype") else namespace(t)  # NumPy itself has it since 2.1
    index = xp.astype(xp.clip(t, None, float(len(values) - 1)), xp.int32)
    where = {"device": compat.device(t)} if compat.is_torch_array(t) else {}
    column = xp.asarray(values, dtype=t.dtype, **where)
    return xp.reshape(xp.take(column, xp.reshape(index, (-1,)), axis=0), t.shape)


def floats(values: object) -> Floats:
    """Return `values` as a NumPy array of float64."""
    return cast("Floats", np.asarray(values, dtype=np.float64))


def as_number(value: Any, noun: str) -> float:
    """Return one number of any framework, with or without a gradient, as a float.

    noun: what it is, for the error. An array may have dimensions as long as it has one element.

    Raises TaskError for anything else.

    >>> as_number(np.float32(0.5), "loss"), as_number(np.array([[2.0]]), "loss")
    (0.5, 2.0)
    """
    detached = value.detach() if hasattr(value, "detach") else value
    shape = tuple(getattr(detached, "shape", ()))
    try:
        if isinstance(detached, str | bytes) or math.prod(shape) != 1:
            raise TypeError  # noqa: TRY301  (refused below, as all that is no number)
        return float(detached.reshape(()) if shape else detached)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        kind = f"an array of shape {shape}" if shape else brief(value)
        more = f" ({error})" if str(error) else ""
        raise TaskError(
            f"a {noun} is one number, not {kind}{more}: give a float, or an array of one element in any framework, "
            "outside of compiled code; take its mean."
        ) from None


def dense(gradient: Any) -> Any:
    """Return a tensor of torch with every number of it; a sparse gradient, as of an embedding, lacks the zeros."""
    return gradient.to_dense() if gradient.is_sparse else gradient
