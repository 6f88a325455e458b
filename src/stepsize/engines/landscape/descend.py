"""Descent on a landscape: thousands of starts as the rows of one array, under any rule and any schedule.

A strategy's table becomes coefficients once a chunk; the hot loop only indexes its rows. The starts are cut into blocks
that fit the cache; the outcome does not depend on how.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from stepsize.engines import base
from stepsize.engines.inplace.program import Row, Update, rows
from stepsize.engines.landscape.gradient_flow import basins
from stepsize.engines.threads import threads_for
from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, brief
from stepsize.kernel.spec import NDArray
from stepsize.problems.landscapes import Landscape
from stepsize.problems.landscapes.base import FEW
from stepsize.problems.noise import Gaussian, Noise
from stepsize.results.landscape import UNKNOWN, Descent
from stepsize.rules import Rule
from stepsize.rules.base import Slots
from stepsize.strategy import Strategy, Trial

BLOCK = 1 << 15
"""Coordinates that are updated at once: parameters, slots and temporaries of a block stay in the cache."""

WATCHED, POINTS = 200, 121
"""How many trajectories are recorded, and at how many steps, at most."""


def descend(
    landscape: Landscape,
    strategies: Sequence[Strategy],
    *,
    starts: int | Floats = 10_000,
    steps: int = 1000,
    seed: int = 0,
    noise: Noise | None = None,
    watched: int = WATCHED,
    points: int = POINTS,
    block: int = BLOCK,
    progress: base.Progress | None = None,
) -> Descent:
    """Let every strategy descend on `landscape` from the same starts, under the same noise.

    starts: how many, drawn evenly from the box (of a saddle, near it), or the points themselves, (starts, dimensions).
    steps: of every run (steps, optimizer updates). seed: of the starts and of the noise. watched: how many trajectories
        are recorded. points: at how many steps, at most, more densely at first; twice as many as steps record them all.
    block: coordinates that are updated at once; it changes speed alone. progress: called with steps times starts.

    A trajectory that is not finite any more is frozen at its last finite point, and says when; the others go on. One
    that has left a saddle is frozen there, since it would fall for ever.

    Raises ParameterError for starts outside of the box, or where the gradient is not finite, and for a rule that cannot
    be held inside of a box.

    >>> from stepsize.policies import constant
    >>> from stepsize.problems.landscapes import Booth
    >>> from stepsize.rules import SGD
    >>> found = descend(Booth(), [Strategy(SGD(), constant(0.05))], starts=100, steps=200)
    >>> found.reached.mean(), found.last[0, 0].round(6).tolist()
    (np.float64(1.0), [1.0, 3.0])
    """
    began = time.perf_counter()
    if not strategies:
        raise ParameterError("a descent needs at least one strategy.")
    for strategy in strategies:
        if landscape.walls and strategy.rule.anchored:
            raise ParameterError(
                f"{type(landscape).__name__} holds its points inside of its box, and {strategy.rule.title} keeps them "
                "in its own state, where nothing else may move them; take another rule or another landscape."
            )
    x = _starts(landscape, starts, seed)
    plan = _Plan(landscape, x, steps, seed, noise, watched, points, block)
    runs = [_Run(plan, strategy.over(steps)) for strategy in strategies]
    for run in runs:
        run.all(progress)
    names = ("weights", "entered", "died_at")
    last, entered, died_at = (np.stack([run.joined(name) for run in runs]) for name in names)
    final_basins = np.where(died_at < 0, np.stack([basins(landscape, points) for points in last]), UNKNOWN)
    return Descent(
        landscape=landscape, noise=noise, steps=steps, seed=seed, strategies=tuple(run.strategy for run in runs),
        starts=x, home=basins(landscape, x), last=last, basins=final_basins, entered=entered, died_at=died_at,
        path_steps=runs[0].due, paths=np.stack([run.paths for run in runs]), seconds=time.perf_counter() - began,
    )  # fmt: skip


def _starts(landscape: Landscape, starts: int | Floats, seed: int) -> Floats:
    """Return the starts, checked."""
    if isinstance(starts, int):
        if starts < 1:
            raise ParameterError(f"a descent needs at least one start, not {starts}.")
        low, high = landscape.start_box.T
        return seeds.generator(seed, "starts").uniform(low, high, (starts, landscape.dimensions))
    x = np.array(starts, dtype=np.float64, ndmin=2)
    kind = type(landscape).__name__
    if x.ndim != 2 or x.shape[1] != landscape.dimensions or not len(x):
        raise ParameterError(f"starts on {kind} have the shape (starts, {landscape.dimensions}), not {x.shape}.")
    inside = ((x >= landscape.box[:, 0]) & (x <= landscape.box[:, 1])).all(axis=1)
    if not inside.all():
        bounds = ", ".join(f"{low:g} to {high:g}" for low, high in landscape.box[:3])
        raise ParameterError(
            f"{(~inside).sum()} of {len(x)} starts lie outside of the box of {kind} ({bounds}), the first at "
            f"{brief(x[~inside][0].tolist())}; move them into it."
        )
    finite = landscape.gradient(torch.from_numpy(x), torch).isfinite().all(-1).numpy()
    if not finite.all():
        raise ParameterError(
            f"the gradient of {kind} is not finite at {(~finite).sum()} of {len(x)} starts, the first at "
            f"{brief(x[~finite][0].tolist())}; start elsewhere."
        )
    return x


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all strategies of a descent have in common; the arguments of `descend`."""

    landscape: Landscape
    x: Floats
    steps: int
    seed: int
    noise: Noise | None
    watched: int
    points: int
    block: int


