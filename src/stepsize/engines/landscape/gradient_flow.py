"""Gradient flow: the basin that a point lies in is where the steepest descent in infinitely small steps leads.

The flow's path is followed by its length, not by its time, so a plateau takes as many steps as a slope. A step is
accepted while the direction turns by no more than a little; where it turns more, the step is halved.
"""

from __future__ import annotations

import numpy as np
import torch

from stepsize.kernel.arrays import Floats
from stepsize.kernel.spec import NDArray
from stepsize.problems.landscapes import Landscape
from stepsize.results.landscape import UNKNOWN

TURN = 0.3
"""The most that the direction may change in one step, as a length between unit vectors."""

FIRST, LONGEST, SHORTEST = 1e-3, 1e-2, 1e-8
"""The length of the first step, of the longest and of the last, over the narrowest width of the box."""

CHECK, CLOSE = 20, 0.05
"""Steps between two checks for a local minimum, and how close it has to be, over the radius of the global one."""

EVALUATIONS = 3000
"""How many gradients of one point are asked for before its basin counts as unknown."""


def basins(landscape: Landscape, points: Floats, evaluations: int = EVALUATIONS) -> NDArray:
    """Return the basin that each of `points`, (points, dimensions), lies in, (points,) int64.

    A basin is the index of a listed minimum, ELSEWHERE (-1) where the flow ends at none, or UNKNOWN (-2) where it did
    not end or left for infinity, or the point or the gradient is not finite; on a saddle alone all of them are.

    Watch out: in a curved valley much flatter than its walls are steep the steps stay short, and a budget may not do.
    """
    basin = np.full(len(points), UNKNOWN)
    rows = np.flatnonzero(np.isfinite(points).all(axis=1))
    if landscape.saddle:
        return basin
    if landscape.unimodal:
        basin[rows] = 0
        return basin
    with torch.no_grad():
        walk = _Walk(landscape, torch.from_numpy(points[rows]))
        for turn in range(evaluations):
            there, stuck, lost = walk.arrived(), walk.stuck(), walk.lost()
            if turn % CHECK == 0:
                there = there | torch.from_numpy(landscape.nearest(walk.x.numpy(), CLOSE) >= 0)
            done = (there | stuck | lost).numpy()
            if done.any():
                last = walk.x.numpy()
                settled = (there | stuck).numpy() & ~lost.numpy()
                basin[rows[settled]] = landscape.nearest(last[settled])
                rows = rows[~done]
                walk.keep(torch.from_numpy(~done))
            if not len(rows):
                break
            walk.step()
    return basin


class _Walk:
    """Points on their way down: where, in which direction, and how long the next step is."""

    def __init__(self, landscape: Landscape, x: torch.Tensor) -> None:
        self._landscape = landscape
        box = torch.from_numpy(landscape.box)
        self._low, self._high = box[:, 0], box[:, 1]
        self._width = float((self._high - self._low).min())
        self.x = x
        self.direction, self.slope = self._direction(x)
        self.length = torch.full((len(x),), FIRST * self._width, dtype=x.dtype)

    def _direction(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the unit vectors down from `x`, along the walls where there are any, and the size of the slope."""
        down = -self._landscape.gradient(x, torch)
        if self._landscape.walls:
            blocked = ((x <= self._low) & (down < 0)) | ((x >= self._high) & (down > 0))
            down = down.masked_fill(blocked, 0.0)
        largest = down.abs().amax(-1, keepdim=True).clamp(min=1e-300)  # a slope below 1e-154 has no square
        slope = largest * (down / largest).norm(dim=-1, keepdim=True)
        return down / slope.clamp(min=1e-300), slope[:, 0]

    def arrived(self) -> torch.Tensor:
        """Return which points are near a global minimum."""
        return self._landscape.arrived(self.x, torch)  # type: ignore[no-any-return]  # an array of any library is Any

    def stuck(self) -> torch.Tensor:
        """Return which points no longer move: no slope, or steps too short to matter."""
        return (self.slope <= 1e-300) | (self.length < SHORTEST * self._width)

    def lost(self) -> torch.Tensor:
        """Return which points have no slope that is a number, or are more than a box away from the box."""
        size = self._high - self._low
        away = (self.x < self._low - size) | (self.x > self._high + size)
        return ~self.slope.isfinite() | away.any(-1)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some of the points."""
        self.x, self.direction = self.x[rows], self.direction[rows]
        self.slope, self.length = self.slope[rows], self.length[rows]

    def step(self) -> None:
        """Try one step of each point, and choose the length of its next one."""
        x = self.x + self.length[:, None] * self.direction
        if self._landscape.walls:
            x = torch.clamp(x, self._low, self._high)
        direction, slope = self._direction(x)
        turn = (direction - self.direction).norm(dim=-1)
        taken = turn <= TURN
        self.x = torch.where(taken[:, None], x, self.x)
        self.direction = torch.where(taken[:, None], direction, self.direction)
        self.slope = torch.where(taken, slope, self.slope)
        longer = torch.where(turn < TURN / 2, 1.5 * self.length, self.length).clamp(max=LONGEST * self._width)
        self.length = torch.where(taken, longer, 0.5 * self.length)
