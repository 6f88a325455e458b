"""The field's words: names, docstrings, help and pages speak of grids, pilot runs and batches of trials.

The list is of words that this project once used for things that have a name elsewhere. Some of them are plain English
too (*look*, *place*, *ends*): prose may say them, names may not.
"""

import ast
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    "fan": "grid",
    "probe": "pilot run",
    "wave": "batch of trials",
    "doubts": "data warnings",
    "touchy": "sensitive",
    "parcel": "transport",
    "told": "reported, known, listener",
}
"""Refused in names and in prose, with what the field says."""

IN_NAMES = {
    **INSTEAD,
    "look": "status, check",
    "place": "executor, index, position",
    "moved": "rescaled",
    "ends": "final losses, last",
    "finder": "peer",
    "words": "text, names, explanation",
    "reading": "bounds",
}
"""Refused in names."""

PEERS = {"torch_lr_finder", "LRFinder", "FastaiLRFinder"}
"""Names of others."""

CODE = [file for folder in ("src", "bench", "experiments", "scripts") for file in sorted((ROOT / folder).rglob("*.py"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
PLURAL = r"(?:s|d|ed|ing)?"
PROSE = re.compile(rf"\b(?:{'|'.join(INSTEAD)}){PLURAL}\b", re.IGNORECASE)
NAME = re.compile(rf"(?:{'|'.join(IN_NAMES)}){PLURAL}", re.IGNORECASE)


def identity(path):
    return str(path.relative_to(ROOT))


def refused(name):
    """The parts of a name that the glossary refuses."""
    return [part for part in PART.findall(name) if NAME.fullmatch(part)]


@pytest.mark.parametrize("file", CODE, ids=identity)
def test_names_are_the_fields_words(file):
    with file.open("rb") as stream:
        names = {token.string for token in tokenize.tokenize(stream.readline) if token.type == tokenize.NAME}
    names |= set(file.relative_to(ROOT).with_suffix("").parts)
    wrong = {name: refused(name) for name in names - PEERS if refused(name)}
    assert not wrong, f"say instead: {IN_NAMES}"


@pytest.mark.parametrize("file", CODE, ids=identity)
def test_strings_and_comments_are_the_fields_words(file):
    """Docstrings, help, progress, errors and pages are strings; comments are prose too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    with file.open("rb") as stream:
        strings += [token.string for token in tokenize.tokenize(stream.readline) if token.type == tokenize.COMMENT]
    assert not [line for text in strings for line in text.splitlines() if PROSE.search(line)], f"say instead: {INSTEAD}"


@pytest.mark.parametrize("file", PAGES, ids=identity)
def test_pages_are_in_the_fields_words(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if PROSE.search(line)], f"say instead: {INSTEAD}"


def test_the_glossary_refuses():
    assert refused("losses_of_fans") == ["fans"]
    assert refused("ProbeRun") == ["Probe"]
    assert not refused("endswith")
    assert PROSE.search("Of a wave of trials.")
    assert not PROSE.search("as we looked at the place where it ends")
