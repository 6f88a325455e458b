"""`-` in place of a file: what stands on standard input, and what goes to standard output.

Either is a file while the command runs, so that every reader and writer takes it as one.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from stepsize.kernel.errors import ParameterError, StepsizeError

STREAM = "-"
"""What is typed for standard input or output, and how its file is called before the ending."""

LOGS, READ = "sources", {"sources", "tokens", "files", "strategy"}
"""The argument that takes logs, and all those that take files."""

ANSWERS = {"as_json", "table", "code"}
"""Options, where they are flags, that ask for an answer for machines on standard output."""


@contextmanager
def standard_streams(context: click.Context) -> Iterator[None]:
    """Put files in place of each `-` among the parameters of a command, and copy what was written when it is done.

    What it prints beside such a file goes to standard error.

    Raises ParameterError for two that would be one stream.
    """
    params, answer = context.params, sys.stdout
    read, written = _find(context)
    if not read and not written:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in read:
            params[name] = _replaced(params[name], _given(Path(folder), logs=name == LOGS))
        for option in written:
            params[str(option.name)] = Path(folder, "written", f"{STREAM}{option.type.ending}")
        try:
            with redirect_stdout(sys.stderr) if written else nullcontext():
                yield
        except StepsizeError as error:
            error.args = tuple(_without(folder, each) for each in error.args)
            raise
        for option in written:
            click.echo(params[str(option.name)].read_bytes(), file=answer, nl=False)


def _find(context: click.Context) -> tuple[list[str], list[Any]]:
    """Return the arguments that name standard input, and the option that names standard output."""
    read, written, answers = [], [], []
    for param in context.command.params:
        name, value = str(param.name), context.params.get(str(param.name))
        if isinstance(param, click.Argument) and name in READ:
            times = [str(item) for item in (value if isinstance(value, tuple) else (value,))].count(STREAM)
            read += [name] * times
        elif hasattr(param.type, "ending") and value == Path(STREAM):
            written.append(param)
        elif name in ANSWERS and value is True:
            answers.append(param)
    if len(read) > 1:
        raise ParameterError("standard input is there once, and - is named twice; name it once.")
    if written and len(written + answers) > 1:
        first, second = (param.opts[0] for param in (written + answers)[:2])
        raise ParameterError(f"{first} and {second} cannot both go to standard output; name a file for one of them.")
    return read, written


def _given(folder: Path, *, logs: bool) -> Path:
    """Return a file with what stands on standard input; the ending of a log's says whether it is JSON."""
    given = sys.stdin.buffer.read()
    file = folder / (f"{STREAM}.csv" if logs and given.lstrip()[:1] not in {b"{", b"["} else f"{STREAM}.json")
    file.write_bytes(given)
    return file


def _replaced(value: Any, file: Path) -> Any:
    if isinstance(value, tuple):
        return tuple(_replaced(item, file) for item in value)
    return type(value)(file) if str(value) == STREAM else value


def _without(folder: str, text: Any) -> Any:
    return re.sub(rf"{re.escape(folder)}.(written.)?{STREAM}", STREAM, text) if isinstance(text, str) else text


def keep_for_the_answer() -> None:
    """Let what is written to descriptor 1, by a library or a child of a task's, go to standard error.

    `sys.stdout` goes on writing where the descriptor led. Where it leads elsewhere already, as in a test, it stays.
    """
    try:
        if sys.stdout.fileno() != 1:
            return
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError, AttributeError):  # closed, or no stream of a file
        return
    buffering = 1 if os.isatty(own) else -1
    sys.stdout = open(own, "w", buffering, encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: PTH123, SIM115  (a descriptor, open to the end)
