"""Every kind of the catalogue is held to the laws, and each law is seen to catch what breaks it."""

import itertools
from dataclasses import MISSING, dataclass, fields, replace
from typing import get_origin

import numpy as np
import pytest
import torch

from stepsize import policies
from stepsize.kernel.spec import Spec, Steps, hints
from stepsize.problems import Task
from stepsize.problems.builtin_tasks import TASKS
from stepsize.results.io import CATALOGUE
from stepsize.rules import SGD, Twin
from stepsize.schedules import (
    Clipped,
    Constant,
    Cosine,
    Custom,
    Linear,
    Repeat,
    Reversed,
    Schedule,
    Segment,
    Stepped,
    Stretched,
    Table,
    Triangular,
    Until,
)
from stepsize.strategy import known_rules
from stepsize.testing import check_rule, check_schedule, check_task, check_value
from stepsize.testing.schedules import endless


def example(kind):
    """A value of `kind`: its defaults, and for each field without one a value that its annotation allows."""
    required = [each.name for each in fields(kind) if each.default is MISSING and each.name != "steps"]
    return kind(**{name: _example(hints(kind)[name], 0.1 * (i + 1)) for i, name in enumerate(required)}, **_rest(kind))


def _rest(kind):
    """The whole run, for a schedule that has a length and no default for it."""
    return {each.name: "rest" for each in fields(kind) if each.default is MISSING and each.name == "steps"}


def _example(hint, number):
    if hint == Steps:
        return "20%"
    if hint is Schedule:
        return Linear(number, 0.0)
    if hint == tuple[Schedule, ...]:
        return (Linear(0.0, number, "10%"), Cosine(number, 0.0))
    if hint == tuple[Steps, ...]:
        return ("20%", 50)
    if get_origin(hint) is tuple:
        return (0.0, number)
    return number


FORMULAS = [kind for kind in CATALOGUE.of(Schedule).values() if kind is not Custom]
"""Every kind but the one that holds a function, which has its own tests in tests/laws."""


@pytest.mark.parametrize("kind", FORMULAS, ids=lambda kind: kind.__name__)
def test_every_schedule_of_the_catalogue_keeps_the_laws(kind):
    check_schedule(example(kind))


@pytest.mark.parametrize("kind", known_rules().values(), ids=lambda kind: kind.__name__)
def test_every_rule_of_the_catalogue_keeps_the_laws(kind):
    check_rule(example(kind))


@pytest.mark.parametrize("name", policies.RECIPES)
def test_every_recipe_is_made_of_lawful_schedules(name):
    policy = policies.RECIPES[name](0.3)
    check_value(policy)
    for _, schedule in policy.schedules:
        check_schedule(schedule, steps=200, libraries=())


@pytest.mark.parametrize("name", TASKS)
def test_every_built_in_task_keeps_the_laws(name):
    check_task(TASKS[name]())


def test_a_schedule_with_lengths_of_its_own_is_checked_over_those():
    check_schedule(Linear(0.0, 1.0, 9) >> Constant(1.0, 4), steps=1000, libraries=())


def broken(name, base, **body):
    """A value of a new kind that breaks the one law that `body` says; in this module, so that pickle finds it."""
    kind = dataclass(frozen=True)(type(name, (base,), {"__module__": __name__, **body}))
    globals()[name] = kind
    return example(kind)


class Wave(Segment):
    """What a lawful schedule needs, but for the one method that each test breaks."""

    def curve(self, u, xp):
        return u


COUNTER = itertools.count()

BROKEN_SCHEDULES = {
    "Pole": ({"value": lambda s, t, xp: xp.where(t == 7, float("inf"), t)}, r"finite and at least 0; at steps \[7\]"),
    "Below": ({"value": lambda s, t, xp: 118.0 - t}, r"finite and at least 0; at steps \[119, 120, 121, 122\]"),
    "Climbs": ({"value": lambda s, t, xp: 1 + xp.cos(t)}, "past its 120 steps it must hold its last value"),
    "Short": ({"_bind": lambda s, n, run: s}, "must have 120 steps, not 'rest'"),
    "Counts": ({"value": lambda s, t, xp, c=COUNTER: next(c) + 0.0 * t}, "slice of the longer table"),
    "Relative": ({"value": lambda s, t, xp: t - t[:1]}, "slice of the longer table"),
    "Wordy": ({"value": lambda s, t, xp: 0 * xp.tanh(t) + 1}, "a formula uses only .* not tanh"),
    "Local": (
        {"value": lambda s, t, xp: 0 * t + float(isinstance(t, np.ndarray))},
        "array_api_strict must give NumPy's values",
    ),
    "Narrow": ({"value": lambda s, t, xp: 0 * t.sum() + 0 * t}, "does not run in array_api_strict"),
    "Mute": ({"__repr__": lambda s: "a schedule"}, "'?a schedule'? is not code that makes it"),
    "Liar": ({"__repr__": lambda s: f"Liar({s.start!r}, 0.5, {s.steps!r})"}, "makes another value"),
    "Lossy": ({"spec_fields": lambda s: {"start": s.start}}, "does not survive JSON"),
    "Odd": ({"__hash__": object.__hash__}, "equal values must have equal hashes"),
    "Selfish": ({"__eq__": lambda s, o: s is o, "__hash__": lambda s: 1}, "copy must give an equal value"),
}


