"""Training after a range test is, bit by bit, training without one; and the record has the rates that were used."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.functional import cross_entropy
from traces import same

from stepsize import Policy, RangeTest, as_lr_scheduler, drive, suggest
from stepsize.adapters.torch import climb
from stepsize.adapters.torch.rates import set_rate
from stepsize.kernel.errors import BudgetError, DriveError, ParameterError, TaskError
from stepsize.schedules import Cosine

POINTS = 25


def perceptron():
    """Batch normalization and dropout: buffers that move, and random numbers."""
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def data():
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.TensorDataset(x, (x[:, 0] > x[:, 1]).long())


def drawn():
    """A number of each process-wide generator."""
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: S311, NPY002  (these are put back)


class Loop:
    """A training: what it works with, and one turn of it, which returns the loss."""

    accumulation, autocast = 1, None

    def __init__(self, optimizer, scaler=None, schedule=None):
        self.model, self.optimizers = perceptron(), []
        made = optimizer(self.model)
        self.optimizers = list(made) if isinstance(made, tuple) else [made]
        self.scaler = scaler() if scaler else torch.amp.GradScaler("cpu", enabled=False)
        self.scheduler = schedule(self.optimizers[0]) if schedule else None
        self.loader = torch.utils.data.DataLoader(data(), batch_size=8, shuffle=True)
        self.used = []

    def turn(self, tell=lambda loss: None):
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        for _ in range(self.accumulation):
            x, y = next(iter(self.loader))
            with torch.autocast("cpu", self.autocast or torch.bfloat16, enabled=self.autocast is not None):
                loss = cross_entropy(self.model(x + 0.01 * sum(drawn())), y)
            tell(loss)
            self.scaler.scale(loss / self.accumulation).backward()
        self.used.append([float(group["lr"]) for optimizer in self.optimizers for group in optimizer.param_groups])
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        if self.scheduler is not None:
            self.scheduler.step()

    def things(self):
        return self.model, self.optimizers, self.scaler, self.loader, self.scheduler

    def state(self):
        return [
            self.model.state_dict(),
            [optimizer.state_dict() for optimizer in self.optimizers],
            self.scaler.state_dict(),
            None
            if self.scheduler is None
            else {k: v for k, v in self.scheduler.state_dict().items() if k != "lr_lambdas"},
            drawn(),
        ]


class Accumulated(Loop):
    accumulation = 3


class Half(Loop):
    autocast = torch.float16


class Brain(Loop):
    autocast = torch.bfloat16


def two_rates(model):
    return torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 1e-4}, {"params": list(model[1:].parameters())}], lr=1e-3
    )


def two_optimizers(model):
    return torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9), torch.optim.Adam(
        model[1:].parameters(), lr=0.02
    )


LOOPS = {
    "SGD": lambda: Loop(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)),
    "AdamW": lambda: Loop(lambda model: torch.optim.AdamW(model.parameters())),
    "accumulated": lambda: Accumulated(lambda model: torch.optim.AdamW(model.parameters())),
    "bfloat16": lambda: Brain(lambda model: torch.optim.AdamW(model.parameters())),
    "float16": lambda: Half(
        lambda model: torch.optim.AdamW(model.parameters()), lambda: torch.amp.GradScaler("cpu", init_scale=2.0**24)
    ),
    "fused": lambda: Half(
        lambda model: torch.optim.AdamW(model.parameters(), fused=True),
        lambda: torch.amp.GradScaler("cpu", init_scale=2.0**24),
    ),
    "two groups": lambda: Loop(two_rates),
    "two optimizers": lambda: Loop(two_optimizers),
    "tensor rate": lambda: Loop(lambda model: torch.optim.Adam(model.parameters(), lr=torch.tensor(0.001))),
    "one cycle": lambda: Loop(
        lambda model: torch.optim.AdamW(model.parameters()),
        schedule=lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=200),
    ),
    "warmup from 0": lambda: Loop(
        lambda model: torch.optim.AdamW(model.parameters()),
        schedule=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10)),
    ),
    "scheduler of ours": lambda: Loop(
        lambda model: torch.optim.AdamW(model.parameters()),
        schedule=lambda optimizer: as_lr_scheduler(optimizer, Policy(lr=Cosine(0.1, 0.0)).over(100), counts="updates"),
    ),
}


def seeded(make):
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(0)
    return make()


def swept(loop, **settings):
    with RangeTest(*loop.things(), **{"low": 1e-4, "high": 1.0, "points": POINTS, **settings}) as test:
        for _ in test:
            loop.turn(test.tell)
    return test.record


def trained(name, test_it, before=0, after=6):
    """Train, run a range test in between, train on, and return everything there is in the end."""
    loop = seeded(LOOPS[name])
    for _ in range(before):
        loop.turn()
    test_it(loop)
    for _ in range(after):
        loop.turn()
    return loop.state()


@pytest.mark.parametrize("before", [0, 4], ids=["at the start", "in the middle"])
@pytest.mark.parametrize("name", LOOPS)
def test_training_after_a_range_test_is_training_without_one(name, before):
    assert same(trained(name, swept, before), trained(name, lambda loop: None, before))


def run_into(error, loop, test):
    with test:
        for rate in test:
            loop.turn(test.tell)
            if rate > 0.01:
                raise error


def failing(error):
    def test_it(loop):
        test = RangeTest(*loop.things(), low=1e-4, high=1.0)
        with pytest.raises(error):
            run_into(error, loop, test)
        assert len(test.record.rates) == 80, "what was found until then is there"

    return test_it


def exploding(loss):
    def test_it(loop):
        with RangeTest(*loop.things(), low=1e-4, high=1.0) as test:
            for rate in test:
                loop.turn()
                test.tell(loss if rate > 0.01 else 1.0)
        in_a_row = 2 if math.isfinite(loss) else 1
        assert test.record.rates[-1 - in_a_row] <= 0.01 < test.record.rates[-in_a_row]
        assert not abs(test.record.losses[-1, 0]) < 100

    return test_it


def broken_off(loop):
    with RangeTest(*loop.things(), low=1e-4, high=1.0) as test:
        for rate in test:
            loop.turn(test.tell)
            if rate > 0.01:
                break


TESTS = {
    "an error": failing(ValueError),
    "Ctrl-C": failing(KeyboardInterrupt),
    "an explosion": exploding(1e9),
    "NaN": exploding(math.nan),
    "break": broken_off,
}


@pytest.mark.parametrize("test_it", TESTS)
@pytest.mark.parametrize("name", ["SGD", "float16", "one cycle"])
def test_no_end_of_a_range_test_leaves_a_trace(name, test_it):
    assert same(trained(name, TESTS[test_it]), trained(name, lambda loop: None))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "accumulated", "bfloat16", "one cycle", "warmup from 0"])
def test_the_rates_in_the_record_are_those_that_were_used(name):
    loop = seeded(LOOPS[name])
    sweep = swept(loop)
    assert [used[0] for used in loop.used] == sweep.rates.tolist()
    assert (sweep.rates[0], len(sweep.rates)) == (1e-4, len(sweep.losses))
    assert sweep.optimizer == type(loop.optimizers[0]).__name__
    assert sweep.memory > 0
    assert sweep.cost == len(loop.used)


def test_each_group_and_each_optimizer_climbs_at_its_own_ratio():
    loop = seeded(LOOPS["two groups"])
    rates = swept(loop).rates
    assert np.allclose(loop.used, np.stack([0.1 * rates, rates], 1), rtol=1e-12)
    loop = seeded(LOOPS["two optimizers"])
    sweep = swept(loop)
    assert np.allclose(loop.used, np.stack([sweep.rates, 0.2 * sweep.rates], 1), rtol=1e-12)
    assert sweep.optimizer == "SGD, Adam"


def test_a_rate_that_is_a_tensor_is_filled_as_it_is():
    loop = seeded(LOOPS["tensor rate"])
    tensor = loop.optimizers[0].param_groups[0]["lr"]
    sweep = swept(loop)
    assert loop.optimizers[0].param_groups[0]["lr"] is tensor
    assert np.allclose([used[0] for used in loop.used], sweep.rates, rtol=1e-6)
    assert float(tensor) == np.float32(0.001)


def test_a_loss_belongs_to_the_weights_before_the_update_at_its_rate():
    """Against a plain loop that sets the same rates by hand."""
    loop = seeded(LOOPS["SGD"])
    sweep = swept(loop)
    plain, losses = seeded(LOOPS["SGD"]), []
    for rate in sweep.rates:
        plain.optimizers[0].param_groups[0]["lr"] = rate
        plain.turn(lambda loss: losses.append(loss.item()))
    assert np.array_equal(sweep.losses[:, 0], np.float32(losses))


@pytest.mark.parametrize("name", ["float16", "fused"])
def test_updates_that_a_scaler_skips_do_not_shift_rates_against_losses(name):
    """Its first scale is far too large: the first rate is used again until an update is made."""
    loop = seeded(LOOPS[name])
    sweep = swept(loop)
    used = [rate for (rate,) in loop.used]
    assert len(used) >= POINTS + 3
    assert list(dict.fromkeys(used)) == sweep.rates.tolist()
    assert np.isfinite(sweep.losses).all()
    assert (sweep.cost, len(sweep.rates)) == (POINTS, POINTS)


def test_micro_batches_in_turns_of_their_own_are_averaged_up_to_the_update():
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    with RangeTest(model, optimizer, points=20) as test:
        for turn, rate in enumerate(test):
            seen.append(rate)
            test.tell(float(turn % 4))
            if turn % 4 == 3:
                model(torch.randn(4, 4)).sum().backward()
                optimizer.step()
    assert test.record.losses[:, 0].tolist() == [1.5] * 20
    assert seen == np.repeat(test.record.rates, 4).tolist()


def test_gradients_that_stay_infinite_are_a_divergence():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with RangeTest(model, optimizer, points=20) as test:
        for turn, _ in enumerate(test):
            if turn < 7:
                optimizer.step()
            test.tell(1.0)
    assert len(test.record.rates) == 8
    assert math.isinf(test.record.losses[-1, 0])


def test_a_validation_loss_may_be_given_or_asked_for():
    loop = seeded(LOOPS["SGD"])

    def validate():
        assert not torch.is_grad_enabled()
        loop.model.eval()
        x, y = data().tensors
        return cross_entropy(loop.model(x), y)

    first = validate_once(loop, validate)
    asked = swept(loop, validate=validate, every=5)
    assert loop.model.training
    assert np.flatnonzero(~np.isnan(asked.held_out[:, 0])).tolist() == [0, 5, 10, 15, 20]
    assert asked.held_out[0, 0] == first
    with RangeTest(*loop.things(), points=20) as test:
        for turn, _ in enumerate(test):
            if turn % 7 == 0:
                test.tell_held_out(turn)
            loop.turn(test.tell)
    assert test.record.held_out[[0, 7, 14], 0].tolist() == [0, 7, 14]


def validate_once(loop, validate):
    with torch.no_grad():
        loss = validate().item()
    loop.model.train()
    return loss


def test_a_driver_that_is_attached_does_not_move():
    loop = seeded(LOOPS["AdamW"])
    driver = drive(loop.optimizers[0], Policy(lr=Cosine(0.1, 0.0)), 20).attach()
    loop.turn()
    swept(loop)
    loop.turn()
    assert driver.step == 2
    assert [used[0] for used in (loop.used[0], loop.used[-1])] == [driver.at(0)[0]["lr"], driver.at(1)[0]["lr"]]


def test_the_copy_may_be_kept_elsewhere_and_leave_out_what_is_frozen():
    model = nn.Sequential(nn.Linear(8, 8).requires_grad_(False), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model[1].parameters())
    with RangeTest(model, optimizer, points=20, device="cpu", skip_frozen=True) as test:
        for _ in test:
            optimizer.step()
            test.tell(1.0)
    assert test.record.memory == 9 * 4


def test_a_compiled_model_and_step_are_compiled_once():
    torch._dynamo.reset()
    counter = CompileCounter()
    torch.manual_seed(0)
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1))
    net = torch.compile(model, backend=counter)

    def turn(tell=lambda loss: None):
        optimizer.zero_grad()
        loss = net(torch.ones(8, 4)).square().mean()
        tell(loss)
        loss.backward()
        optimizer.step()

    turn()
    frames = counter.frame_count
    before = [p.detach().clone() for p in model.parameters()]
    with RangeTest(net, optimizer, points=20) as test:
        for _ in test:
            turn(test.tell)
    assert same([*model.parameters()], before)
    turn()
    assert counter.frame_count == frames


def test_climb_is_the_plain_loop():
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    sweep = climb(model, optimizer, cross_entropy, loader, low=1e-4, high=1e3, accumulation=2, horizon=400)
    assert same([*model.parameters()], before)
    assert suggest(sweep).clear, "and the loader of 4 batches went round many times"
    assert (sweep.horizon, sweep.task) == (400, "Sequential")
    half = climb(model, optimizer, cross_entropy, loader, points=20, autocast=torch.bfloat16)
    assert np.isfinite(half.losses[0, 0])


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        while True:
            yield torch.randn(4), torch.tensor(1)


def test_climb_takes_a_loader_without_an_end_and_refuses_one_without_a_batch():
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = climb(model, optimizer, cross_entropy, torch.utils.data.DataLoader(Endless(), batch_size=4), points=20)
    assert found.losses.shape[1] == 1
    with pytest.raises(TaskError, match="the loader has no batch after 0 passes"):
        climb(model, optimizer, cross_entropy, [])
    batches = ((torch.randn(8, 4), torch.zeros(8, dtype=torch.long)) for _ in range(3))
    with pytest.raises(TaskError, match="no batch any more after 1 passes"):
        climb(model, optimizer, cross_entropy, batches)


def body(loop, tell):
    with RangeTest(*loop.things(), points=20) as test:
        for _ in test:
            loop.turn()
            tell(test)


BAD = {
    "NaN at once": (lambda test: test.tell(math.nan), "no learning rate can help"),
    "several numbers": (lambda test: test.tell(torch.ones(8)), r"not an array of shape \(8,\)"),
    "no number": (lambda test: test.tell("low"), "a loss is one number, not 'low'"),
    "none at all": (lambda test: None, "a loss is one number, not None"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_loss_that_cannot_be_is_refused_and_nothing_stays(name):
    tell, message = BAD[name]

    def test_it(loop):
        with pytest.raises(TaskError, match=message):
            body(loop, tell)

    assert same(trained("AdamW", test_it), trained("AdamW", lambda loop: None))


def test_a_loop_without_updates_is_refused():
    model = nn.Linear(2, 1)

    def train():
        with RangeTest(model, torch.optim.SGD(model.parameters(), lr=0.1)) as test:
            for _ in test:
                torch.optim.SGD(model.parameters(), lr=0.1).step()
                test.tell(1.0)

    with pytest.raises(DriveError, match="1000 turns of the loop have made no update"):
        train()


def test_what_a_range_test_cannot_be_is_refused_before_it_begins():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ParameterError, match="climbs from low to high"):
        RangeTest(model, optimizer, low=1.0, high=0.1)
    with pytest.raises(BudgetError, match="10 points is too short"):
        RangeTest(model, optimizer, points=10)
    with pytest.raises(DriveError, match=r"drives a torch.optim.Optimizer, not Linear"):
        RangeTest(model, model)
    with pytest.raises(DriveError, match="takes the module that the loop trains"):
        RangeTest(optimizer, optimizer)
    with pytest.raises(DriveError, match="has the learning rate 0"):
        RangeTest(model, [optimizer, torch.optim.SGD(model.parameters(), lr=0.0)])
    frozen = nn.Linear(2, 1).requires_grad_(False)
    with pytest.raises(DriveError, match="nothing is trained"):
        RangeTest(frozen, torch.optim.SGD(frozen.parameters(), lr=0.1))
    with pytest.raises(DriveError, match="with RangeTest"):
        next(iter(RangeTest(model, optimizer)))
    with RangeTest(model, optimizer) as test:
        pass
    with pytest.raises(TaskError, match="there was no loss"):
        test.record  # noqa: B018  (asking is the test)


def test_a_range_test_is_run_once():
    loop = seeded(LOOPS["SGD"])
    with RangeTest(*loop.things(), points=20) as test:
        for _ in test:
            loop.turn(test.tell)
    with pytest.raises(DriveError, match="has been run"):
        test.__enter__()


def test_a_rate_that_was_found_is_set_in_proportion():
    model = perceptron()
    optimizer = two_rates(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 if step == 0 else 1.0)
    set_rate([optimizer], 0.05, [scheduler])
    assert np.allclose([group["lr"] for group in optimizer.param_groups], [0.0025, 0.025])
    optimizer.step()
    scheduler.step()
    assert np.allclose([group["lr"] for group in optimizer.param_groups], [0.005, 0.05])
    with pytest.raises(DriveError, match="is 0, and cannot be multiplied"):
        set_rate([torch.optim.SGD(model.parameters(), lr=0.0)], 0.1)
