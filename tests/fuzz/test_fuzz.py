"""Two thousand hostile inputs of a fixed seed; `make fuzz` tries a hundred thousand."""

import base64

import inputs
import pytest


def test_two_thousand_hostile_inputs_are_refused_in_words_or_kept(tmp_path):
    found, _ = inputs.fuzz(seed=1, count=2000, folder=tmp_path)
    assert found == []


RUNG = '{"kind": "Rung", "steps": 1, "strategies": [], "seeds": [], "scores": {"npy": "%s"}}'
ENDLESS = base64.b64encode(b"\x93NUMPY\x01\x00\x06\x00{'a':(").decode()


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (f"[[strategies]]\nrule = 'AdamW'\npolicy = 'cosine'\nlrs = [0.1, 1{400 * '0'}]\n", ".toml"),
        (f'{{"stepsize": 1, "value": {RUNG % ENDLESS}}}', ""),
        ('{"stepsize": 1, "value": {"kind": "Policy", "%s": 1.0}}' % ("x" * 9999), ""),
        ('[{"rule": {"kind": "SGD", "%s": 1}, "policy": "cosine", "lr": 0.1}]' % ("x" * 9999), ".json"),
    ],
    ids=[
        "a rate that no float can hold", "the header of an array that never ends", "a hyperparameter's name, repeated",
        "a field's name, repeated",
    ],
)  # fmt: skip
def test_what_broke_the_law_once_is_refused_in_words(text, ending, tmp_path):
    assert inputs.broken(text, tmp_path / f"once{ending}" if ending else None) == ""


def test_the_inputs_are_the_same_each_time_and_reach_beyond_the_parser():
    first, again = list(inputs.inputs(1, 200)), list(inputs.inputs(1, 200))
    assert first == again
    kept = [text for text, ending in inputs.inputs(1, 200) if not ending and not inputs.broken(text, None)]
    assert len(kept) > 100
