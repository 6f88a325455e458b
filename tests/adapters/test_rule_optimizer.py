"""`RuleOptimizer`: the loop engine's steps in a torch loop, with all that a torch optimizer has to be."""

import copy
import io
from pathlib import Path

import pytest
import torch

from stepsize import build_optimizer, drive, load_task, rules
from stepsize.adapters.torch import RuleOptimizer, Snapshot, configuration
from stepsize.adapters.torch.optimizers import rule_of
from stepsize.engines import Loop
from stepsize.kernel.errors import DriveError
from stepsize.policies import Policy, one_cycle
from stepsize.schedules import Linear
from stepsize.search_space import RULES
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
STEPS = 50
OTHERS = (
    rules.DoG(), rules.Polyak(), rules.Muon(), rules.Adafactor(), rules.DAdaptAdam(),
    rules.SWA(rules.ClipNorm(rules.DecoupledDecay(rules.Adam(weight_decay=0.1)), max_norm=0.5), start=20),
)  # fmt: skip
"""Rules with what the portfolio's do not have: norms, the loss, tensors of their own, wrappers."""

ours = pytest.mark.parametrize("rule", [*RULES, *OTHERS], ids=lambda rule: rule.title)


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


def strategy_of(rule):
    """Something to train with that moves the rate, and momentum where there is one."""
    rate = 1.0 if isinstance(rule.core, rules.Prodigy | rules.DoG | rules.DAdaptAdam) else 3 * rule.lr
    return Strategy(rule, one_cycle(rate).only(rule.hyperparameters))


def tensors(task, step):
    return (t.double() if t.is_floating_point() else t for t in task.batch(step, 0))


def update(task, model, optimizer, step):
    x, y = tensors(task, step)
    optimizer.zero_grad()
    loss = task.loss(model(x), y)
    loss.backward()
    optimizer.step(lambda: loss)
    return loss.item()


def weights(model):
    return torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])


def at_average(optimizer, model):
    with optimizer.averaged():
        return weights(model)


@ours
def test_its_steps_are_those_of_the_loop_engine(task, rule):
    strategy = strategy_of(rule)
    expected = Loop(torch.float64).run(task, [Trial(strategy, 0)], STEPS)
    model = task.build(0).double()
    optimizer = RuleOptimizer(model.parameters(), rule)
    losses = [update(task, model, optimizer, step) for step in drive(optimizer, strategy.policy, STEPS)]
    torch.testing.assert_close(losses, expected.losses[:, 0].tolist(), rtol=1e-10, atol=1e-10)
    with optimizer.averaged(), torch.no_grad():
        x, y = task.validation
        score = task.loss(model(x.double()), y).item()
    assert score == pytest.approx(expected.final[0], rel=1e-10)


@ours
def test_a_run_goes_on_from_its_state(task, rule):
    """Through a file that holds plain data alone."""
    model = task.build(0).double()
    optimizer = RuleOptimizer(model.parameters(), rule)
    for step in range(5):
        update(task, model, optimizer, step)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    for step in range(5, 10):
        update(task, model, optimizer, step)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = task.build(1).double()
    other.load_state_dict(saved["model"])
    again = RuleOptimizer(other.parameters(), rule)
    again.load_state_dict(saved["optimizer"])
    for step in range(5, 10):
        update(task, other, again, step)
    assert torch.equal(weights(other), weights(model))
    assert torch.equal(at_average(again, other), at_average(optimizer, model))


def test_a_copy_is_the_same_optimizer(task):
    model = task.build(0).double()
    optimizer = RuleOptimizer(model.parameters(), rules.Lion())
    twin, other = copy.deepcopy((model, optimizer))
    for both in ((model, optimizer), (twin, other)):
        update(task, *both, 0)
    assert torch.equal(weights(model), weights(twin))


def test_a_policy_moves_every_hyperparameter(task):
    model = task.build(0).double()
    optimizer = build_optimizer(model, rules.Lion())
    policy = Policy(lr=Linear(0.01, 0.0), momentum=Linear(0.9, 0.5), weight_decay=0.1)
    seen = []
    for step in drive(optimizer, policy, 4):
        seen.append([optimizer.param_groups[0][name] for name in ("lr", "momentum", "weight_decay")])
        before = weights(model)
        update(task, model, optimizer, step)
        moved = weights(model) - (1 - seen[-1][0] * 0.1) * before
        assert moved.abs().max().item() == pytest.approx(seen[-1][0], rel=1e-6)
    assert seen == [[0.01, 0.9, 0.1], [0.0075, 0.8, 0.1], [0.005, 0.7, 0.1], [0.0025, 0.6, 0.1]]
    assert rule_of(optimizer) == rules.Lion(lr=0.0025, momentum=0.6, weight_decay=0.1)


def test_a_rule_in_wrappers_is_read_with_the_numbers_that_it_has_now():
    optimizer = RuleOptimizer([torch.nn.Parameter(torch.ones(2))], rules.EMA(rules.ClipNorm(rules.SGD())))
    optimizer.param_groups[0].update(lr=0.5, max_norm=3.0, decay=0.9)
    assert rule_of(optimizer) == rules.EMA(rules.ClipNorm(rules.SGD(lr=0.5), max_norm=3.0), decay=0.9)
    assert configuration(optimizer)["rule"] == repr(optimizer.rule)


