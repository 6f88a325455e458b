"""Optional packages, upper floors and names of a package, imported at the moment of use.

`import stepsize` loads no framework. What needs one asks for it here, and gets either the module or
one sentence that says what to install.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any

from stepsize.kernel.errors import MissingPackageError, suggestion

_INSTALLED_AS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""The distribution of an import package, where its name is not a part of the distribution's name."""


def need(package: str) -> Any:
    """Import `package` and return it, or raise MissingPackageError that says what to install."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        raise _missing([root]) from error


def need_all(packages: Iterable[str]) -> None:
    """Raise MissingPackageError that names all of the packages that are not installed; nothing is imported."""
    missing = [package for package in packages if not installed(package)]
    if missing:
        raise _missing(missing)


def _missing(packages: list[str]) -> MissingPackageError:
    extras = {package: extra_of(package) for package in packages}
    ours = ",".join(sorted({extra for extra in extras.values() if extra}))
    others = [_INSTALLED_AS.get(package, package) for package, extra in extras.items() if extra is None]
    install = " ".join([f"'stepsize[{ours}]'"] * bool(ours) + others)
    several = len(packages) > 1
    named = ", ".join(map(repr, packages))
    return MissingPackageError(
        f"this needs the package{'s' * several} {named}, which {'are' if several else 'is'} not installed. "
        f"Install {'them' if several else 'it'}: pip install {install}"
    )


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
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # refused by a finder; or half removed
        return False


def lazy(package: str, later: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose names are imported when they are first asked for.

    later: by name, the module below `package` that has it. The modules and packages below `package` are found too.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  (it is one)
        if name in later:
            value = getattr(_import_ours(f"{package}.{later[name]}"), name)
        elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}") is not None:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return value

    def __dir__() -> list[str]:  # noqa: N807  (it is one)
        here = {name for name in vars(sys.modules[package]) if not name.startswith("_")}
        return sorted((here - {"TYPE_CHECKING", "lazy"}) | set(later))

    return __getattr__, __dir__


def _import_ours(module: str) -> Any:
    """Import a module of ours, or say in one line which optional package it needs and what installs that."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = (error.name or "").partition(".")[0]
        if isinstance(error, MissingPackageError) or extra_of(root) is None:
            raise
        raise _missing([root]) from error


def picture(name: str) -> Callable[..., Any]:
    """Return the drawing function `name` of `stepsize.plots`.

    Values and results stand on floors below the plots, yet each has `.plot()`: this is the one place where a
    lower floor reaches up, by name and only when called (docs/adr/0005).
    """
    need("matplotlib")
    function: Callable[..., Any] = getattr(importlib.import_module("stepsize.plots"), name)
    return function
