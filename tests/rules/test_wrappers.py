"""Wrappers: clipping, decoupled decay and averages around a rule, held to torch's own."""

import copy

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stepsize.kernel.errors import ParameterError
from stepsize.policies import Policy, constant
from stepsize.results.io import dumps, loads
from stepsize.rules import (
    EMA,
    SGD,
    SWA,
    Adam,
    AdamW,
    AMSGrad,
    ClipNorm,
    ClipValue,
    DAdaptSGD,
    DecoupledDecay,
    DoG,
    GradientNoise,
    Momentum,
    Muon,
    NAdam,
    PolynomialAverage,
    Prodigy,
    RAdam,
    RMSProp,
    Rule,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from stepsize.schedules import Constant, Linear
from stepsize.strategy import Strategy

STEPS = 60
RNG = np.random.default_rng(11)
START = RNG.normal(size=(4, 7))
PULL = RNG.normal(size=(4, 7, 7))


@pytest.fixture(autouse=True)
def _double():
    """torch's NAdam keeps its product of momenta in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def gradient(p):
    """Of `|A p|**2 / 2 + sum(cos(p))` for each replica, (4, 7); the norms are between 1 and 60."""
    return np.einsum("rij,rik,rk->rj", PULL, PULL, p) - np.sin(p)


def run(rule, steps=STEPS, table=None):
    """The parameters and the weights to evaluate at after each step."""
    p, path = START, []
    slots = rule.init(p, np)
    for k in range(1, steps + 1):
        h = {**rule.hyperparameters, **({name: values[k - 1] for name, values in (table or {}).items()})}
        p, slots = rule.step(p, gradient(p), slots, rule.coefficients(h, k), np)
        path.append((p, rule.readout(p, slots, np)))
    return np.array([p for p, _ in path]), np.array([a for _, a in path])


def by_torch(make, clip=None, observe=None):
    """The parameters of each replica under a torch optimizer, (steps, replicas, 7)."""
    paths = []
    for j in range(len(START)):
        p = torch.nn.Parameter(torch.tensor(START[j]))
        optimizer, path = make([p]), []
        for _ in range(STEPS):
            full = START.copy()
            full[j] = p.detach().numpy()
            p.grad = torch.tensor(gradient(full)[j])
            if clip is not None:
                clip([p])
            optimizer.step()
            path.append((observe or (lambda p: p))(p).detach().numpy().copy())
        paths.append(path)
    return np.array(paths).swapaxes(0, 1)


def test_clipping_by_value_is_torchs():
    found, _ = run(ClipValue(Momentum(lr=0.01), clip_value=0.7))
    expected = by_torch(
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), lambda p: torch.nn.utils.clip_grad_value_(p, 0.7)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_clipping_by_norm_is_torchs_but_for_its_millionth():
    """torch multiplies by max_norm / (norm + 1e-6): 1e-6 of the step where the norm is near 1, summed over 60 steps."""
    found, _ = run(ClipNorm(Momentum(lr=0.01), max_norm=1.3))
    expected = by_torch(
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), lambda p: torch.nn.utils.clip_grad_norm_(p, 1.3)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)
    assert np.abs(found - expected).max() > 1e-12


def test_the_norm_is_clipped_for_each_replica_and_over_all_of_it():
    g = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [np.nan, 1.0]])
    rule = ClipNorm(SGD(lr=1.0), max_norm=1.0)
    new, _ = rule.step(np.zeros((4, 2)), g, (), rule.coefficients(rule.hyperparameters, 1), np)
    np.testing.assert_allclose(new[:3], [[-0.6, -0.8], [-0.3, -0.4], [0.0, 0.0]], rtol=1e-15)
    assert np.isnan(new[3]).all()


def test_the_norm_is_of_the_whole_model_also_around_a_rule_that_sees_tensors():
    """A gradient of norm 5 in two tensors is shortened as one vector; Muon forgets lengths, so look at its momentum."""
    rule = ClipNorm(Muon(weight_decay=0.0, momentum=0.0), max_norm=1.0).over([(1, 2), (1,)])
    p = np.zeros((1, 3))
    slots = rule.init(p, np)
    _, slots = rule.step(p, np.array([[3.0, 0.0, 4.0]]), slots, rule.coefficients(rule.hyperparameters, 1), np)
    np.testing.assert_allclose(slots[0], [[[0.6, 0.0]]], rtol=1e-15)
    np.testing.assert_allclose(slots[2], [[0.08]], rtol=1e-14)


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (Adam(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        (AdamW(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        (AMSGrad(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, amsgrad=True)),
        (
            NAdam(lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.NAdam(p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
        ),
        (
            RAdam(lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.RAdam(p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
        ),
    ],
    ids=lambda value: value.title if isinstance(value, Rule) else "",
)
def test_decoupled_decay_is_torchs(rule, make):
    found, _ = run(DecoupledDecay(rule))
    np.testing.assert_allclose(found, by_torch(make), rtol=1e-11, atol=1e-12)


def test_decoupled_decay_of_plain_descent_is_the_l2_of_it():
    """Without memory both are `p - lr * (g + decay * p)`."""
    plain = SGD(lr=0.01, weight_decay=0.1)
    np.testing.assert_allclose(run(DecoupledDecay(plain))[0], run(plain)[0], rtol=1e-13, atol=1e-14)


def averaged(multi_avg_fn=None, start=1, every=1):
    """What torch's AveragedModel observes, updated after the steps that count."""
    step, average = 0, None

    def observe(p):
        nonlocal step, average
        step = step % STEPS + 1
        if step == 1:
            average = None
        module = torch.nn.Module()
        module.p = p
        if average is None and step >= start:
            average = AveragedModel(module, multi_avg_fn=multi_avg_fn)
        if step >= start and (step - start) % every == 0:
            average.update_parameters(module)
        return p if average is None else average.module.p

    return observe


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_the_exponential_average_is_torchs(decay):
    steps, readout = run(EMA(Momentum(lr=0.01), decay))
    observe = averaged(get_ema_multi_avg_fn(decay))
    expected = by_torch(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), observe=observe)
    np.testing.assert_allclose(readout, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(steps, run(Momentum(lr=0.01))[0])


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_corrected_exponential_average_is_that_of_the_paper_on_adam(decay):
    """Sec. 7.2: an average that begins at 0, divided by `1 - decay**t`."""
    path, readout = run(EMA(Momentum(lr=0.01), decay, corrected=True))
    average = np.zeros_like(START)
    for t, p in enumerate(path, 1):
        average = decay * average + (1 - decay) * p
        np.testing.assert_allclose(readout[t - 1], average / (1 - decay**t), rtol=1e-12, atol=1e-12)


def test_gradient_noise_is_added_before_the_rule_and_fades_as_the_paper_says():
    eta, gamma, noise = 0.3, 0.55, RNG.normal(size=(STEPS, *START.shape))
    rule = GradientNoise(Momentum(lr=0.01), eta, gamma)
    p, slots, q, v = START, rule.init(START, np), START, np.zeros_like(START)
    for t in range(STEPS):
        c = rule.coefficients(rule.hyperparameters, t + 1)
        p, slots = rule.step(p, gradient(p), slots, {**c, "noise": noise[t]}, np)
        v = 0.9 * v + gradient(q) + np.sqrt(eta / (1 + t) ** gamma) * noise[t]
        q = q - 0.01 * v
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("start", "every"), [(1, 1), (20, 1), (20, 7), (59, 3), (80, 1)])
def test_the_mean_from_a_given_update_on_is_torchs(start, every):
    _, readout = run(SWA(Momentum(lr=0.01), start, every))
    observe = averaged(None, start, every)
    expected = by_torch(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), observe=observe)
    np.testing.assert_allclose(readout, expected, rtol=1e-11, atol=1e-12)


