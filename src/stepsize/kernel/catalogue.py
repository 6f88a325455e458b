"""The explicit list of kinds that data may become: names to classes, and how a value is read back.

Nothing is ever imported, evaluated or unpickled on the way in, and an error carries its path:
`at $.policy.lr.parts[1]: no schedule is called 'Linar'. Did you mean 'Linear'?`
"""

from __future__ import annotations

import base64
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import numpy as np

from stepsize.kernel.errors import (
    FormatError,
    PluginError,
    SpecError,
    StepsizeError,
    brief,
    check_name,
    said,
    suggestion,
)
from stepsize.kernel.spec import DEEPEST, FORMAT, MSG_DEEP, NDArray, Spec, is_whole, npy_array

T = TypeVar("T")


class Catalogue:
    """The explicit list of kinds that may be made from data.

    kinds: the classes; two of one name raise, since names are the format. more: kinds of other people's by name, which
    come when they are asked for. missing: by family, what stands in a record for a kind that there is not, from its
    name and its fields.
    """

    def __init__(
        self, kinds: Iterable[type[Spec]], *, more: Sequence[Mapping[str, type[Spec]]] = (),
        missing: Mapping[type[Spec], Callable[[str, Mapping[str, Any]], Spec]] | None = None,
    ) -> None:  # fmt: skip
        self._more, self._missing = more, missing or {}
        self._kinds: dict[str, type[Spec]] = {}
        for kind in kinds:
            if self._kinds.setdefault(kind.__name__, kind) is not kind:
                raise SpecError(f"two kinds are called {kind.__name__!r}; a kind's name is its format, so rename one.")

    def of(self, family: type[T]) -> dict[str, type[T]]:
        """Return the kinds that belong to `family` by name, in order of their names, but those that do not import."""
        found = self._kinds | {name: kind for name, kind in self._theirs().items() if isinstance(kind, type)}
        return {name: kind for name, kind in sorted(found.items()) if issubclass(kind, family)}

    @property
    def broken(self) -> dict[str, PluginError]:
        """What is wrong with those kinds of other people's that do not import, by name."""
        return {name: kind for name, kind in self._theirs().items() if isinstance(kind, PluginError)}

    def _theirs(self) -> dict[str, type[Spec] | PluginError]:
        found: dict[str, type[Spec] | PluginError] = {}
        for each in self._more:
            for name in each:
                try:
                    found[name] = each[name]
                except PluginError as error:
                    found[name] = error
        return found

    def kind(self, name: object, family: type[T], path: str = "$") -> type[T]:
        """Return the kind of `family` called `name`, or raise SpecError with the near miss."""
        found = self._find(name)
        if found is None or not issubclass(found, family):
            noun = getattr(family, "noun", "value")
            check_name(name, self.of(family), noun, at=f"at {path}: ", besides=self.broken.values(), error=SpecError)
        return cast("type[T]", found)

    def _find(self, name: object) -> type[Spec] | None:
        more = (each[name] for each in self._more if isinstance(name, str) and name in each)
        return self._kinds.get(str(name)) or next(more, None)

    def open(self, data: Any, family: type[T]) -> T:
        """Decode `data` out of its envelope, as a value of `family`."""
        if not isinstance(data, Mapping) or "stepsize" not in data or "value" not in data:
            raise FormatError('at $: this is not a stepsize file; one is {"stepsize": 1, "value": {"kind": ...}}.')
        version = data["stepsize"]
        if not is_whole(version) or not 1 <= version <= FORMAT:
            raise FormatError(
                f"at $.stepsize: format {brief(version)} is not one that this version reads (1 to {FORMAT}). "
                "Update stepsize, or write the file with this version."
            )
        return self.decode(data["value"], family, "$.value")

    def decode(self, data: Any, family: type[T], path: str = "$", *, record: bool = False) -> T:
        """Return the value of `family` that `data` describes; raise SpecError with the path where it does not.

        record: whether it lies in a record, where a value stands for what is of a kind that there is not.
        """
        if path.count(".") + path.count("[") > DEEPEST:
            raise SpecError(f"at {path[:60]}...: a value {MSG_DEEP}")
        if not isinstance(data, Mapping):
            noun = getattr(family, "noun", "value")
            raise SpecError(f'at {path}: a {noun} is written {{"kind": ...}}, not {brief(data)}.')
        kind = data.get("kind")
        if record and isinstance(kind, str) and kind.isidentifier() and self._find(kind) is None:
            for base, stand_in in self._missing.items():
                if issubclass(base, family):
                    return cast("T", stand_in(kind, {name: item for name, item in data.items() if name != "kind"}))
        cls = self.kind(kind, family, path)
        record = record or cast("type[Spec]", cls).is_record
        former = cast("type[Spec]", cls).former
        given = {str(name): item for name, item in data.items() if name != "kind" and name not in former}
        wanted = cast("type[Spec]", cls).spec_hints(given)
        _refuse_unknown(given, wanted, cls, path)
        arguments = {n: self._field(item, wanted[n], f"{path}.{n}", record) for n, item in given.items()}
        try:
            return cls(**arguments)
        except StepsizeError as error:
            raise SpecError(f"at {path}: {error}") from None

    def _field(self, data: Any, hint: Any, path: str, record: bool) -> Any:  # noqa: FBT001  (handed down as it came)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return float(data) if data in ("nan", "inf", "-inf") else data
        if origin in (Union, types.UnionType):
            return None if data is None else self._union(data, arguments, path, record)
        if origin in (tuple, dict):
            return self._items(data, hint, path, record)
        if origin is np.ndarray or hint is np.ndarray:
            return _decode_array(data, path)
        if isinstance(hint, type) and issubclass(hint, Spec):
            return self.decode(data, hint, path, record=record)
        return data

    def _items(self, data: Any, hint: Any, path: str, record: bool) -> Any:  # noqa: FBT001  (as above)
        """Return the items of a list, or those of a mapping by name; the constructor refuses what is neither."""
        arguments = get_args(hint)
        if get_origin(hint) is dict and isinstance(data, Mapping):
            return {str(name): self._field(item, arguments[1], f"{path}.{name}", record) for name, item in data.items()}
        if get_origin(hint) is dict or not isinstance(data, Sequence) or isinstance(data, str):
            return data
        each = [arguments[0]] * len(data) if arguments[-1] is Ellipsis else list(arguments)
        hints_of = ((item, each[min(i, len(each) - 1)], f"{path}[{i}]") for i, item in enumerate(data))
        return tuple(self._field(*one, record) for one in hints_of)

    def _union(self, data: Any, choices: tuple[Any, ...], path: str, record: bool) -> Any:  # noqa: FBT001  (as above)
        specs = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, Spec)]
        by_name = any(get_origin(choice) is dict for choice in choices)
        if specs and isinstance(data, Mapping) and ("kind" in data or not by_name):
            return self.decode(data, specs[0], path, record=record)
        plain = [choice for choice in choices if choice is not type(None)]
        return self._field(data, plain[0], path, record) if len(plain) == 1 else data


def _refuse_unknown(given: Mapping[str, Any], wanted: Mapping[str, Any], cls: type, path: str) -> None:
    for name in given:
        if name not in wanted:
            raise SpecError(f"at {path}: {cls.__name__} has no field {brief(name)}. {suggestion(name, wanted)}")
    required = [field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING]
    missing = [name for name in required if name in wanted and name not in given]
    if missing:
        raise SpecError(f"at {path}: {cls.__name__} needs the field {missing[0]!r}, which is not there.")


def _decode_array(data: Any, path: str) -> NDArray:
    try:
        return npy_array(base64.b64decode(data["npy"], validate=True))
    except Exception as error:  # noqa: BLE001  (NumPy reads a header as Python, which fails in many ways)
        raise SpecError(f"at {path}: this is not an array that stepsize wrote ({said(error)}).") from None
