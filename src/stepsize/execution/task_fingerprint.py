"""What a task is, in numbers: so that a worker trains the same one, and a journal tells it from a changed one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from stepsize.problems.first_gradients import agree

TRAINING = {"loss in training mode", "gradient"}
CAUSES = [({"model", "training data", "batch size"}, {"loss", "metric"} | TRAINING), ({"loss"}, TRAINING)]
"""Parts of a fingerprint that have others for a consequence."""


def fingerprint(parts: Mapping[str, str]) -> str:
    """Return one hash of the parts of a fingerprint (`Trainable.fingerprint_parts`)."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in which parts two fingerprints differ, in words; "" when they do not.

    Measured numbers differ by more than rounding, see `agree`. Another model or another batch also has another loss,
    metric and gradient, which then say nothing of the functions.

    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "a"})
    'loss'
    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "b"})
    'model'
    """
    differs = [part for part in {**now, **before} if not agree(before.get(part, ""), now.get(part, ""))]
    for causes, effects in CAUSES:
        if not causes.isdisjoint(differs):
            differs = [part for part in differs if part not in effects]
    return ", ".join(differs)
