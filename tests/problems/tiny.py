"""Task files as users write them, small enough for a test: `load_task("tiny.py:perceptron")`.

128 random samples whose targets a model can learn in part, so that losses fall and never reach 0.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

import stepsize
from stepsize.kernel import seeds

SAMPLES, FEATURES, CLASSES = 128, 6, 3


def data(samples: int = SAMPLES, *, regression: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    noise = seeds.generator(samples, "tiny")
    x = torch.from_numpy(noise.standard_normal((samples, FEATURES))).float()
    weight = torch.from_numpy(noise.standard_normal((FEATURES, CLASSES))).float()
    signal = x @ weight + torch.from_numpy(noise.standard_normal((samples, CLASSES))).float()
    return (x, signal) if regression else (x, signal.argmax(1))


def classify(model, *, batch_size: int = 16, steps: int = 40, name: str = "tiny") -> stepsize.Task:
    return stepsize.Task(model, nn.functional.cross_entropy, data(), data(40), batch_size, steps, name)


def task() -> stepsize.Task:
    return perceptron()


def perceptron() -> stepsize.Task:
    return classify(lambda: nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, CLASSES)))


def batchnorm() -> stepsize.Task:
    return classify(
        lambda: nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES)),
        name="batchnorm",
    )


class Attention(nn.Module):
    """Every feature is a token; one head, a residual, layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(1, 8), nn.LayerNorm(8)
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, CLASSES)

    def forward(self, x):
        tokens = self.embed(x.unsqueeze(-1))
        q, k, v = self.qkv(self.norm(tokens)).unsqueeze(1).chunk(3, dim=-1)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1)
        return self.head((tokens + attended).mean(1))


def attention() -> stepsize.Task:
    return classify(Attention, name="attention")


def dropout() -> stepsize.Task:
    return classify(
        lambda: nn.Sequential(nn.Linear(FEATURES, 8), nn.Dropout(0.2), nn.Linear(8, CLASSES)), name="dropout"
    )


class Branching(nn.Module):
    """Looks at its data to decide what to compute, as vmap cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.layer(x if x.sum().item() > 0 else -x)


def branching() -> stepsize.Task:
    return classify(Branching, name="branching")


class Averaging(nn.Module):
    """Assigns a new tensor to its buffer, which a functional call does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.register_buffer("mean", torch.zeros(FEATURES))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.layer(x - self.mean)


def averaging() -> stepsize.Task:
    return classify(Averaging, name="averaging")


class Tied(nn.Module):
    """One matrix, used in both directions; a frozen layer; a parameter that nothing uses; an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(FEATURES, FEATURES)
        self.down = nn.Linear(FEATURES, FEATURES)
        self.down.weight = self.up.weight
        self.frozen = nn.Linear(FEATURES, CLASSES).requires_grad_(requires_grad=False)
        self.scale = nn.Parameter(torch.ones(CLASSES))
        self.unused = nn.Parameter(torch.ones(5))
        self.register_buffer("order", torch.arange(FEATURES).flip(0))

    def forward(self, x):
        return self.frozen(self.down(torch.tanh(self.up(x[:, self.order])))) * self.scale


def tied() -> stepsize.Task:
    return classify(Tied, name="tied")


def regression() -> stepsize.Task:
    train, validation = data(regression=True), data(40, regression=True)
    return stepsize.Task(
        lambda: nn.Linear(FEATURES, CLASSES), nn.functional.mse_loss, train, validation, 16, 40, "regression"
    )


def doubles() -> stepsize.Task:
    """A float64 model on float64 data, targets and all."""

    def halves(data):
        x, y = data
        return x.double(), nn.functional.one_hot(y, CLASSES).double()

    return stepsize.Task(
        lambda: nn.Linear(FEATURES, CLASSES).double(),
        nn.functional.cross_entropy,
        halves(data()),
        halves(data(40)),
        16,
        40,
        "doubles",
    )


def double_dropout() -> stepsize.Task:
    """The same, for the loop."""
    plain = doubles()
    return stepsize.Task(
        lambda: nn.Sequential(nn.Dropout(0.1), nn.Linear(FEATURES, CLASSES)).double(),
        plain.loss,
        plain.train,
        plain.validation,
        16,
        40,
        "double-dropout",
    )


def one_element_loss() -> stepsize.Task:
    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets).reshape(1)

    return stepsize.Task(lambda: nn.Linear(FEATURES, CLASSES), loss, data(), data(40), 16, 40, "one-element")


class Recording(nn.Module):
    """Returns a tuple, as many models do; the loss takes the first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        logits = self.layer(x)
        return logits, logits.softmax(-1)


