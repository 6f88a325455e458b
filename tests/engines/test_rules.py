"""Every rule in both engines: against its authors' optimizer on a small network, and against the other engine."""

from pathlib import Path

import dadaptation
import dog
import lion_pytorch
import numpy as np
import prodigyopt
import pytest
import pytorch_optimizer
import schedulefree
import torch
from torch import optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stepsize import load_task
from stepsize.engines import Ensemble, Loop
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.policies import Policy
from stepsize.rules import (
    EMA,
    SGD,
    SPS,
    SWA,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    ClipNorm,
    ClipValue,
    DAdaptAdam,
    DAdaptSGD,
    DecoupledDecay,
    DoG,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    Polyak,
    Prodigy,
    RAdam,
    RMSProp,
    RMSPropMomentum,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from stepsize.schedules import Constant, Linear
from stepsize.strategy import Strategy, Trial, known_rules

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS = 30

EVERY = {name: kind() for name, kind in known_rules().items()}
EVERY["all at once"] = EMA(ClipNorm(DecoupledDecay(Muon())), 0.9)


@pytest.fixture(autouse=True)
def _double():
    """torch's NAdam keeps its product of momenta in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def adam(cls, rule, **more):
    betas = (rule.momentum, rule.beta2)
    return lambda p: [cls(p, lr=1.0, betas=betas, weight_decay=rule.weight_decay, **more)]


def sgd(rule, **more):
    return lambda p: [optim.SGD(p, lr=1.0, weight_decay=rule.weight_decay, **more)]


def muon(p):
    first = optim.Muon([q for q in p if q.ndim == 2], lr=1.0, weight_decay=0.1)
    return [first, optim.AdamW([q for q in p if q.ndim != 2], lr=1.0, weight_decay=0.1)]


L2 = {"weight_decay": 0.05}
PEERS = {
    "SGD": (SGD(0.3, **L2), sgd(SGD(**L2))),
    "Momentum": (Momentum(0.05, dampening=0.3), sgd(SGD(), momentum=0.9, dampening=0.3)),
    "Nesterov": (Nesterov(0.05, **L2), sgd(SGD(**L2), momentum=0.9, nesterov=True)),
    "Adagrad": (
        Adagrad(0.05, initial=0.1, lr_decay=0.01),
        lambda p: [optim.Adagrad(p, 1.0, lr_decay=0.01, initial_accumulator_value=0.1)],
    ),
    "Adadelta": (Adadelta(1.0, **L2), lambda p: [optim.Adadelta(p, 1.0, **L2)]),
    "RMSProp": (RMSProp(0.003, centered=True), lambda p: [optim.RMSprop(p, 1.0, centered=True)]),
    "RMSPropMomentum": (RMSPropMomentum(0.001), lambda p: [optim.RMSprop(p, 1.0, momentum=0.9)]),
    "Adam": (Adam(0.01, **L2), adam(optim.Adam, Adam(**L2))),
    "AdamW": (AdamW(0.01), adam(optim.AdamW, AdamW())),
    "AMSGrad": (AMSGrad(0.01), adam(optim.Adam, AMSGrad(), amsgrad=True)),
    "AdaMax": (AdaMax(0.01, **L2), adam(optim.Adamax, AdaMax(**L2))),
    "NAdam": (NAdam(0.01, **L2), adam(optim.NAdam, NAdam(**L2))),
    "RAdam": (RAdam(0.01, **L2), adam(optim.RAdam, RAdam(**L2))),
    "Lion": (Lion(0.001, **L2), lambda p: [lion_pytorch.Lion(p, lr=1.0, betas=(0.9, 0.99), **L2)]),
    "DAdaptSGD": (DAdaptSGD(1.0, d0=1e-3, **L2), lambda p: [dadaptation.DAdaptSGD(p, d0=1e-3, **L2)]),
    "DAdaptAdam": (DAdaptAdam(1.0, d0=1e-3), adam(dadaptation.DAdaptAdam, DAdaptAdam(), d0=1e-3)),
    "Prodigy": (Prodigy(1.0, d0=1e-3, **L2), adam(prodigyopt.Prodigy, Prodigy(**L2), d0=1e-3)),
    "DoG": (DoG(1.0, reps_rel=1e-2, **L2), lambda p: [dog.DoG(p, reps_rel=1e-2, **L2)]),
    "SPS": (SPS(0.1, c=1.0, epsilon=1e-6), lambda p: [pytorch_optimizer.AliG(p, max_lr=1.0)]),
    "ScheduleFreeSGD": (ScheduleFreeSGD(0.3, **L2), lambda p: [schedulefree.SGDScheduleFree(p, 1.0, **L2)]),
    "ScheduleFreeAdamW": (ScheduleFreeAdamW(0.01, **L2), adam(schedulefree.AdamWScheduleFree, AdamW(**L2))),
    "Muon": (Muon(0.01), muon),
    "Adafactor": (Adafactor(0.05, **L2), lambda p: [optim.Adafactor(p, 1.0, **L2)]),
    "ClipValue": (ClipValue(Momentum(0.05), 0.05), sgd(SGD(), momentum=0.9)),
    "ClipNorm": (ClipNorm(Momentum(0.05), 0.1), sgd(SGD(), momentum=0.9)),
    "DecoupledDecay": (DecoupledDecay(AMSGrad(0.01, **L2)), adam(optim.AdamW, AdamW(**L2), amsgrad=True)),
    "EMA": (EMA(Momentum(0.05), 0.9), sgd(SGD(), momentum=0.9)),
    "SWA": (SWA(Momentum(0.05), 11, 3), sgd(SGD(), momentum=0.9)),
}
CLIP = {
    "ClipValue": lambda p: torch.nn.utils.clip_grad_value_(p, 0.05),
    "ClipNorm": lambda p: torch.nn.utils.clip_grad_norm_(p, 0.1),
}
LOOSE = {"SPS": 1e-6, "ClipNorm": 1e-4}
"""Its peer takes the norm in float32; torch divides by the norm and 1e-6, of a norm of about 1/10."""


def trial_of(rule, seed=0, factor=1.0):
    return Trial(Strategy(rule, Policy(lr=Linear(factor * rule.lr, factor * rule.lr / 2))), seed)


def alone(task, trial, make, name):
    """The losses and the last score of one trial under its peer."""
    model = task.build(trial.seed).double()
    parameters = list(model.parameters())
    optimizers, averaged = make(parameters), None
    rates = trial.strategy.over(STEPS).policy["lr"].table(0, STEPS)
    losses = []
    for step in range(STEPS):
        x, y = (t.double() if t.is_floating_point() else t for t in task.batch(step, trial.seed))
        model.zero_grad()
        loss = task.loss(model(x), y)
        loss.backward()
        CLIP.get(name, lambda p: None)(parameters)
        for optimizer in optimizers:
            (group,) = optimizer.param_groups
            group["max_lr" if name == "SPS" else "lr"] = rates[step]
            if hasattr(optimizer, "train"):
                optimizer.train()
            optimizer.step(lambda loss=loss: loss.item())
        losses.append(loss.item())
        averaged = observed(name, model, averaged, step + 1)
    for optimizer in optimizers:
        if hasattr(optimizer, "eval"):
            optimizer.eval()
    with torch.no_grad():
        x, y = task.validation
        return losses, task.loss((averaged or model).eval()(x.double()), y).item()


def observed(name, model, averaged, step):
    """torch's own average of the model, where there is one."""
    if name == "EMA":
        averaged = averaged or AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        averaged.update_parameters(model)
    if name == "SWA" and step >= 11 and (step - 11) % 3 == 0:
        averaged = averaged or AveragedModel(model)
        averaged.update_parameters(model)
    return averaged


@pytest.mark.parametrize("name", PEERS)
def test_it_is_its_peer_on_a_network_in_both_engines(name, monkeypatch):
    if name in {"Adafactor", "Muon"} and not hasattr(optim, name):
        pytest.skip("torch has Adafactor since 2.5, and Muon since 2.9")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())  # where torch's Muon rounds
    monkeypatch.setattr(torch, "bfloat16", torch.float64)  # how torch 2.15 asks for it
    task = load_task(f"{TINY}:perceptron")
    rule, make = PEERS[name]
    trials = [trial_of(rule), trial_of(rule, 3), trial_of(rule, 3, 0.5)]
    tolerance = LOOSE.get(name, 1e-9)
    for engine in (Ensemble(dtype=torch.float64), Loop(torch.float64)):
        curves = engine.run(task, trials, STEPS)
        for column, trial in enumerate(trials):
            losses, score = alone(task, trial, make, name)
            np.testing.assert_allclose(curves.losses[:, column], losses, rtol=tolerance)
            np.testing.assert_allclose(curves.scores[-1, column], score, rtol=tolerance)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("model", ["perceptron", "tied"])
