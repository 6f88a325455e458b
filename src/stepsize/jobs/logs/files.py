"""The files that training tools write, as rows: CSV of several shapes, JSON, JSON lines.

A row is a mapping of names to cells, whatever the file is:

- CSV with a line of names and a row a step, also with tabs or semicolons; the line of names may come again;
- CSV with a line a value: `step,name,value`, as `csv_log` writes, or `tag` or `metric` for `name`;
- one curve a file, as TensorBoard exports it: `Wall time,Step,Value`; the file's name says the run and the tag;
- a column a run, as W&B exports it: `Step,"run - loss"`; the columns for its bands are left out;
- JSON lines, a list of objects, an object of lists, and transformers' `trainer_state.json`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from stepsize.kernel.errors import FormatError, brief
from stepsize.kernel.files import parse_json

MOST_BYTES = 256 * 2**20
"""The largest JSON value that is read: it is parsed whole. CSV files and files of JSON lines may be larger."""

LONGEST_LINE = 2**24
"""Characters of the longest line of a CSV file that is read; a row of a thousand columns has 20 000."""

NAME_COLUMNS = ("name", "tag", "metric", "key")
"""What the column is called that says what the `value` of a row is of."""

CURVE = {"wall time", "step", "value"}
"""The columns of one curve of TensorBoard."""

_CURVE_FILE = re.compile(r"run-(.+)-tag-(.+)")
_OF_RUN = re.compile(r"(.+) - (.+)")
_BAND = re.compile(r"__(MIN|MAX)$")


class Row(NamedTuple):
    """One row. run: whose, where the file says so; else None. part: how many lines of names there were before it."""

    run: str | None
    part: int
    cells: Mapping[str, Any]


def rows_of(file: Path) -> Iterator[Row]:
    """Yield the rows of a log.

    Raises FormatError for a file that cannot be read, and for one that is none of these.
    """
    with _named_errors(file), file.open(encoding="utf-8-sig", newline="") as stream:
        first = stream.readline(MOST_BYTES)
        while first.isspace():
            first = stream.readline(MOST_BYTES)
        if not first:
            raise FormatError(f"{file} is empty; a log has a line of column names, and a row for each step.")
        stream.seek(0)
        if first.lstrip()[0] in "[{":
            yield from _json_rows(file, stream, first)
        else:
            yield from _csv_rows(file, stream, first)


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into errors that name it."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror or error}.") from None
    except FormatError:
        raise
    except (ValueError, RecursionError, csv.Error) as error:  # ValueError: also UnicodeDecodeError, JSONDecodeError
        raise FormatError(f"{file} is no log in CSV or JSON: {str(error)[:200]}.") from None


def _csv_rows(file: Path, stream: TextIO, first: str) -> Iterator[Row]:
    separator = next((each for each in ",\t;" if each in first), ",")
    table = csv.reader(_csv_lines(file, stream), delimiter=separator, skipinitialspace=True)
    names = next((line for line in table if any(line)), [])
    shaped, part, rows = _shape(file, names), 0, 0
    for line in table:
        if _is_header(line, names):
            names, part = line, part + 1
            shaped = _shape(file, names)
        elif any(line):
            rows += 1
            yield from shaped(part, dict(zip(names, line, strict=False)))
    if not rows:
        raise FormatError(f"{file} has the columns {listed(names)} and no row.")


def _csv_lines(file: Path, stream: TextIO) -> Iterator[str]:
    """Yield the lines of a CSV file; one of another kind may be a single line of gigabytes."""
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise FormatError(f"{file} is no log: it has a line of {LONGEST_LINE // 2**20} million characters or more.")
        yield line


def _is_header(line: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether a line is one of names: as the first, in another order, or with columns that came later."""
    known = [cell for cell in line if cell and cell in names]
    return len(known) >= max(1, len(names) // 2) and not any(_is_number(cell) for cell in line)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shape(file: Path, names: Sequence[str]) -> Callable[[int, dict[str, str]], Iterable[Row]]:
    """Return what makes a row of each line of a CSV file with these columns, or a row for each run."""
    lower = {name.lower(): name for name in names}
    kind = next((lower[name] for name in NAME_COLUMNS if name in lower), None)
    if set(lower) == CURVE:
        step, value, (run, tag) = lower["step"], lower["value"], _of_curve(file)
        return lambda part, cells: [Row(run, part, {"step": cells.get(step), tag: cells.get(value)})]
    if kind is not None and "value" in lower:
        value = lower["value"]
        return lambda part, cells: [Row(None, part, {**cells, cells.get(kind, ""): cells.get(value)})]
    if len(names) > 1 and all(_OF_RUN.fullmatch(name) for name in names[1:]):
        return _of_runs
    return lambda part, cells: [Row(None, part, cells)]


def _of_curve(file: Path) -> tuple[str, str]:
    """Return the run and the tag of a curve's file: by TensorBoard's name for it, else by those of folder and file."""
    found = _CURVE_FILE.fullmatch(file.stem)
    return (found[1], found[2]) if found else (file.absolute().parent.name, file.stem)


def _of_runs(part: int, cells: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each run of a line of W&B's, whose columns are `run - metric`."""
    (step, at), *others = cells.items()
    runs: dict[str, dict[str, Any]] = {}
    for name, cell in others:
        run, metric = _OF_RUN.fullmatch(name).groups()  # type: ignore[union-attr]  # the shape was looked at
        if not _BAND.search(metric):
            runs.setdefault(run, {step: at})[metric] = cell
    for run, own in runs.items():
        yield Row(run, part, own)


def _json_rows(file: Path, stream: TextIO, first: str) -> Iterator[Row]:
    records = _lines(stream) if _is_line(first) else _records(file, stream)
    rows = 0
    for record in records:
        if not isinstance(record, Mapping):
            raise FormatError(f"{file} holds {brief(record)} where a log in JSON holds an object for each row.")
        rows += 1
        yield Row(None, 0, record)
    if not rows:
        raise FormatError(f"{file} has no row.")


def _is_line(first: str) -> bool:
    """Return whether the first line of a file is a row in itself."""
    try:
        value = _parsed(first)
    except ValueError:
        return False
    return isinstance(value, dict) and not any(isinstance(each, list | dict) for each in value.values())


def _lines(stream: TextIO) -> Iterator[Any]:
    """Yield the rows of JSON lines; a last line without an end may be half of one, of a run that was killed."""
    while line := stream.readline(MOST_BYTES):
        try:
            if not line.isspace():
                yield _parsed(line)
        except ValueError:
            if line.endswith("\n"):
                raise


def _records(file: Path, stream: TextIO) -> Sequence[Any]:
    """Return the rows in one JSON value."""
    text = stream.read(MOST_BYTES)
    if len(text) == MOST_BYTES:
        raise FormatError(f"{file} is one JSON value of more than {MOST_BYTES // 2**20} MiB; write JSON lines.")
    value = _parsed(text)
    if isinstance(value, dict) and isinstance(value.get("log_history"), list):
        value = value["log_history"]
    elif isinstance(value, dict) and any(isinstance(each, list) for each in value.values()):
        columns = {name: each for name, each in value.items() if isinstance(each, list)}
        value = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(value, list):
        raise FormatError(
            f"{file} is no log: in JSON it is a list of objects, an object of lists, a line for each row, or a "
            "trainer_state.json with its log_history."
        )
    return value


def _parsed(text: str) -> Any:
    """Return the data that JSON text describes; raise ValueError, to which the name of the file is added."""
    try:
        return parse_json(text)
    except FormatError as error:
        raise ValueError(str(error)) from None


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for an error, quoted and not too many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(brief(name) for name in names[:most]) + more
