"""The JSON Schema of our files, made of the same annotations that check a value and read it back.

An editor that is given the schema completes kinds and fields, shows what each is, and marks what no reader would take.
Nothing is written here for any one kind: a new class is in the schema with its import line.

::

    stepsize list --schema > stepsize.schema.json

What no annotation can say (lengths that add up, a low below a high) is left to the constructor: all that a reader
takes is valid by the schema, and not all that is valid is taken.
"""

from __future__ import annotations

import inspect
import math
import types
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import numpy as np

from stepsize.kernel.spec import FORMAT, Bound, Catalogue, Spec, encode

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_NUMBER = r"([0-9]{1,40}(\.[0-9]{1,30})?|\.[0-9]{1,30})"
_SHARE = r"(0?[0-9]{1,2}(\.[0-9]{1,30})?|\.[0-9]{1,30}|100(\.0{1,30})?)\s*%"
_AMOUNT = rf"([0-9]{{1,40}}/[0-9]{{1,40}}|{_NUMBER}(e[+-]?[0-9]{{1,2}})?\s*[kKMBT]?)\s*(epoch|sample|token|update)s?"
STEPS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": rf"^\s*({_SHARE}|{_AMOUNT}|rest)\s*$", "examples": ["30%", "rest", "5 epochs"]},
    ],
    "description": 'a number of steps (optimizer updates), a share of the run, "rest", or a number and a unit',
}
NOT_FINITE: Schema = {"enum": ["nan", "inf", "-inf"]}
ARRAY: Schema = {
    "type": "object",
    "properties": {"npy": {"type": "string", "contentEncoding": "base64"}},
    "required": ["npy"],
    "description": "an array in NumPy's .npy format",
}
PLAIN: dict[Any, Schema] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    np.ndarray: ARRAY,
}
IMPOSSIBLE: Schema = {"not": {}}
"""What no JSON is: a function."""


def json_schema(catalogue: Catalogue, family: type[Spec] = Spec) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a file that holds a value of `family`.

    A kind with a field that JSON cannot hold, such as a function, is left out.

    >>> from stepsize.results.io import CATALOGUE
    >>> from stepsize.schedules import Schedule
    >>> json_schema(CATALOGUE, Schedule)["$defs"]["Linear"]["properties"]["start"]
    {'type': 'number', 'minimum': 0, 'description': 'a number of at least 0'}
    """
    definitions = _Definitions(catalogue)
    value = definitions.family(family)
    return {
        "$schema": DRAFT,
        "title": f"a {family.noun} of stepsize, format {FORMAT}",
        "type": "object",
        "properties": {"stepsize": {"type": "integer", "minimum": 1, "maximum": FORMAT}, "value": value},
        "required": ["stepsize", "value"],
        "$defs": dict(sorted(definitions.found.items())),
    }


class _Definitions:
    """The definitions of the kinds that a file may hold, made as they are referred to."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.found: dict[str, Schema] = {}

    def family(self, family: type[Spec]) -> Schema:
        """Return a reference to any value of `family`."""
        members = self.catalogue.of(family)
        if list(members.values()) == [family]:
            return self.kind(family)
        name = f"Any{family.__name__}"
        if name not in self.found:
            self.found[name] = {}  # it may refer to itself
            kinds = [self.kind(kind) for kind in members.values()]
            self.found[name] = {"anyOf": [kind for kind in kinds if kind != IMPOSSIBLE]}
        return {"$ref": f"#/$defs/{name}"}

    def kind(self, cls: type[Spec]) -> Schema:
        """Return a reference to a value of exactly the class `cls`."""
        name = cls.__name__
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = self.definition(cls)
        if self.found[name] == IMPOSSIBLE:
            del self.found[name]
            return IMPOSSIBLE
        return {"$ref": f"#/$defs/{name}"}

    def definition(self, cls: type[Spec]) -> Schema:
        """Return the schema of a value of the class `cls`: its kind, its fields, and no others."""
        declared = {field.name: field for field in fields(cast("Any", cls))}
        wanted = cls.spec_hints(())
        properties = {name: self.field(declared[name], hint) for name, hint in wanted.items()}
        if any(IMPOSSIBLE.items() <= schema.items() for schema in properties.values()):
            return IMPOSSIBLE
        others = set(cls.spec_hints(["any name"]).items()) - set(wanted.items())
        return {
            "description": (inspect.getdoc(cls) or "").partition("\n")[0],
            "type": "object",
            "properties": {"kind": {"const": cls.__name__}, **properties},
            "required": ["kind", *(name for name in wanted if _required(declared[name]))],
            "additionalProperties": self.hint(others.pop()[1]) if others else False,
        }

    def field(self, field: Field[Any], hint: Any) -> Schema:
        """Return the schema of a field, with its default."""
        schema = self.hint(hint)
        return schema if field.default is MISSING else {**schema, "default": encode(field.default)}

    def hint(self, hint: Any) -> Schema:
        """Return the schema of what an annotation allows."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.annotated(*arguments[:2])
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.hint(choice) for choice in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return self.array(*arguments)
        if isinstance(origin or hint, type) and issubclass(origin or hint, Spec):
            return self.family(hint)
        return PLAIN.get(origin or hint, IMPOSSIBLE)

    def array(self, *places: Any) -> Schema:
        """Return the schema of a tuple, of one annotation a place or of one for all."""
        if places[-1] is Ellipsis:
            return {"type": "array", "items": self.hint(places[0])}
        each = [self.hint(place) for place in places]
        return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}

    def annotated(self, base: Any, rule: Any) -> Schema:
        """Return the schema of an annotated number or length."""
        if rule == "steps":
            return STEPS
        if rule == "any":
            return {"anyOf": [self.hint(base), NOT_FINITE]}
        return {**self.hint(base), **_limits(rule), "description": rule.words}


def _limits(bound: Bound) -> Schema:
    limits: Schema = {}
    if math.isfinite(bound.low):
        limits["exclusiveMinimum" if bound.open_low else "minimum"] = bound.low
    if math.isfinite(bound.high):
        limits["exclusiveMaximum" if bound.open_high else "maximum"] = bound.high
    return limits


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
