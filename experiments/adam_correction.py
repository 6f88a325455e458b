"""Figure 4 of the paper on Adam: a variational autoencoder, with the bias correction and without it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import nn

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Array, Floats, floats
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.problems.builtin_tasks import digits
from stepsize.rules import Adam
from stepsize.rules.base import Scalars
from stepsize.strategy import Strategy, Trial

LATENT, PIXELS, BATCH, TOSSES = 8, 64, 128, 12

MOMENTA, BETAS = (0.0, 0.9), (0.99, 0.999, 0.9999)
RATES = (1e-4, 1e-3, 1e-2, 1e-1)

GUESSING = PIXELS * float(np.log(2))
"""The loss of guessing every pixel: what a run that diverged, or is worse, counts as."""

EQUAL = 1.02
""""Equal or better" allows a loss that is 2 % above the other."""


@dataclass(frozen=True)
class Uncorrected(Adam):
    """Adam without its bias corrections, which is RMSProp with momentum of the gradient."""

    facts = Adam.facts

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return Adam's, with the rate and the root as they are."""
        return {**super().coefficients(h, k), "rate": h["lr"], "root": 1.0 + 0.0 * h["lr"]}


def noise(like: torch.Tensor) -> torch.Tensor:
    """Return nearly normal numbers of variance 1, the sum of twelve tosses of a coin: dropouts, which an ensemble has.

    An engine draws them by the trial's seed and the update, so both forms of the rule see the same.
    """
    tosses = nn.functional.dropout(torch.ones(TOSSES, *like.shape), 0.5, training=True) - 1
    drawn: torch.Tensor = tosses.sum(0) / TOSSES**0.5
    return drawn


class Autoencoder(nn.Module):
    """A variational autoencoder 64-64-8-64-64; returns logits of the pixels, means and log variances, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(PIXELS, 64), nn.Softplus(), nn.Linear(64, 2 * LATENT))
        self.decode = nn.Sequential(nn.Linear(LATENT, 64), nn.Softplus(), nn.Linear(64, PIXELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, pixels + 2 latent)."""
        mean, log_variance = self.encode(x).chunk(2, -1)
        drawn = mean + noise(mean) * (0.5 * log_variance).exp()
        return torch.cat([self.decode(drawn), mean, log_variance], -1)


def bound(outputs: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Return the negative lower bound of the log likelihood, the mean over the batch."""
    logits, mean, log_variance = torch.split(outputs, [PIXELS, LATENT, LATENT], -1)
    misses: torch.Tensor = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    away = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    return (misses + away) / len(pixels)


def task() -> Task:
    """The digits as grey values from 0 to 1, to be drawn again."""
    (train, _), (held, _) = digits().train, digits().validation
    low, high = train.min(), train.max()
    shown, hidden = ((each - low) / (high - low) for each in (train, held))
    hidden = hidden.clamp(0, 1)
    return Task(Autoencoder, bound, (shown, shown), (hidden, hidden), batch_size=BATCH, name="autoencoder")


Losses = dict[str, dict[int, Floats]]
"""With the correction and without, the training loss in some epochs, (rates, seeds)."""


def run(setup: Setup) -> dict[tuple[float, float], Losses]:
    """Return the losses of both forms by beta1 and beta2."""
    on, pairs = task(), list(product(MOMENTA, setup.pick(BETAS, BETAS[::2])))
    seeds, epochs, part = setup.seeds(100, 3), setup.pick((10, 30), (1, 2)), setup.pick(on.batches_per_epoch, 1)
    found: dict[tuple[float, float], Losses] = {pair: {} for pair in pairs}
    for name, kind in (("corrected", Adam), ("uncorrected", Uncorrected)):
        rules = [kind(momentum=momentum, beta2=beta2) for momentum, beta2 in pairs]
        trials = [Trial(Strategy(rule, Policy(lr=rate)), s) for rule in rules for rate in RATES for s in seeds]
        curves = Ensemble().run(on, trials, epochs[-1] * part, progress=setup.progress(name))
        losses = curves.losses.astype(np.float64).reshape(-1, len(pairs), len(RATES), len(seeds))
        losses = np.minimum(np.nan_to_num(losses, nan=np.inf), GUESSING)
        for i, pair in enumerate(pairs):
            found[pair][name] = {e: losses[(e - 1) * part : e * part, i].mean(axis=0) for e in epochs}
    return found


def adverse(found: Losses, epoch: int) -> Floats:
    """Return the loss without the correction over that with it, the geometric mean over the rates, (seeds,)."""
    return floats(np.exp(np.log(found["uncorrected"][epoch] / found["corrected"][epoch]).mean(axis=0)))


def measure(setup: Setup) -> Measured:
    """Measure both forms at every pair of betas, at every rate and at the best."""
    losses = run(setup)
    figure, axes = panels(len(MOMENTA), width=5)
    rows, checks = [], []
    for ax, momentum in zip(axes, MOMENTA, strict=True):
        lines, harm = {}, {}
        for beta2 in setup.pick(BETAS, BETAS[::2]):
            found = losses[momentum, beta2]
            epochs = list(found["corrected"])
            where = f"beta1 {momentum:g}, beta2 {beta2:g}"
            for epoch in epochs:
                best = {name: int(each[epoch].mean(axis=1).argmin()) for name, each in found.items()}
                with_, without = (each[epoch][best[name]] for name, each in found.items())
                checks.append(Check(f"{where}, epoch {epoch}: loss corrected / not, each at its best rate",
                                    ratio(with_, without), high=EQUAL))  # fmt: skip
                rows += [
                    Row(f"{where}, {name}, rate {rate:g}", f"training loss, epoch {epoch}", t_interval(loss))
                    for name, each in found.items()
                    for rate, loss in zip(RATES, each[epoch], strict=True)
                ]
                rows.append(Row(where, f"loss not corrected / corrected, over all rates, epoch {epoch}",
                                t_interval(adverse(found, epoch))))  # fmt: skip
            for name, each in found.items():
                lines[f"beta2 {beta2:g}, {name}"] = (np.array(RATES), each[epochs[0]].mean(axis=1))
            harm[beta2] = adverse(found, epochs[0])
        near, far = max(harm), min(harm)
        checks.append(
            Check(f"beta1 {momentum:g}, epoch {epochs[0]}: loss not corrected / corrected, over all rates, at beta2 "
                  f"{near:g} / at {far:g}", ratio(harm[near], harm[far]), 1.0)
        )  # fmt: skip
        draw_lines(ax, lines, title=f"Epoch {epochs[0]}, beta1 {momentum:g}", x="learning rate", y="training loss",
                   rates=True, key=ax is axes[-1])  # fmt: skip
    return Measured(
        f"a variational autoencoder 64-64-{LATENT}-64-64 on scikit-learn's digits, its noise the sum of {TOSSES} "
        f"tosses of a coin; batch {BATCH}, fixed rates "
        f"{', '.join(f'{rate:g}' for rate in RATES)}; mean training loss of an epoch, the negative bound on the log "
        "likelihood in nats, that of guessing every pixel where a run is worse or diverged; the best rate of each form "
        "is that of the same seeds",
        paired(setup.seeds(100, 3)),
        rows, checks, figure,
    )  # fmt: skip


EXPERIMENT = Experiment(
    "adam-correction",
    "With its bias correction Adam does as well as without it or better at any betas, and the more so the closer beta2 "
    "is to 1.",
    "kingma2015adam, sec. 6.4 and fig. 4", measure,
)  # fmt: skip
