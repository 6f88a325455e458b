"""Where the answer goes: the console, JSON, a page, a picture; and whether it can go there, before the work begins."""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepsize import problems
from stepsize.cli import arguments
from stepsize.cli.streams import STREAM
from stepsize.kernel.errors import FormatError, ParameterError, StepsizeError, suggestion
from stepsize.kernel.optional import need
from stepsize.kernel.output_files import target, write
from stepsize.problems import Trainable
from stepsize.problems.task_files import split_source
from stepsize.results.io import dumps, save

LONGEST = 100
"""Bytes of a name that is made from another; file systems allow 255, and more is put around it."""

PLAIN: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
"""How rich draws a table without lines."""


def load_task(name: str) -> Trainable:
    """Return the task called `name`; what its file prints goes to standard error."""
    with redirect_stdout(sys.stderr):
        return problems.load_task(name)


def console() -> Console:
    """Return the console of the answer, standard output."""
    return Console(highlight=False)


def table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, text: Container[int] = (0,), plain: bool = False
) -> Table:
    """Return rows under their head, the columns in `text` to the left.

    plain: without lines and with numbers that are not torn, for a table that is to fit 80 columns.
    """
    made = Table(title=escape(title), title_justify="left", **PLAIN if plain else {})
    for column, heading in enumerate(head):
        is_text = column in text
        made.add_column(
            escape(heading), justify="left" if is_text else "right", overflow="fold", no_wrap=plain and not is_text
        )
    for row in rows:
        made.add_row(*map(escape, row))
    return made


def check_writable(*paths: Path | None, read: Iterable[str | Path | None] = ()) -> None:
    """Raise an error for files that cannot be written, before the work that would fill them begins.

    read: the files that the command reads; none of them is written over, and no file is written twice.
    """
    given = [Path(source) for name in read if name for source in (name, split_source(str(name))[0])]
    taken = {source.absolute() for source in given if source.is_file()}
    for path in paths:
        if path is None:
            continue
        file = target(path)
        if file in taken:
            raise ParameterError(f"{shown(file)} is named twice, and the one would overwrite the other; name another.")
        taken.add(file)
        folder = file.parent
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ParameterError(f"cannot write {path}: {error.strerror or error}; name another file.") from None


def shown(path: Path) -> Path:
    """Return a path as it is shown: from the folder where this process is, if it lies in there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def check_drawable(path: Path | None) -> None:
    """Raise ParameterError for a picture that cannot be drawn, before the work that would fill it begins."""
    if path is None:
        return
    check_writable(path)
    endings = need("matplotlib.backend_bases").FigureCanvasBase.get_supported_filetypes()
    ending = path.suffix.removeprefix(".").lower()
    if ending not in endings:
        raise ParameterError(f"cannot draw into {path}: {ending!r} is no image format. {suggestion(ending, endings)}")


def notes(sentences: Iterable[str]) -> None:
    """Say on the standard error what was assumed or left out."""
    for sentence in sentences:
        click.echo(f"Note: {sentence}.", err=True)


Files = Mapping[Path, Callable[[], object]]
"""What writes the files of an answer, each by itself."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the answer of a command goes: the options --json, --save, --report and --plot, those that it has."""

    as_json: bool
    save_to: Path | None = None
    report: Path | None = None
    plot: Path | None = None

    def check(self, *others: Path | None, read: Iterable[str | Path | None] = ()) -> None:
        """Raise an error for a file that cannot be written, these and `others`, and for a picture that cannot be drawn.

        read: as in `check_writable`.
        """
        check_writable(self.save_to, self.report, *others, read=read)
        check_drawable(self.plot)

    def files(self, result: Any, **options: Any) -> dict[Path, Callable[[], object]]:
        """Return what writes a result as JSON, as a page and as a picture, where they were asked for.

        options: of the page, as `write_report` takes them.
        """
        files: dict[Path, Callable[[], object]] = {}
        if self.save_to is not None:
            files[self.save_to] = partial(save, result, self.save_to)
        if self.report is not None:
            files[self.report] = lambda: need("stepsize.report").write_report(self.report, result, **options)
        if (plot := self.plot) is not None:
            files[plot] = lambda: write_picture(result.plot(), plot)
        return files

    def present(self, result: Any, show: Callable[[Any], None], files: Files | None = None) -> None:
        """Print a result as JSON, or `show` it and name its files; what it costs to make is lost with no file."""
        written = self.files(result) if files is None else files
        deliver(lambda: click.echo(dumps(result)) if self.as_json else show(result), written, named=not self.as_json)


OPTIONS = {
    "json": arguments.json_option, "save": arguments.save_option, "report": arguments.report_option,
    "plot": arguments.plot_option,
}  # fmt: skip


def output_options(*names: str) -> Callable[[arguments.Command], arguments.Command]:
    """Return a decorator that adds --json and those of the others that are named, which come as `outputs`."""
    return arguments.gather(Outputs, *(OPTIONS[name] for name in ("json", *names)))


def deliver(show: Callable[[], object], files: Files, *, named: bool) -> None:
    """Print an answer; then write its files and, if they are to be `named`, print which.

    In this order, as a disk may be full, and each file although another could not be written.

    Raises the error of a file that could not be written, FormatError where there are several.
    """
    show()
    sys.stdout.flush()  # a page takes a second
    failed = []
    for path, write_it in files.items():
        try:
            write_it()
        except StepsizeError as error:
            failed.append(error)
        else:
            if named:
                name_files([path])
    if len(failed) > 1:
        raise FormatError(" ".join(map(str, failed)))
    if failed:
        raise failed[0]


def name_files(files: Iterable[Path]) -> None:
    """Print which files were written."""
    for path in files:
        if path.stem != STREAM:  # which is standard output
            console().print(f"Wrote {shown(path)}", markup=False)


def write_picture(axes: Any, path: Path) -> None:
    """Write the figure of some matplotlib Axes to `path`, whole or not at all.

    Raises ParameterError when the file's ending names no image format, FormatError when it cannot be written.
    """
    drawn = io.BytesIO()
    try:
        axes.figure.savefig(drawn, format=path.suffix.removeprefix(".").lower(), dpi=150, bbox_inches="tight")
    except ValueError as error:
        raise ParameterError(f"cannot draw into {path}: {error}") from None
    write(path, drawn.getvalue())


def slug(text: str) -> str:
    """Return `text` as a part of a file name, of at most 100 bytes; a long one ends in a hash of it."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text).strip("-") or "task"
    if len(name.encode()) <= LONGEST:
        return name
    return f"{name.encode()[: LONGEST - 17].decode(errors='ignore')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
