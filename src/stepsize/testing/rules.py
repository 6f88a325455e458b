"""The laws of an update rule: pure, the same in every array library, and for one replica as for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Array, Floats
from stepsize.kernel.optional import installed, need
from stepsize.rules import Rule
from stepsize.testing.schedules import LIBRARIES
from stepsize.testing.values import check_value, law

STEPS, REPLICAS, SIZE = 7, 3, 5
"""How long, how many and how large the runs are that the laws are read off."""


def check_rule(rule: Rule, *, libraries: Sequence[str] = LIBRARIES) -> None:
    """Check that `rule` keeps every law of an update rule.

    libraries: the array libraries to hold it in; one that is not installed is left out.

    Raises AssertionError that says which law failed.

    Watch out: it cannot know your formula; hold that against a reference, step by step, as tests/parity does.

    >>> from stepsize.rules import Adam
    >>> check_rule(Adam())
    """
    check_value(rule)
    name = type(rule).__name__
    law(
        {"lr", "weight_decay"} <= set(rule.hyperparameters), f"{name}: a rule has the hyperparameters lr, weight_decay."
    )
    _check_coefficients(rule, name)
    _check_step(rule, name)
    _check_rest(rule, name)
    _check_descent(rule, name)
    _check_replicas(rule, name)
    for library in libraries:
        if installed(library):
            _check_library(rule, name, library)


def table(rule: Rule, steps: int = STEPS, replicas: int = REPLICAS) -> dict[str, Floats]:
    """Return hyperparameters that differ from step to step and from replica to replica, (steps, replicas) each."""
    shrink = np.linspace(1.0, 0.5, steps)[:, None] * np.linspace(1.0, 0.8, replicas)
    return {name: value * shrink for name, value in rule.hyperparameters.items()}


def run(rule: Rule, p: Array, gradients: Sequence[Array], rows: Sequence[Any], xp: Any) -> Array:
    """Return the parameters after one step a gradient; `rows` holds the coefficients of each step."""
    slots = tuple(0.0 * p for _ in rule.slots)
    for g, c in zip(gradients, rows, strict=True):
        p, slots = rule.step(p, g, slots, c, xp)
    return p


def _draw(*shape: int) -> Floats:
    return seeds.generator(0, "stepsize.testing", *shape).normal(size=shape)


def _scalars(rule: Rule, replica: int) -> list[dict[str, float]]:
    """Return the coefficients of each step of one replica, as floats."""
    wide = table(rule)
    return [
        {
            key: float(c)
            for key, c in rule.coefficients({n: float(h[k, replica]) for n, h in wide.items()}, k + 1).items()
        }
        for k in range(STEPS)
    ]


def _check_coefficients(rule: Rule, name: str) -> None:
    """Computed over a whole table at once they are those of each step and replica."""
    whole = rule.coefficients(table(rule), np.arange(1, STEPS + 1)[:, None])
    for key, values in whole.items():
        wide = np.broadcast_to(values, (STEPS, REPLICAS))
        law(np.isfinite(wide).all(), f"{name}: the coefficient {key} must be finite from the first step on (k = 1).")
        alone = np.array([[_scalars(rule, j)[k][key] for j in range(REPLICAS)] for k in range(STEPS)])
        same = np.allclose(wide, alone, rtol=1e-14, atol=0)
        law(same, f"{name}: the coefficient {key} of a table must be that of each step and replica alone.")


def _check_step(rule: Rule, name: str) -> None:
    """A step changes no input, returns as many slots as declared, and keeps shape and precision."""
    coefficients = _scalars(rule, 0)[0]
    for dtype in (np.float64, np.float32):
        p, g = _draw(SIZE).astype(dtype), _draw(2, SIZE)[0].astype(dtype)
        before = p.copy(), g.copy()
        slots = tuple(np.zeros_like(p) for _ in rule.slots)
        new, after = rule.step(p, g, slots, coefficients, np)
        untouched = np.array_equal(p, before[0]) and np.array_equal(g, before[1]) and not any(s.any() for s in slots)
        law(untouched, f"{name}: step must return new arrays and change none that it was given.")
        law(len(after) == len(rule.slots), f"{name}: step must return {len(rule.slots)} slots, not {len(after)}.")
        kept = all(each.dtype == dtype and each.shape == p.shape for each in (new, *after))
        law(kept, f"{name}: step must keep the shape of the parameters and their {np.dtype(dtype)}.")


def _check_rest(rule: Rule, name: str) -> None:
    """Nothing moves without a rate, nor without a gradient (and without weight decay)."""
    p, gradients = _draw(SIZE), list(_draw(STEPS, SIZE))
    none = [rule.coefficients({**rule.hyperparameters, "lr": 0.0}, k + 1) for k in range(STEPS)]
    law(np.array_equal(run(rule, p, gradients, none, np), p), f"{name}: with lr = 0 the parameters must stay.")
    free = [rule.coefficients({**rule.hyperparameters, "weight_decay": 0.0}, k + 1) for k in range(STEPS)]
    still = run(rule, p, [np.zeros(SIZE)] * STEPS, free, np)
    law(np.array_equal(still, p), f"{name}: with no gradient and no weight decay the parameters must stay.")


def _check_descent(rule: Rule, name: str) -> None:
    """On `x**2 / 2` a small rate comes closer to the minimum."""
    p = np.full(SIZE, 3.0)
    slots = tuple(np.zeros(SIZE) for _ in rule.slots)
    for k in range(1, 51):
        c = rule.coefficients({**rule.hyperparameters, "lr": 0.01, "weight_decay": 0.0}, k)
        p, slots = rule.step(p, p, slots, c, np)
    law((np.abs(p) < 3).all(), f"{name}: with a small rate the parameters must come closer to the minimum of x**2.")


def _check_replicas(rule: Rule, name: str) -> None:
    """Replicas side by side, each with its own hyperparameters, are the replicas alone."""
    p, gradients = _draw(REPLICAS, SIZE), _draw(STEPS, REPLICAS, SIZE)
    whole = rule.coefficients(table(rule), np.arange(1, STEPS + 1)[:, None])
    rows = [{key: np.broadcast_to(c, (STEPS, REPLICAS))[k][:, None] for key, c in whole.items()} for k in range(STEPS)]
    together = run(rule, p, list(gradients), rows, np)
    for j in range(REPLICAS):
        alone = run(rule, p[j], list(gradients[:, j]), _scalars(rule, j), np)
        law(np.allclose(together[j], alone, rtol=1e-12), f"{name}: a replica among others must move as it does alone.")


def _check_library(rule: Rule, name: str, library: str) -> None:
    p, gradients = _draw(SIZE), _draw(STEPS, SIZE)
    expected = run(rule, p, list(gradients), _scalars(rule, 0), np)
    xp = need(f"{library}.numpy" if library == "jax" else library)
    try:
        found = np.asarray(run(rule, xp.asarray(p), [xp.asarray(g) for g in gradients], _scalars(rule, 0), xp))
    except Exception as error:
        raise AssertionError(f"{name}: its step does not run in {library} ({error}).") from error
    tolerance = 1e-12 if found.dtype == np.float64 else 2e-4
    same = np.allclose(found, expected, rtol=tolerance, atol=tolerance)
    law(same, f"{name}: {library} must give NumPy's parameters, {expected}, not {found}.")
