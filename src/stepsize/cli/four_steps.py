"""`stepsize four-steps TASK`: Smith's way to a rate, a batch size, a momentum and a weight decay, each explained.

::

    stepsize four-steps mytask.py --report steps.html                  with a page
    stepsize four-steps digits --rule AdamW --sizes 32,64 --steps 200  of another rule, at these batch sizes
"""

from __future__ import annotations

import click

from stepsize.cli import arguments, output, progress
from stepsize.cli.help import Command
from stepsize.kernel.text import count
from stepsize.policies import recipe
from stepsize.results import FourSteps
from stepsize.strategy import find_rule

SEEDS = 3
"""Seeds of every step when none are given."""


@click.command("four-steps", cls=Command, examples=__doc__)
@arguments.task_argument
@arguments.rule_option("Momentum")
@click.option(
    "--policy",
    default="one_cycle",
    shell_complete=arguments.complete_policies,
    show_default=True,
    help="What is trained with in the end.",
)
@click.option("--sizes", type=arguments.Comma(), help="The batch sizes. Default: half, all and twice the task's own.")
@arguments.length_option
@click.option("--seeds", type=click.IntRange(1, 1000), default=SEEDS, show_default=True, help="How many seeds run.")
@output.output_options("save", "report", "plot")
def four_steps(
    task: str, *, rule: str, policy: str, sizes: list[str] | None, steps: int | str | None, seeds: int,
    outputs: output.Outputs,
) -> None:  # fmt: skip
    """Find the rate, the batch size, the momentum and the weight decay for TASK, in Smith's four steps."""
    from stepsize import jobs

    wanted = arguments.parse_sizes(sizes or [])
    outputs.check(read=(task,))
    problem = output.load_task(task)  # whose file may register rules of its own
    chosen = find_rule(rule)
    recipe(policy)
    with progress.show_progress(None) as tell:
        found = jobs.four_steps(
            problem, chosen, policy=policy, sizes=wanted, steps=steps, seeds=range(seeds), progress=tell
        )  # fmt: skip
    outputs.present(found, _show)


def _show(found: FourSteps) -> None:
    """Print each step with its reason and what is kept of it, and what they come to."""
    console = output.console()
    for number, part in enumerate(found.parts, start=1):
        lines = [f"{number}. {part.why}.", f"   {part.found.reason}.", f"   Kept: {part.kept}."]
        lines += [f"   Held out: {part.found.generalisation}."] * bool(part.found.generalisation)
        lines += [f"   Watch out: {warning}." for warning in part.found.warnings]
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)
    horizon = found.parts[0].sweep.horizon or found.steps
    for line in (
        f"Use {found.strategy.name} with batches of {found.batch_size}, for {count(found.steps, 'step')}.",
        f"Use it as: {found.strategy.policy!r} with {found.strategy.rule!r}",
        f"Cost: {found.cost / horizon:.1f} full trainings.",
    ):
        console.print(line, markup=False, soft_wrap=True)
