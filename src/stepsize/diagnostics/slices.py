"""Slices of the loss around a trained model: along random directions, or in the plane in which training went.

A direction in weight space means little as it is: a net with rectifiers can be scaled, layer against layer, without
changing its function. So each filter of a random direction gets the norm of the model's own filter [li2018visualizing,
sec. 4], `d[f] *= |w[f]| / |d[f]|`, and biases and the scales of normalisations, the tensors of one axis, stay put.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.func import vmap

from stepsize.diagnostics.objective import Batches, Loss, Objective, untouched
from stepsize.diagnostics.trails import Trail
from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError
from stepsize.results import Slice

BLOCK = 1 << 22
"""Weights that are looked at in one mapped evaluation, over all of its points."""

RANDOM = "random filter-normalised directions"

_NONE = np.empty(0)


def line(
    model: torch.nn.Module, loss: Loss, batches: Batches, *, reach: float = 1.0, points: int = 51, seed: int = 0
) -> Slice:
    """Return the loss of `model` along one random filter-normalised direction, from -reach to reach.

    model: left exactly as it was. loss, batches: as for `sharpness`. reach: in norms of the model's filters; at 1 the
    noise is as large as the weights. points: along the line; an odd number has the model itself among them.

    Raises TaskError as `Objective` does, and ParameterError for fewer than two points or no reach.

    Watch out: one random direction in thousands of dimensions; what looks convex on it need not be.

    Source: [li2018visualizing].
    """
    places = _places(-reach, reach, points)
    with untouched(model):
        objective = Objective(model, loss, batches)
        directions = torch.stack([filter_normalised(model, seed, "x")])
        losses = _losses(objective, places[:, None], directions)
        centre = float(objective.value(objective.row).detach())
    return Slice("random filter-normalised direction", ("direction",), places, _NONE, losses, centre, *_no_path())


def plane(
    model: torch.nn.Module, loss: Loss, batches: Batches, *, reach: float = 1.0, points: int = 31, seed: int = 0
) -> Slice:
    """Return the loss of `model` on a square of two random filter-normalised directions, from -reach to reach.

    points: along each side. The rest is as for `line`. Two random directions in many dimensions are nearly orthogonal.

    Source: [li2018visualizing].
    """
    places = _places(-reach, reach, points)
    with untouched(model):
        objective = Objective(model, loss, batches)
        directions = torch.stack([filter_normalised(model, seed, name) for name in "xy"])
        losses = _losses(objective, _grid(places, places), directions).reshape(points, points)
        centre = float(objective.value(objective.row).detach())
    return Slice(RANDOM, ("first direction", "second direction"), places, places, losses, centre, *_no_path())


def training_plane(
    model: torch.nn.Module, loss: Loss, batches: Batches, trail: Trail, *, points: int = 31, room: float = 0.25
) -> Slice:
    """Return the loss in the plane of the first two principal components of a training's path, with the path.

    model: trained; it is at the origin. trail: of the same model. points: along each side. room: around the path, as a
    share of its extent. The rest is as for `line`.

    The axes are distances in weight space, not filter-normalised: path and loss are in one scale. `Slice.explained` is
    how much of the path's variance lies along each.

    Raises ParameterError for a trail of fewer than three points, or of another model.

    Watch out: the path lies in the plane only as far as `explained` says; elsewhere the contours under it are not the
    losses it met. The components of any random walk look like this too, and explain much [antognini2018pca].

    Source: [li2018visualizing, sec. 7].
    """
    steps, rows = trail.steps, trail.rows
    with untouched(model):
        objective = Objective(model, loss, batches)
        if len(rows) < 3 or rows.shape[1] != len(objective.row):
            raise ParameterError(
                f"a plane of training needs a trail of at least 3 points of this model's {len(objective.row)} "
                f"trainable parameters; this one is of shape {tuple(rows.shape)}."
            )
        axes, explained = _components(rows)
        path = ((rows - objective.row.to(rows)) @ axes.T).double().numpy()
        x, y = (_span(path[:, i], points, room) for i in (0, 1))
        losses = _losses(objective, _grid(x, y), axes.to(objective.row)).reshape(points, points)
        centre = float(objective.value(objective.row).detach())
    labels = ("first principal component", "second principal component")
    return Slice("the plane of training", labels, x, y, losses, centre, path, steps, explained)


def filter_normalised(model: torch.nn.Module, seed: int = 0, name: str = "x") -> torch.Tensor:
    """Return a random direction, (parameters,), each filter of which is as long as the model's.

    A filter is an index of a tensor's first axis: the weights into one output. Tensors of one axis (biases, scales of
    normalisations) and single numbers get 0.

    seed, name: of the random stream.

    Source: [li2018visualizing, sec. 4].
    """
    noise = np.random.default_rng(seeds.child(seed, "slice", name))
    pieces = []
    for p in (p.detach() for p in model.parameters() if p.requires_grad):
        d = torch.from_numpy(noise.standard_normal(p.shape)).to(p)
        if p.dim() <= 1:
            pieces.append(torch.zeros_like(d).reshape(-1))
            continue
        own, drawn = (torch.linalg.vector_norm(each.flatten(1), dim=1, keepdim=True) for each in (p, d))
        pieces.append((d.flatten(1) * (own / (drawn + 1e-10))).reshape(-1))
    return torch.cat(pieces)


def _losses(objective: Objective, places: Floats, directions: torch.Tensor) -> Floats:
    """Return the loss at `row + places @ directions`, (points,) float64, many points at once where the model maps."""
    row = objective.row
    spots = torch.from_numpy(places).to(row)
    size = max(1, BLOCK // len(row))
    with torch.no_grad():
        try:
            mapped = vmap(objective.value, randomness="same")
            found = [mapped(row + block @ directions) for block in torch.split(spots, size)]
        except (RuntimeError, ValueError):  # the model looks at values, or assigns to a buffer: one point at a time
            found = [torch.stack([objective.value(row + spot @ directions) for spot in spots])]
    return torch.cat(found).double().cpu().numpy()


def _components(rows: torch.Tensor) -> tuple[torch.Tensor, tuple[float, ...]]:
    """Return the first two principal axes of `rows`, (2, parameters), orthonormal, and their shares of the variance."""
    moved = (rows - rows[-1]).double()
    centred = moved - moved.mean(0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)  # (points, points): few, beside the weights
    shares = values.flip(0)[:2].clamp(min=0) / values.clamp(min=0).sum().clamp(min=torch.finfo(torch.float64).tiny)
    axes, _ = torch.linalg.qr(centred.T @ vectors.flip(1)[:, :2])
    return axes.T.to(rows), tuple(shares.tolist())


def _places(low: float, high: float, points: int) -> Floats:
    if points < 2 or not low < high:
        raise ParameterError(f"a slice needs at least 2 points and a reach above 0, not {points} over {high!r}.")
    return np.linspace(low, high, points)


def _span(values: Floats, points: int, room: float) -> Floats:
    """Return places over the range of a path along one axis, with room on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = max(room * (high - low), 1e-6 * (1 + abs(high)))
    return _places(low - margin, high + margin, points)


def _grid(x: Floats, y: Floats) -> Floats:
    """Return the places of a grid, row by row, (rows * columns, 2)."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _no_path() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, 2)), np.empty(0, dtype=np.int64)
