"""What has a name: the schedules and rules from here, and those that others add.

::

    @stepsize.register
    @dataclass(frozen=True)
    class Wavy(Segment): ...

A class of schedules or rules, or a function that makes a policy of its peak, is then saved and loaded, and named on the
command line as the others are: that of a task file once it is read, that of a package by its entry points
(docs/how-to/extend.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from stepsize import rules, schedules
from stepsize.kernel.errors import ParameterError, brief
from stepsize.kernel.extensions import Open, add
from stepsize.kernel.spec import Spec
from stepsize.policies.recipes import RECIPES
from stepsize.rules import Rule
from stepsize.schedules import Schedule

K = TypeVar("K", bound=Callable[..., Any])


def concrete(namespace: object, family: type[Spec]) -> dict[str, type[Any]]:
    """Return the concrete classes of `family` that a package exports, by name: its import line is the registration."""
    return {value.__name__: value for value in vars(namespace).values() if _is_concrete(value, family)}


def _is_concrete(value: Any, family: type[Spec]) -> bool:
    return isinstance(value, type) and issubclass(value, family) and not getattr(value, "__abstractmethods__", None)


SCHEDULES: Open[type[Schedule]] = Open(
    "schedules", concrete(schedules, Schedule), lambda value: _is_concrete(value, Schedule)
)
RULES: Open[type[Rule]] = Open(
    "rules",
    {n: kind for n, kind in concrete(rules, Rule).items() if kind.formula},
    lambda value: _is_concrete(value, Rule),
)


def register(kind: K) -> K:
    """Register a class of schedules or of rules, or a function that makes a policy of its peak; return it.

    Its name is the JSON kind and the word on the command line. A rule needs a default for each of its fields.

    Raises ParameterError for anything else, for a rule that cannot be made without arguments, and for a name that is
    another kind's already.

    >>> from dataclasses import dataclass
    >>> @register
    ... @dataclass(frozen=True)
    ... class Wavy(schedules.Segment):
    ...     def curve(self, u, xp):
    ...         return u + 0.1 * xp.cos(20 * u) * u * (1 - u)
    >>> SCHEDULES["Wavy"](0.1, 0.0, 100).table(0, 1)
    array([0.1])
    """
    name = getattr(kind, "__name__", "")
    if SCHEDULES.fits(kind):
        add("schedules", name, kind, SCHEDULES.own)
    elif RULES.fits(kind):
        _check_defaults(cast("type[Rule]", kind))
        add("rules", name, kind, RULES.own)
    elif RECIPES.fits(kind) and name.isidentifier():  # which a lambda's is not
        add("policies", name, kind, RECIPES.own)
    else:
        raise ParameterError(
            f"a class of schedules or of rules can be registered, or a function that has a name and makes a policy, "
            f"not {brief(kind)}."
        )
    return kind


def _check_defaults(kind: type[Rule]) -> None:
    try:
        kind()
    except TypeError as error:
        raise ParameterError(f"the rule {kind.__name__} needs a default for each of its fields: {error}.") from None
