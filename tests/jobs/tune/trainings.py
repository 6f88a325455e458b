"""A training with everything that has to be put back, as `drive` makes it and as `tune` does."""

import itertools
import random
import types

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import stepsize
from stepsize.adapters.torch import drive

STEPS = 80


def data(samples=96):
    x = torch.randn(samples, 4, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.TensorDataset(x, (x[:, 0] > x[:, 1]).long())


class Noisy(torch.utils.data.Dataset):
    """Augments each sample with all three process-wide generators, wherever it is read."""

    def __init__(self):
        self.inside = data()

    def __len__(self):
        return len(self.inside)

    def __getitem__(self, index):
        x, y = self.inside[index]
        return x + 0.1 * random.random() + 0.1 * np.random.rand() + 0.1 * torch.rand(4), y  # noqa: S311, NPY002  (put back)


def perceptron():
    """Batch normalization and dropout: buffers that move, and random numbers."""
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


class Training:
    """What a loop works with, made from one seed, and one turn of it."""

    accumulation, autocast = 1, False

    def __init__(self, optimizer=None, loader=None, scaler=None):
        random.seed(3)
        np.random.seed(4)  # noqa: NPY002  (put back)
        torch.manual_seed(5)
        self.model = perceptron()
        self.optimizer = (optimizer or adamw)(self.model)
        self.loader = loader() if loader else torch.utils.data.DataLoader(data(), batch_size=16, shuffle=True)
        self.scaler = scaler() if scaler else torch.amp.GradScaler("cpu", enabled=False)
        self.turns, self.seen = 0, []

    def turn(self, batch, tell=lambda loss: None):
        x, y = batch
        if self.turns % self.accumulation == 0:
            self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16, enabled=self.autocast):
            loss = cross_entropy(self.model(x + 0.01 * random.random() + 0.01 * np.random.rand()), y)  # noqa: S311, NPY002  (put back)
        self.scaler.scale(loss / self.accumulation).backward()
        tell(loss)
        self.turns += 1
        if self.turns % self.accumulation == 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), 1e6)
            self.seen.append([float(group["lr"]) for group in self.optimizer.param_groups])
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def drive(self, policy, steps=STEPS):
        self.turns = 0

        def batches():
            while True:
                yield from self.loader

        given = batches()
        for _ in drive(self.optimizer, policy, steps).attach():
            self.turn(next(given))
        return self

    def tune(self, steps=STEPS, **options):
        loop = stepsize.tune(self.model, self.optimizer, self.loader, self.scaler, steps=steps, **options)
        self.pilots = 0
        was = True
        for batch in loop:
            if was and not loop.piloting:
                self.pilots, self.turns, self.seen, was = len(self.seen), 0, [], False
            self.turn(batch, loop.tell)
        self.loop = loop
        return self

    def state(self):
        """Everything that a training leaves behind, and the next number of each generator."""
        drawn = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: S311, NPY002  (as above)
        return self.model.state_dict(), self.optimizer.state_dict(), self.scaler.state_dict(), self.seen, drawn


class Clocked(Training):
    """Where a loop is timed an update takes a second and a validation ten, times what disturbs it in turn."""

    def __init__(self, monkeypatch, disturbed=(1.0,)):
        super().__init__()
        self.now, self.disturbed = 0.0, itertools.cycle(disturbed)
        for place in ("tuner", "loop"):
            clock = types.SimpleNamespace(perf_counter=lambda: self.now)
            monkeypatch.setattr(f"stepsize.jobs.tune.{place}.time", clock)

    def turn(self, batch, tell=lambda loss: None):
        self.now += next(self.disturbed)
        super().turn(batch, tell)

    def validate(self):
        self.now += 10 * next(self.disturbed)
        x, y = data(160)[96:]
        return cross_entropy(self.model.eval()(x), y)


class Accumulated(Training):
    accumulation = 3


class Half(Training):
    autocast = True


def adamw(model):
    return torch.optim.AdamW(model.parameters())


def groups(model):
    return torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 1e-4}, {"params": model[4].parameters(), "weight_decay": 0.0}], lr=1e-3
    )


def workers():
    """Twelve batches an epoch, as each epoch forks two workers of a large process."""
    return torch.utils.data.DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2)


CASES = {
    "dropout, batch norm, shuffled": Training,
    "two workers": lambda: Training(loader=workers),
    "workers that stay": lambda: Training(
        loader=lambda: torch.utils.data.DataLoader(data(), 16, shuffle=True, num_workers=1, persistent_workers=True)
    ),
    "augmented in this process": lambda: Training(
        loader=lambda: torch.utils.data.DataLoader(Noisy(), 16, shuffle=True)
    ),
    "a generator of its own": lambda: Training(
        loader=lambda: torch.utils.data.DataLoader(data(), 16, shuffle=True, generator=torch.Generator().manual_seed(8))
    ),
    "a list of batches": lambda: Training(loader=lambda: [data()[:16], data()[16:32], data()[32:48]]),
    "accumulated": Accumulated,
    "float16 with a scaler": lambda: Half(scaler=lambda: torch.amp.GradScaler("cpu", init_scale=2.0**24)),
    "float16, fused": lambda: Half(
        lambda model: torch.optim.AdamW(model.parameters(), fused=True),
        scaler=lambda: torch.amp.GradScaler("cpu", init_scale=2.0**24),
    ),
    "two groups": lambda: Training(groups),
    "a rate that is a tensor": lambda: Training(lambda m: torch.optim.AdamW(m.parameters(), lr=torch.tensor(1e-3))),
    "SGD with momentum": lambda: Training(lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)),
}


def same(ours, theirs):
    """Whether nested states are equal, bit by bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs
