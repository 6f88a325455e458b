"""The exception tree: everything that stepsize raises on purpose.

::

    StepsizeError
    |-- ParameterError     (ValueError)   a number outside of what it may be
    |   `-- LengthError    (ValueError)   lengths that do not parse or do not add up to the run
    |-- UnboundError       (RuntimeError) a value asked of a schedule whose lengths are still shares
    |-- SpecError          (ValueError)   data that describes no value of ours: unknown kind, unknown field
    |   `-- FormatError    (ValueError)   a file that is not ours, or is of a newer format
    |-- TaskError          (ValueError)   a task that cannot be loaded or trained
    |-- BudgetError        (ValueError)   a budget that cannot buy an answer
    |-- DriveError         (ValueError)   an optimizer and a policy that do not fit
    |-- PoolError          (RuntimeError) workers that cannot be started or reached
    |-- JournalError       (OSError)      a journal that another process holds, or that cannot be written
    |-- PluginError        (ImportError)  a package that adds a kind, and cannot be imported
    `-- MissingPackageError (ImportError) an optional package that is not installed

Each also inherits the builtin that it refines, so `except ValueError` keeps working.
A message has four parts: what is wrong, the value given, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from stepsize.kernel.text import short

K = TypeVar("K", bound=str)

MESSAGE = 2000
"""The most characters of an error: what it repeats, such as a name in a file, may be of any length."""


class StepsizeError(Exception):
    """The base of every error that stepsize raises on purpose; as text, it is of at most `MESSAGE` characters."""

    def __str__(self) -> str:
        return short(super().__str__(), MESSAGE)


class ParameterError(StepsizeError, ValueError):
    """A parameter outside of what it may be."""


class LengthError(ParameterError):
    """A length that does not parse, or lengths that do not add up to the run."""


class UnboundError(StepsizeError, RuntimeError):
    """A value was asked of a schedule whose lengths still depend on the run."""


class SpecError(StepsizeError, ValueError):
    """Data that describes no value of ours; the message begins with its path."""


class FormatError(SpecError):
    """A file that stepsize did not write, or that a newer stepsize wrote."""


class TaskError(StepsizeError, ValueError):
    """A task that cannot be loaded, or whose model cannot be trained."""


class BudgetError(StepsizeError, ValueError):
    """A budget that is too small for an answer."""


class DriveError(StepsizeError, ValueError):
    """An optimizer and a policy that do not fit each other."""


class PoolError(StepsizeError, RuntimeError):
    """Workers, or a cluster, that cannot be started or reached."""


class JournalError(StepsizeError, OSError):
    """A journal that another process holds, or that cannot be written."""


class PluginError(StepsizeError, ImportError):
    """A package that adds a schedule, a rule or a policy, and cannot be imported, or has not what it says."""


class MissingPackageError(StepsizeError, ImportError):
    """An optional package that this call needs is not installed."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def brief(value: object) -> str:
    """Return `repr(value)`, short whatever the value is: hostile data is long, deep, or both.

    >>> brief(0.1), brief("x" * 1000)[:9]
    ('0.1', "'xxxxxxxx")
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return f"a whole number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__


LONGEST = 600
"""The most characters of another's error that one of ours repeats."""


def said(error: BaseException) -> str:
    r"""Return another's error in one line, as what kind it is and what it says.

    >>> said(ValueError("no such file:\n  weights.pt"))
    'ValueError: no such file: weights.pt'
    """
    return short(" ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":"), LONGEST)


MOST = 40
"""The most names that an error lists."""


def suggestion(given: str, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the near miss if there is one, else what is allowed.

    >>> suggestion("Linar", ["Linear", "Cosine"])
    "Did you mean 'Linear'?"
    >>> suggestion("zzz", ["Linear", "Cosine"])
    'Allowed: Cosine, Linear.'
    """
    names = sorted(allowed)
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
    near = [folded[str(given).lower()]] if str(given).lower() in folded else near
    more = f", and {len(names) - MOST} more (stepsize list)" if len(names) > MOST else ""
    return f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(names[:MOST])}{more}."


def check_name(
    name: object, allowed: Iterable[str], noun: str, *, at: str = "", error: type[StepsizeError] = ParameterError,
    besides: Iterable[Exception] = (),
) -> None:  # fmt: skip
    """Raise `error` where no `noun` is called `name`, with the near miss or all that are allowed.

    at: how the message begins, such as the path of a field. besides: what is wrong with names that would be allowed.

    >>> check_name("Linar", ["Linear", "Cosine"], "schedule")
    Traceback (most recent call last):
    stepsize.kernel.errors.ParameterError: no schedule is called 'Linar'. Did you mean 'Linear'?
    """
    names = list(allowed)
    if name not in names:
        near = suggestion(name if isinstance(name, str) else "", names)
        wrong = "".join(f" Besides, {each}" for each in islice(besides, 1))
        raise error(f"{at}no {noun} is called {brief(name)}. {near}{wrong}")


def one_of(given: K, name: str, allowed: Iterable[K]) -> K:
    """Return `given` when it is allowed, or raise ParameterError with the near miss or all that are allowed."""
    names = list(allowed)
    if given not in names:
        raise ParameterError(f"{name} cannot be {brief(given)}. {suggestion(str(given), names)}")
    return given
