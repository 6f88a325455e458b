"""The command line: `stepsize COMMAND`.

Exit codes: 0 done, 1 our own error, 2 wrong input, 130 interrupted, 128 and its number for another signal, 141 for a
reader that went away. An end without a result is never 0.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from stepsize.cli.endings import (
    CLOSED,
    EndedBySignal,
    answering_signals,
    drop_unwritten,
    noticing_exits,
    reader_is_gone,
)
from stepsize.cli.help import SETTINGS
from stepsize.cli.streams import keep_for_the_answer
from stepsize.cli.strict import Asked, Commands, debug_option, set_variables
from stepsize.kernel.errors import MESSAGE, StepsizeError, said
from stepsize.kernel.text import plain, short

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No space, as a disk, a quota or a limit says it; what writes files of its own has an error of ours for it."""

UNEXPECTED, WRONG_INPUT, INTERRUPTED = 1, 2, 130

OURS = Path(__file__).parent.parent
"""Where our modules lie."""


COMPLETION = "_STEPSIZE_COMPLETE"
"""What a shell sets that asks for the end of a line; click answers, and exits."""


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(package_name="stepsize")
def cli() -> None:
    """Which learning rate, and which schedule, for your model.

    TASK is a built-in name (see `stepsize list`), file.py, or file.py:function.

    Exit codes: 0 done, 2 wrong input, 1 a failure of stepsize itself, 130 interrupted (143 by SIGTERM).
    """


SECTIONS = {
    "Find a rate and a schedule": ("advise", "range-test", "four-steps", "transfer"),
    "Compare": ("race", "watch", "landscape"),
    "Ask a log or a task": ("predict", "refine"),
    "Look up": ("show", "list"),
    "Make files": ("report", "figures"),
}
"""The commands, by what they are for."""

cli.params.append(debug_option())
cli.sections = SECTIONS


def main() -> None:
    """Run the command line, and turn every error into one line: what is wrong with the input, or that we failed."""
    asked = Asked()
    keep_for_the_answer()
    warnings.showwarning = _note  # type: ignore[assignment]  # the last three arguments are handed on as they come
    if COMPLETION in os.environ:
        cli.main(prog_name="stepsize")
    try:
        with answering_signals(), noticing_exits():
            cli.main(prog_name="stepsize", standalone_mode=False, obj=asked)
            sys.stdout.flush()  # here, where it can be said that it fails
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__ or error, EndedBySignal):
            _ended(cast("EndedBySignal", error.__cause__ or error))
        if not isinstance(error.__cause__, EOFError):  # click takes the end of any stream for Ctrl-D at a prompt
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        _end(error.__cause__, asked)
    except BaseException as error:  # noqa: BLE001  (a page of Python says nothing to who typed a command)
        pipe = error.__context__ if isinstance(error, SystemExit) else error  # click exits with 1 for any broken pipe
        if isinstance(error, BrokenPipeError | SystemExit) and reader_is_gone():
            sys.stderr.close()
            sys.exit(CLOSED)
        _end(pipe if isinstance(pipe, BrokenPipeError) else error, asked)


def _note(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
    """Say a warning of ours in a line, and those of others as Python does; what `warnings.showwarning` is given."""
    if Path(filename).is_relative_to(OURS):
        click.echo(f"Note: {printable(str(message))}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, rest[0]))


def _ended(by: EndedBySignal) -> NoReturn:
    with suppress(OSError):  # the terminal is gone
        click.echo(f"Ended by {by}.", err=True)
    sys.exit(128 + by.number)


def _end(error: BaseException, asked: Asked) -> NoReturn:
    """Print an error in its line, and how the command is used or where the error arose; then exit with its code."""
    if asked.debug:
        traceback.print_exception(error)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n", err=True)
    variables = set_variables(asked.command) if asked.command is not None else []
    added = f" Set in the environment: {', '.join(variables)}." if variables else ""
    click.echo(f"Error: {printable(_said(error))}{added}", err=True)
    drop_unwritten()
    sys.exit(WRONG_INPUT if isinstance(error, click.ClickException | StepsizeError) else UNEXPECTED)


def _said(error: BaseException) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, StepsizeError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return f"what was printed could not be written: {error.strerror}."
    if not isinstance(error, Exception):  # SystemExit and the like, which the user's code alone raises
        return f"the task ended this command by {type(error).__name__}: {error}; there is no result."
    return f"stepsize failed, and that is no fault of the command: {said(error)}. --debug shows where."


def printable(text: str) -> str:
    r"""Return an error's text, which may be long, as what moves no cursor: what cannot be printed as its code.

    >>> printable("no file 'a\x1b[2Jb'") == r"no file 'a\x1b[2Jb'"
    True
    """
    return plain(short(text, MESSAGE))