def test_groups_have_rates_and_states_of_their_own():
    one, two = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = RuleOptimizer([{"params": [one], "lr": 0.5}, {"params": [two]}], rules.Lion(lr=0.1))
    one.grad, two.grad = torch.ones(2), -torch.ones(2)
    optimizer.step()
    assert one.tolist() == [0.5, 0.5]
    assert two.tolist() == pytest.approx([1.1, 1.1])
    assert optimizer.state[one]["step"] == 1


def test_a_parameter_without_a_gradient_stays_as_it_is_with_its_slots():
    """Weight decay and momentum leave it alone too, as in `torch.optim`."""
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = RuleOptimizer([used, unused], rules.Lion(lr=0.1, weight_decay=0.5))
    for p in (used, unused):
        p.grad = torch.ones(2)
    optimizer.step()
    held, slots = unused.detach().clone(), optimizer.state[used]["slots"][0].clone()
    unused.grad = None
    optimizer.step()
    assert torch.equal(unused, held)
    assert torch.equal(optimizer.state[used]["slots"][0][:, 2:], slots[:, 2:])
    assert not torch.equal(optimizer.state[used]["slots"][0][:, :2], slots[:, :2])
    used.grad = None
    optimizer.step()
    assert optimizer.state[used]["step"] == 2


def test_a_closure_is_called_with_gradients_and_its_loss_comes_back():
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = RuleOptimizer([weight], rules.Polyak(lr=1.0))

    def closure():
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert weight.item() == pytest.approx(3.0 - 9.0 / 36.0 * 6.0)  # f / |g|^2 * g
    with pytest.raises(DriveError, match=r"Polyak needs the loss of each step: optimizer\.step\(lambda: loss\)"):
        optimizer.step()


def test_the_average_is_lent_and_taken_back_after_an_error_too():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = RuleOptimizer([weight], rules.ScheduleFreeSGD(lr=0.5))
    with optimizer.averaged():
        assert weight.item() == 1.0
    for _ in range(3):
        weight.grad = weight.detach().clone()
        optimizer.step()
    trained = weight.item()
    with optimizer.averaged():
        assert weight.item() == optimizer.state[weight]["slots"][0].item() != trained
    assert weight.item() == trained
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert weight.item() == trained


def test_it_is_put_back_by_a_snapshot(task):
    model = task.build(0).double()
    optimizer = RuleOptimizer(model.parameters(), rules.Prodigy())
    update(task, model, optimizer, 0)
    before, state = weights(model), copy.deepcopy(optimizer.state_dict())
    with Snapshot(model, optimizer):
        for step in range(1, 4):
            update(task, model, optimizer, step)
    assert torch.equal(weights(model), before)
    torch.testing.assert_close(optimizer.state_dict()["state"], state["state"], rtol=0, atol=0)


def test_frozen_parameters_of_a_module_are_no_part_of_its_row(task):
    model = task.build(0)
    first = next(model.parameters()).requires_grad_(requires_grad=False)
    held = build_optimizer(model, rules.DoG()).param_groups[0]["params"]
    assert len(held) == len(list(model.parameters())) - 1
    assert all(p is not first for p in held)


def test_what_it_cannot_step_is_refused():
    weight = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(DriveError, match="steps a rule, such as Lion"):
        RuleOptimizer([weight], "Lion")
    with pytest.raises(DriveError, match=r"torch\.float32 on cpu, torch\.float64 on cpu\. Make a parameter group"):
        RuleOptimizer([weight, torch.nn.Parameter(torch.ones(2).double())], rules.Lion())
    saved = torch.optim.SGD([weight], lr=0.1).state_dict()
    with pytest.raises(DriveError, match="saved by another optimizer than Lion: it has no beta2"):
        RuleOptimizer([weight], rules.Lion()).load_state_dict(saved)
    with pytest.raises(DriveError, match=r"are complex .*view_as_real"):
        RuleOptimizer([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))], rules.Lion())


def test_a_sparse_gradient_makes_the_update_of_the_dense_one():
    tables = [
        torch.nn.Embedding.from_pretrained(torch.ones(3, 2), freeze=False, sparse=sparse) for sparse in (False, True)
    ]
    for table in tables:
        optimizer = RuleOptimizer(table.parameters(), rules.AdamW(weight_decay=0.1))
        for _ in range(3):
            optimizer.zero_grad()
            table(torch.tensor([1, 1])).sum().backward()
            optimizer.step()
    assert torch.equal(tables[0].weight, tables[1].weight)


def test_noise_of_the_gradient_comes_from_torchs_generator():
    def moved(seed):
        torch.manual_seed(seed)
        weight = torch.nn.Parameter(torch.zeros(20_000))
        optimizer = RuleOptimizer([weight], rules.GradientNoise(rules.SGD(lr=1.0), noise_variance=0.25))
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        return weight.detach()

    assert torch.equal(moved(0), moved(0))
    assert not torch.equal(moved(0), moved(1))
    assert (moved(0).mean().item(), moved(0).std().item()) == (
        pytest.approx(-1, abs=0.02),
        pytest.approx(0.5, rel=0.03),
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_rule_that_finds_its_rate_says_that_half_precision_is_too_coarse(dtype):
    with pytest.warns(UserWarning, match="Prodigy finds its rate from sums that torch.*16 cannot hold"):
        RuleOptimizer([torch.nn.Parameter(torch.ones(3, dtype=dtype))], rules.Prodigy())
    RuleOptimizer([torch.nn.Parameter(torch.ones(3, dtype=dtype))], rules.Lion())  # a warning would be an error here
