"""An advice on a terminal: while it is searched for, and when it is there."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from stepsize.cli import output
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.text import count
from stepsize.results import Advice, Insurance
from stepsize.results import advice_text as text

WIDEST = 100
"""The most characters of a progress line."""

SIGNS = {True: "[x]", False: "[ ]", None: "[-]"}
"""What stands before an insurance that holds, one that does not, and one that says nothing here."""


def show_advice(answer: Advice, framework: str = "torch", *, native: bool = False) -> None:
    """Print the recommendation, what makes it safe, why, what repeats it, and the code to paste.

    framework, native: whose code, as `Advice.code` takes them; where there is none, why. Where nothing has learned
    there is no recommendation and no code.
    """
    console = output.console()
    if answer.learned:
        console.print(Panel.fit("\n".join(map(escape, panel_lines(answer))), title="recommendation"))
        for insurance in answer.insurances:
            console.print(escape(insurance_line(insurance)), soft_wrap=True)
        for sentence in answer.reasons:
            console.print(f"- {escape(sentence)}", soft_wrap=True)
    else:
        console.print(Panel.fit("\n".join(map(escape, failure_lines(answer))), title="nothing has learned"))
    for sentence in answer.warnings:
        _print_careful(console, sentence)
    for sentence in filter(None, (answer.more, text.next_training(answer))):
        console.print(escape(sentence), soft_wrap=True)
    if answer.command:
        console.print("\nThe command that repeats it:\n")
        click.echo(answer.command)
    if answer.learned:
        _print_code(console, answer, framework, native=native)


def panel_lines(answer: Advice) -> tuple[str, ...]:
    """Return the recommendation in five lines: what, what it is expected to lose, its score, the baseline, the cost."""
    promise = text.span(answer.promise)
    return (
        f"{answer.strategy.name} for {_task(answer)}",
        text.expected_loss(answer),
        text.expected_score(answer) + (f", of one more run {promise} (95 %)" if promise else ""),
        text.beside_baseline(answer),
        _cost(answer),
    )


def failure_lines(answer: Advice) -> tuple[str, ...]:
    """Return what is said where nothing has learned."""
    return f"{answer.task}: {text.failure(answer)}", _cost(answer)


def insurance_line(insurance: Insurance) -> str:
    """Return what makes an answer safe in one line, with a cross where it holds.

    >>> from stepsize.results import Insurance
    >>> insurance_line(Insurance(name="a second seed", holds=False, because="It was not run."))
    '[ ] a second seed: It was not run.'
    """
    because = f": {insurance.because}" if insurance.because else ""
    return f"{SIGNS[insurance.holds]} {insurance.name}{because}"


def progress_line(answer: Advice) -> str:
    """Return the answer so far in one line of at most 100 characters: what, its expected loss, and the next gain."""
    if not answer.learned:
        return f"nothing has learned in {count(len(answer.runs), 'run')}"
    gain = text.share(answer.next_gain)
    rest = f": loses {text.share(answer.loses)}" + (f", one more training gains {gain}" if answer.next_run else "")
    name, most = " ".join(answer.strategy.name.split()), WIDEST - len(rest)
    return (name if len(name) <= most else name[: most - 1] + "…") + rest


def _task(answer: Advice) -> str:
    batches = f" in batches of {answer.batch_size}" if answer.batch_size else ""
    return f"{count(answer.steps, 'step')} of {answer.task}{batches}"


def _cost(answer: Advice) -> str:
    return f"for the cost of {text.trainings(answer.cost)}, in {answer.seconds:.0f} s"


def _print_careful(console: Console, sentence: str) -> None:
    console.print(f"[yellow]careful:[/yellow] {escape(sentence)}", soft_wrap=True)


def _print_code(console: Console, answer: Advice, framework: str, *, native: bool) -> None:
    try:
        code = answer.code(framework, native=native)
    except ParameterError as error:  # the answer has been paid for, and one that cannot be pasted is still one
        console.print()
        _print_careful(console, str(error))
        return
    console.print("\nThe code to paste:\n")
    click.echo(code)
