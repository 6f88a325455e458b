"""The sharpness of a trained model, with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.kernel.spec import Score, Spec


@dataclass(frozen=True)
class Sharpness(Spec):
    """The largest eigenvalue of the Hessian of a loss, with what it rests on.

    value: the eigenvalue; NaN where the loss is not finite. residual: an eigenvalue lies within it of `value`.
    products: of the Hessian with a vector. gradients: what they cost, in gradient evaluations over all batches.
    method: how the products were made. converged: whether the residual is as small as was asked.
    """

    value: Score
    residual: Score
    products: int
    gradients: int
    method: str
    converged: bool
