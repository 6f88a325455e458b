"""What a spec may hold, and what JSON may describe: every refusal has its message."""

import base64
import copy
import io
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import FormatError, LengthError, ParameterError, SpecError, StepsizeError
from stepsize.kernel.spec import Spec, encode, envelope
from stepsize.policies import Policy, one_cycle
from stepsize.results import Curves, Interval
from stepsize.results.io import CATALOGUE, dumps, loads
from stepsize.rules import SGD, Adam
from stepsize.schedules import (
    Chain,
    Constant,
    Cosine,
    Exponential,
    ExpRange,
    Linear,
    Schedule,
    Staircase,
    Sum,
    Triangular,
)
from stepsize.strategy import Strategy, Trial


def decode(value, family=Spec):
    return loads(json.dumps({"stepsize": 1, "value": value}), family)


LINEAR = {"kind": "Linear", "start": 0.1, "end": 0.0}

REFUSED = [
    ({"kind": "Linar"}, r"at \$\.value: no value is called 'Linar'\. Did you mean 'Linear'\?"),
    ({"kind": "linear"}, "Did you mean 'Linear'"),
    ({"kind": ["Linear"]}, r"no value is called \['Linear'\]\. Allowed: "),
    ({"kind": None}, "no value is called None"),
    ({"start": 1}, "no value is called None"),
    ({"kind": "object"}, "no value is called 'object'"),
    ({"kind": "__class__"}, "no value is called '__class__'"),
    ({"kind": "Schedule"}, "no value is called 'Schedule'"),
    ({"kind": "Linear", "start": 1}, "Linear needs the field 'end'"),
    ({**LINEAR, "stop": 1}, "Linear has no field 'stop'"),
    ({**LINEAR, "stepps": 1}, r"no field 'stepps'\. Did you mean 'steps'\?"),
    ({**LINEAR, "start": "0.1"}, r"at \$\.value: Linear\.start must be a number, not '0\.1'"),
    ({**LINEAR, "start": None}, r"Linear\.start must be a number, not None"),
    ({**LINEAR, "start": True}, r"Linear\.start must be a number, not True"),
    ({**LINEAR, "start": [1]}, r"Linear\.start must be a number, not \[1\]"),
    ({**LINEAR, "start": -1}, r"Linear\.start must be a number of at least 0, not -1\.0"),
    ({**LINEAR, "start": "nan"}, r"Linear\.start must be a finite number, not nan"),
    ({**LINEAR, "start": "inf"}, r"Linear\.start must be a finite number, not inf"),
    ({**LINEAR, "start": 10**400}, r"Linear\.start must be a finite number"),
    ({**LINEAR, "steps": 0.3}, r"Linear\.steps: a length is .* write '30%'"),
    ({**LINEAR, "steps": 0}, r"Linear\.steps: a length must be at least 1"),
    ({**LINEAR, "steps": "9" * 5000 + "%"}, r"Linear\.steps: a length given as text"),
    ({**LINEAR, "steps": "inf"}, r"Linear\.steps: a length"),
    (
        {"kind": "Chain", "parts": [LINEAR, {"kind": "Linar"}]},
        r"at \$\.value\.parts\[1\]: no schedule is called 'Linar'",
    ),
    ({"kind": "Chain", "parts": [{"kind": "SGD"}]}, "no schedule is called 'SGD'"),
    ({"kind": "Chain", "parts": 5}, r"Chain\.parts must be a list or a tuple, not 5"),
    ({"kind": "Chain", "parts": "abc"}, r"Chain\.parts must be a list or a tuple, not 'abc'"),
    ({"kind": "Chain", "parts": {"a": 1}}, r"Chain\.parts must be a list or a tuple"),
    ({"kind": "Chain", "parts": [5]}, r'at \$\.value\.parts\[0\]: a schedule is written \{"kind": \.\.\.\}, not 5'),
    ({"kind": "Chain", "parts": []}, "a Chain needs at least one part"),
    ({"kind": "Policy"}, "a policy needs at least one schedule"),
    ({"kind": "Policy", "self": LINEAR, "a b": LINEAR}, "cannot schedule 'a b'"),
    ({"kind": "Policy", "lr": "0.1"}, r"at \$\.value: Policy\.lr must be a schedule or a number, not '0\.1'"),
    ({"kind": "Policy", "lr": {"kind": "SGD"}}, r"at \$\.value\.lr: no schedule is called 'SGD'"),
    ({"kind": "Interval", "mean": "abc", "low": 0, "high": 1}, r"Interval\.mean must be a number, not 'abc'"),
    ({"kind": "Interval", "mean": None, "low": 0, "high": 1}, r"Interval\.mean must be a number, not None"),
    ({"kind": "Interval", "mean": True, "low": 0, "high": 1}, r"Interval\.mean must be a number, not True"),
    ({"kind": "Exponential", "start": 1, "end": 0}, "start and end must be above 0, not 1.0 and 0.0"),
    ({"kind": "ExpRange", "base": 0, "peak": 1, "half_cycle": 5, "gamma": 1.5}, "above 0 and at most 1, not 1.5"),
    ({"kind": "Sum", "first": {**LINEAR, "steps": 3}, "second": {**LINEAR, "steps": 4}}, "the same steps"),
    ({"kind": "Trial", "strategy": LINEAR, "seed": 1}, "no strategy is called 'Linear'"),
    ([1, 2], r'at \$\.value: a value is written \{"kind": \.\.\.\}, not \[1, 2\]'),
    ("Linear", "a value is written"),
    (None, "not None"),
]


