"""Kinds of other people's: registered by a decorator, or found by the entry points of a package that is installed.

A package names its kinds in its metadata, by the name that results and command lines have for them::

    [project.entry-points."stepsize.rules"]
    Normed = "mypackage.rules:Normed"

Nothing of it is imported before the name is asked for. A file that names a kind can so cause an installed package to
be imported, as its user asked when it was installed; a file cannot say what is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, TypeVar

from stepsize.kernel.errors import ParameterError, PluginError, StepsizeError, brief, said

GROUPS = ("schedules", "rules", "policies")
"""What can be added to; "stepsize." before it is the group of entry points."""

T = TypeVar("T")

REGISTERED: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
"""What was registered in this process, by group and by name."""

_ENTRIES: dict[str, dict[str, metadata.EntryPoint]] = {}


def add(group: str, name: str, kind: Any, own: Mapping[str, Any]) -> None:
    """Register a kind under its name.

    own: the kinds that the group has from here. The same definition may come again, as a file that is read twice does.

    Raises ParameterError where the name is another kind's.
    """
    there = own.get(name) or REGISTERED[group].get(name)
    if there is not None and _written(there) != _written(kind):
        raise ParameterError(
            f"{_written(kind)} cannot be registered as {name!r}, which {_written(there)} is; a name is what files say, "
            "so rename one."
        )
    REGISTERED[group][name] = kind


def _written(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class Open(Mapping[str, T]):
    """Kinds by name: those from here, those that were registered, and those of installed packages.

    group: one of GROUPS. own: those from here. fits: whether something can be one of the group. A package is imported
    when one of its names is asked for.

    Raises PluginError for a package that does not import, or has not what it says.
    """

    def __init__(self, group: str, own: Mapping[str, T], fits: Callable[[Any], bool]) -> None:
        self._group, self.own, self.fits = group, dict(own), fits

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            return self.own[name]
        if name not in REGISTERED[self._group]:
            add(self._group, name, self._loaded(_entries(self._group)[name]), self.own)
        found: T = REGISTERED[self._group][name]
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in REGISTERED[self._group] if name not in self.own)
        yield from (name for name in _entries(self._group) if name not in self.own | REGISTERED[self._group])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in REGISTERED[self._group] or name in _entries(self._group)

    def _loaded(self, entry: metadata.EntryPoint) -> Any:
        """Return what an entry point names."""
        package = entry.dist.name if entry.dist is not None else entry.module
        try:
            kind = entry.load()
        except StepsizeError as error:
            raise PluginError(f"{entry.name!r} of the package {package} is refused: {error}") from error
        except Exception as error:  # whatever the package raises as it is imported
            raise PluginError(
                f"{entry.name!r} is of the package {package}, which does not import: {said(error)}. Update it, or "
                "uninstall it."
            ) from error
        if not self.fits(kind):
            raise PluginError(
                f"{entry.name!r} of the package {package} is among its {self._group}, and is none: {brief(kind)}. "
                "Update it, or uninstall it."
            )
        return kind


def _entries(group: str) -> dict[str, metadata.EntryPoint]:
    """Return the entry points of a group by name; those of a process do not change."""
    if group not in _ENTRIES:
        _ENTRIES[group] = {each.name: each for each in metadata.entry_points(group=f"stepsize.{group}")}
    return _ENTRIES[group]
