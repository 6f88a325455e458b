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
    """Import `package`, or a module of ours that needs one, or raise MissingPackageError that says what to install."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = (error.name or package).partition(".")[0]
        if root != package.partition(".")[0] and extra_of(root) is None:
            raise
        raise _missing([root]) from error


def need_all(packages: Iterable[str]) -> None:
    """Raise MissingPackageError that names all of the packages that are not installed; nothing is imported."""
    missing = [package for package in packages if not installed(package)]
    if missing:
        raise _missing(missing)


def _missing(packages: list[str]) -> MissingPackageError:
    several = len(packages) > 1
    named = ", ".join(map(repr, packages))
    return MissingPackageError(
        f"this needs the package{'s' * several} {named}, which {'are' if several else 'is'} not installed. "
        f"Install {'them' if several else 'it'}: {installs(packages)}"
    )


def installs(packages: list[str]) -> str:
    """Return the command that installs some import packages.

    >>> installs(["sklearn", "pandas"])
    "pip install 'stepsize[examples]' pandas"
    """
    extras, others = _cover(packages)
    ours = [f"'stepsize[{','.join(sorted(extras))}]'"] * bool(extras)
    return " ".join(["pip install", *ours, *(_INSTALLED_AS.get(each, each) for each in others)])


def _cover(packages: list[str]) -> tuple[list[str], list[str]]:
    """Return the fewest extras that install some packages, and the packages that none of them installs."""
    brings = {extra: {each for each in packages if _brings(each, names)} for extra, names in _extras().items()}
    left, chosen = packages, []
    while brings:
        extra = max(brings, key=lambda each: len(brings[each].intersection(left)))
        covered = brings.pop(extra).intersection(left)
        if not covered:
            break
        chosen.append(extra)
        left = [package for package in left if package not in covered]
    return chosen, left


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
    """Return the first extra of stepsize that installs an import package; None where none does.

    >>> extra_of("ignite"), extra_of("sklearn"), extra_of("pandas")
    ('ignite', 'examples', None)
    """
    return next((extra for extra, names in _extras().items() if _brings(package, names)), None)


def _brings(package: str, names: list[str]) -> bool:
    """Whether an import package is of one of these distributions: "pytorch-ignite" is imported as "ignite"."""
    wanted = _INSTALLED_AS.get(package, package)
    return any(wanted in {name, *name.split("-")} for name in names)


def _extras() -> dict[str, list[str]]:
    """Return the extras of pyproject.toml, as the installed metadata has them, without `dev`: what each installs."""
    try:
        requirements = metadata.requires("stepsize") or []
    except metadata.PackageNotFoundError:  # a checkout on the path, never installed
        return {}
    found: dict[str, list[str]] = {}
    for requirement in requirements:
        match = re.match(r"""(?P<name>[\w.-]+).*\bextra == ['"](?P<extra>[\w-]+)""", requirement)
        if match and match["extra"] != "dev":
            found.setdefault(match["extra"], []).append(match["name"])
    return found


def installed(package: str) -> bool:
    """Whether `package` could be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # refused by a finder; or half removed
        return False


def versions_of(*packages: str) -> dict[str, str]:
    """Return the versions of those of some packages that are there."""
    return {package: version_of(package) for package in packages if installed(package)}


def version_of(package: str) -> str:
    """Return the version of a package; "unknown" where it lies on the path and was never installed.

    >>> version_of("json")
    'unknown'
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def lazy(package: str, later: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose names are imported when they are first asked for.

    later: by name, the module below `package` that has it. The modules and packages below `package` are found too.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  (it is one)
        if name in later:
            value = getattr(need(f"{package}.{later[name]}"), name)
        elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}") is not None:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return value

    def __dir__() -> list[str]:  # noqa: N807  (it is one)
        here = {name for name in vars(sys.modules[package]) if not name.startswith("_")}
        return sorted((here - {"TYPE_CHECKING", "lazy"}) | set(later))

    return __getattr__, __dir__
