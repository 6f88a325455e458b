"""The laws of an update rule: pure, the same in every array library, and for one replica as for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Array, Floats, floats
from stepsize.kernel.optional import installed, need
from stepsize.rules import Rule
from stepsize.testing.schedules import LIBRARIES
from stepsize.testing.values import check_value, law

STEPS, REPLICAS = 7, 3
"""How long and how many the runs are that the laws are read off."""

LONG = 100
"""Steps after which a rule that accumulates differs from one that forgets slowly."""

DECAY = 0.1

SHAPES = (2, 2), (1,)
SIZE = 5
"""The tensors in a replica's row, for rules that look at shapes, and how many numbers they are."""


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
    core, rule = rule.core, rule.over(SHAPES)
    _check_coefficients(rule, name)
    _check_step(rule, name)
    _check_rest(rule, name)
    _check_descent(rule, name)
    _check_replicas(rule, name)
    _check_divergence(rule, name)
    _check_facts(core, name)
    for library in libraries:
        if installed(library):
            _check_library(rule, name, library)


def table(rule: Rule, steps: int = STEPS, replicas: int = REPLICAS) -> dict[str, Floats]:
    """Return hyperparameters that differ from step to step and from replica to replica, (steps, replicas) each."""
    shrink = np.linspace(1.0, 0.5, steps)[:, None] * np.linspace(1.0, 0.8, replicas)
    return {name: value * shrink for name, value in rule.hyperparameters.items()}


def run(rule: Rule, p: Array, gradients: Sequence[Array], rows: Sequence[Any], xp: Any) -> Array:
    """Return the weights to evaluate at after one step a gradient.

    p: (replicas, parameters); gradients: the same for each step; rows: the coefficients of each step.
    """
    slots = rule.init(p, xp)
    for g, c in zip(gradients, rows, strict=True):
        p, slots = rule.step(p, g, slots, c, xp)
    return rule.readout(p, slots, xp)


def _draw(*shape: int) -> Floats:
    return seeds.generator(0, "stepsize.testing", *shape).normal(size=shape)


def _scalars(rule: Rule, replica: int) -> list[dict[str, float]]:
    """Return the coefficients of each step of one replica, as floats."""
    wide = table(rule)
    return [_floats(rule, {n: float(h[k, replica]) for n, h in wide.items()}, k + 1) for k in range(STEPS)]


def _floats(rule: Rule, h: dict[str, float], k: int) -> dict[str, float]:
    return {key: float(c) for key, c in rule.coefficients(h, k).items()}


def _columns(rule: Rule) -> list[dict[str, Floats]]:
    """Return the coefficients of each step of all replicas, (replicas, 1) each."""
    whole = rule.coefficients(table(rule), np.arange(1, STEPS + 1)[:, None])
    wide = {key: np.broadcast_to(c, (STEPS, REPLICAS)) for key, c in whole.items()}
    return [{key: c[k][:, None] for key, c in wide.items()} for k in range(STEPS)]


def _heard(rule: Rule, rows: Sequence[Any], p: Array, xp: Any, noise: float = 1.0) -> list[Any]:
    """Return the coefficients of each step with a loss for each replica, and noise, for a rule that needs them."""
    given = {"loss": xp.zeros_like(p[:, :1]) + 2.0} if rule.core.takes_loss else {}
    given |= {"noise": xp.zeros_like(p) + noise} if rule.takes_noise else {}
    return [{**row, **given} for row in rows]


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
    """Beginning and step change no input; slots are the replicas' own, and keep their number, shape and precision."""
    for dtype in (np.float64, np.float32):
        p, g = _draw(1, SIZE).astype(dtype), _draw(2, SIZE)[:1].astype(dtype)
        slots = rule.init(p, np)
        own = not any(np.shares_memory(slot, p) for slot in slots)
        law(own, f"{name}: init must return new arrays, since the parameters may be overwritten.")
        fine = all(slot.shape[:1] == (1,) and slot.dtype == dtype for slot in slots)
        law(fine, f"{name}: a slot must have the replicas as its first axis, and the precision of the parameters.")
        (row,) = _heard(rule, _scalars(rule, 0)[:1], p, np)
        given = (p, g, *slots)
        before = [each.copy() for each in given]
        new, after = rule.step(p, g, slots, row, np)
        untouched = all(np.array_equal(now, then) for now, then in zip(given, before, strict=True))
        law(untouched, f"{name}: step must return new arrays and change none that it was given.")
        law(len(after) == len(slots), f"{name}: step must return {len(slots)} slots, not {len(after)}.")
        pairs = zip((new, *after, rule.readout(new, after, np)), (p, *slots, p), strict=True)
        kept = all(now.dtype == dtype and now.shape == then.shape for now, then in pairs)
        law(kept, f"{name}: step must keep the shape of the parameters and slots, and their {np.dtype(dtype)}.")


