"""Tasks whose data is read by a loader, as files of users: an augmenting DataLoader, and a stream of many samples."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from stepsize import Task

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Augmented(Dataset):
    """Adds noise to a sample when it is read; `chance` is how often, `draw` is who draws it."""

    def __init__(self, draw=torch.randn, chance=1.0):
        self.draw, self.chance = draw, chance

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        if self.chance < 1 and float(torch.rand(())) >= self.chance:
            return X[i], Y[i]
        return X[i] + 0.1 * torch.as_tensor(self.draw(6), dtype=torch.float32), Y[i]


class Stream(IterableDataset):
    """So many samples, made as they are asked for."""

    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for _ in range(first, self.samples, step):
            x = torch.randn(6)
            yield x, (x[0] > 0).long()


def model():
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))


def task_of(train, **fields):
    return Task(model, torch.nn.functional.cross_entropy, train, (X, Y), **{"steps": 20, **fields})


def augmented(workers=0):
    return task_of(DataLoader(Augmented(), batch_size=8, shuffle=True, num_workers=workers))


def augmented_by_numpy():
    return task_of(DataLoader(Augmented(np.random.randn), batch_size=8, shuffle=True))


def in_workers():
    return augmented(workers=2)


def stream():
    return task_of(Stream(1_000_000), batch_size=8)
