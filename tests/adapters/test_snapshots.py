"""A snapshot puts back every bit, in place, and costs one copy."""

import copy
import random
import weakref
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from traces import same

from stepsize.adapters.torch import Snapshot
from stepsize.kernel.errors import DriveError


class Everything(nn.Module):
    """Tied weights, a buffer, an expanded buffer, a frozen part, a module in evaluation, and attributes of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.tied = nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.rnn = nn.GRU(4, 4, batch_first=True)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.register_buffer("mask", torch.zeros(1).expand(4))
        self.calls, self.outputs, self.seen, self.state = 0, [], deque(), {"total": torch.zeros(2)}
        self.words, self.generator = {"a"}, torch.Generator().manual_seed(0)
        self.drop.eval()

    def forward(self, x):
        self.calls += 1
        self.outputs.append(x.sum().item())
        self.seen.append(self.calls)
        self.state["total"] += 1
        self.state["new"] = torch.rand(1, generator=self.generator)
        self.words.add(str(self.calls))
        self.mask = self.mask + 1
        x = self.frozen(self.norm(self.tied(self.drop(self.first(x)))))
        return self.rnn(x[:, None])[0].square().mean()


def bits(value):
    """What a value is, recursively, down to bits and identities."""
    if isinstance(value, torch.Tensor):
        return id(value), value.data_ptr(), value.detach().clone(), value.requires_grad, bits(value.grad)
    if isinstance(value, nn.Module | torch.optim.Optimizer | torch.amp.GradScaler):
        return id(value), bits({key: each for key, each in vars(value).items() if not callable(each)})
    if isinstance(value, dict):
        return {str(key) if isinstance(key, str) else id(key): bits(each) for key, each in value.items()}
    if isinstance(value, list | tuple | deque):
        return [bits(each) for each in value]
    if isinstance(value, torch.Generator):
        return value.get_state()
    return copy.copy(value) if isinstance(value, str | int | float | set | None) else id(value)


def train(model, optimizer, scaler=None, steps=3):
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(steps):
        optimizer.zero_grad()
        scaler.scale(model(torch.randn(6, 4))).backward()
        scaler.step(optimizer)
        scaler.update()


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "tensor rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1)),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1),
}


def built(name):
    torch.manual_seed(0)
    model = Everything()
    return model, OPTIMIZERS[name]([p for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "LBFGS"])
def test_everything_is_as_it_was(name, used):
    model, optimizer = built(name)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    if used:
        train(model, optimizer, scaler)
    optimizer.param_groups[0]["initial_lr"] = 0.7
    before = bits([model, optimizer, scaler])
    with Snapshot(model, optimizer, scaler):
        train(model, optimizer, scaler)
        optimizer.param_groups[0].update(lr=9.0, extra=1)
        optimizer.register_step_post_hook(print)
        model.register_forward_hook(print)
        model.train().frozen.requires_grad_(True)
        model.extra = nn.Linear(2, 2)
    assert same(bits([model, optimizer, scaler]), before)


def test_an_optimizer_with_a_closure_is_fresh_again():
    model, optimizer = built("LBFGS")
    before = bits([model, optimizer])

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(6, 4))
        loss.backward()
        return loss

    with Snapshot(model, optimizer):
        optimizer.step(closure)
    assert same(bits([model, optimizer]), before)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_put_back_whatever_ends_the_block(error):
    model, optimizer = built("AdamW")
    before = bits([model, optimizer])

    def fail():
        train(model, optimizer)
        raise error

    with pytest.raises(error), Snapshot(model, optimizer):
        fail()
    assert same(bits([model, optimizer]), before)


def test_a_storage_that_was_exchanged_is_exchanged_back():
    model = nn.Linear(2, 2)
    place, numbers = model.weight.data_ptr(), model.weight.detach().clone()
    with Snapshot(model):
        model.weight.data = torch.ones(3, 3)
    assert model.weight.data_ptr() == place
    assert torch.equal(model.weight, numbers)


def test_gradients_are_as_they_were():
    model = nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    model.bias.grad = None
    gradient, numbers = model.weight.grad, model.weight.grad.clone()
    with Snapshot(model):
        model.weight.grad.zero_()
        model.weight.grad = None
        model.bias.grad = torch.ones(1)
    assert model.weight.grad is gradient
    assert torch.equal(gradient, numbers)
    assert model.bias.grad is None


def test_the_generators_are_as_they_were():
    def draw():
        plain = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: S311, NPY002  (these are put back)
        return *plain, own.random(), python.random()

    own, python = np.random.default_rng(0), random.Random(0)  # noqa: S311  (as above)
    with Snapshot(own, python):
        first = draw()
    assert draw() == first


def test_it_holds_one_copy_of_each_tensor_and_lets_go_of_it():
    model, optimizer = built("AdamW")
    train(model, optimizer)
    model.outputs.clear()
    found = {id(p): p for p in (*model.parameters(), *model.buffers(), model.state["total"], model.state["new"])}
    states = [each for state in optimizer.state.values() for each in state.values()]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    expected = sum(t.nbytes for t in (*found.values(), *states, *gradients))
    snapshot = Snapshot(model, optimizer)
    assert snapshot.bytes == expected
    kept = weakref.ref(snapshot)
    snapshot.restore()
    snapshot.restore()
    assert not snapshot._seen
    del snapshot
    assert kept() is None


def test_an_expanded_tensor_costs_what_it_has_in_memory():
    assert Snapshot([torch.zeros(1).expand(1000)]).bytes == 4


def test_frozen_parameters_may_be_left_out_if_nobody_writes_them():
    model = nn.Sequential(nn.Linear(8, 8).requires_grad_(False), nn.Linear(8, 1))
    snapshot = Snapshot(model, skip_frozen=True)
    assert snapshot.bytes == 9 * 4
    snapshot.restore()
    snapshot = Snapshot(model, skip_frozen=True)
    nn.init.zeros_(model[0].weight)
    with pytest.raises(DriveError, match="1 parameters that need no gradient were written"):
        snapshot.restore()


def test_schedulers_are_put_back_with_their_optimizers():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    one = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=20)
    two = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    before = one.state_dict(), two.state_dict(), copy.deepcopy(optimizer.state_dict())
    before = copy.deepcopy(before)
    with Snapshot(model, optimizer, one, two):
        for loss in (1.0, 2.0, 3.0):
            optimizer.step()
            one.step()
            two.step(loss)
    assert (one.state_dict(), two.state_dict(), optimizer.state_dict()) == before


class Counting(torch.utils.data.IterableDataset):
    """Goes on from where it was, and can say where that is."""

    def __init__(self):
        self.next = 0

    def __iter__(self):
        while True:
            self.next += 1
            yield self.next

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["itself", "in a DataLoader"])
def test_what_can_resume_resumes_where_it_was(wrapped):
    data = Counting()
    source = torch.utils.data.DataLoader(data, batch_size=2) if wrapped else data
    next(iter(source))
    place = data.next
    with Snapshot(source):
        next(iter(source))
    assert data.next == place


def test_a_loader_deals_the_same_batches_again_in_the_same_order():
    data = torch.arange(100.0)
    loader = torch.utils.data.DataLoader(data, batch_size=10, shuffle=True, generator=torch.Generator())
    plain = torch.utils.data.DataLoader(data, batch_size=10, shuffle=True)
    with Snapshot(loader, plain) as snapshot:
        first = [torch.cat(list(each)) for each in (loader, plain, loader)]
    assert snapshot.bytes == 0, "the data is not copied"
    assert all(
        torch.equal(torch.cat(list(each)), seen) for each, seen in zip((loader, plain, loader), first, strict=True)
    )


class Shuffled(torch.utils.data.Sampler):
    """Shuffles its own lists in place, each pass from the last, as many do."""

    def __init__(self):
        self.order, self.weights, self.random = list(range(20)), np.arange(20.0), random.Random(0)  # noqa: S311  (put back)

    def __iter__(self):
        self.random.shuffle(self.order)
        self.weights += 1
        return iter(self.order)

    def __len__(self):
        return 20


def test_a_sampler_that_shuffles_in_place_is_put_back():
    loader = torch.utils.data.DataLoader(torch.arange(20), batch_size=20, sampler=Shuffled())
    next(iter(loader))
    with Snapshot(loader):
        first, weights = next(iter(loader)).tolist(), loader.sampler.weights.copy()
    assert next(iter(loader)).tolist() == first
    assert np.array_equal(loader.sampler.weights, weights)


class Noisy(torch.utils.data.Dataset):
    """Dropout a random number for each sample, in the worker."""

    def __len__(self):
        return 8

    def __getitem__(self, _):
        return torch.rand(1).item()


@pytest.mark.filterwarnings("ignore:os.fork.. was called")  # JAX, where other tests have loaded it
def test_workers_that_stay_are_started_anew():
    """Else they would go on with the random numbers that the test has drawn."""
    loader = torch.utils.data.DataLoader(
        Noisy(), batch_size=4, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    with Snapshot(loader):
        first = torch.cat(list(loader))
    assert torch.equal(torch.cat(list(loader)), first)


def test_what_cannot_be_put_back_is_refused():
    with pytest.raises(DriveError, match="cannot put back <range_iterator"):
        Snapshot(iter(range(3)))
    with pytest.raises(DriveError, match="lazy module"):
        Snapshot(nn.LazyLinear(3))


def test_what_is_put_back_can_be_put_back_again():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(net.parameters())
    snapshot = Snapshot(net, optimizer)
    before, drawn = copy.deepcopy(net.state_dict()), []
    for rounds in range(1, 4):
        for _ in range(rounds):
            net(torch.rand(4, 2)).sum().backward()
            optimizer.step()
        snapshot.put_back()
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert not optimizer.state
        assert all(parameter.grad is None for parameter in net.parameters())
        drawn.append(torch.rand(1).item())
        snapshot.put_back()
    assert len(set(drawn)) == 1
    snapshot.restore()


def test_a_sparse_gradient_is_put_back():
    """It is there between two updates, where nothing is set to zero at the end of one."""
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1, 3, 1])).sum().backward()
    before = table.weight.grad.to_dense().clone()
    with Snapshot(table) as kept:
        table.weight.grad = None
        table(torch.tensor([2])).sum().backward()
    assert torch.equal(table.weight.grad.to_dense(), before)
    assert kept.bytes == table.weight.nbytes + 2 * (2 * 4 + 8)  # two rows of two floats, and their indices