def test_the_engines_agree_in_every_rule(name, model, monkeypatch):
    """In blocks of one row; `tied` has a parameter that the loss does not use."""
    monkeypatch.setattr("stepsize.engines.vectorised.ensemble.UPDATE_BLOCK", 1)
    task, rule = load_task(f"{TINY}:{model}"), EVERY[name]
    factor = 0.01 / rule.lr if isinstance(rule, Polyak) else 1.0
    trials = [trial_of(rule, seed, factor) for seed in (0, 1)]
    both = [
        engine.run(task, trials, 12, score_every=5) for engine in (Ensemble(dtype=torch.float64), Loop(torch.float64))
    ]
    np.testing.assert_allclose(both[0].losses, both[1].losses, rtol=1e-7)
    np.testing.assert_allclose(both[0].scores, both[1].scores, rtol=1e-7)


class Poisoned(Replicas):
    """Replicas of which the second has a gradient that is not finite, from its fourth step on."""

    bad = float("nan")

    def gradient(self, step):
        gradient, loss = super().gradient(step)
        if step > 2:
            gradient[1, ::2], loss[1] = self.bad, self.bad
        return gradient, loss


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_replica_never_spoils_the_others(name, bad, monkeypatch):
    task, rule = load_task(f"{TINY}:perceptron"), EVERY[name]
    trials = [trial_of(rule, seed) for seed in (0, 1, 2)]
    sound = Ensemble().run(task, trials, 12, score_every=6)
    monkeypatch.setattr(Poisoned, "bad", bad)
    monkeypatch.setattr("stepsize.engines.vectorised.ensemble.Replicas", Poisoned)
    spoilt = Ensemble().run(task, trials, 12, score_every=6)
    assert spoilt.died_at.tolist() == [-1, 3, -1]
    np.testing.assert_allclose(spoilt.losses[:, ::2], sound.losses[:, ::2], rtol=1e-5)  # fewer rows, other vectors
    np.testing.assert_allclose(spoilt.scores[:, ::2], sound.scores[:, ::2], rtol=1e-5)