@pytest.mark.parametrize("name", BROKEN_SCHEDULES)
def test_a_schedule_that_breaks_a_law_is_told_which(name):
    body, words = BROKEN_SCHEDULES[name]
    with pytest.raises(AssertionError, match=words):
        check_schedule(broken(name, Wave, **body))


def test_a_value_whose_fields_can_be_set_is_told_so():
    class Loose(Spec):
        def spec_fields(self):
            return {"level": 1.0}

        def __post_init__(self):
            """Nothing to check: this is no dataclass."""

    with pytest.raises(AssertionError, match="setting a field must raise"):
        check_value(Loose())


def broken_rule(name, **body):
    """Gradient descent, but for what `body` breaks."""
    return broken(name, SGD, **{"facts": SGD.facts, **body})


def _in_place(rule, p, g, slots, *rest):
    p -= rest[0]["lr"] * g
    return p, ()


def _with_slot(rule, p, g, slots, *rest):
    return p - rest[0]["lr"] * g, (p,)


BROKEN_RULES = {
    "InPlace": ({"step": _in_place}, "must return new arrays"),
    "Surplus": ({"step": _with_slot}, "must return 0 slots, not 1"),
    "Double": (
        {"step": lambda r, p, g, s, c, xp: (p - np.float64(1) * c["lr"] * g.astype(np.float64), ())},
        "keep the shape",
    ),
    "Drift": (
        {"step": lambda r, p, g, s, c, xp: (p - 1e-3 * g - c["lr"] * g, ())},
        "with lr = 0 the parameters must stay",
    ),
    "Jump": ({"step": lambda r, p, g, s, c, xp: (p - c["lr"] * (g + 1), ())}, "with no gradient .* must stay"),
    "Uphill": ({"step": lambda r, p, g, s, c, xp: (p + c["lr"] * g, ())}, "must come closer to the minimum"),
    "Pole": (
        {"coefficients": lambda r, h, k: {"lr": h["lr"] / np.float64(k - 1), "weight_decay": 0.0}},
        "must be finite",
    ),
    "Mixing": (
        {"coefficients": lambda r, h, k: {"lr": h["lr"] + 0 * k if np.ndim(k) else h["lr"] * 2}},
        "of a table must be",
    ),
    "Leaky": (
        {"step": lambda r, p, g, s, c, xp: (p - c["lr"] * g * (abs(g).sum() > 0) * abs(g).max(), ())},
        "as it does alone",
    ),
    "Contagious": (
        {"step": lambda r, p, g, s, c, xp: (p - c["lr"] * g + 0.0 * g.sum(), ())},
        "whose gradient is nan must leave the others as they are",
    ),
    "Overwritten": (
        {"init": lambda r, p, xp: (p,), "step": lambda r, p, g, s, c, xp: (p, s)},
        "must return new arrays",
    ),
    "Wide": (
        {"init": lambda r, p, xp: (xp.zeros_like(p[0]),), "step": lambda r, p, g, s, c, xp: (p, s)},
        "the replicas as its first axis",
    ),
    "Found": ({"facts": replace(SGD.facts, parameter_free=True)}, "is scale_free too"),
    "Averaged": ({"facts": replace(SGD.facts, schedule_free=True)}, "evaluates at an average"),
    "Twinned": ({"facts": replace(SGD.facts, torch=Twin("SGD", ("mu",)))}, "share the fields {'mu'}"),
    "Angular": ({"facts": replace(SGD.facts, euclidean=False)}, "twice the gradients give twice the steps"),
    "Even": ({"facts": replace(SGD.facts, same_size=True)}, "same_size if no gradient changes the size"),
    "Heavy": ({"facts": replace(SGD.facts, scale_free=True, accumulates=True)}, r"go as k\*\*-.5"),
    "Slowing": (
        {"coefficients": lambda r, h, k: {"lr": h["lr"] / k**0.5, "weight_decay": h["weight_decay"]}},
        "shrink by themselves, so it is scale_free",
    ),
    "Unstable": ({"facts": replace(SGD.facts, threshold=lambda _: 2.1)}, "at 0.98 of its threshold 2.1 it must"),
    "Flat": ({"readout": lambda r, p, s, xp: p[0]}, "must keep the shape of the parameters and slots"),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_rule_that_breaks_a_law_is_told_which(name):
    body, words = BROKEN_RULES[name]
    with pytest.raises(AssertionError, match=words):
        check_rule(broken_rule(name, **body))


def test_a_rule_that_only_numpy_can_run_is_told_so():
    rule = broken_rule("Local", step=lambda r, p, g, s, c, xp: (p - c["lr"] * g * (1 + (xp is not np)), ()))
    with pytest.raises(AssertionError, match="torch must give NumPy's parameters"):
        check_rule(rule, libraries=("torch",))


def test_a_rule_that_another_library_cannot_run_is_told_so():
    rule = broken_rule("Narrow", step=lambda r, p, g, s, c, xp: (p - c["lr"] * g.clip(-1e9, 1e9), ()))
    with pytest.raises(AssertionError, match="does not run in array_api_strict"):
        check_rule(rule)


DATA = torch.linspace(-1, 1, 40).reshape(20, 2), torch.linspace(0, 1, 20)[:, None]


def task(**changes):
    given = {"model": lambda: torch.nn.Linear(2, 1), "loss": torch.nn.functional.mse_loss, "batch_size": 6}
    return Task(**{**given, "train": DATA, "validation": DATA, **changes})


class Noisy(torch.nn.Linear):
    """A layer that is random even in evaluation mode."""

    def forward(self, x):
        return super().forward(x) + torch.rand(())


class Counting(torch.nn.Linear):
    """A layer that counts its calls in a buffer, in evaluation mode too."""

    def __init__(self):
        super().__init__(2, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Unseeded(Task):
    """A task whose epochs are all in one order."""

    def order(self, epoch, seed):
        return np.arange(18).reshape(3, 6)


class Repeating(Task):
    """A task that visits a sample twice in an epoch."""

    def order(self, epoch, seed):
        return np.zeros((3, 6), dtype=np.int64) + epoch + seed


ONE = torch.nn.Linear(2, 1)

BROKEN_TASKS = {
    "no parameter": (lambda: task(model=torch.nn.Identity), "has no parameter to train"),
    "one model for all": (lambda: task(model=lambda: ONE), "returns the same parameters each time"),
    "noise in evaluation": (lambda: task(model=lambda: Noisy(2, 1)), "must score the same each time"),
    "a buffer that counts": (lambda: task(model=Counting), "must leave weights and buffers as they were"),
    "no gradient": (lambda: task(loss=lambda y, t: ((y * 0 - t) ** 2).mean()), "is zero everywhere"),
    "one order for all": (lambda: Unseeded(**_fields(task())), "two seeds must differ in their order"),
    "a sample twice": (lambda: Repeating(**_fields(task())), "visit no sample twice"),
}


def _fields(value):
    return {each.name: getattr(value, each.name) for each in fields(value)}


def test_a_lawful_task_passes():
    check_task(task())


@pytest.mark.parametrize("name", BROKEN_TASKS)
@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_a_task_that_breaks_a_law_is_told_which(name):
    make, words = BROKEN_TASKS[name]
    with pytest.raises(AssertionError, match=words):
        check_task(make())


@pytest.mark.parametrize(
    ("schedule", "goes_on"),
    [
        (Repeat(Linear(1.0, 0.0, 5)), True),
        (Clipped(Triangular(0.1, 1.0, 3), low=0.2), True),
        (Constant(0.1) * Repeat(Linear(1.0, 0.0, 5)), True),
        (Constant(0.1) + 0.5 * Triangular(0.1, 1.0, 3), True),
        (Constant(0.1, 5) >> Repeat(Linear(1.0, 0.0, 5)), True),
        (Repeat(Linear(1.0, 0.0, 5), steps=20) >> Constant(0.1), False),
        (Until(Repeat(Linear(1.0, 0.0, 5)), 9), False),
        (Stretched(Triangular(0.1, 1.0, 3, steps=12), 30), False),
        (Reversed(Triangular(0.1, 1.0, 3, steps=12)), False),
        (Stepped(Triangular(0.1, 1.0, 3, steps=12), 2), False),
        (Cosine(1.0, 0.0), False),
    ],
)
def test_what_goes_on_past_its_steps_is_known(schedule, goes_on):
    assert endless(schedule) is goes_on


def test_a_table_is_looked_up_on_the_device_of_the_steps():
    """The meta device holds no values, yet refuses to mix with another, as an accelerator does."""
    assert Table((0.1, 0.2))(torch.arange(5, device="meta")).device.type == "meta"
