"""Optional packages, upper floors and names of a package, imported at the moment of use.

`import stepsize` loads no framework. What needs one asks for it here, and gets either the module or
one sentence that says what to install.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from stepsize.kernel.errors import MissingPackageError, suggestion

_INSTALLED_AS = {"sklearn": "scikit-learn"}
"""The distribution of an import package, where its name is not a part of the distribution's name."""


def need(package: str) -> Any:
    """Import `package` and return it, or raise MissingPackageError that says what to install."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        extra = extra_of(root)
        raise MissingPackageError(
            f"this needs the package {root!r}, which is not installed. Install it: pip install "
            + (f"'stepsize[{extra}]'" if extra else root)
        ) from error


def dotted(name: str) -> Any:
    """Import what a dotted name says, such as "torch.optim.SGD", and return it.

    The longest part of the name that is a module is imported, and the rest is looked up in it. An error of the import
    itself is raised as it is.

    Raises MissingPackageError where there is no such module, or nothing of that name in it.

    >>> dotted("fractions.Fraction.from_float")(0.5)
    Fraction(1, 2)
    """
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and needs another that is not
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                raise MissingPackageError(f"there is no {part!r} in {module}. {suggestion(part, _public(found))}")
            found = getattr(found, part)
        return found
    raise MissingPackageError(
        f"{name} cannot be imported: there is no module {parts[0]!r} here. Install the package that has it, or load "
        "the file that defines it first."
    )


def _public(found: Any) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]


def extra_of(package: str) -> str | None:
    """Return the extra of stepsize that installs an import package; None where none does.

    The extras are those of pyproject.toml, as the installed metadata has them, without `dev`.

    >>> extra_of("ignite"), extra_of("sklearn"), extra_of("pandas")
    ('ignite', 'examples', None)
    """
    try:
        requirements = metadata.requires("stepsize") or []
    except metadata.PackageNotFoundError:  # a checkout on the path, never installed
        return None
    for requirement in requirements:
        match = re.match(r"""(?P<name>[\w.-]+).*\bextra == ['"](?P<extra>[\w-]+)""", requirement)
        # "pytorch-ignite" is imported as "ignite", and most others by their own name.
        if match and match["extra"] != "dev" and _INSTALLED_AS.get(package, package) in {
            match["name"], *match["name"].split("-")
        }:  # fmt: skip
            return match["extra"]
    return None


def installed(package: str) -> bool:
    """Whether `package` could be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def lazy(package: str, later: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose names are imported when they are first asked for.

    later: by name, the module below `package` that has it. The modules and packages below `package` are found too.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  (it is one)
        if name in later:
            value = getattr(importlib.import_module(f"{package}.{later[name]}"), name)
        elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}") is not None:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return value

    def __dir__() -> list[str]:  # noqa: N807  (it is one)
        here = {name for name in vars(sys.modules[package]) if not name.startswith("_")}
        return sorted((here - {"TYPE_CHECKING", "lazy"}) | set(later))

    return __getattr__, __dir__


def picture(name: str) -> Callable[..., Any]:
    """Return the drawing function `name` of `stepsize.plots`.

    Values and results stand on floors below the plots, yet each has `.plot()`: this is the one place where a
    lower floor reaches up, by name and only when called (docs/adr/0005).
    """
    need("matplotlib")
    function: Callable[..., Any] = getattr(importlib.import_module("stepsize.plots"), name)
    return function
