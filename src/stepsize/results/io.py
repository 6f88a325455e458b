"""Files: every value in and out of JSON, written atomically, read without executing anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypeVar

from stepsize import policies, rules, schedules
from stepsize.kernel.errors import FormatError, SpecError
from stepsize.kernel.files import read_text
from stepsize.kernel.json_text import parse_json
from stepsize.kernel.output_files import write
from stepsize.kernel.spec import Catalogue, Spec, envelope
from stepsize.problems import landscapes, noise
from stepsize.results.advice import Advice, Baseline, Insurance, RateBelief, SearchRun
from stepsize.results.curvature import Sharpness
from stepsize.results.curves import Curves
from stepsize.results.landscape import Descent, Outcome
from stepsize.results.prediction import Forecast, LawFit, LossCurve, Prediction
from stepsize.results.race import Interval, Race, Rung, Standing
from stepsize.results.range_test import Estimate, HyperparameterSweep, RangeTestRecord, RateGrid, Suggestion
from stepsize.results.refinement import Refinement
from stepsize.results.sensitivity import Sensitivity
from stepsize.strategy import Strategy, Trial

S = TypeVar("S", bound=Spec)

LARGEST = 1 << 30
"""The largest file that is read, in bytes."""


def _concrete(namespace: object, family: type[Spec]) -> list[type[Spec]]:
    """Return the concrete classes of `family` that a package exports: its import line is the registration."""
    found = [value for value in vars(namespace).values() if isinstance(value, type) and issubclass(value, family)]
    return [cls for cls in found if not getattr(cls, "__abstractmethods__", None)]


CATALOGUE = Catalogue(
    [
        *_concrete(schedules, schedules.Schedule),
        *_concrete(schedules, schedules.Feedback),
        *_concrete(rules, rules.Rule),
        *_concrete(landscapes, landscapes.Landscape),
        *_concrete(noise, noise.Noise),
        policies.Policy, policies.Groups, policies.Clock, Strategy, Trial,
        Curves, RangeTestRecord, RateGrid, HyperparameterSweep, Estimate, Suggestion,
        Interval, Rung, Standing, Race, Sensitivity,
        Advice, SearchRun, RateBelief, Insurance, Baseline,
        Descent, Outcome, Sharpness,
        Refinement, LossCurve, LawFit, Forecast, Prediction,
    ]
)  # fmt: skip
"""Every kind that a file may hold."""


def dumps(value: Spec, *, indent: int | None = None) -> str:
    """Return `value` as JSON text, in its envelope."""
    return json.dumps(envelope(value), indent=indent, allow_nan=False)


def loads(text: str, family: type[S] = Spec) -> S:  # type: ignore[assignment]  # the default is the widest family
    """Return the value that JSON `text` describes.

    Raises SpecError, with the path of what is wrong, or FormatError when it is no JSON of ours at all.
    """
    try:
        data = parse_json(text)
    except FormatError as error:
        raise FormatError(f"this is not JSON that stepsize wrote: {error}.") from None
    return CATALOGUE.open(data, family)


def save(value: Spec, path: str | os.PathLike[str]) -> Path:
    """Write `value` to `path` as JSON; the file is there whole or not at all."""
    return write(path, dumps(value, indent=1) + "\n")


def load(path: str | os.PathLike[str], family: type[S] = Spec) -> S:  # type: ignore[assignment]  # as in loads
    """Read a value that `save` wrote: a schedule, a policy, a strategy or a result.

    Raises FormatError when the file is missing, too large, or is not ours.
    """
    text = read_text(path, LARGEST)
    try:
        return loads(text, family)
    except SpecError as error:
        raise type(error)(f"{path}: {error}") from None
