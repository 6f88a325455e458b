"""A rule in place is its formula: bit for bit as recorded, and to 1e-15 in float64 with its products fused."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from stepsize.engines.inplace import kernel, program, tracing
from stepsize.engines.inplace.program import Update, kind, rows
from stepsize.kernel.spec import hints
from stepsize.rules import (
    EMA,
    SGD,
    SPS,
    SWA,
    Adafactor,
    Adam,
    AdamW,
    ClipNorm,
    ClipValue,
    DAdaptAdam,
    DAdaptSGD,
    DecoupledDecay,
    DoG,
    GradientNoise,
    Lion,
    Momentum,
    Muon,
    PolynomialAverage,
    Prodigy,
    Rule,
)
from stepsize.strategy import known_rules

REPLICAS, SIZE, STEPS = 5, 11, 8
CLOSE = {torch.float64: 1e-15, torch.float32: 5e-7}
CANCELS = {"RMSProp centered": 100, "RMSPropMomentum centered": 100}
"""Their variance is the difference of two numbers that nearly agree, so their steps are less certain themselves."""


def every():
    """Each rule, with each of its switches turned, and wrappers around some."""
    for name, cls in known_rules().items():
        yield name, cls()
        for field in (field for field, hint in hints(cls).items() if hint is bool):
            yield f"{name} {field}", dataclasses.replace(cls(), **{field: not getattr(cls(), field)})
    for rule in (DAdaptSGD(momentum=0.9), DAdaptAdam(), Prodigy(), SPS()):
        yield f"{type(rule).__name__} growth", dataclasses.replace(rule, growth=1.05)
    yield "wrapped Prodigy", EMA(ClipNorm(DecoupledDecay(Prodigy(weight_decay=0.1))), 0.9)
    yield "wrapped Lion", SWA(ClipValue(Lion(weight_decay=0.1)), 3, 2)
    yield "wrapped DoG", PolynomialAverage(ClipNorm(DoG()))
    yield "noisy SPS", ClipNorm(GradientNoise(SPS()))
    yield "momentum 0", Adam(momentum=0.0)
    yield "decay", Momentum(weight_decay=0.1)


EVERY = dict(every())
PLAIN = {"Muon", "Muon nesterov", "Muon match_rms", "Adafactor", "Adafactor epsilon_inside"}


@pytest.fixture(params=["program", "kernel"])
def way(request, monkeypatch):
    """How a step is run: call by call in torch, or compiled, where there is a compiler."""
    if request.param == "kernel" and kernel._loaded("void step(void) {}") is None:
        pytest.skip("there is no compiler of C")
    monkeypatch.setattr(program, "WORTH_COMPILING", 0 if request.param == "kernel" else float("inf"))
    return request.param


def table_of(rule, *, shared):
    """Coefficients of every step, (steps, replicas): one rate for all replicas, or one for each."""
    shrink = np.linspace(1.0, 0.5, STEPS)[:, None] * (np.ones(REPLICAS) if shared else np.linspace(1.0, 0.6, REPLICAS))
    h = {name: value * shrink for name, value in rule.hyperparameters.items()}
    found = rule.coefficients(h, np.arange(1.0, STEPS + 1)[:, None])
    return {name: np.broadcast_to(value, (STEPS, REPLICAS)) for name, value in found.items()}


def slope(p, rule, c):
    """A gradient at p, and the coefficients with a loss and noise where the rule wants them."""
    g = torch.sin(3 * p) + p
    loss = {"loss": (g * g).sum(-1, keepdim=True)} if rule.core.takes_loss else {}
    return g, {**c, **loss, **({"noise": torch.cos(9 * p)} if rule.takes_noise else {})}


def start(rule, dtype=torch.float64):
    p = torch.randn(REPLICAS, SIZE, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return p, rule.init(p, torch)


def both(rule, *, shared, apart=False, dtype=torch.float64):
    """Yield what each step made in place and by the formula from the same arrays, and the arrays before, with g."""
    rule = rule.over([(2, 3), (SIZE - 6,)])
    p, slots = start(rule, dtype)
    update, table = Update(rule, STEPS, apart=apart), table_of(rule, shared=shared)
    update.expect(table, p, slots)
    for row in rows(table, p):
        g, c = slope(p, rule, row)
        new, after = rule.step(p, g, slots, c, torch)
        own, mine = p.clone(), tuple(slot.clone() for slot in slots)
        into = torch.full_like(p, float("nan")) if apart else None
        update(own, g, mine, c, into)
        if apart:
            assert torch.equal(own, p)
        yield (into if apart else own, *mine), (new, *after), (p, *slots), g
        p, slots = new, after


def unfused(monkeypatch):
    for change in ("_known", "_fused"):
        monkeypatch.setattr(tracing, change, lambda *_: None)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("way", "dtype"),
    [(way, dtype) for way in ("program", "kernel") for dtype in CLOSE], indirect=["way"], ids=str,
)  # fmt: skip
def test_a_step_in_place_is_the_formula_but_for_rounding(name, dtype, way):
    """Relative to the largest number that a replica's array held before or holds after, or its gradient."""
    close = CLOSE[dtype] * CANCELS.get(name, 1)
    for shared in (True, False):
        for found, expected, before, g in both(EVERY[name], shared=shared, dtype=dtype):
            for one, other, old in zip(found, expected, before, strict=True):
                largest = [t.flatten(1).abs().amax(1) for t in (old, other, *[g] * (old.shape == g.shape)) if t.numel()]
                scale = torch.stack(largest).amax(0) if largest else torch.ones(REPLICAS, dtype=dtype)
                assert ((one - other).flatten(1).abs() <= close * scale[:, None]).all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("apart", [True, False])
