"""Files: whole or not at all, every kind there and back, and a foreign file is a FormatError with its name."""

import json
import os
from pathlib import Path

import pytest
from every_kind import RESULTS

from stepsize.kernel.errors import FormatError, SpecError
from stepsize.kernel.spec import Spec, encode
from stepsize.policies import RECIPES, Clock, Groups, Policy
from stepsize.problems.landscapes import Landscape
from stepsize.problems.noise import Noise
from stepsize.results import (
    io,
    load,
    save,
)
from stepsize.rules import Rule
from stepsize.schedules import Cosine, Feedback, Linear, Schedule


@pytest.mark.parametrize("value", RESULTS, ids=lambda value: type(value).__name__)
def test_every_kind_of_result_comes_back_with_its_infinities(value, tmp_path):
    """Equal as data: arrays are compared bit for bit through their .npy form."""
    path = save(value, tmp_path / "deep" / "er" / "result.json")
    back = load(path, type(value))
    assert type(back) is type(value)
    assert encode(back) == encode(value)
    assert load(path, Spec).spec_fields().keys() == value.spec_fields().keys()


def test_every_kind_of_the_catalogue_that_is_a_result_was_tried():
    families = (Schedule, Feedback, Rule, Policy, Groups, Clock, Landscape, Noise)
    results = {kind for kind in io.CATALOGUE.of(Spec).values() if not issubclass(kind, families)}
    assert results == {type(value) for value in RESULTS}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_comes_back_equal(name, tmp_path):
    policy = RECIPES[name](0.1)
    assert load(save(policy, tmp_path / "policy.json")) == policy
    assert load(save(policy.over(100), tmp_path / "policy.json"), Policy) == policy.over(100)


def test_a_file_is_text_that_a_person_can_read_and_edit(tmp_path):
    path = save(Linear(0.1, 0.0, "10%"), tmp_path / "schedule.json")
    text = path.read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["value"] == {"kind": "Linear", "start": 0.1, "end": 0.0, "steps": "10%"}
    path.write_text(text.replace("10%", "20%"))
    assert load(path) == Linear(0.1, 0.0, "20%")


OLD, NEW = Linear(0.1, 0.0), Cosine(0.2, 0.0)


class Killed(BaseException):
    """As a signal would do it: no `except Exception` sees it."""


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("error", [Killed, OSError, KeyboardInterrupt])
def test_a_save_that_dies_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, function, error):
    path = save(OLD, tmp_path / "schedule.json")

    def dies(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, function, dies)
    with pytest.raises(FormatError if error is OSError else error):
        save(NEW, path)
    monkeypatch.undo()
    assert load(path) == OLD
    assert [file.name for file in tmp_path.iterdir()] == ["schedule.json"]


def test_a_value_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(OLD, tmp_path / "schedule.json")
    monkeypatch.setattr(Cosine, "spec_fields", lambda _: {"start": object()})
    with pytest.raises(TypeError):
        save(NEW, path)
    assert load(path) == OLD
    assert len(list(tmp_path.iterdir())) == 1


def test_a_saved_file_has_the_rights_that_any_new_file_has(tmp_path):
    """Not the 0600 of a temporary file."""
    plain = tmp_path / "plain"
    plain.write_text("")
    assert save(OLD, tmp_path / "ours.json").stat().st_mode == plain.stat().st_mode


def test_saving_over_a_folder_or_under_a_file_is_a_format_error(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder", tmp_path / "file" / "x.json"):
        with pytest.raises(FormatError, match=r"cannot write .*(folder|x\.json)"):
            save(OLD, path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


FOREIGN = {
    "binary.json": (bytes(range(128, 256)), "is not text"),
    "half.json": (b'{"stepsize": 1, "val', "this is not JSON"),
    "empty.json": (b"", "this is not JSON"),
    "other.json": (b'{"lr": 0.1}', "this is not a stepsize file"),
    "newer.json": (b'{"stepsize": 99, "value": {}}', "Update stepsize"),
    "model.pt": (b"PK\x03\x04\x80\xff", "is not text"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_a_format_error_with_its_name(tmp_path, name):
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder_are_format_errors_with_their_names(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read .*gone\.json: No such file"):
        load(tmp_path / "gone.json")
    with pytest.raises(FormatError, match=f"cannot read {tmp_path}: Is a directory"):
        load(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = save(OLD, tmp_path / "large.json")
    monkeypatch.setattr(io, "LARGEST", 10)
    with pytest.raises(FormatError, match=r"large\.json has \d+ bytes, more than the 10"):
        load(path)


def test_a_mistake_in_a_file_names_the_file_and_the_place(tmp_path):
    path = save(OLD, tmp_path / "mine.json")
    path.write_text(path.read_text().replace("Linear", "Linar"))
    with pytest.raises(SpecError, match=r"mine\.json: at \$\.value: .* Did you mean 'Linear'\?"):
        load(path)


def test_a_file_of_another_family_is_refused(tmp_path):
    path = save(OLD, tmp_path / "schedule.json")
    with pytest.raises(SpecError, match="no policy is called 'Linear'"):
        load(path, Policy)


def test_a_path_may_be_text(tmp_path):
    assert load(str(save(OLD, str(tmp_path / "x.json")))) == OLD
    assert isinstance(save(OLD, str(tmp_path / "x.json")), Path)


def test_a_value_is_its_json_and_comes_back_from_it_by_its_class():
    policy = RECIPES["one_cycle"](0.1)
    assert Policy.from_json(policy.to_json()) == policy
    assert json.loads(policy.to_json(indent=1)) == json.loads(policy.to_json())
    schedule = Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0)
    assert Schedule.from_json(schedule.to_json()) == schedule
    with pytest.raises(SpecError, match=r"at \$\.value: no policy is called 'Chain'"):
        Policy.from_json(schedule.to_json())
    with pytest.raises(FormatError, match="this is not JSON that stepsize wrote"):
        Policy.from_json("cosine")
