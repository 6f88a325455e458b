"""Specs: frozen values that check themselves, print as the code that makes them, and are JSON in and out.

A spec is a plain `@dataclass(frozen=True)` that inherits `Spec`. Its annotations are the whole contract: they say
what a field may be, the constructor holds every field to it, and the same annotations read the field back
from JSON. So a class is its fields and its formula, and nothing is written twice.

::

    @dataclass(frozen=True)
    class Linear(Segment):
        start: NonNegative
        end: NonNegative
        steps: Steps = REST

`encode` makes `{"kind": "Linear", "start": 0.1, ...}`; `kernel/catalogue.py` reads it back.
"""

from __future__ import annotations

import base64
import io
import math
import numbers
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from stepsize.kernel import length
from stepsize.kernel.errors import (
    LengthError,
    ParameterError,
    SpecError,
    brief,
    suggestion,
)

FORMAT = 1
"""The version of the JSON format; a reader refuses a newer one."""

WIDEST = 1 << 64
"""The most that a whole number in a field may be, either way: floats can hold it, and every seed is below."""

DEEPEST = 64
"""How deeply values may be nested in JSON."""

FILES = "stepsize.results.io"
"""Where all kinds are known, floors above; loaded when a value is asked for its text."""

NDArray = npt.NDArray[Any]
T = TypeVar("T")

MSG_DEEP = f"is nested deeper than {DEEPEST} levels; flatten it, or give fewer terms to the sum."


@dataclass(frozen=True)
class Bound:
    """An interval that a number must lie in; `text` is how an error names it."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` lies inside."""
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def checked(self, value: Any, base: Any, where: str) -> Any:
        """Return a number of the type `base` that lies inside, or raise ParameterError."""
        number = _checked(value, base, where)
        if not self.holds(number):
            raise ParameterError(f"{where} must be {self.text}, not {brief(number)}.")
        return number


class Length:
    """What `length.parse` takes: steps, or a share of the run."""

    text = "a length"

    def checked(self, value: Any, _: Any, where: str) -> int | str:
        """Return a length in its canonical form, or raise LengthError."""
        try:
            return length.parse(value)
        except LengthError as error:
            raise LengthError(f"{where}: {error}") from None


class Real:
    """Any number, infinities and NaN too."""

    text = "a number"

    def checked(self, value: Any, _: Any, where: str) -> float:
        """Return a real number as a float, or raise ParameterError."""
        return _real(value, where)


NonNegative = Annotated[float, Bound("a number of at least 0", low=0)]
Positive = Annotated[float, Bound("a number above 0", low=0, open_low=True)]
Ratio = Annotated[float, Bound("a number above 0 and at most 1", low=0, high=1, open_low=True)]
Momentum = Annotated[float, Bound("a number from 0 up to, but not including, 1", low=0, high=1, open_high=True)]
Share = Annotated[float, Bound("a number from 0 to 1", low=0, high=1)]
Count = Annotated[int, Bound("a whole number of at least 1", low=1)]
Whole = Annotated[int, Bound("a whole number of at least 0", low=0)]
Steps = Annotated[int | str, Length()]
Score = Annotated[float, Real()]
"""A measured number, which may be infinite or NaN (a diverged run), unlike a parameter."""