def test_without_fusion_a_step_in_place_is_the_formula_bit_for_bit(name, apart, monkeypatch):
    unfused(monkeypatch)
    for shared in (True, False):
        for found, expected, *_ in both(EVERY[name], shared=shared, apart=apart):
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_only_rules_that_look_at_shapes_are_not_recorded(name):
    rule = EVERY[name].over([(SIZE,)])
    p, slots = start(rule)
    kinds = {name: kind(values) for name, values in table_of(rule, shared=False).items()}
    kinds |= {"loss": "column", "noise": "row"}
    assert (tracing.record(rule, p, slots, kinds) is None) == (name in PLAIN)


@pytest.mark.parametrize("name", sorted(set(EVERY) - PLAIN))
def test_a_number_that_all_replicas_share_is_as_a_column_of_it(name, way, monkeypatch):
    """So a replica's way does not depend on who else is in its wave, but for rounding."""
    rule = EVERY[name]
    p, slots = start(rule)
    table = table_of(rule, shared=True)
    numbers, columns = Update(rule, STEPS), Update(rule, STEPS)
    numbers.expect(table, p, slots)
    monkeypatch.setattr("stepsize.engines.inplace.program.kind", lambda values: "column")
    columns.expect(table, p, slots)
    wide = rows(table, p)
    monkeypatch.undo()
    narrow = rows(table, p)
    assert all(isinstance(value, float) for value in narrow[0].values())
    one, other = ((p.clone(), tuple(slot.clone() for slot in slots)) for _ in range(2))
    for few, many in zip(narrow, wide, strict=True):
        g, number = slope(one[0], rule, few)
        numbers(one[0], g, one[1], number)
        columns(other[0], g, other[1], {**number, **many})
    for mine, theirs in zip((one[0], *one[1]), (other[0], *other[1]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(EVERY) - PLAIN))
