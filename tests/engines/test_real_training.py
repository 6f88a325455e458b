"""Clipping, parameter groups and autocast: every engine trains as a plain loop of torch does."""

import dataclasses
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from stepsize import Task
from stepsize.adapters.torch import drive
from stepsize.engines import Ensemble, Loop
from stepsize.engines.group_update import clip
from stepsize.engines.vectorised.refusal import refusal
from stepsize.execution.task_fingerprint import difference
from stepsize.kernel.errors import TaskError
from stepsize.policies import Groups, Policy, one_cycle
from stepsize.rules import EMA, SGD, AdamW, Momentum, Prodigy, TorchRule
from stepsize.schedules import Linear
from stepsize.strategy import Strategy, Trial

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(96, 6, generator=GENERATOR)
Y = (X[:, 0] * X[:, 1] > 0).long()
CROSS = torch.nn.functional.cross_entropy
ENGINES = [Loop(torch.float64), Ensemble(device="cpu", dtype=torch.float64)]
STEPS = 30


def model():
    return torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.LayerNorm(12), torch.nn.ReLU(), torch.nn.Linear(12, 2))


def ratios(net):
    """The head at the rate of the strategy, the body at a tenth, and no decay on what has one dimension."""
    plain = [p for p in net.parameters() if p.ndim < 2]
    return [
        {"params": plain, "weight_decay": 0.0},
        {"params": [net[0].weight], "lr": 0.1, "weight_decay": 0.5},
        {"params": net[3].weight},
    ]


def optimizer_of(net):
    """The same groups as a script writes them, with values of its own."""
    plain, body, head = (group["params"] for group in ratios(net))
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": [body[0]], "lr": 1e-3, "weight_decay": 0.05}]
    return torch.optim.AdamW([*groups, {"params": [head]}], lr=1e-2, weight_decay=0.1)


def task_of(**fields):
    return Task(model, CROSS, (X[:64], Y[:64]), (X[64:], Y[64:]), 16, steps=STEPS, **fields)


STRATEGIES = {
    "AdamW": Strategy(AdamW(weight_decay=0.1), one_cycle(0.03).only(("lr",))),
    "SGD": Strategy(SGD(weight_decay=0.01), Policy(lr=Linear(0.5, 0.0), weight_decay=Linear(0.0, 0.02))),
    "Momentum": Strategy(Momentum(weight_decay=0.01), one_cycle(0.2)),
}
TWINS = {
    "AdamW": lambda groups: torch.optim.AdamW(groups, lr=1.0, weight_decay=0.1),
    "SGD": lambda groups: torch.optim.SGD(groups, lr=1.0, weight_decay=0.01),
    "Momentum": lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.9, weight_decay=0.01),
}


def by_torch(task, name, seed):
    """The losses and the score of a plain loop: torch's optimizer, torch's clipping, our policy."""
    net, strategy = task.build(seed).double(), STRATEGIES[name]
    groups = [{"params": list(net.parameters())}] if task.groups is None else ratios(net)
    decay = strategy.rule.weight_decay
    for group in groups:
        group["weight_decay"] = decay * group.get("weight_decay", 1.0)
    optimizer, losses = TWINS[name](groups), []
    updates = task.updates(seed)
    for _ in drive(optimizer, strategy.policy, STEPS):
        pieces = next(updates)
        optimizer.zero_grad()
        terms = [task.loss(net(x.double()), y) / len(pieces) for x, y in pieces]
        for term in terms:
            term.backward()
        if task.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), task.clip_norm)
        optimizer.step()
        losses.append(sum(term.item() for term in terms))
    x, y = task.validation
    with torch.no_grad():
        return losses, task.loss(net.eval()(x.double()), y).item()


TASKS = {
    "clipping": {"clip_norm": 0.3},
    "clipping of few": {"clip_norm": 1.5},
    "groups": {"groups": ratios},
    "both, accumulated": {"clip_norm": 0.3, "groups": ratios, "accumulate": 2},
}


@pytest.mark.parametrize("fields", TASKS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_engine_trains_as_torch_does(fields, name):
    task = task_of(**TASKS[fields])
    assert refusal(task) is None
    expected = [by_torch(task, name, seed) for seed in (0, 1)]
    for engine in ENGINES:
        found = engine.run(task, [Trial(STRATEGIES[name], seed) for seed in (0, 1)], STEPS)
        np.testing.assert_allclose(found.losses.T, [losses for losses, _ in expected], rtol=1e-7)
        np.testing.assert_allclose(found.final, [score for _, score in expected], rtol=1e-7)


def test_an_optimizer_by_its_class_has_the_groups_and_the_clipping_too():
    rule, policy = TorchRule(torch.optim.AdamW, weight_decay=0.1), STRATEGIES["AdamW"].policy
    for fields in TASKS.values():
        task = task_of(**fields)
        losses, score = by_torch(task, "AdamW", 0)
        found = Loop(torch.float64).run(task, [Trial(Strategy(rule, policy), 0)], STEPS)
        np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-7)
        assert found.final[0] == pytest.approx(score, rel=1e-7)


