"""The recorded steps are those of the rule's formula, and the same for torch's optimizer and for ours."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import FEATURES, data, loss, perceptron

import stepsize
from stepsize.diagnostics import StepRecorder, Trail, record_steps, record_trail
from stepsize.diagnostics.steps import quantiles
from stepsize.kernel.errors import ParameterError
from stepsize.policies import Policy
from stepsize.rules import SGD, Adafactor, Adam, AdamW, DecoupledDecay, Momentum, NAdam, Nesterov, RMSProp
from stepsize.schedules import Linear
from stepsize.strategy import Strategy, Trial

DOUBLE = torch.float64


def task():
    return stepsize.Task(perceptron, loss, data(), data(), batch_size=10, steps=12, name="steps")


def trial(rule, rate=0.01, **others):
    return Trial(Strategy(rule, Policy(lr=Linear(rate, rate / 2), **others)), seed=3)


def live(make, rate=0.01, steps=12, scheduled=True, **options):
    """The same training in a loop of one's own, on torch's optimizer, in float64."""
    model = task().build(3).double()
    optimizer = make(model.parameters(), lr=rate)
    rates = Linear(rate, rate / 2).over(steps).table(0, steps)
    with StepRecorder(optimizer, **options) as recorder:
        for step in range(steps):
            x, y = task().batch(step, 3)
            optimizer.param_groups[0]["lr"] = float(rates[step]) if scheduled else rate
            optimizer.zero_grad()
            loss(model(x.double()), y).backward()
            optimizer.step()
    return recorder.sizes, optimizer


def sgd(**options):
    return lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, **options)


def decayed(kind, **options):
    return lambda parameters, lr: kind(parameters, lr=lr, weight_decay=0.5, **options)


PAIRS = {
    "SGD": (SGD(), sgd()),
    "SGD with L2": (SGD(weight_decay=0.1), sgd(weight_decay=0.1)),
    "Momentum": (Momentum(), sgd(momentum=0.9)),
    "Nesterov": (Nesterov(), sgd(momentum=0.9, nesterov=True)),
    "RMSProp": (RMSProp(), torch.optim.RMSprop),
    "Adam": (Adam(), torch.optim.Adam),
    "AdamW": (AdamW(weight_decay=0.5), decayed(torch.optim.AdamW)),
    "Adam with decoupled decay": (DecoupledDecay(Adam(weight_decay=0.5)), decayed(torch.optim.AdamW)),
    "NAdam with decoupled decay": (
        DecoupledDecay(NAdam(weight_decay=0.5)),
        decayed(torch.optim.NAdam, decoupled_weight_decay=True),
    ),
    "Adafactor": (Adafactor(weight_decay=0.5), decayed(torch.optim.Adafactor)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_live_optimizer_and_our_rule_leave_the_same_record(name):
    rule, make = PAIRS[name]
    ours = record_steps(task(), trial(rule), 12, dtype=DOUBLE)
    theirs, _ = live(make)
    assert ours.steps.tolist() == theirs.steps.tolist() == list(range(12))
    np.testing.assert_allclose(ours.moves, theirs.moves, rtol=1e-7, atol=1e-16)
    np.testing.assert_allclose(ours.rates, theirs.rates, rtol=1e-6)
    np.testing.assert_allclose(ours.lr, theirs.lr, rtol=1e-15)
    assert ours.silent.tolist() == theirs.silent.tolist()
    assert ours.stuck.tolist() == theirs.stuck.tolist()


def test_the_effective_rate_of_sgd_is_its_rate_at_every_quantile():
    """In exact arithmetic: with weights of 0 nothing is rounded away at first, and float64 does for the rest."""
    sizes = record_steps(task(), trial(SGD(), 0.1), 12, dtype=DOUBLE)
    np.testing.assert_allclose(sizes.rates, np.broadcast_to(sizes.lr, sizes.rates.shape), rtol=1e-10)
    model = torch.nn.Linear(FEATURES, 3).double()
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    with StepRecorder(optimizer) as recorder:
        loss(model(data(DOUBLE)[0]), data()[1]).backward()
        optimizer.step()
    assert (recorder.sizes.rates == 0.125).all()


@pytest.mark.parametrize("rule", [Adam(), AdamW(weight_decay=0.3)])
def test_the_first_step_of_adam_is_its_rate_for_every_parameter(rule):
    sizes = record_steps(task(), trial(rule), 1, dtype=DOUBLE)
    np.testing.assert_allclose(sizes.moves[0], 0.01, rtol=1e-4)  # but for epsilon


@pytest.mark.parametrize("decoupled", [None, True])
def test_decoupled_decay_is_no_step(decoupled):
    """With a rate of decay that would dwarf the step, AdamW's record is Adam's in the first step."""
    plain, _ = live(torch.optim.Adam, steps=1)
    decayed, _ = live(PAIRS["AdamW"][1], steps=1, decoupled=decoupled)
    np.testing.assert_allclose(plain.moves, decayed.moves, rtol=1e-9)
    counted, _ = live(PAIRS["AdamW"][1], steps=1, decoupled=False)
    assert not np.allclose(counted.moves, plain.moves, rtol=1e-3)


def test_the_recorder_changes_nothing_and_removes_itself():
    plain, watched = perceptron(), perceptron()
    for model, recording in ((plain, False), (watched, True)):
        optimizer = torch.optim.Adam(model.parameters())
        keys = set(optimizer.state_dict())
        recorder = StepRecorder(optimizer)
        if recording:
            recorder.__enter__()
        for _ in range(5):
            optimizer.zero_grad()
            loss(model(data()[0]), data()[1]).backward()
            optimizer.step()
        recorder.__exit__(None, None, None)
        assert set(optimizer.state_dict()) == keys
        optimizer.step()
        assert len(recorder.sizes.steps) == (5 if recording else 0)
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), watched.parameters(), strict=True))


def test_an_error_in_the_loop_removes_the_hooks_too():
    optimizer = torch.optim.SGD(perceptron().parameters(), lr=0.1)
    recorder = StepRecorder(optimizer)
    with pytest.raises(KeyError), recorder:
        raise KeyError
    optimizer.step()
    assert not len(recorder.sizes.steps)


def test_long_runs_are_thinned_evenly():
    sizes, _ = live(torch.optim.Adam, steps=100, most=5)
    assert sizes.steps.tolist() == list(range(0, 100, 16))


def test_groups_have_their_own_rates_and_unused_parameters_do_not_count():
    model = perceptron().double()
    idle = torch.nn.Parameter(torch.ones(1000, dtype=DOUBLE))
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": [*model[2].parameters(), idle], "lr": 0.2}]
    optimizer = torch.optim.SGD(groups)
    with StepRecorder(optimizer) as recorder:
        loss(model(data(DOUBLE)[0]), data()[1]).backward()
        optimizer.step()
    sizes = recorder.sizes
    assert sizes.lr.tolist() == [[0.1, 0.2]]
    assert sizes.rates[0, 0] == pytest.approx(0.1)
    assert sizes.rates[0, -1] == pytest.approx(0.2)
    assert sizes.silent.tolist() == [0.0]


def test_dead_inputs_are_silent_and_steps_lost_to_rounding_are_stuck():
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[1e8, 1.0]])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with StepRecorder(optimizer) as recorder:
        for inputs in ([[1.0, 0.0]], [[1.0, 1.0]]):
            optimizer.zero_grad()
            model(torch.tensor(inputs)).sum().backward()
            optimizer.step()
    assert recorder.sizes.silent.tolist() == [0.5, 0.0]
    assert recorder.sizes.stuck.tolist() == [1.0, 0.5]


def test_an_input_that_is_always_0_does_not_hide_the_rest_although_decay_moves_it():
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    with StepRecorder(optimizer) as recorder:
        model(torch.tensor([[1.0, 0.0]])).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(recorder.sizes.moves, 0.01, rtol=1e-4)


def test_what_cannot_be_recorded_is_refused_before_the_training():
    optimizer = torch.optim.SGD(perceptron().parameters())
    with pytest.raises(ParameterError, match="must rise and hold the median"):
        StepRecorder(optimizer, levels=(0.1, 0.9))
    with pytest.raises(ParameterError, match="most must be a whole number of at least 1"):
        StepRecorder(optimizer, most=0)


def test_a_closure_and_sparse_gradients_are_seen():
    table = torch.nn.Embedding(10, 2, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.5)

    def closure():
        optimizer.zero_grad()
        value = table(torch.tensor([1, 2])).sum()
        value.backward()
        return value

    with StepRecorder(optimizer) as recorder:
        optimizer.step(closure)
    assert recorder.sizes.silent.tolist() == [0.8]
    assert recorder.sizes.moves[0] == pytest.approx(0.5, rel=1e-5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_quantiles_are_numpys(values):
    levels = (0.0, 0.01, 0.3, 0.5, 0.99, 1.0)
    found = quantiles(torch.tensor(values, dtype=DOUBLE), levels)
    np.testing.assert_allclose(found, np.quantile(values, levels), rtol=1e-12, atol=1e-9)


def test_a_trail_of_one_of_our_rules_is_where_it_went():
    """Against the same training on torch's optimizer."""
    model, trail = record_trail(task(), trial(Momentum(), 0.1), 12, dtype=DOUBLE)
    assert trail.steps.tolist() == list(range(13))
    other = task().build(3).double()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    path = Trail(other)
    for step in range(12):
        x, y = task().batch(step, 3)
        optimizer.param_groups[0]["lr"] = float(Linear(0.1, 0.05).over(12)(step))
        optimizer.zero_grad()
        loss(other(x.double()), y).backward()
        optimizer.step()
        path.record()
    torch.testing.assert_close(trail.rows, path.rows, rtol=1e-10, atol=1e-12)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), trail._parameters, strict=True))
