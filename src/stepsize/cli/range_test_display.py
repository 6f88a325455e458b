"""What `stepsize range-test` prints: a picture, the numbers with their meaning, and what decided them."""

from __future__ import annotations

from stepsize.cli import output
from stepsize.kernel.text import count
from stepsize.policies import LR
from stepsize.results import (
    Advice,
    BatchSizeSweep,
    Estimate,
    HyperparameterSweep,
    RangeTestRecord,
    RangeTests,
    Suggestion,
)
from stepsize.results import advice_text as text
from stepsize.results.range_test import EXACT


def show_answer(answer: Advice) -> None:
    """Print what a search for one rate found."""
    console, cost = output.console(), f"Cost: {text.trainings(answer.cost)}."
    if not answer.learned:
        console.print(f"No rate to use: {text.failure(answer)}. {cost}", markup=False, soft_wrap=True)
        return
    rate, low, high = (f"{each:.2g}" for each in (answer.strategy.peak, answer.belief.low, answer.belief.high))
    lines = [
        f"lr      {rate}   to use; the best one lies in {low} to {high} with 90 %",
        f"{answer.strategy.name} for {count(answer.steps, 'step')} of {answer.task}: {text.expected_loss(answer)}.",
        *(f"Watch out: {warning}" for warning in answer.warnings),
        f"Use it as: {answer.policy!r}", cost,
    ]  # fmt: skip
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def show_sweep(sweep: RangeTestRecord | HyperparameterSweep, found: Suggestion) -> None:
    """Print a range test, or runs at several values, with what they suggest."""
    from stepsize.plots.terminal import sketch

    console = output.console()
    console.print(sketch(sweep, found, width=min(100, console.width), encoding=console.encoding), markup=False)
    if isinstance(sweep, BatchSizeSweep):
        head, *rows = sweep.table
        console.print(output.table("in the same running time", head, rows, text=(), plain=True))
    for name, value, meaning in _rows(sweep, found):
        if value is not None:
            digits = 2 if sweep.swept == LR else EXACT
            console.print(f"{name:7} {value.rounded(digits)}   {meaning}", markup=False)
    console.print(f"{sweep.title} on {sweep.task}, {count(len(sweep.seeds), 'seed')}: {found.reason}.", markup=False)
    if found.generalisation:
        console.print(f"Held out: {found.generalisation}.", markup=False)
    for warning in found.warnings:
        console.print(f"Watch out: {warning}.", markup=False)
    if found.policy is not None:
        console.print(f"Use it as: {found.policy!r}", markup=False)
    console.print(f"Cost: {sweep.cost / (sweep.horizon or sweep.steps):.1f} full trainings.", markup=False)


def show_tests(tests: RangeTests) -> None:
    """Print several range tests, a row each."""
    console, first = output.console(), tests.tests[0]
    title, (head, *rows) = f"range tests on {first.task}, {count(len(first.seeds), 'seed')}", tests.table
    console.print(output.table(title, head, rows, text=(0, 3), plain=True))
    for name, found in zip(tests.names, tests.found, strict=True):
        if found.generalisation:
            console.print(f"Held out, {name}: {found.generalisation}.", markup=False)
    horizon = first.horizon or first.steps
    console.print(f"Cost: {tests.cost / horizon:.1f} full trainings.", markup=False)


def _rows(
    sweep: RangeTestRecord | HyperparameterSweep, found: Suggestion
) -> tuple[tuple[str, Estimate | None, str], ...]:
    """Return the numbers of a suggestion, each with its name and its meaning."""
    foot = "just before it changes sharply" if sweep.is_negative else "just before the sharp drop"
    return (
        ("min_lr", found.min_lr, foot),
        ("max_lr", found.max_lr, f"just before the {sweep.judged_name} {sweep.directions[1]}"),
        ("limit", found.limit, "the largest stable rate, by the curvature of the initial weights"),
        ("base", found.base, "of the cycle"),
        (sweep.swept, found.lr, "to use"),
    )