class _Run:
    """One strategy on all starts.

    paths: the first trajectories at the steps that were due, one after the other, each (watched, dimensions).
    """

    def __init__(self, plan: _Plan, strategy: Strategy) -> None:
        self._plan, self.strategy = plan, strategy
        height = max(1, plan.block // plan.landscape.dimensions)
        rule = strategy.rule.over([(plan.landscape.dimensions,)])
        self._update = Update(rule, plan.steps, apart=True)
        self._blocks = [
            _Block(plan, rule, self._update, first, first + height) for first in range(0, len(plan.x), height)
        ]
        self.due = np.unique(np.round(np.linspace(0, 1, plan.points) ** 2 * plan.steps).astype(np.int64))
        self.paths = [self._snapshot()]

    def all(self, progress: base.Progress | None) -> None:
        """Make all steps, a chunk at a time."""
        trial = Trial(self.strategy, self._plan.seed)
        first, steps = self._blocks[0], self._plan.steps
        for start in range(0, steps, base.CHUNK):
            stop = min(start + base.CHUNK, steps)
            table = base.coefficients([trial], start, stop)
            self._update.expect(table, first.x, first.slots)
            coefficients = rows(table, first.x)
            edges = [start, *self.due[(self.due > start) & (self.due < stop)].tolist(), stop]
            for begin, end in pairwise(edges):
                with torch.no_grad(), threads_for(0):  # a block is too small to be shared out
                    for block in self._blocks:
                        block.advance(coefficients[begin - start : end - start], begin)
                if end in self.due:
                    self.paths.append(self._snapshot())
                if progress is not None:
                    progress((end - begin) * len(self._plan.x))

    def _snapshot(self) -> Floats:
        return self.joined("weights")[: self._plan.watched]

    def joined(self, name: str) -> NDArray:
        """Return what the blocks have under `name` of all starts, (starts, ...)."""
        return np.concatenate([getattr(block, name).numpy() for block in self._blocks])


class _Block:
    """Some rows of the starts: their points, their slots, and what is noted of each.

    first, stop: its rows among all starts. x: the points, (rows, dimensions); slots: the rule's. entered: after how
    many updates each row came near a global minimum; died_at: at which it diverged; -1 for neither, each (rows,).
    """

    def __init__(self, plan: _Plan, rule: Rule, update: Update, first: int, stop: int) -> None:
        self._landscape, self._noise, self._seed = plan.landscape, plan.noise, plan.seed
        self._rule, self._update, self._first = rule, update, first
        box = torch.from_numpy(plan.landscape.box)
        self._low, self._high = box[:, 0], box[:, 1]
        self.x = _columnwise(plan.x[first:stop])
        self._other = torch.empty_like(self.x)
        self.slots: Slots = self._rule.init(self.x, torch)
        self._waiting = ~plan.landscape.arrived(self.x, torch)
        self.entered = torch.where(self._waiting, -1, 0)
        self.died_at = torch.full_like(self.entered, -1)
        self._still: torch.Tensor | None = None

    @property
    def weights(self) -> torch.Tensor:
        """The points to judge the rows by."""
        points: torch.Tensor = self._rule.readout(self.x, self.slots, torch)
        return points if self._still is None else torch.where(self._still, self.x, points)

    def advance(self, rows: Sequence[Row], start: int) -> None:
        """Make the updates `start`, `start + 1`, ... with these rows of coefficients."""
        watching = bool(self._waiting.any())
        for step, row in enumerate(rows, start):
            c = row
            if self._rule.core.takes_loss:
                c = {**row, "loss": self._landscape.value(self.x, torch).unsqueeze(-1)}
            if self._rule.takes_noise:
                c = {**c, "noise": self._drawn(Gaussian(), seeds.child(self._seed, "gradient noise"), step)}
            self._update(self.x, self._gradient(step), self.slots, c, self._other)
            self._keep(step)
            self.x, self._other = self._other, self.x
            if watching:
                self._note(step + 1)

    def _gradient(self, step: int) -> torch.Tensor:
        gradient: torch.Tensor = self._landscape.observed(self.x, torch, step, self._seed)
        if self._noise is None:
            return gradient
        drawn = self._drawn(self._noise, self._seed, step)
        return torch.addcmul(gradient, gradient, drawn) if self._noise.multiplies else gradient.add(drawn)

    def _drawn(self, noise: Noise, seed: int, step: int) -> torch.Tensor:
        return torch.from_numpy(noise.draw(seed, step, self._first, *self.x.shape))

    def _keep(self, step: int) -> None:
        """Hold the new points inside the walls, and put the last one that was finite where one is not."""
        x = self._other
        # One sum says that all is well, or that rows have to be searched: a check of every row would cost more.
        if not math.isfinite(x.sum().item()):
            lost = ~x.isfinite().all(-1)
            self.died_at.masked_fill_(lost & (self.died_at < 0), step)
            self._hold(self.died_at >= 0)
        if self._landscape.walls:
            torch.clamp(x, self._low, self._high, out=x)
        if self._still is not None:
            torch.where(self._still, self.x, x, out=x)

    def _note(self, updates: int) -> None:
        """Note which rows came near a global minimum for the first time."""
        there = self._waiting & self._landscape.arrived(self.weights, torch)
        if torch.count_nonzero(there):
            self.entered.masked_fill_(there, updates)
            self._waiting &= ~there
            if self._landscape.saddle:
                self._hold(there)

    def _hold(self, rows: torch.Tensor) -> None:
        """Leave these rows where they are from now on."""
        held = rows.unsqueeze(-1)
        self._still = held if self._still is None else self._still | held


def _columnwise(x: Floats) -> torch.Tensor:
    """Return a copy of x, coordinate after coordinate where they are few, so that sums over a row go along columns."""
    return torch.from_numpy(x.T.copy()).T if x.shape[1] <= FEW else torch.tensor(x)