def _check_rest(rule: Rule, name: str) -> None:
    """Nothing moves without a rate, nor without a gradient (and without weight decay)."""
    p, gradients = _draw(1, SIZE), list(_draw(STEPS, 1, SIZE))
    none = [_floats(rule, {**rule.hyperparameters, "lr": 0.0}, k + 1) for k in range(STEPS)]
    held = run(rule, p, gradients, _heard(rule, none, p, np), np)
    law(_equal(held, p), f"{name}: with lr = 0 the parameters must stay.")
    free = [_floats(rule, {**rule.hyperparameters, "weight_decay": 0.0}, k + 1) for k in range(STEPS)]
    still = run(rule, p, [0.0 * p] * STEPS, _heard(rule, free, p, np, noise=0.0), np)
    law(_equal(still, p), f"{name}: with no gradient and no weight decay or noise the parameters must stay.")


def _check_facts(rule: Rule, name: str) -> None:
    """What can be measured of its facts is so, and the others do not contradict each other."""
    facts = rule.facts
    itself = facts.parameter_free or facts.accumulates
    law(facts.scale_free or not itself, f"{name}: a rule that is parameter_free, or accumulates, is scale_free too.")
    law(rule.averages or not facts.schedule_free, f"{name}: a rule that is schedule_free evaluates at an average.")
    for twin in (facts.torch, facts.optax, facts.keras):
        missing = set(twin.fields) - set(rule.spec_fields()) if twin else set()
        law(not missing, f"{name}: a twin cannot share the fields {missing}, which the rule does not have.")
    _check_sizes(rule, name)
    _check_decay(rule, name)
    if facts.euclidean and facts.threshold is not None and np.isfinite(facts.threshold(rule.hyperparameters)):
        _check_threshold(rule, name, facts.threshold(rule.hyperparameters))


