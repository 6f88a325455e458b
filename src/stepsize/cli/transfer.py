"""`stepsize transfer STRATEGY --from 400 --to 6400`: what was tuned in short runs, for a long one.

::

    stepsize transfer "AdamW one_cycle 0.01" --from 400 --to 6400    its new peak rate, by what factor, and why
    stepsize transfer advice.json --to 6400 --save longer.json       of what advise saved, which knows its steps
    stepsize transfer "SGD wsd 0.1" --from 400 --to 800 --by cooldown    the same rate, and a longer cooldown
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.cli import output
from stepsize.cli.help import Command
from stepsize.cli.landscape import strategy_of
from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.kernel.spec import Spec
from stepsize.policies import LR
from stepsize.results import Advice, Race, RangeTestRecord
from stepsize.results.io import load
from stepsize.schedules import Chain
from stepsize.strategy import Strategy

if TYPE_CHECKING:
    from stepsize.jobs.transfer import By


@click.command(cls=Command, examples=__doc__)
@click.argument("strategy", metavar="STRATEGY")
@click.option("--from", "source", type=click.IntRange(min=1),
              help="How long the runs were that it was tuned in, in updates. Default: as the file says.")  # fmt: skip
@click.option("--to", "target", type=click.IntRange(min=1), required=True,
              help="How long the run is that it is wanted for, in updates.")  # fmt: skip
@click.option("--by", type=click.Choice(["rate", "cooldown"]), default="rate", show_default=True,
              help="Rescale the peak rate, or keep it and make the cooldown longer.")  # fmt: skip
@output.output_options("save")
def transfer(
    strategy: str, *, source: int | None, target: int, by: By, outputs: output.Outputs
) -> None:  # fmt: skip
    """Rescale a STRATEGY that was tuned in short runs for a longer run, up to 16 times as long.

    STRATEGY is a rule, a policy and a peak rate, such as "AdamW one_cycle 0.01", or a JSON file with an advice, a race
    or a strategy.
    """
    from stepsize import jobs

    outputs.check(read=(strategy,))
    tuned, known = _read(strategy)
    steps = known if source is None else source
    if steps is None:
        raise ParameterError(f"{strategy!r} does not say how long the runs were that it was tuned in: add --from 400.")
    longer = jobs.transfer(tuned, steps, target, by=by)

    def show(found: Strategy) -> None:
        why = _why_rate(tuned, found, steps, target) if by == "rate" else _why_cooldown(found, target)
        peak = f"lr      {found.peak:.3g}   the peak to use in {target} steps"
        for line in (peak, why, f"Use it as: {found.policy!r}"):
            output.console().print(line, markup=False, soft_wrap=True)

    outputs.present(longer, show)


def _read(text: str) -> tuple[Strategy, int | None]:
    """Return the strategy that a line or a file says, and how long the runs were, where a file says it."""
    if not text.endswith(".json"):
        return strategy_of(text), None
    found = load(Path(text), Spec)
    if isinstance(found, Advice):
        return found.strategy, found.steps
    if isinstance(found, Race):
        return found.best, found.steps
    if isinstance(found, RangeTestRecord):
        raise SpecError(
            f"{text} holds a range test, which tuned nothing: stepsize range-test TASK --for POLICY --save advice.json "
            "finds a rate, and that file can be given here."
        )
    return strategy_of(text), None


def _why_rate(tuned: Strategy, longer: Strategy, source: int, target: int) -> str:
    """Return by what factor the peak was multiplied, and the law that says so."""
    from stepsize.jobs.rescale import SPREAD, rescale_exponent, rescale_spread

    exponent, spread = rescale_exponent(tuned.rule), rescale_spread(source, target)
    if not exponent:
        return f"{tuned.rule.title} finds its own scale, so its rate stays."
    low, high = longer.peak / spread, longer.peak * spread
    return (
        f"It is {longer.peak / tuned.peak:.3g} times the {tuned.peak:.3g} of {source} steps: the best rate falls as "
        f"T**{exponent:g}, and strays by {SPREAD:g} decades in a doubling, so two of three lie in {low:.2g} to "
        f"{high:.2g}."
    )


def _why_cooldown(longer: Strategy, target: int) -> str:
    """Return how long the cooldown is now, and the law that says so."""
    schedule = longer.policy[LR]
    steps = schedule.parts[-1].steps if isinstance(schedule, Chain) else schedule.steps
    return (
        f"The rate stays, and {steps} of {target} steps cool down, so that the best rate by the last-iterate bound is "
        "what it was."
    )