def test_clipping_is_that_of_torch():
    rows = torch.randn(3, 50, generator=GENERATOR) * torch.tensor([[1e-3], [1.0], [1e3]])
    for most in (0.5, 7.0):
        clipped = rows.clone()
        clip([clipped[:, :20], clipped[:, 20:]], most)
        for row, found in zip(rows, clipped, strict=True):
            tensors = [torch.nn.Parameter(torch.zeros(20)), torch.nn.Parameter(torch.zeros(30))]
            tensors[0].grad, tensors[1].grad = row[:20].clone(), row[20:].clone()
            torch.nn.utils.clip_grad_norm_(tensors, most)
            torch.testing.assert_close(found, torch.cat([each.grad for each in tensors]), rtol=1e-6, atol=0)


def test_an_optimizer_says_its_groups_as_ratios_to_its_defaults():
    task = task_of(groups=ratios)
    found, expected = (
        Task.parameter_groups(replace, replace.build(0)) for replace in (task_of(groups=optimizer_of), task)
    )
    assert [group.names for group in found] == [group.names for group in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.ratios == pytest.approx(other.ratios)


def decays(*values):
    return lambda net: [
        {"params": [p], "weight_decay": v} for p, v in zip(net.parameters(), values * 3, strict=True)
    ]  # fmt: skip


def test_a_decay_of_some_groups_and_none_of_others_is_the_strategys_own():
    net = model()
    groups = task_of(groups=decays(0.05, 0.0)).parameter_groups(net)
    assert [group.ratios["weight_decay"] for group in groups] == [1.0, 0.0] * 3
    assert {group.ratios["lr"] for group in groups} == {1.0}
    nothing = task_of(groups=decays(0.0, 0.0)).parameter_groups(net)
    assert {group.ratios["weight_decay"] for group in nothing} == {0.0}


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = model()

    def forward(self, x, y):
        return CROSS(self.net(x), y)


def test_groups_are_of_the_users_model_where_it_has_its_own_loss():
    data = TensorDataset(X[:64], Y[:64]), TensorDataset(X[64:], Y[64:])
    own = Task(Own, None, *data, 16, groups=lambda whole: ratios(whole.net), clip_norm=0.3)
    trials = [Trial(STRATEGIES["AdamW"], 0)]
    expected = Loop().run(task_of(groups=ratios, clip_norm=0.3), trials, STEPS)
    np.testing.assert_array_equal(Loop().run(own, trials, STEPS).losses, expected.losses)
    again = dataclasses.replace(own, steps=7)
    assert again.fingerprint_parts() == own.fingerprint_parts()


@pytest.mark.parametrize("rule", [EMA(AdamW(), decay=0.9), Prodigy()], ids=lambda rule: rule.title)
def test_averages_and_rules_with_a_norm_agree_in_both_engines(rule):
    task, trials = task_of(groups=ratios, clip_norm=1.0), [
        Trial(Strategy(rule, one_cycle(rate).only(("lr",))), seed) for rate in (0.01, 0.1) for seed in (0, 1)
    ]  # fmt: skip
    found, expected = (engine.run(task, trials, STEPS, score_every=7) for engine in ENGINES)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-6)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)


