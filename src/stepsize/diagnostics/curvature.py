"""Sharpness: the largest eigenvalue of the Hessian of a loss, by Lanczos on Hessian-vector products.

`H v` is the gradient of `g(theta)' v`, a second backward pass through the first: it costs about two gradients and no
matrix [pearlmutter1994fast]. The graph of the gradient is built once, and each product goes through it again, where
all the data is one batch. Where a kernel of the model has no second derivative (cuDNN's recurrent nets), the product is
the central difference `(g(theta + h v) - g(theta - h v)) / 2h`, and the result says so.
"""

from __future__ import annotations

import numpy as np
import torch

from stepsize.diagnostics.objective import Batches, Loss, Objective, untouched
from stepsize.kernel import seeds
from stepsize.kernel.errors import ParameterError
from stepsize.results import Sharpness
from stepsize.theory.lanczos import largest_eigenpair

LEAST = 8
"""Products to spend at least: with fewer, the second largest eigenvalue is now and then taken for the largest."""


def sharpness(
    model: torch.nn.Module, loss: Loss, batches: Batches, *, preconditioner: torch.Tensor | None = None,
    tolerance: float = 0.01, most: int = 60, seed: int = 0, batch_statistics: bool = False,
) -> Sharpness:  # fmt: skip
    """Return the largest eigenvalue of the Hessian of the mean loss over `batches`, in evaluation mode.

    model: in any state; it is left exactly as it was. loss: `loss(model(inputs), targets)`, the mean over the batch.
    batches: pairs (inputs, targets); one large batch is the fastest, as far as memory goes.
    preconditioner: P, (parameters,), above 0: for the rules that divide by it, the eigenvalue is that of `P**-1 H`,
        found as that of the symmetric `P**-1/2 H P**-1/2` [cohen2022adaptive]; see `adam_preconditioner`.
    tolerance: the residual, as a share of the eigenvalue, at which to stop. most: products at most. seed: of the start.
    batch_statistics: let batch norm take the statistics of each batch, as it does in training; dropout stays off.

    The start is the gradient plus a random vector of its length: the gradient lies mostly along the large eigenvalues,
    the random half finds what it misses.

    Raises TaskError as `Objective` does, and ParameterError for a preconditioner of another length, or not above 0.

    Watch out: batch norm has its running statistics fixed here, unless `batch_statistics` is on, which is another
    function than the one that is trained: a bias in front of it has a curvature here, and none in training. Compare
    with a rate through `stepsize.theory.largest_stable_rate`, which is no rate to train with.

    Source: [cohen2021gradient, app. F]; [pearlmutter1994fast].

    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> round(sharpness(model, torch.nn.functional.mse_loss, [(x, 2 * x)]).value, 4)  # the mean of 2 x**2
    10.0
    """
    with untouched(model, batch_statistics=batch_statistics):
        hessian = _Hessian(Objective(model, loss, batches))
        root = _root(preconditioner, hessian.start)
        noise = np.random.default_rng(seeds.child(seed, "sharpness")).standard_normal(len(root))
        start = _unit(hessian.start / root) + _unit(torch.from_numpy(noise).to(root))
        pair = largest_eigenpair(
            lambda v: hessian(v / root) / root, start, tolerance=tolerance, least=LEAST, most=most
        )  # fmt: skip
    return Sharpness(pair.value, pair.residual, pair.products, hessian.gradients, hessian.method, pair.converged)


def adam_preconditioner(optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> torch.Tensor:
    """Return what a live Adam or AdamW divides its steps by, `sqrt(v / (1 - b2**k)) + eps`, (parameters,).

    optimizer: after its first update; any whose `state_dict` has `exp_avg_sq` and `step` beside `betas` and `eps`.
    model: whose trainable parameters it trains.

    Raises ParameterError for another optimizer, a parameter that it does not train, or one without an update yet.
    """
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    pieces = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        state, group = optimizer.state.get(p, {}), groups.get(p, {})
        if not {"exp_avg_sq", "step"} <= state.keys() or not {"betas", "eps"} <= group.keys():
            raise ParameterError(
                f"{type(optimizer).__name__} has no second moment for {name!r}; it must be of the Adam family, train "
                "this parameter, and have taken a step."
            )
        corrected = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        pieces.append((corrected.sqrt() + group["eps"]).reshape(-1))
    return torch.cat(pieces)


class _Hessian:
    """The Hessian of an objective at its own weights, as a product; it counts what it spends.

    start: the gradient. gradients: evaluations of the whole gradient so far: one for the gradient, two for a pass
    through its graph.
    """

    method = "double backward"

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._row = objective.row.detach().requires_grad_()
        self._kept = self._slope(next(objective.terms(self._row))) if len(objective.batches) == 1 else None
        self.start = objective.gradient(self._row) if self._kept is None else self._kept.detach()
        self.gradients = 1

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """Return `H v`, (parameters,)."""
        if self.method == "double backward":
            try:
                return self._exact(v)
            except RuntimeError as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                self.method = "central differences of gradients, where the model has no second derivative"
        return self._difference(v)

    def _exact(self, v: torch.Tensor) -> torch.Tensor:
        if self._kept is not None:
            product = self._through(self._kept, v, keep=True)
            self.gradients += 2
            return product
        product = torch.zeros_like(v)
        for term in self._objective.terms(self._row):
            product += self._through(self._slope(term), v, keep=False)
        self.gradients += 3
        return product

    def _slope(self, term: torch.Tensor) -> torch.Tensor:
        (slope,) = torch.autograd.grad(term, self._row, create_graph=True)
        return slope

    def _through(self, slope: torch.Tensor, v: torch.Tensor, *, keep: bool) -> torch.Tensor:
        if not slope.requires_grad:  # the loss is linear in the weights
            return torch.zeros_like(v)
        if not keep or self.gradients == 1:
            _refuse(slope)
        (product,) = torch.autograd.grad(slope, self._row, v, retain_graph=keep, materialize_grads=True)
        return product

    def _difference(self, v: torch.Tensor) -> torch.Tensor:
        row, length = self._row.detach(), float(v.norm())
        if length == 0:
            return torch.zeros_like(v)
        h = torch.finfo(row.dtype).eps ** (1 / 3) * (1 + float(row.norm())) / length
        self.gradients += 2
        ahead, behind = self._objective.gradient(row + h * v), self._objective.gradient(row - h * v)
        product: torch.Tensor = (ahead - behind) / (2 * h)
        return product


def _refuse(slope: torch.Tensor) -> None:
    """Raise where the graph of a gradient has a node without a derivative: autograd passes around it without a word."""
    waiting, seen = [slope.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().rpartition("::")[2] in {"Error", "DelayedError", "NotImplemented"}:
            raise NotImplementedError("the gradient of this model has no derivative")
        waiting += [following for following, _ in node.next_functions]


def _root(preconditioner: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """Return the root of P, (parameters,); of ones without a preconditioner."""
    if preconditioner is None:
        return torch.ones_like(like)
    if preconditioner.shape != like.shape or not bool((preconditioner > 0).all()):
        raise ParameterError(
            f"preconditioner must be {tuple(like.shape)} numbers above 0, one for each trainable parameter in the "
            f"order of model.parameters(); its shape is {tuple(preconditioner.shape)}."
        )
    return preconditioner.detach().to(like).sqrt()


def _unit(vector: torch.Tensor) -> torch.Tensor:
    """Return `vector` with norm 1, or 0 where it is 0 or not finite."""
    length = vector.norm()
    return vector / length if bool(torch.isfinite(length)) and float(length) > 0 else torch.zeros_like(vector)
