"""Learning by heart: whether a model is limited by how far it is trained, and not by how fast it may go.

Where longer runs learn more of their samples and no more of others, the validation loss is lowest where a run goes just
far enough. How far it goes is its steps times its rate, which acts as the inverse of a weight decay does. So the
best rate falls as 1 / steps, where it otherwise hardly moves, and what is known of the fastest stable one says little.

Source: early stopping as a regulariser, [goodfellow2016deep, sec. 7.8].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise.belief.evidence import Run

AS_GOOD = 0.1
"""Runs are among the best of their length within this share of what the best of them gains."""

TURNS, WIDTH, MOST = 4.0, 0.2, 0.95
"""Where validation would turn, as a multiple of all that there is to learn, at which it is as likely as not that runs
learn by heart; how fast that falls with the logarithm; and the most it comes to."""

GENERAL, GREW, LUCK = 0.75, 0.2, 0.03
"""Runs do not learn by heart where more than this share of what longer ones learn holds for other samples, and is more
than this share of all that does: a smaller one may be noise. How wide that limit is, as a share of the gain: so much
and more is luck of the two lengths' seeds."""

BEGUN = 0.8
"""Where more than this share of what the score has gained came since the shorter length, it is too early as well:
factors of ratings learn the noise of their samples before they find what holds, and then fall fast."""

EARLY, MUCH = 0.4, 0.8
"""Where less than this share of what was learned holds for other samples, it is too early to say, as factors of ratings
learn the noise of their samples first; unless more than the other share of all that there is was learned by then."""

FEW = 0.35
"""Where less than this share of all that there is was learned, it is too early as well: products of factors learn the
noise of their samples first, and rules whose steps are as long as the gradients may be stopped by divergence. Those
that learned by heart had .4 of it and more."""


@dataclass(frozen=True)
class Best:
    """What the best runs of one length come to, in the mean.

    score: theirs. training: their training loss, and `error` its standard error. gain: what the score has gained.
    learned: what the runs of that length have learned of their samples, at most.
    """

    score: float
    training: float
    error: float
    gain: float
    learned: float

    @property
    def gap(self) -> float:
        """How far the score lies above the training loss, as a share of the gain; 0 where nothing was gained."""
        return (self.score - self.training) / self.gain if self.gain > 0 else 0.0

    @property
    def turn(self) -> float:
        """How much is learned of the samples where the score is lowest; inf where all that was learned holds.

        Of a little more that is learned `1 - learned / turn` holds, so that `gain = learned - learned**2 / (2 * turn)`.
        """
        beyond = self.score - self.training - self.error  # at least
        return (self.gain + beyond) ** 2 / (2 * beyond) if beyond > 0 else math.inf


def by_length(runs: Sequence[Run], start: float) -> list[Best]:
    """Return what the best runs of every length come to, the shortest first, where training losses are known.

    start: the score before any training.
    """
    known = [run for run in runs if math.isfinite(run.score) and math.isfinite(run.training)]
    lengths = sorted({run.steps for run in known})
    return [_best([run for run in known if run.steps == steps], start) for steps in lengths]


def _best(runs: Sequence[Run], start: float) -> Best:
    lowest = min(run.score for run in runs)
    near = [run for run in runs if run.score <= lowest + AS_GOOD * max(start - lowest, 0.0)]
    score, training, error = np.mean([(run.score, run.training, run.error) for run in near], axis=0).tolist()
    return Best(score, training, error, start - score, start - min(run.training for run in runs))


def learned_by_heart(runs: Sequence[Run], start: float, epoch: float = 0.0) -> float:
    """Return the probability that runs learn by heart, from the two greatest lengths among them.

    start: the score before any training; where it is above 0, 0 is taken for a loss of which nothing is left to learn.
    epoch: steps until samples come again; before that no sample is known by heart.
    """
    lengths = by_length(runs, start)
    if len(lengths) < 2 or max(run.steps for run in runs) <= epoch:
        return 0.0
    shorter, longest = lengths[-2:]
    there_is = start if start > 0 else longest.learned
    if longest.learned <= FEW * there_is:
        return 0.0
    if longest.gain <= EARLY * longest.learned:
        return MOST if start > 0 and longest.learned > MUCH * start else 0.0
    grown = longest.gain - shorter.gain
    begun = _step((BEGUN - grown / longest.gain) / LUCK)
    general = max(GENERAL * (longest.learned - shorter.learned), GREW * longest.gain)
    turned = _step(math.log(TURNS * there_is / longest.turn) / WIDTH) if longest.turn < math.inf else 0.0
    return MOST * turned * begun * _step((general - grown) / (LUCK * longest.gain))


def _step(away: float) -> float:
    """Return a number that rises from 0 to 1 around 0."""
    return 1 / (1 + math.exp(min(-away, 700.0)))
