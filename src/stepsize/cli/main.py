"""The command line: `stepsize COMMAND`. Exit codes: 0 done, 2 wrong input, 130 interrupted."""

from __future__ import annotations

import sys

import click

from stepsize.cli.advise import advise
from stepsize.cli.figures import figures
from stepsize.cli.landscape import landscape
from stepsize.cli.listing import listing
from stepsize.cli.predict import predict
from stepsize.cli.race import race
from stepsize.cli.range_test import range_test
from stepsize.cli.refine import refine
from stepsize.cli.report import report
from stepsize.cli.show import show
from stepsize.cli.transfer import transfer
from stepsize.cli.watch import watch
from stepsize.kernel.errors import StepsizeError

WRONG_INPUT, INTERRUPTED = 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stepsize")
def cli() -> None:
    """Which learning rate, and which schedule, for your model.

    TASK is a built-in name (see `stepsize list`), file.py, or file.py:function.
    """


for command in (
    advise, race, watch, range_test, transfer, refine, predict, landscape, show, listing, report, figures,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line, and turn every error of ours into one line."""
    try:
        cli.main(prog_name="stepsize", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG_INPUT)
    except StepsizeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(WRONG_INPUT)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