@pytest.mark.parametrize(("value", "words"), REFUSED)
def test_data_that_describes_no_value_is_refused_with_its_path(value, words):
    with pytest.raises(SpecError, match=words) as caught:
        decode(value)
    assert len(str(caught.value)) < 200 + len(", ".join(CATALOGUE.of(Spec)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this is not JSON"),
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ('{"stepsize": 1, "value": ' + "9" * 5000 + "}", "this is not JSON"),
        ("null", "this is not a stepsize file"),
        ("[]", "this is not a stepsize file"),
        ('{"a": 1}', "this is not a stepsize file"),
        ('{"stepsize": 1}', "this is not a stepsize file"),
        ('{"stepsize": 2, "value": {}}', r"at \$\.stepsize: format 2 is not one .* Update stepsize"),
        ('{"stepsize": 0, "value": {}}', "format 0 is not one"),
        ('{"stepsize": true, "value": {}}', "format True is not one"),
        ('{"stepsize": "1", "value": {}}', "format '1' is not one"),
        ('{"stepsize": null, "value": {}}', "format None is not one"),
    ],
)
def test_text_that_is_no_file_of_ours_is_a_format_error(text, words):
    with pytest.raises(FormatError, match=words):
        loads(text)


def test_a_value_of_another_family_is_refused():
    with pytest.raises(SpecError, match="no policy is called 'Linear'"):
        decode(LINEAR, Policy)


def test_deep_lists_are_refused_without_recursion():
    with pytest.raises(SpecError, match="a value is written"):
        loads('{"stepsize": 1, "value": ' + "[" * 900 + "]" * 900 + "}")
    with pytest.raises(SpecError, match="must be a number"):
        loads('{"stepsize": 1, "value": {"kind": "Constant", "level": ' + "[" * 900 + "]" * 900 + "}}")


def test_values_nested_deeper_than_the_limit_are_refused_on_the_way_in():
    text = '{"kind": "Scaled", "factor": 1, "schedule": ' * 200 + json.dumps(LINEAR) + "}" * 200
    with pytest.raises(SpecError, match="nested deeper than 64 levels"):
        loads('{"stepsize": 1, "value": ' + text + "}")


def nested(depth):
    value = Constant(1.0)
    for _ in range(depth):
        value = Sum(value, Constant(1.0))
    return value


