"""Small models, with what they are to be looked at with: random data, the same on every call."""

import torch
from torch import nn

FEATURES, CLASSES, SAMPLES = 5, 3, 40


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, CLASSES))


def normalised():
    """A convolution with batch norm that has seen data, and dropout."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Unflatten(1, (1, FEATURES)), nn.Conv1d(1, 4, 2), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip
    model(data()[0])
    return model


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.head = nn.Linear(1, 24), nn.Linear(8, CLASSES)

    def forward(self, x):
        q, k, v = self.qkv(x.unsqueeze(-1)).unsqueeze(1).chunk(3, dim=-1)
        return self.head(nn.functional.scaled_dot_product_attention(q, k, v).squeeze(1).mean(1))


def attention():
    torch.manual_seed(2)
    return Attention()


NETS = {"perceptron": perceptron, "batch norm and dropout": normalised, "attention": attention}


def data(dtype=torch.float32):
    made = torch.Generator().manual_seed(7)
    x = torch.randn(SAMPLES, FEATURES, generator=made).to(dtype)
    return x, torch.randint(CLASSES, (SAMPLES,), generator=made)


loss = nn.functional.cross_entropy
