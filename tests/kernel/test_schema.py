"""The JSON Schema allows what the reader takes, and refuses what no reader would."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel import length
from stepsize.kernel.errors import LengthError
from stepsize.kernel.schema import STEPS, json_schema
from stepsize.kernel.spec import Spec, envelope
from stepsize.policies import RECIPES, Policy
from stepsize.results.io import CATALOGUE
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Custom, Linear, Repeat, Schedule, Table
from stepsize.strategy import Strategy, Trial

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json_schema(CATALOGUE)
CHECK = jsonschema.Draft202012Validator(SCHEMA)
VALUES = [
    *(recipe(0.1) for recipe in RECIPES.values()),
    *(recipe(0.1).over(1000) for recipe in RECIPES.values()),
    *(rule() for rule in CATALOGUE.of(Rule).values()),
    Policy(lr=0.1, beta2=Linear(0.9, 0.99)),
    Trial(Strategy(AdamW(), RECIPES["one_cycle"](0.1)), 7),
    Table((0.1, 0.2)) + Repeat(Linear(0.1, 0.0, "10%")),
]


@pytest.fixture
def advice():
    """The largest value that there is: nearly every kind of result is inside."""
    spec = importlib.util.spec_from_file_location("samples", Path(__file__).parents[1] / "samples.py")
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    return samples.advice()


def spoilt(change):
    data = json.loads(json.dumps(envelope(Linear(0.1, 0.0, 5) >> Linear(0.0, 0.1))))
    change(data)
    return data


def part(data):
    return data["value"]["parts"][1]


WRONG = {
    "no envelope": spoilt(lambda data: data.pop("stepsize")),
    "a newer format": spoilt(lambda data: data.update(stepsize=99)),
    "an unknown kind": spoilt(lambda data: part(data).update(kind="Linar")),
    "a missing field": spoilt(lambda data: part(data).pop("start")),
    "an unknown field": spoilt(lambda data: part(data).update(begin=0.1)),
    "a number out of its bounds": spoilt(lambda data: part(data).update(start=-0.1)),
    "a number as text": spoilt(lambda data: part(data).update(start="0.1")),
    "a length that is none": spoilt(lambda data: part(data).update(steps="30 percent")),
    "no steps": spoilt(lambda data: part(data).update(steps=0)),
    "a rule for a schedule": spoilt(lambda data: data["value"]["parts"].append({"kind": "AdamW"})),
    "a function": spoilt(lambda data: data.update(value={"kind": "Custom", "function": "print"})),
    "a policy of numbers": spoilt(lambda data: data.update(value={"kind": "Policy", "lr": 0.1})),
}


def test_it_is_a_schema_of_its_draft():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_value_is_valid(value):
    CHECK.validate(json.loads(json.dumps(envelope(value))))


def test_every_kind_of_result_is_valid(advice):
    CHECK.validate(json.loads(json.dumps(envelope(advice))))


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_the_reader_refuses_is_invalid(data):
    assert not CHECK.is_valid(data)
    with pytest.raises(ValueError, match=r"at \$"):
        CATALOGUE.open(data, Spec)


def test_every_kind_that_a_file_can_hold_is_in_it():
    assert set(CATALOGUE.of(Spec)) - {Custom.__name__} == {
        name for name in SCHEMA["$defs"] if not name.startswith("Any")
    }


def test_every_field_has_its_default_and_its_bounds():
    linear = SCHEMA["$defs"]["Linear"]
    assert linear["required"] == ["kind", "start", "end"]
    assert linear["properties"]["steps"]["default"] == "rest"
    assert SCHEMA["$defs"]["Repeat"]["properties"]["scale"]["exclusiveMinimum"] == 0
    assert SCHEMA["$defs"]["AdamW"]["properties"]["beta2"]["exclusiveMaximum"] == 1


def test_a_family_has_only_its_own_kinds():
    definitions = json_schema(CATALOGUE, Schedule)["$defs"]
    assert "Cosine" in definitions
    assert "AdamW" not in definitions


LENGTHS = [1, 500, "rest", " rest ", "0%", "100%", "100.0%", "1 %", ".5%", "5 epochs", "1M tokens", "125/12 updates"]
NO_LENGTHS = [0, -1, 0.5, True, None, "", "%", "100.1%", "999%", "-1%", "30 percent", "5 ages", "rests", "epochs"]


@pytest.mark.parametrize("given", LENGTHS)
def test_a_length_that_parses_is_valid(given):
    length.parse(given)
    assert jsonschema.Draft202012Validator(STEPS).is_valid(given)


@pytest.mark.parametrize("given", NO_LENGTHS)
def test_what_is_no_length_is_invalid(given):
    with pytest.raises(LengthError):
        length.parse(given)
    assert not jsonschema.Draft202012Validator(STEPS).is_valid(given)


@given(st.text("0123456789 .%/ekMepochsratu", max_size=12))
def test_the_schema_refuses_no_length(given_text):
    try:
        length.parse(given_text)
    except LengthError:
        return
    assert jsonschema.Draft202012Validator(STEPS).is_valid(given_text)
