"""A policy as people have it: a value, a file that `save` wrote, a spec out of a YAML file, or the name of a recipe.

A recipe is a shape without a height: its peak is then the optimizer's own learning rate, which is not known before
there is an optimizer.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from stepsize.kernel.errors import DriveError, ParameterError, brief
from stepsize.kernel.spec import Spec
from stepsize.policies import RECIPES, Groups, Policy, recipe
from stepsize.policies.recipes import Recipe, checked
from stepsize.schedules import Schedule

Bindable = TypeVar("Bindable", bound=Policy | Groups)

PolicyLike = Policy | Groups | Schedule | Spec | Mapping[str, Any] | str | os.PathLike[str] | Recipe
"""What every adapter takes for a policy; text comes late, as whoever reads YAML by this makes text of anything.

A Policy or Groups; a schedule of the learning rate; a Strategy or an Advice, whose policy it is; the path of a file
that holds one of these; its spec, such as `{"lr": {"kind": "Cosine", "start": 0.1, "end": 0.0}, "momentum": 0.9}`, a
Policy where it says no kind; or the name of a recipe, such as
"cosine", or a function of the peak, whose peak is then the optimizer's own learning rate.
"""


def read_policy(given: PolicyLike) -> Policy | Groups | Recipe:
    """Return the policy that was given; a recipe where its peak is to be the optimizer's own rate.

    Raises ParameterError for the name of no recipe and no file, FormatError for a file that cannot be read, SpecError
    for a spec that is none, DriveError for what has no policy.

    >>> read_policy({"kind": "Constant", "level": 0.1, "steps": "rest"})
    Policy(lr=Constant(level=0.1, steps='rest'))
    >>> read_policy("cosine")(0.1)
    Policy(lr=Cosine(start=0.1, end=0.0, steps='rest'))
    """
    if isinstance(given, Policy | Groups):
        return given
    if isinstance(given, str) and not _is_path(given):
        return _named(given)
    value: Any = _read(given) if isinstance(given, str | os.PathLike | Mapping) else given
    if isinstance(value, Schedule):
        return Policy(lr=value)
    policy = value if isinstance(value, Policy | Groups) else getattr(value, "policy", None)
    if isinstance(policy, Policy | Groups):
        return policy
    if callable(value) and not isinstance(value, type):
        return checked(value)
    what = brief(given) if value is given else f"the {value.noun} in {given}"
    raise DriveError(
        f"a policy is wanted, not {what}. Give a Policy, such as Policy(lr=0.1), or a schedule, a strategy or an "
        "advice; a file of one of them that stepsize.save wrote; or the name of a recipe, such as 'cosine'."
    )


def _is_path(given: str) -> bool:
    return given not in RECIPES and (given.endswith(".json") or os.sep in given or Path(given).is_file())


def _named(name: str) -> Recipe:
    try:
        return recipe(name)
    except ParameterError as error:
        raise ParameterError(f"{error} Or give the path of a file that stepsize.save wrote.") from None


def _read(given: str | os.PathLike[str] | Mapping[str, Any]) -> Any:
    """Return what a file or a spec describes; all kinds are loaded for it, which a loop with a Policy does not need."""
    files = import_module("stepsize.results.io")
    if not isinstance(given, Mapping):
        return files.load(given)
    if "stepsize" in given:
        return files.CATALOGUE.open(given, Spec)
    return files.CATALOGUE.decode({"kind": Policy.__name__, **given}, Spec)


def bind(policy: Bindable, steps: int) -> Bindable:
    """Return a policy bound to the run that it is to drive; warn of a part that is lost, being too short for a step."""
    for each in (policy.policy, *policy.own.values()) if isinstance(policy, Groups) else (policy,):
        for name in each.lost_parts(steps):
            warnings.warn(
                f"a part of the schedule of {name} is shorter than half a step in a run of {steps} steps, and is left "
                f"out: {each[name]!r}. Make its share larger, or give it steps.",
                stacklevel=4,
            )
    return cast("Bindable", policy.over(steps))
