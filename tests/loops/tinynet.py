"""A small model, its data, and what the tests of every loop ask of it."""

import os

import torch

from stepsize.policies import one_cycle
from stepsize.schedules import Linear

STEPS = 12
POLICY = one_cycle(0.1).replace(weight_decay=Linear(0.1, 0.0))
"""A policy that moves three hyperparameters at once."""

PROCESSES, RANK = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))


def model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))


def batch(step, size=8):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(size, 4, generator=generator)
    return x, (x[:, 0] > x[:, 1]).long()


def loader(batches=4, size=8):
    """The first batches, always in the same order."""
    x, y = (torch.cat(parts) for parts in zip(*(batch(step, size) for step in range(batches)), strict=True))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=size)


def loss(net, step):
    x, y = batch(step)
    return torch.nn.functional.cross_entropy(net(x), y)


def two_groups(net, **arguments):
    """An AdamW with a group of biases that has no weight decay."""
    named = list(net.named_parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for name, p in named if "bias" not in name]},
            {"params": [p for name, p in named if "bias" in name], "weight_decay": 0.0},
        ],
        **{"lr": 1e-3, "weight_decay": 0.1, **arguments},
    )


def in_force(optimizer):
    """Rate, momentum and weight decay of each group of an optimizer of the Adam family."""
    return [(group["lr"], group["betas"][0], group["weight_decay"]) for group in optimizer.param_groups]


def expected(steps=STEPS, policy=POLICY):
    """What `in_force` is at each update: the second group has no decay."""
    table = policy.over(steps).table(0, steps)
    rows = zip(table["lr"].tolist(), table["momentum"].tolist(), table["weight_decay"].tolist(), strict=True)
    return [[(lr, momentum, decay), (lr, momentum, 0.0)] for lr, momentum, decay in rows]


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def note(optimizer, net):
    """Return a list to which the values of each update are added that changes the weights, by hooks of torch's own."""
    seen, before = [], []

    def ready(*_):
        before[:] = in_force(optimizer), weights(net)

    def made(*_):
        if not torch.equal(before[1], weights(net)):
            seen.append(before[0])

    optimizer.register_step_pre_hook(ready)
    optimizer.register_step_post_hook(made)
    return seen
