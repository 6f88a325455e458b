"""`stepsize figures`: every figure of the article, made by the library itself.

::

    stepsize figures                               all of them, as SVG, in the folder figures
    stepsize figures --only decays,cycles          some of them
    stepsize figures --out docs/figures            those that the documentation shows
"""

from __future__ import annotations

from pathlib import Path

import click

from stepsize.cli import arguments, output, progress
from stepsize.cli.help import Command
from stepsize.kernel.errors import check_name
from stepsize.kernel.output_files import write


@click.command(cls=Command, examples=__doc__)
@click.option("--out", type=arguments.OutputFolder(), default=Path("figures"), show_default=True,
              help="Write into this folder.")  # fmt: skip
@click.option("--only", type=arguments.Comma(), multiple=True, help="Draw these alone. Default: all.")
@click.option("--format", "ending", type=click.Choice(["svg", "png"]), default="svg", show_default=True,
              help="Write files of this format.")  # fmt: skip
def figures(*, out: Path, only: tuple[list[str], ...], ending: str) -> None:
    """Draw the figures of the article that this library starts from; docs/article.md tells what they show."""
    from stepsize.figures import FIGURES, draw_figure

    names = list(dict.fromkeys(name for group in only for name in group)) or list(FIGURES)
    for name in names:
        check_name(name, FIGURES, "figure")
    files = {name: out / f"{name}.{ending}" for name in names}
    output.check_writable(*files.values())
    with progress.show_progress(len(files)) as tell:
        for name, file in files.items():
            tell(f"drawing {name}", 0)
            write(file, draw_figure(name, ending))
            tell(f"drew {name}", 1)
    output.name_files(files.values())