def test_a_tail_average_is_the_mean_of_the_tail():
    path, readout = run(SWA(SGD(lr=0.01), start=21))
    np.testing.assert_allclose(readout[-1], path[20:].mean(axis=0), rtol=1e-13)


def test_a_polynomial_average_counts_late_steps_most():
    """gamma = 0 is the mean; gamma = 1 weighs step k with k."""
    path, readout = run(PolynomialAverage(SGD(lr=0.01), gamma=0.0))
    np.testing.assert_allclose(readout[-1], path.mean(axis=0), rtol=1e-13)
    path, readout = run(PolynomialAverage(SGD(lr=0.01), gamma=1.0))
    np.testing.assert_allclose(readout[-1], np.average(path, axis=0, weights=np.arange(1, STEPS + 1)), rtol=1e-13)


def test_an_average_is_of_where_the_rule_inside_evaluates():
    inner = ScheduleFreeSGD(lr=0.01)
    _, points = run(inner)
    _, readout = run(SWA(inner))
    np.testing.assert_allclose(readout[-1], points.mean(axis=0), rtol=1e-13)


def test_wrappers_change_nothing_where_they_have_nothing_to_do():
    plain, _ = run(Momentum(lr=0.01))
    for rule in (
        ClipValue(Momentum(lr=0.01), 1e9),
        ClipNorm(Momentum(lr=0.01), 1e9),
        DecoupledDecay(Momentum(lr=0.01)),
        EMA(Momentum(lr=0.01)),
        SWA(ClipNorm(DecoupledDecay(Momentum(lr=0.01)), 1e9)),
    ):
        np.testing.assert_allclose(run(rule)[0], plain, rtol=1e-13, atol=1e-14)


