"""The page of the experiments, made from their records: `python -m experiments.page` writes docs/experiments.md."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from experiments.catalogue import EXPERIMENTS
from experiments.records import RECORDS, Check, Record
from stepsize.kernel.errors import FormatError
from stepsize.plots.style import rate
from stepsize.results import Interval

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "experiments"
PAGE = ROOT / "docs" / "experiments.md"

FEW = 7
"""The most checks that the table lists one by one; the sections list all."""

HEAD = """\
<!-- Made by python -m experiments.page from docs/experiments/*.json; do not edit it by hand. -->

# Experiments

What the article and the papers behind it claim, tried at a size that runs offline on one core in minutes.
Each claim is cut into checks; a check is a number with an interval, and the range that the claim puts it in.
A check is *shown* where the whole interval lies in the range, *contradicted* where it lies outside, and *open* where
the seeds cannot decide.
The verdict follows by a rule: the claim *holds* where every check is shown, *holds in part* where some are, and else it
*does not show here*.
Each interval is one of 95 % by itself; of many checks, some come out wrong by chance.
These are small models on small data: a claim about large networks that does not show here may hold there, and one that
holds here may not.
"""


def main() -> None:
    """Write the page, or with --check say whether it is up to date."""
    text = page()
    if "--check" in sys.argv[1:]:
        stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text
        sys.exit("docs/experiments.md is out of date: run python -m experiments.page" if stale else 0)
    PAGE.write_text(text, encoding="utf-8")


def records() -> list[Record]:
    """Return the committed records, in the order of the catalogue."""
    return [read(FOLDER / f"{name}.json") for name in EXPERIMENTS]


def read(path: Path) -> Record:
    """Return the record in a file that the runner wrote."""
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}; run python -m experiments {path.stem}.") from None
    return RECORDS.open(json.loads(written), Record)


def page() -> str:
    """Return the page as text."""
    found = records()
    return "\n".join([HEAD, *_table(found), "", *(line for record in found for line in _section(record))])


def _table(found: list[Record]) -> list[str]:
    head = ["| claim (source) | measured | verdict | again with |", "|---|---|---|---|"]
    return head + [
        f"| {record.claim} ({record.source}) | {_measured(record)} | "
        f"**[{record.verdict}](#{record.name})** | `{command(record)}` |"
        for record in found
    ]


def command(record: Record) -> str:
    """Return the command that runs an experiment again."""
    seed = f" --seed {record.seed}" if record.seed else ""
    return f"python -m experiments {record.name}{seed} --out docs/experiments"


def _section(record: Record) -> list[str]:
    lines = [
        f"## {record.name}", "", f"*{record.claim}* ({record.source})", "", f"**{record.verdict}.** {record.says}", "",
        f"Setting: {record.setting}.", f"Intervals: {record.intervals}.", "",
        f"![{record.name}](experiments/{record.name}.svg)", "",
        "| the claim needs | measured | range | |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {c.says} | {text(c.measured)} | {c.needed} | {c.answer} |" for c in record.checks]
    lines += ["", "| what | quantity | measured |", "|---|---|---|"]
    return [*lines, *(f"| {row.what} | {row.quantity} | {text(row.value)} |" for row in record.rows), ""]


def _measured(record: Record) -> str:
    """Return what was measured: every check, or of many how they came out, and the least and the most."""
    if len(record.checks) <= FEW:
        return "; ".join(map(_brief, record.checks))
    answers = [check.answer for check in record.checks]
    counts = ", ".join(f"{answers.count(each)} {each}" for each in ("shown", "open", "contradicted"))
    ordered = sorted(record.checks, key=lambda check: check.measured.mean)
    return f"of {len(answers)} checks {counts}; the least is {_brief(ordered[0])}; the most is {_brief(ordered[-1])}"


def _brief(check: Check) -> str:
    return f"{check.says}: {text(check.measured)}"


def text(interval: Interval) -> str:
    """Return an interval in three digits: "1.21 (1.15 to 1.28)", or one number where it has no width.

    A run that diverged, or never came to where it was measured, leaves no finite mean.
    """
    if interval.low == interval.high:
        return rate(interval.mean)
    if math.isinf(interval.mean):
        return "not finite"
    return f"{rate(interval.mean)} ({rate(interval.low)} to {rate(interval.high)})"


def summarize(record: Record) -> str:
    """Return a record in a few lines, for the terminal."""
    small = " (quick: it means nothing)" if record.quick else ""
    lines = [f"{record.name}: {record.verdict}{small}", f"  {record.claim}"]
    lines += [f"  {c.answer:<12} {c.says}: {text(c.measured)}, needed {c.needed}" for c in record.checks]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
