"""What a look at a trained model recorded: its sharpness, and slices of the loss around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Score, Spec


@dataclass(frozen=True)
class Sharpness(Spec):
    """The largest eigenvalue of the Hessian of a loss, with what it rests on.

    value: the eigenvalue; NaN where the loss is not finite. residual: an eigenvalue lies within it of `value`.
    products: of the Hessian with a vector. gradients: what they cost, in gradient evaluations over all batches.
    method: how the products were made. converged: whether the residual is as small as was asked.
    """

    noun: ClassVar[str] = "sharpness"

    value: Score
    residual: Score
    products: int
    gradients: int
    method: str
    converged: bool


@dataclass(frozen=True, eq=False)
class Slice(Spec):
    """The loss on a line or in a plane through a trained model.

    name: of the directions, for titles. labels: of the axes, one or two.
    x: places along the first direction, (columns,) float64; the model is at 0. y: along the second, (rows,); of length
        0 on a line.
    losses: (columns,) on a line, (rows, columns) in a plane, float64. centre: the loss of the model itself.
    path: where training went, (points, 2); of length 0 when there is none. steps: after how many updates, (points,).
    explained: the share of the path's variance along each axis, as many as labels; empty without a path.
    """

    noun: ClassVar[str] = "slice"

    name: str
    labels: tuple[str, ...]
    x: np.ndarray = field(repr=False)  # the shapes are in the docstring
    y: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    centre: Score
    path: np.ndarray = field(repr=False)
    steps: np.ndarray = field(repr=False)
    explained: tuple[float, ...] = ()

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        wanted = (len(self.y), len(self.x)) if len(self.y) else (len(self.x),)
        if self.losses.shape != wanted or len(self.labels) != len(wanted):
            raise ParameterError(
                f"Slice.losses must be of shape {wanted}, as x and y are, with a label for each axis; it is "
                f"{self.losses.shape} with {len(self.labels)} labels."
            )
        if len(self.path) != len(self.steps):
            raise ParameterError(f"Slice.path has {len(self.path)} points and steps has {len(self.steps)}.")

    def plot(self, ax: Any = None) -> Any:
        """Draw the line, or the contours of the plane with the path on them, and return the matplotlib Axes."""
        return picture("plot_slice")(self, ax=ax)