def test_a_wrapper_has_the_hyperparameters_of_both_and_a_policy_schedules_any():
    rule = EMA(ClipNorm(DecoupledDecay(Momentum(lr=0.01, weight_decay=0.2)), 2.0), 0.9)
    assert rule.hyperparameters == {
        **Momentum(lr=0.01, weight_decay=0.2).hyperparameters,
        "max_norm": 2.0,
        "decay": 0.9,
    }
    assert (rule.lr, rule.weight_decay) == (0.01, 0.2)
    policy = Policy(lr=Constant(0.01), max_norm=Linear(3.0, 1.0), decay=Linear(0.0, 0.99), weight_decay=Constant(0.0))
    strategy = Strategy(rule, policy).over(STEPS)
    made_of = "EMA(decay=0.9) ClipNorm(max_norm=2.0) DecoupledDecay Momentum(weight_decay=0.2)"
    assert strategy.name == f"{made_of} Constant 0.01"
    _, readout = run(rule, table=strategy.table(0, STEPS))
    a, p, v = START, START, np.zeros_like(START)
    for k in range(STEPS):
        g = gradient(p)
        size = np.linalg.norm(g, axis=1, keepdims=True)
        v = 0.9 * v + g * np.minimum(1, (3 - 2 * k / STEPS) / size)
        p = p - 0.01 * v
        decay = 0.99 * k / STEPS
        a = p if k == 0 else decay * a + (1 - decay) * p
        np.testing.assert_allclose(readout[k], a, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (SGD(), "momentum"),
        (ClipNorm(SGD()), "momentum"),
        (ClipNorm(Adam()), "clip_value"),
        (Prodigy(), "d0"),
        (RMSProp(), "centered"),
        (SWA(Adam()), "start"),
        (Muon(), "iterations"),
    ],
    ids=lambda value: value.title if isinstance(value, Rule) else value,
)
def test_what_a_rule_does_not_have_or_nothing_can_move_is_refused_at_construction(rule, name):
    with pytest.raises(ParameterError, match=f"{rule.title} has no hyperparameter '{name}' to schedule"):
        Strategy(rule, Policy(lr=Constant(0.1), **{name: Constant(0.5)}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EMA(ClipNorm(EMA(SGD()))), "EMA.rule is wrapped in EMA already: ClipNorm EMA SGD; wrap it once"),
        (lambda: ClipNorm(ClipNorm(SGD())), "wrap it once"),
        (lambda: DecoupledDecay(ScheduleFreeAdamW()), "cannot be around ScheduleFreeAdamW.*its own weight_decay"),
        (lambda: DecoupledDecay(ClipNorm(DAdaptSGD())), "cannot be around DAdaptSGD"),
        (lambda: DecoupledDecay(EMA(Adam())), r"EMA\(DecoupledDecay\(rule\)\)"),
        (lambda: EMA(0.9), "EMA.rule must be a rule, not 0.9"),
        (lambda: EMA(SGD(), 1.0), "EMA.decay must be a number from 0 up to, but not including, 1"),
        (lambda: SWA(SGD(), 0), "SWA.start must be a whole number of at least 1, not 0"),
        (lambda: SWA(SGD(), 2, 1.5), "SWA.every must be a whole number, not 1.5"),
        (lambda: ClipNorm(SGD(), -1.0), "ClipNorm.max_norm must be a number of at least 0"),
        (lambda: Prodigy(d0=0.0), "Prodigy.d0 must be a number above 0"),
        (lambda: Prodigy(growth=1.0), "Prodigy.growth must be a number above 1"),
        (lambda: RMSProp(centered=1), "RMSProp.centered must be a bool"),
    ],
)
def test_what_makes_no_sense_is_refused_at_construction(make, words):
    with pytest.raises(ParameterError, match=words):
        make()


def test_a_wrapped_rule_survives_json():
    rule = EMA(ClipNorm(DecoupledDecay(Muon(match_rms=True)), 2.0), 0.9)
    assert loads(dumps(rule), Rule) == rule
    strategy = Strategy(SWA(DoG(), 3), constant(1.0))
    assert loads(dumps(strategy), Strategy) == strategy
    assert copy.deepcopy(rule) == rule


def test_rules_of_one_form_differ_in_hyperparameters_alone():
    assert Adam().form == Adam(lr=1.0, beta2=0.5).form != Adam(epsilon_hat=True).form
    assert EMA(Adam(lr=1.0), 0.5).form == EMA(Adam()).form != EMA(AdamW()).form
    assert SWA(Adam(), 3).form != SWA(Adam(), 4).form
    assert Prodigy().form != Prodigy(d0=1e-5).form
    assert EMA(Prodigy()).form != EMA(Prodigy(d0=1e-5)).form