def tuples() -> stepsize.Task:
    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs[0], targets)

    return stepsize.Task(Recording, loss, data(), data(40), 16, 40, "tuples")


def nan_loss() -> stepsize.Task:
    """The loss is not a number before any update."""

    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) * float("nan")

    return stepsize.Task(lambda: nn.Linear(FEATURES, CLASSES), loss, data(), data(40), 16, 40, "nan-loss")


def convolution() -> stepsize.Task:
    """Batch norm and group norm, and a dropout of whole channels."""
    return classify(
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Dropout2d(0.2),
            nn.Conv2d(4, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(24, CLASSES),
        ),
        name="convolution",
    )  # fmt: skip


class Shared(nn.Module):
    """One dropout in two places, a functional one, and attention with dropped weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.hidden, self.head = nn.Linear(1, 6), nn.Linear(6, 6), nn.Linear(6, CLASSES)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        tokens = self.drop(self.embed(x.unsqueeze(-1)))
        p = 0.1 if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens, dropout_p=p, is_causal=True)
        hidden = torch.tanh(self.hidden(self.drop(attended))).mean(1)
        return self.head(nn.functional.dropout(hidden, 0.1, self.training))


def shared() -> stepsize.Task:
    return classify(Shared, name="shared")


class Layers(nn.Module):
    """A recurrent layer of torch over the features as a sequence, and its last output."""

    def __init__(self, kind: type[nn.RNNBase], **options) -> None:
        super().__init__()
        self.layers = kind(1, 4, batch_first=True, **options)
        self.head = nn.Linear(8 if options.get("bidirectional") else 4, CLASSES)

    def forward(self, x):
        return self.head(self.layers(x.unsqueeze(-1))[0][:, -1])


def lstm() -> stepsize.Task:
    return classify(lambda: Layers(nn.LSTM, num_layers=2, dropout=0.2), name="lstm")


def gru() -> stepsize.Task:
    return classify(lambda: Layers(nn.GRU, bidirectional=True), name="gru")


def rnn() -> stepsize.Task:
    return classify(lambda: Layers(nn.RNN, bias=False), name="rnn")


class Cells(nn.Module):
    """The three cells of torch, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.simple, self.gated, self.long = nn.RNNCell(1, 3), nn.GRUCell(3, 3), nn.LSTMCell(3, 3)
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x):
        first = second = third = None
        for now in x.split(1, dim=1):
            first = self.simple(now, first)
            second = self.gated(first, second)
            third = self.long(second, third)
        return self.head(third[0])


def cells() -> stepsize.Task:
    return classify(Cells, name="cells")


def words(x: torch.Tensor) -> torch.Tensor:
    return (x * 2 + 4).long().clamp(0, 8)


class Embedded(nn.Module):
    """Words, a table of them that is also the head, and a bag of them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.bag = nn.Embedding(9, 4, padding_idx=0), nn.EmbeddingBag(9, 4, mode="mean")
        self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.words.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.words(tokens).mean(1) + self.bag(tokens)))[:, :CLASSES]


def embedded() -> stepsize.Task:
    (x, y), (xv, yv) = data(), data(40)
    return stepsize.Task(Embedded, nn.functional.cross_entropy, (words(x), y), (words(xv), yv), 16, 40, "embedded")


def encoder() -> stepsize.Task:
    """torch's own transformer layer, without dropout inside of its attention."""
    return classify(lambda: Encoder(0.0), name="encoder")


def dropped_encoder() -> stepsize.Task:
    """The same with dropout, of which a part is inside of its attention."""
    return classify(lambda: Encoder(0.1), name="dropped-encoder")


class Encoder(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(1, 4), nn.Linear(4, CLASSES)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout, batch_first=True)

    def forward(self, x):
        return self.head(self.layer(self.embed(x.unsqueeze(-1))).mean(1))


def accumulated() -> stepsize.Task:
    """An update takes three micro-batches."""
    return dataclasses.replace(perceptron(), batch_size=8, accumulate=3)


def accumulated_dropout() -> stepsize.Task:
    return dataclasses.replace(dropout(), batch_size=8, accumulate=2)
