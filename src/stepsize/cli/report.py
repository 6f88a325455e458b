"""`stepsize report FILE...`: saved results as one page.

::

    stepsize report advice.json                       as report.html
    stepsize report race.json sweep.json --out a.html  several on one page
"""

from __future__ import annotations

from pathlib import Path

import click

from stepsize.cli import arguments, output
from stepsize.cli.help import Command
from stepsize.results.io import load


@click.command(cls=Command, examples=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", "page", type=arguments.OutputFile(".html"), default=Path("report.html"),
              show_default=True, help="Write this HTML file.")  # fmt: skip
def report(files: tuple[Path, ...], page: Path) -> None:
    """Write saved results FILES (advice, race, sweep, descent) as one self-contained HTML page."""
    from stepsize.report import write_report

    output.check_writable(page, read=files)
    write_report(page, *[load(file) for file in files])
    output.name_files([page])
