"""What every command shares: errors in one line, progress with time left, comma lists, the journal."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stepsize.kernel.errors import BudgetError, FormatError, ParameterError, suggestion
from stepsize.kernel.optional import need
from stepsize.kernel.spec import Spec
from stepsize.results.io import CATALOGUE, dumps, save, write
from stepsize.rules import Rule

if TYPE_CHECKING:
    from stepsize.jobs import Journal

FOLDER = Path(".stepsize")
"""Where journals lie when no folder is named."""

Tell = Callable[[str, int], None]


class WorkersType(click.ParamType["int | str"]):
    """A number of workers, or "auto"."""

    name = "n|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Return the number, or "auto"."""
        if value == "auto":
            return "auto"
        return click.IntRange(min=1).convert(value, param, ctx)


task_argument = click.argument("task", metavar="TASK")
steps_option = click.option(
    "--steps", type=click.IntRange(min=1), help="Horizon, optimizer updates. Default: the task's own."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 10**9), default=0, show_default=True, help="Of the whole search."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")
journal_option = click.option(
    "--journal", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps every finished trial."
)
workers_option = click.option(
    "--workers", type=WorkersType(), default="auto", show_default=True,
    help="Worker processes. 1: none. auto: some, where cores are to spare and a first batch of trials shows that they pay.",
)  # fmt: skip
save_option = click.option(
    "--save", "save_to", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as JSON."
)
report_option = click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the report, one HTML file."
)
plot_option = click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw into an image file (.png, .svg, .pdf)."
)


class Comma(click.ParamType[list[str]]):
    """A list written with commas."""

    name = "a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the words of the list, each once."""
        words = [word.strip() for word in value.split(",")] if isinstance(value, str) else list(value)
        return list(dict.fromkeys(word for word in words if word))


def out() -> Console:
    """Return the console of the answer, standard output."""
    return Console(highlight=False)


def known_rules() -> dict[str, type[Rule]]:
    """Return the rules by name."""
    return CATALOGUE.of(Rule)


def rules_of(names: list[str]) -> list[Rule]:
    """Return the rules called `names`, with their defaults."""
    known = known_rules()
    for name in names:
        if name not in known:
            raise ParameterError(f"no rule is called {name!r}. {suggestion(name, known)}")
    return [known[name]() for name in names]


def rates_of(words: list[str]) -> list[float]:
    """Return the learning rates in a comma list."""
    rates = numbers_of(words, "learning rate", "a number above 0")
    for rate, word in zip(rates, words, strict=True):
        if not 0 < rate < float("inf"):
            raise ParameterError(f"a learning rate is a number above 0, not {word!r}.")
    if not rates:
        raise BudgetError("--rates needs at least one learning rate, such as --rates 0.01,0.03.")
    return rates


def numbers_of(words: list[str], what: str, allowed: str = "a number") -> list[float]:
    """Return the numbers in a comma list; the error says what each is, and what is allowed."""
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            raise ParameterError(f"a {what} is {allowed}, not {word!r}.") from None
    return found


@contextmanager
def progress(total: float | None) -> Iterator[Tell]:
    """Show how far a job of about `total` replica-steps is, or of an unknown number, on standard error.

    Where there is no terminal, print a line every tenth, or for every stage.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lines(total)
        return
    words, left = TextColumn("{task.description}"), TimeRemainingColumn()
    columns = (words, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), left)
    with Progress(*columns, console=console, transient=True) as bar:
        job = bar.add_task("starting", total=total)

        def tell(stage: str, updates: int) -> None:
            bar.update(job, advance=updates, description=stage)

        yield tell


def lines(total: float | None) -> Tell:
    """Return who prints a line every tenth of about `total` replica-steps, or every stage, on standard error."""
    if total is None:
        return _stages()
    done, said = 0, -1

    def tell(stage: str, updates: int) -> None:
        nonlocal done, said
        done += updates
        tenth = min(10, int(10 * done / total))
        if tenth > said:
            said = tenth
            click.echo(f"{10 * tenth:3d}%  {stage}", err=True)

    return tell


def _stages() -> Tell:
    said = ""

    def tell(stage: str, updates: int) -> None:  # noqa: ARG001  (nobody knows of how many)
        nonlocal said
        if stage != said:
            said = stage
            click.echo(stage, err=True)

    return tell


@contextmanager
def journaled(folder: Path | None, name: str) -> Iterator[Journal]:
    """Open the journal of a job, around the job and the writing of its result.

    After Ctrl-C it says what is kept; after success it removes the journal that nobody asked for. A task that changed
    is refused by a journal that was asked for; with another it is run anew, and a note says so.

    Raises FormatError for a folder with a journal of an earlier version.
    """
    from stepsize.jobs import Journal

    path = folder or FOLDER / name
    old = path / f"{name}.sqlite"
    if old.is_file():
        raise FormatError(
            f"{old} is a journal of an earlier version of stepsize, whose trials this one cannot use; remove it, "
            "or name another folder."
        )
    finished = 0
    try:
        with Journal(path, renew=None if folder else _note) as journal:
            try:
                yield journal
            finally:
                finished = len(journal)
    except KeyboardInterrupt:
        said = f"{finished} finished trials are kept in {path}; the same command goes on from there."
        click.echo(f"\nInterrupted: {said}", err=True)
        raise
    except BaseException:
        if folder is None and not finished:
            _remove(path)
        raise
    if folder is None:
        _remove(path)


def _note(sentence: str) -> None:
    click.echo(f"Note: {sentence}", err=True)


def _remove(journal: Path) -> None:
    """Remove a journal, and the folder of journals if that is empty then; another run may be doing the same."""
    shutil.rmtree(journal, ignore_errors=True)
    with suppress(OSError):
        journal.parent.rmdir()


def writable(*paths: Path | None) -> None:
    """Raise ParameterError for a file that cannot be written, before the work that would fill it begins."""
    for path in paths:
        if path is None:
            continue
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ParameterError(f"cannot write {path}: {error.strerror or error}; name another file.") from None


def drawable(path: Path | None) -> None:
    """Raise ParameterError for a picture that cannot be drawn, before the work that would fill it begins."""
    if path is None:
        return
    writable(path)
    endings = need("matplotlib.backend_bases").FigureCanvasBase.get_supported_filetypes()
    ending = path.suffix.removeprefix(".").lower()
    if ending not in endings:
        raise ParameterError(f"cannot draw into {path}: {ending!r} is no image format. {suggestion(ending, endings)}")


def deliver(result: Spec, save_to: Path | None, report: Path | None) -> list[Path]:
    """Write a result as JSON and as a page, where they were asked for, and return the files."""
    if save_to is not None:
        save(result, save_to)
    if report is not None:
        from stepsize.report import write_report

        write_report(report, result)
    return [path for path in (save_to, report) if path is not None]


def present(
    result: Any, say: Callable[[Any], None], *, as_json: bool, plot: Path | None, report: Path | None,
    save_to: Path | None,
) -> None:  # fmt: skip
    """Write a result wherever it was asked for; then print it as JSON, or `say` it and name the files."""
    made = deliver(result, save_to, report)
    if plot is not None:
        picture(result.plot(), plot)
        made.append(plot)
    if as_json:
        click.echo(dumps(result))
        return
    say(result)
    for path in made:
        out().print(f"Wrote {path}", markup=False)


def picture(axes: Any, path: Path) -> None:
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
    """Return `text` as a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text).strip("-") or "task"