def _check_sizes(rule: Rule, name: str) -> None:
    """Its steps have the size that `euclidean`, `same_size` and `accumulates` say."""
    facts, g = rule.facts, 100 * _draw(STEPS, 1, SIZE)
    once, twice = _way(rule, g), _way(rule, 2 * g)
    linear = np.allclose(twice - twice[0], 2 * (once - once[0]), rtol=1e-9, atol=0)
    law(linear == facts.euclidean, f"{name}: it is euclidean if twice the gradients give twice the steps, else not.")
    sizes = _lengths(rule, g * 10.0 ** np.cos(np.arange(STEPS))[:, None, None])
    same = np.allclose(sizes, sizes[0], rtol=1e-6)
    law(same == facts.same_size, f"{name}: a rule is same_size if no gradient changes the size of its steps, else not.")
    with np.errstate(all="ignore"):  # what finds its own rate may run away
        sizes = _lengths(rule, np.broadcast_to(g[:1], (LONG, 1, SIZE)))
    shrinks = bool(sizes[-1] <= 1.001 * sizes[LONG // 4 - 1] / 2)
    law(shrinks or not facts.accumulates, f"{name}: at one gradient the steps of a rule that accumulates go as k**-.5.")
    law(facts.scale_free or not shrinks, f"{name}: its steps shrink by themselves, so it is scale_free.")


def _check_decay(rule: Rule, name: str) -> None:
    """Without a gradient the parameters decay as `decoupled` says; a linear rule is alike either way."""
    facts = rule.facts
    way = _way(rule, np.zeros((STEPS, 1, SIZE)), lr=DECAY, weight_decay=DECAY)
    beside = np.allclose(way[-1], way[0] * (1 - DECAY * DECAY) ** STEPS, rtol=1e-12, atol=0)
    law(beside or not facts.decoupled, f"{name}: decoupled decay leaves `1 - lr * weight_decay` of p in each step.")
    alike = facts.euclidean or facts.scale_free
    law(facts.decoupled or not beside or alike, f"{name}: its weight decay is beside the step, so it is decoupled.")


def _check_threshold(rule: Rule, name: str, threshold: float) -> None:
    """On `x**2 / 2` it comes closer just below its threshold, and not just above."""
    for factor, stable in ((0.98, True), (1.02, False)):
        p = np.ones((1, SIZE))
        slots = rule.init(p, np)
        for k in range(1, 4 * LONG + 1):
            c = _floats(rule, {**rule.hyperparameters, "lr": factor * threshold, "weight_decay": 0.0}, k)
            p, slots = rule.step(p, p, slots, c, np)
        verb = "must" if stable else "must not"
        law(
            stable == bool(np.abs(p).max() < 1),
            f"{name}: at {factor} of its threshold {threshold:.3g} it {verb} settle.",
        )


def _way(rule: Rule, gradients: Floats, **changed: float) -> Floats:
    """Return the parameters before, and after each step without weight decay, (steps + 1, SIZE)."""
    rule, p = rule.over(SHAPES), _draw(1, SIZE)
    slots, way = rule.init(p, np), [p]
    for k, g in enumerate(gradients, 1):
        (c,) = _heard(rule, [_floats(rule, {**rule.hyperparameters, "weight_decay": 0.0, **changed}, k)], p, np)
        p, slots = rule.step(p, g, slots, c, np)
        way.append(p)
    return np.concatenate(way)


def _lengths(rule: Rule, gradients: Floats) -> Floats:
    """Return how long each step is, (steps,)."""
    return floats(np.linalg.norm(np.diff(_way(rule, gradients), axis=0), axis=1))


def _equal(now: Floats, then: Floats) -> bool:
    """Whether two arrays agree but for the last bit: the average of one number may be its neighbour."""
    return np.allclose(now, then, rtol=4e-16, atol=0)


def _check_descent(rule: Rule, name: str) -> None:
    """On `x**2 / 2` a small rate comes closer to the minimum."""
    p = np.full((1, SIZE), 3.0)
    slots = rule.init(p, np)
    for k in range(1, 51):
        own = _floats(rule, {**rule.hyperparameters, "lr": 0.01, "weight_decay": 0.0}, k)
        (row,) = _heard(rule, [own], p, np, noise=0.0)
        if rule.core.takes_loss:
            row["loss"] = 0.5 * (p * p).sum(axis=-1, keepdims=True)
        p, slots = rule.step(p, p, slots, row, np)
    law((np.abs(p) < 3).all(), f"{name}: with a small rate the parameters must come closer to the minimum of x**2.")


def _check_replicas(rule: Rule, name: str) -> None:
    """Replicas side by side, each with its own hyperparameters, are the replicas alone."""
    p, gradients = _draw(REPLICAS, SIZE), _draw(STEPS, REPLICAS, SIZE)
    together = run(rule, p, list(gradients), _heard(rule, _columns(rule), p, np), np)
    for j in range(REPLICAS):
        one = p[j : j + 1]
        alone = run(rule, one, list(gradients[:, j : j + 1]), _heard(rule, _scalars(rule, j), one, np), np)
        same = np.allclose(together[j], alone[0], rtol=1e-12)
        law(same, f"{name}: a replica among others must move as it does alone.")


def _check_divergence(rule: Rule, name: str) -> None:
    """A replica whose gradient is not finite is the only one that is lost."""
    p, gradients = _draw(REPLICAS, SIZE), _draw(STEPS, REPLICAS, SIZE)
    rows = _heard(rule, _columns(rule), p, np)
    sound = run(rule, p, list(gradients), rows, np)
    for bad in (np.nan, np.inf):
        broken = gradients.copy()
        broken[2, 1] = bad
        with np.errstate(all="ignore"):
            found = run(rule, p, list(broken), rows, np)
        same = np.array_equal(found[::2], sound[::2])
        law(same, f"{name}: a replica whose gradient is {bad} must leave the others as they are.")


def _check_library(rule: Rule, name: str, library: str) -> None:
    p, gradients = _draw(1, SIZE), _draw(STEPS, 1, SIZE)
    expected = run(rule, p, list(gradients), _heard(rule, _scalars(rule, 0), p, np), np)
    xp = need(f"{library}.numpy" if library == "jax" else library)
    own = xp.asarray(p)
    slopes, rows = [xp.asarray(g) for g in gradients], _heard(rule, _scalars(rule, 0), own, xp)
    try:
        found = [np.asarray(run(rule, own, slopes, rows, xp))]
        if library == "jax":
            found += [np.asarray(need("jax").jit(lambda p, g, c: run(rule, p, g, c, xp))(own, slopes, rows))]
    except Exception as error:  # a law that fails says so, whatever the code under test raises
        raise AssertionError(f"{name}: its step does not run in {library} ({error}).") from error
    for each in found:
        tolerance = 1e-12 if each.dtype == np.float64 else 2e-4
        same = np.allclose(each, expected, rtol=tolerance, atol=tolerance)
        law(same, f"{name}: {library} must give NumPy's parameters, {expected}, not {each}.")