@pytest.mark.parametrize(
    ("way", "bad"), [(way, bad) for way in ("program", "kernel") for bad in (math.nan, math.inf)], indirect=["way"]
)
def test_a_replica_that_is_not_finite_leaves_the_others_as_they_are(name, bad, way):
    rule = EVERY[name]
    found = [walked(rule, bad) for bad in (None, bad)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stepsize.engines.inplace.program.record", lambda *_: None)
        by_formula = walked(rule, bad)
    for sound, spoilt, formula in zip(*found, by_formula, strict=True):
        kept = [0, 2, 3, 4]
        assert torch.equal(sound[kept], spoilt[kept])
        assert torch.equal(spoilt[1].isfinite(), formula[1].isfinite())


def walked(rule, bad):
    """The arrays after all steps, of which the gradient of one replica is bad from the fourth on."""
    p, slots = start(rule)
    update, table = Update(rule, STEPS), table_of(rule, shared=False)
    update.expect(table, p, slots)
    for step, row in enumerate(rows(table, p)):
        g, c = slope(p, rule, row)
        if bad is not None and step > 2:
            g[1, ::2] = bad
        update(p, g, slots, c)
    return p, *slots


def test_adam_makes_ten_passes_and_two_spare_arrays():
    rule = Adam()
    p, slots = start(rule)
    update = Update(rule, STEPS)
    update.expect(table_of(rule, shared=False), p, slots)
    code = update._way.run.__self__.code
    assert code.count("out = ") == 10
    assert len(update._way.spares) == 2


@dataclasses.dataclass(frozen=True)
class Odd(Rule):
    """It hands its slots on to each other, keeps a gradient, and returns one array twice."""

    facts = SGD.facts
    lr: float = 0.1
    weight_decay: float = 0.0

    def init(self, p, xp):
        return xp.zeros_like(p), 1.0 * p, 2.0 * p, 3.0 * p, 4.0 * p

    def coefficients(self, h, k):
        return {"lr": h["lr"], "weight_decay": h["weight_decay"]}

    def step(self, p, g, slots, c, xp):
        _, a, b, d, _ = slots
        new = (1 - a) / (2 / (3 + b * b)) - 2.0**d * c["lr"]
        return new, (g, b, a, p, new)


class Branching(SGD):
    """It looks at a value, which a recording does not have."""

    facts = SGD.facts

    def step(self, p, g, slots, c, xp):
        return (p - c["lr"] * g if float(g.sum()) > 0 else p + g), ()


@pytest.mark.parametrize("rule", [Odd(), Branching()], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("apart", [True, False])
def test_an_odd_rule_is_its_formula_too(rule, apart, way):
    for shared in (True, False):
        for found, expected, *_ in both(rule, shared=shared, apart=apart):
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-15)


def test_the_gradient_is_never_written_over(way):
    for rule in (AdamW(), ClipNorm(Momentum()), Adafactor(), Muon()):
        for *_, before, g in both(rule, shared=True):
            assert torch.equal(g, torch.sin(3 * before[0]) + before[0])


SUMS = ("wrapped", "DAdapt", "Prodigy", "DoG", "DoWG", "Polyak", "SPS", "noisy", "ScheduleFree", "ClipNorm")
"""What has a sum over a row, or a power: there a kernel and NumPy round in another order."""


@pytest.mark.parametrize("name", sorted(name for name in set(EVERY) - PLAIN if not name.startswith(SUMS)))
def test_a_kernel_rounds_each_operation_as_numpy_does(name, way):
    if way == "program":
        return
    rule = EVERY[name].over([(SIZE,)])
    for shared in (True, False):
        (p, slots), update, table = start(rule, torch.float32), Update(rule, STEPS), table_of(rule, shared=shared)
        update.expect(table, p, slots)
        assert isinstance(update._way, kernel.Kernel)
        for row in rows(table, p):
            g, c = slope(p, rule, row)
            known = {key: getattr(value, "numpy", lambda value=value: value)() for key, value in c.items()}
            new, after = rule.step(p.numpy(), g.numpy(), tuple(slot.numpy() for slot in slots), known, np)
            expected = [np.array(array) for array in (new, *after)]
            update(p, g, slots, c)
            for one, other in zip((p, *slots), expected, strict=True):
                np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("name", sorted(set(EVERY) - PLAIN))
def test_every_recorded_rule_becomes_a_kernel(name, way):
    rule = EVERY[name].over([(SIZE,)])
    update, (p, slots) = Update(rule, STEPS), start(rule)
    update.expect(table_of(rule, shared=False), p, slots)
    assert isinstance(update._way, kernel.Kernel) == (way == "kernel")


def test_what_is_read_may_have_another_dtype_and_order(way):
    """A loss of fewer bits, which torch itself refuses, and a gradient that is a view of another array."""
    rule = SPS()
    (p, slots), update, table = start(rule, torch.float32), Update(rule, STEPS), table_of(rule, shared=False)
    update.expect(table, p, slots)
    for row in rows(table, p):
        g, c = slope(p, rule, row)
        c = {**c, "loss": c["loss"].to(torch.bfloat16) if way == "kernel" else c["loss"]}
        new, after = rule.step(p, g, slots, {**c, "loss": c["loss"].float()}, torch)
        update(p, g.T.contiguous().T, slots, c)
        for one, other in zip((p, *slots), (new, *after), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_points_that_lie_column_by_column_have_a_kernel_too(way):
    rule, table = Adam(), table_of(Adam(), shared=True)
    (p, slots), update = start(rule), Update(rule, STEPS, apart=True)
    turned = [array.T.contiguous().T for array in (p, *slots)]
    update.expect(table, turned[0], tuple(turned[1:]))
    assert isinstance(update._way, kernel.Kernel) == (way == "kernel")
    for row in rows(table, p):
        g, into = torch.sin(3 * p) + p, torch.empty_like(turned[0])
        p, slots = rule.step(p, g, slots, row, torch)
        update(turned[0], g, tuple(turned[1:]), row, into)
        turned[0] = into
        for one, other in zip(turned, (p, *slots), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-15)


@dataclasses.dataclass(frozen=True)
class Narrow(SGD):
    """Its slot is neither of an element nor of a row."""

    facts = SGD.facts
    slots = ("s",)

    def init(self, p, xp):
        return (xp.zeros_like(p[:, :5]),)

    def step(self, p, g, slots, c, xp):
        return p - c["lr"] * g, (slots[0] + 1.0,)


class Truths(SGD):
    """It counts with truth values, of which two are one in torch, and two in C."""

    facts = SGD.facts

    def step(self, p, g, slots, c, xp):
        return p - c["lr"] * (((g > 0) + (p > 0)) * g), ()


class Bounds(SGD):
    """It clips between bounds in the wrong order, and to infinity."""

    facts = SGD.facts

    def step(self, p, g, slots, c, xp):
        return xp.clip(p, 1.0, -1.0) - c["lr"] * xp.clip(g, -float("inf"), None), ()


class Twice(Odd):
    """Its slots are one array under two names."""

    facts = SGD.facts

    def init(self, p, xp):
        one = 1.0 * p
        return one, one

    def step(self, p, g, slots, c, xp):
        return p - c["lr"] * g, (slots[0] + 1.0, slots[1] + 2.0)


@pytest.mark.parametrize("rule", [Narrow(), Truths(), Bounds()], ids=lambda rule: type(rule).__name__)
def test_what_means_something_else_in_c_is_not_written_in_c(rule, way):
    for shared in (True, False):
        for found, expected, *_ in both(rule, shared=shared):
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-15)


def test_two_names_for_one_array_are_no_kernel(way):
    (p, slots), update = start(Twice()), Update(Twice(), STEPS)
    update.expect(table_of(Twice(), shared=True), p, slots)
    assert not isinstance(update._way, kernel.Kernel)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", '"gcc', "true"])
def test_without_a_compiler_that_works_the_program_runs(compiler, monkeypatch):
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(program, "WORTH_COMPILING", 0)
    monkeypatch.setattr(kernel, "_loaded", kernel._loaded.__wrapped__)  # what was compiled before, it would have
    update, (p, slots) = Update(Adam(), STEPS), start(Adam())
    update.expect(table_of(Adam(), shared=True), p, slots)
    assert isinstance(update._way, program.Program)