def test_a_part_that_the_loss_does_not_use_stays_as_it_is_in_its_group():
    class Unused(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.spare = model(), torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.net(x)

    def groups(whole):
        return [*ratios(whole.net), {"params": whole.spare.parameters()}]

    kept = []

    def noted():
        kept.append(Unused())
        return kept[-1]

    trials = [Trial(STRATEGIES["AdamW"], 0)]
    task = dataclasses.replace(task_of(groups=groups), model=noted)
    found = Loop().run(task, trials, STEPS)
    torch.testing.assert_close(kept[-1].spare.weight, task.build(0).spare.weight)
    plain = dataclasses.replace(task_of(groups=lambda whole: ratios(whole.net)), model=noted)
    with pytest.raises(TaskError, match=r"leaves out 2 of 8 parameters, 'spare.weight' first"):
        plain.check()
    assert np.isfinite(found.final).all()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda net: net.parameters(), "must return dicts with 'params'"),
        (lambda net: [], "must return dicts with 'params'"),
        (lambda net: [{"params": model().parameters()}], "no parameter of the model that it was given"),
        (lambda net: [{"params": net.parameters()}, {"params": [net[0].bias]}], "'0.bias' in two groups"),
        (lambda net: [{"params": net[0].parameters()}], "leaves out 4 of 6 parameters, '1.weight' first"),
        (
            lambda net: [{"params": net[:2].parameters(), "lr": 1e-4}, {"params": net[3].parameters(), "lr": 1e-3}],
            r"lr 0\.0001, 0\.001, none of which is 1, the value of the strategy.*return the optimizer",
        ),
        (
            lambda net: [{"params": net[:2].parameters(), "betas": (0.5, 0.9)}, {"params": net[3].parameters()}],
            r"a 'betas' of their own.*FunctionTask: docs/how-to/function\.md",
        ),
        (lambda net: [{"params": net.parameters(), "lr": -0.1}], "finite number of at least 0"),
        (decays(0.1, 0.2), r"weight_decay 0\.1, 0\.2"),
        (
            lambda net: [{"params": net.parameters(), "lr": Policy(lr=0.1)}],
            r"lr=Policy.*policy of its own is for a loop",
        ),
        (lambda net: [{"params": net.parameters(), "lr": "0.1"}], r"a group lr='0\.1', and a group of a task has numb"),
    ],
)
def test_what_are_no_groups_is_refused_before_anything_runs(groups, message):
    with pytest.raises(TaskError, match=message):
        task_of(groups=groups).check()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clip_norm": 0.0}, r"Task\.clip_norm must be a number above 0, or None, not 0\.0"),
        ({"clip_norm": "1"}, r"Task\.clip_norm must be a number above 0"),
        ({"groups": [{}]}, r"Task\.groups must be a function"),
        ({"groups": Groups(one_cycle(0.1), {"head": {}})}, r"Task\.groups must be a function, not Groups"),
        (
            {"autocast": torch.float16},
            r"torch\.bfloat16, or None, not torch\.float16; .* a GradScaler.*Func",
        ),
        ({"autocast": True}, r"Task\.autocast must be torch\.bfloat16, or None, not True"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_at_once(fields, message):
    with pytest.raises(TaskError, match=message):
        task_of(**fields)


def test_autocast_runs_forward_and_loss_as_torch_does():
    task, trials = task_of(autocast=torch.bfloat16), [Trial(STRATEGIES["SGD"], 0)]
    net = task.build(0)
    optimizer, losses = TWINS["SGD"]([{"params": list(net.parameters())}]), []
    updates = task.updates(0)
    for _ in drive(optimizer, STRATEGIES["SGD"].policy, STEPS):
        ((x, y),) = next(updates)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = net(x)
            loss = CROSS(outputs, y)
        assert outputs.dtype == torch.bfloat16
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found = Loop().run(task, trials, STEPS)
    np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-5)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        expected = CROSS(net(X[64:]), Y[64:]).item()
    assert found.final[0] == pytest.approx(expected, rel=1e-5)
    plain = Loop().run(task_of(), trials, STEPS)
    assert not np.allclose(found.losses, plain.losses, rtol=1e-5)
    np.testing.assert_allclose(found.losses, plain.losses, rtol=0.1)


def test_an_ensemble_runs_in_autocast_too():
    task, trials = task_of(autocast=torch.bfloat16), [Trial(STRATEGIES["SGD"], seed) for seed in (0, 1)]
    found, alone = Ensemble(device="cpu").run(task, trials, STEPS), Loop().run(task, trials, STEPS)
    np.testing.assert_allclose(found.losses, alone.losses, rtol=0.1)  # bfloat16 has three digits
    assert not np.array_equal(found.losses, Ensemble(device="cpu").run(task_of(), trials, STEPS).losses)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clip_norm": 1.0}, "clip norm"),
        ({"groups": ratios}, "parameter groups"),
        ({"autocast": torch.bfloat16}, "auto"),
    ],
)
def test_each_of_them_makes_another_task_to_a_journal(fields, said):
    assert said in difference(task_of().fingerprint_parts(), task_of(**fields).fingerprint_parts())


def test_with_a_loader_too():
    loader = DataLoader(TensorDataset(X[:64], Y[:64]), 16, sampler=torch.utils.data.RandomSampler(X[:64], True, 64))
    task = Task(model, CROSS, loader, (X[64:], Y[64:]), clip_norm=0.3, groups=ratios)
    losses, score = by_torch(task, "AdamW", 1)
    for engine in ENGINES:
        found = engine.run(task, [Trial(STRATEGIES["AdamW"], 1)], STEPS)
        np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-7)
        assert found.final[0] == pytest.approx(score, rel=1e-7)
    assert len(list(islice(task.updates(0), 3))) == 3