class Spec:
    """The base of every frozen value: the constructor checks each field against its annotation.

    Raises ParameterError (a LengthError for a length) that names the class, the field, the value and what is allowed.
    """

    noun: ClassVar[str] = "value"
    """What errors call it: the name of the class right under `Spec`, in words, unless that says another."""
    former: ClassVar[tuple[str, ...]] = ()
    """Fields that an earlier version wrote, which `decode` leaves out."""
    is_record: ClassVar[bool] = False
    """Whether it is what was measured, which is read even where what was measured is not there."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Name the families, the classes right under this one; what inherits from them is of their noun."""
        super().__init_subclass__(**options)
        if Spec in cls.__bases__ and "noun" not in cls.__dict__:
            cls.noun = re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).lower()

    def __post_init__(self) -> None:
        """Put every field into its canonical form; then `validate`."""
        for name, hint in hints(type(self)).items():
            value = _checked(getattr(self, name), hint, f"{type(self).__name__}.{name}")
            object.__setattr__(self, name, value)
        self.validate()

    def validate(self) -> None:
        """Check what no single annotation can say; called once, at the end of construction."""

    def to_json(self, *, indent: int | None = None) -> str:
        """Return this value as the JSON text that a file of it holds."""
        text: str = import_module(FILES).dumps(self, indent=indent)
        return text

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the value of this class that JSON text describes.

        Raises SpecError, with the path of what is wrong, or FormatError when it is no JSON of ours at all.
        """
        value: Self = import_module(FILES).loads(text, cls)
        return value

    @property
    def spec_kind(self) -> str:
        """The kind that `encode` writes."""
        return type(self).__name__

    def spec_fields(self) -> dict[str, Any]:
        """Return the fields that `encode` writes."""
        return {name: getattr(self, name) for name in hints(type(self))}

    @classmethod
    def spec_hints(cls, names: Iterable[str]) -> dict[str, Any]:  # noqa: ARG003  (open-ended classes use the names)
        """Return the annotation of each field that `decode` may read."""
        return hints(cls)


def hints(cls: type) -> dict[str, Any]:
    """Return the annotations of the dataclass fields of `cls`, resolved, in order."""
    if cls not in _HINTS:
        resolved = get_type_hints(cls, include_extras=True)
        _HINTS[cls] = {field.name: resolved[field.name] for field in fields(cls) if field.init}
    return _HINTS[cls]


_HINTS: dict[type, dict[str, Any]] = {}


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Return `value` in canonical form (a float, an int, a tuple), or raise ParameterError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return arguments[1].checked(value, arguments[0], where)
    if origin in (Union, types.UnionType):
        return _checked_union(value, arguments, where)
    if origin is Literal:
        if value not in arguments:
            allowed = suggestion(brief(value), [repr(choice) for choice in arguments])
            raise ParameterError(f"{where} cannot be {brief(value)}. {allowed}")
        return value
    if origin is tuple:
        return _checked_tuple(value, arguments, where)
    return value if origin is not None else _checked_scalar(value, hint, where)


def _checked_tuple(value: Any, arguments: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, type) and callable(tolist := getattr(value, "tolist", None)):
        value = tolist()  # an array of NumPy's, torch's or JAX's, or a column of pandas
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):  # a list of OmegaConf's is one, too
        raise ParameterError(f"{where} must be a list or a tuple, not {brief(value)}.")
    each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
    if len(each) != len(value):
        raise ParameterError(f"{where} must hold {len(each)} values, not {len(value)}.")
    return tuple(_checked(item, want, f"{where}[{i}]") for i, (item, want) in enumerate(zip(value, each, strict=True)))


def _checked_union(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    for choice in rest[:-1]:
        try:
            return _checked(value, choice, where)
        except ParameterError:
            continue
    return _checked(value, rest[-1], where)


def _checked_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is float:
        number = _real(value, where)
        if not math.isfinite(number):
            raise ParameterError(f"{where} must be a finite number, not {number!r}.")
        return number
    if hint is int:
        if not is_whole(value):
            raise ParameterError(f"{where} must be a whole number, not {brief(value)}.")
        number = int(value)
        if not -WIDEST <= number <= WIDEST:
            raise ParameterError(f"{where} must be a whole number of at most 64 bits, not {brief(number)}.")
        return number
    if isinstance(hint, type) and hint is not object and not isinstance(value, hint):
        noun = getattr(hint, "noun", hint.__name__)
        raise ParameterError(f"{where} must be a {noun}, not {brief(value)}.")
    return value


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _real(value: Any, where: str) -> float:
    """Return a real number as a float; infinite where it is too large."""
    if not is_real(value):
        raise ParameterError(f"{where} must be a number, not {brief(value)}.")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def encode(value: Any, depth: int = 0) -> Any:
    """Return `value` as plain JSON data: specs as `{"kind": ...}`, arrays as base64 of the .npy format.

    depth: how deep `value` lies already, in fields and items.
    Raises SpecError where values are nested deeper than `decode` reads.
    """
    if isinstance(value, Spec):
        if depth > DEEPEST:
            raise SpecError(f"a {type(value).__name__} {MSG_DEEP}")
        named = {name: encode(item, depth + 1) for name, item in value.spec_fields().items()}
        return {"kind": value.spec_kind} | named
    if isinstance(value, np.ndarray):
        return {"npy": base64.b64encode(npy_bytes(value)).decode("ascii")}
    if isinstance(value, list | tuple):
        return [encode(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {name: encode(item, depth + 1) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def envelope(value: Spec) -> dict[str, Any]:
    """Return `value` encoded, inside the envelope that carries the format version."""
    return {"stepsize": FORMAT, "value": encode(value, 1)}


def npy_bytes(array: NDArray) -> bytes:
    """Return an array of numbers in .npy format."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def npy_array(raw: bytes) -> NDArray:
    """Return the array of numbers in .npy format; unlike np.load, it never unpickles, unzips or trusts a shape.

    Raises ValueError, or what NumPy raises of a header, for what is none.
    """
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("its .npy version is not 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biuf" or min(shape, default=0) < 0:
        raise ValueError(f"it holds {dtype} in the shape {shape}, not numbers in a shape")
    flat = np.frombuffer(raw, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()