def test_rules_of_different_forms_run_in_different_waves():
    rules = [Prodigy(), Prodigy(d0=1e-4), Prodigy(weight_decay=0.1), EMA(SGD(), 0.5), EMA(SGD(), 0.9), SWA(SGD(), 2)]
    trials = [trial_of(rule) for rule in rules]
    assert Ensemble().split(trials) == [[0, 2], [1], [3, 4], [5]]
    task = load_task(f"{TINY}:perceptron")
    together = Ensemble(dtype=torch.float64).run(task, trials, 8)
    for column, trial in enumerate(trials):
        curves = Loop(torch.float64).run(task, [trial], 8)
        np.testing.assert_allclose(together.losses[:, column], curves.losses[:, 0], rtol=1e-9)
        np.testing.assert_allclose(together.scores[:, column], curves.scores[:, 0], rtol=1e-9)


def test_training_goes_on_from_the_weights_that_it_trains_after_a_score():
    """Scoring at an average, every step or never, changes no loss."""
    task, trial = load_task(f"{TINY}:perceptron"), trial_of(EMA(Momentum(0.05), 0.9))
    for engine in (Ensemble(), Loop()):
        often, never = (engine.run(task, [trial], 10, score_every=every) for every in (1, None))
        np.testing.assert_array_equal(often.losses, never.losses)
        plain = engine.run(task, [trial_of(Momentum(0.05))], 10, score_every=1)
        np.testing.assert_allclose(often.losses, plain.losses, rtol=1e-5)  # two programs: each is rounded as it likes
        assert (often.scores[1:] != plain.scores[1:]).all()


def test_a_scheduled_hyperparameter_of_a_wrapper_reaches_the_replica():
    task = load_task(f"{TINY}:perceptron")
    rule = ClipNorm(SGD(0.3))
    trials = [Trial(Strategy(rule, Policy(lr=Constant(0.3), max_norm=Constant(norm))), 0) for norm in (1e9, 1e-9)]
    free, held = Ensemble(dtype=torch.float64).run(task, trials, 10).losses.T
    plain = Ensemble(dtype=torch.float64).run(task, [trial_of(SGD(0.3))], 10).losses[:, 0]
    assert free[1] == pytest.approx(plain[1], rel=1e-12)
    initial = task.build(0).double()
    for step in range(10):
        x, y = task.batch(step, 0)
        assert held[step] == pytest.approx(task.loss(initial(x.double()), y).item(), rel=1e-6)
