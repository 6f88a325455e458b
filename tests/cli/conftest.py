"""The command line in this process, in an empty folder, on one thread."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from stepsize.cli.main import main

torch.set_num_threads(1)
TINY = Path(__file__).parents[1] / "problems" / "tiny.py"


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, with the tiny task files beside it."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "tiny.py").write_text(TINY.read_text())
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def stepsize(folder, monkeypatch, capsys):
    """Run `stepsize ARGUMENTS` in the empty folder, in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["stepsize", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(stepsize, folder, monkeypatch):
    """Run a command that must fail: exit code 2, one clear line, no traceback, and nothing left behind."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python itself leaves a task file that it has compiled

    def run(*arguments):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        done = stepsize(*arguments)
        assert done.code == 2, done
        assert done.out == ""
        assert "Traceback" not in done.err
        lines = done.err.rstrip("\n").split("\n")
        errors = [line for line in lines if line.startswith("Error: ")]
        assert len(errors) == 1, done.err
        assert lines[-1] == errors[0] or "A task file defines" in done.err, done.err
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        return errors[0]

    return run