def test_values_that_would_not_read_back_are_refused_on_the_way_out():
    assert loads(dumps(nested(63))) == nested(63)
    with pytest.raises(SpecError, match="nested deeper than 64 levels"):
        dumps(nested(64))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["Linear", "Chain", "Policy", "Strategy", "Curves", "rest", "nan", "30%"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["kind", "start", "end", "steps", "parts", "lr", "policy", "rule", "npy", "seed", "losses"]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(value=json_values, kind=st.sampled_from(sorted(CATALOGUE.of(Spec))))
def test_garbage_is_a_value_or_a_spec_error_and_nothing_else(value, kind):
    data = {**value, "kind": kind} if isinstance(value, dict) else value
    try:
        read = loads(json.dumps({"stepsize": 1, "value": data}))
    except SpecError:
        return
    assert isinstance(read, Spec)


CURVES = {"kind": "Curves", "trials": [], "steps": 1, "score_steps": None, "scores": None}


def npy(array=None, raw=None, **changes):
    if raw is None:
        buffer = io.BytesIO()
        np.save(buffer, array, **changes)
        raw = buffer.getvalue()
    return {"npy": base64.b64encode(raw).decode()}


def header(text):
    """An .npy file of version 1.0 that has `text` for its header and one number for its data."""
    padded = text.encode().ljust(117) + b"\n"
    return npy(raw=b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + b"\0" * 8)


class Bomb:
    """Unpickling it would fail the test."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


def shaped(shape):
    return header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}")


BAD_ARRAYS = {
    "objects": (npy(np.array([Bomb()], dtype=object), allow_pickle=True), "holds object .* not numbers"),
    "text": (npy(np.array(["a"])), "holds <U1 .* not numbers"),
    "records": (npy(np.zeros(1, dtype=[("a", "f8")])), "not numbers"),
    "a zip": (npy(raw=b"PK\x03\x04garbage"), "magic string"),
    "a pickle": (npy(raw=pickle.dumps(Bomb())), "magic string"),
    "nothing": (npy(raw=b""), "magic string"),
    "another version": (npy(raw=b"\x93NUMPY\x03\x00"), "version is not 1.0"),
    "half a file": (npy(raw=b"\x93NUMPY\x01\x00v\x00{'descr'"), "array header"),
    "a huge shape": (shaped((10**12,)), "reshape"),
    "a negative shape": (shaped((-7,)), "not numbers in a shape"),
    "a shape beyond 64 bits": (shaped((2**70,)), "Maximum allowed"),
    "code for a header": (header("__import__('os').abort()"), "malformed"),
    "a deep header": (header("-" * 9000 + "1"), ""),
    "no base64": ({"npy": "not base64!"}, "base64"),
    "no text": ({"npy": 5}, "bytes-like"),
    "no npy": ({"n": "x"}, "'npy'"),
    "a list": ([1.0], "indices"),
    "a number": (1.0, "not subscriptable"),
    "null": (None, "not subscriptable"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_a_bad_array_is_refused_and_nothing_is_executed_or_allocated(name):
    data, reason = BAD_ARRAYS[name]
    with pytest.raises(SpecError, match=rf"at \$\.value\.losses: this is not an array that stepsize wrote .*{reason}"):
        decode({"losses": data, **CURVES})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([[np.nan, np.inf, -np.inf]]),
        np.arange(4)[::2],
        np.empty((0, 3)),
        np.array(2.0),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_comes_back_bit_for_bit(array):
    curves = Curves((), 1, array, np.arange(1), np.zeros((1, 1)))
    back = loads(dumps(curves)).losses
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.flags.writeable


PARAMETERS = [
    (lambda: Constant("0.1"), ParameterError, r"Constant\.level must be a number, not '0\.1'"),
    (lambda: Constant(math.nan), ParameterError, r"Constant\.level must be a finite number, not nan"),
    (lambda: Constant(-0.1), ParameterError, r"Constant\.level must be a number of at least 0, not -0\.1"),
    (lambda: Constant(1j), ParameterError, r"Constant\.level must be a number, not 1j"),
    (lambda: Constant(10**400), ParameterError, r"Constant\.level must be a finite number, not inf"),
    (lambda: Constant(0.1, 2.5), LengthError, r"Constant\.steps: a length is"),
    (lambda: Chain([Constant(1.0), 2]), ParameterError, r"Chain\.parts\[1\] must be a schedule, not 2"),
    (lambda: Chain(Constant(1.0)), ParameterError, r"Chain\.parts must be a list or a tuple, not Constant"),
    (lambda: Staircase(1.0, 0.0, 5), ParameterError, r"Staircase\.factor must be a number above 0, not 0\.0"),
    (lambda: Triangular(0.1, 1.0, 5, fall=0.5), LengthError, r"Triangular\.fall: a length is"),
    (lambda: ExpRange(0.1, 1.0, 5, gamma=0), ParameterError, r"gamma must be a number above 0 and at most 1, not 0\.0"),
    (lambda: Exponential(0, 1), ParameterError, "start and end must be above 0"),
    (lambda: Cosine(0.1, 0.0) * -1, ParameterError, r"Scaled\.factor must be a number of at least 0"),
    (lambda: Cosine(0.1, 0.0) * True, ParameterError, r"Scaled\.factor must be a number, not True"),
    (lambda: Adam(momentum=1.0), ParameterError, r"Adam\.momentum must be .* not including, 1, not 1\.0"),
    (lambda: SGD(lr=-1), ParameterError, r"SGD\.lr must be a number of at least 0"),
    (lambda: Trial(5, 0), ParameterError, r"Trial\.strategy must be a strategy, not 5"),
    (
        lambda: Trial(Strategy(SGD(), Policy(lr=1.0)), 1.5),
        ParameterError,
        r"Trial\.seed must be a whole number, not 1\.5",
    ),
    (lambda: Interval([1], 0, 1), ParameterError, r"Interval\.mean must be a number, not \[1\]"),
    (lambda: Linear(0.1, 0.0, 5) + Linear(0.1, 0.0, 6), ParameterError, r"over the same steps, not over \['5', '6'\]"),
]


@pytest.mark.parametrize(("make", "error", "words"), PARAMETERS)
def test_a_constructor_refuses_what_a_field_may_not_be(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_fields_are_canonical_python_values():
    schedule = Linear(np.float32(0.5), 1, np.int64(7))
    assert (type(schedule.start), type(schedule.end), type(schedule.steps)) == (float, float, int)
    assert schedule == Linear(0.5, 1.0, 7)
    assert isinstance(Chain([Constant(1.0)]).parts, tuple)


def test_a_score_may_be_infinite_or_nan_and_comes_back_so():
    back = loads(dumps(Interval(math.nan, -math.inf, math.inf)))
    assert math.isnan(back.mean)
    assert (back.low, back.high) == (-math.inf, math.inf)
    assert Interval(10**400, 0, 1).mean == math.inf


def test_no_nan_literal_is_written():
    assert "NaN" not in dumps(Interval(math.nan, 0, 1))


def test_two_kinds_of_one_name_are_refused():
    other = type("Linear", (Linear,), {})
    with pytest.raises(SpecError, match="two kinds are called 'Linear'"):
        Catalogue([Linear, other])
    assert list(Catalogue([Linear, Linear]).of(Schedule)) == ["Linear"]


def test_a_catalogue_lists_a_family_in_order_of_names():
    assert list(CATALOGUE.of(Schedule)) == sorted(CATALOGUE.of(Schedule))
    assert "SGD" not in CATALOGUE.of(Schedule)
    assert not {"Schedule", "Segment", "Cycle", "Rule"} & set(CATALOGUE.of(Spec))


def test_a_plain_value_is_its_own_json():
    assert encode([1, "a", None, True, (2.5,)]) == [1, "a", None, True, [2.5]]


def test_the_envelope_carries_the_format():
    assert envelope(Constant(0.1)) == {"stepsize": 1, "value": {"kind": "Constant", "level": 0.1, "steps": "rest"}}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301
def test_policies_strategies_and_trials_survive_copy_and_pickle(copied):
    trial = Trial(Strategy(Adam(), one_cycle(0.1)), 3)
    assert copied(trial) == trial
    assert hash(copied(trial)) == hash(trial)


def test_every_refusal_is_also_ours_and_a_value_error():
    assert issubclass(SpecError, StepsizeError)
    assert issubclass(SpecError, ValueError)
