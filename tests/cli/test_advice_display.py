"""An advice on a terminal: five lines, what makes it safe, and nothing to paste where nothing has learned."""

from dataclasses import replace

import pytest
import samples

from stepsize.cli.advice_display import failure_lines, insurance_line, panel_lines, progress_line, show_advice
from stepsize.results import Insurance


@pytest.fixture(scope="module")
def advice():
    return samples.advice()


def test_the_panel_has_five_lines(advice):
    beside = (
        "better than AdamW constant 0.001, the usual one, by 0.0966 (0.0911 to 0.102), 4.3 % of what training gains, "
        "on 3 paired seeds"
    )
    assert panel_lines(advice) == (
        "AdamW one_cycle 0.01 for 400 steps of digits",
        "expected to lose 1.2 % of what training gains, at most 4 % on nine of ten such tasks",
        "expected validation loss 0.06458 (0.06246 to 0.0667), of one more run 0.05658 to 0.07258 (95 %)",
        beside,
        "for the cost of 37.4 full trainings, in 95 s",
    )
    assert panel_lines(replace(advice, batch_size=16))[0].endswith("400 steps of digits in batches of 16")


def test_a_small_budget_promises_no_score():
    small = samples.small_advice()
    _, loss, score, baseline, cost = panel_lines(small)
    assert loss == "expected to lose 3.6 % of what training gains, at most 12 % on nine of ten such tasks"
    assert score == "no validation loss is promised from pilot runs alone"
    assert baseline == "nothing ran beside it as a baseline"
    assert cost == "for the cost of 1.17 full trainings, in 3 s"
    full = replace(small, runs=samples.search_runs()[:10])
    assert panel_lines(full)[2] == "no validation loss is promised from one seed"


@pytest.mark.parametrize(("holds", "sign"), [(True, "[x]"), (False, "[ ]"), (None, "[-]")])
def test_an_insurance_is_one_line(holds, sign):
    assert insurance_line(Insurance(name="a second seed", holds=holds, because="So it is.")) == (
        f"{sign} a second seed: So it is."
    )


def test_everything_is_printed_in_order(advice, capsys):
    show_advice(advice)
    shown = capsys.readouterr().out
    parts = [
        "recommendation", "[x] trained to its end at this rate: ", "[ ] a lower rate over the full horizon: ",
        *(f"- {reason}" for reason in advice.reasons), *(f"careful: {warning}" for warning in advice.warnings),
        advice.more,
        f"One more training would be spent on {advice.next_run}, and is expected to gain 0.42 %.",
        f"The command that repeats it:\n\n{advice.command}\n", f"The code to paste:\n\n{advice.code()}",
    ]  # fmt: skip
    found = [shown.find(part) for part in parts]
    assert -1 not in found
    assert found == sorted(found)


def test_where_a_framework_has_no_code_the_answer_is_printed_still(advice, capsys):
    show_advice(advice, "mxnet")
    shown = capsys.readouterr().out
    assert "careful: there is no code for 'mxnet'." in shown
    assert "expected to lose 1.2 %" in shown
    assert "The code to paste" not in shown


def test_the_code_is_of_the_framework(advice, capsys):
    show_advice(advice, "optax")
    assert advice.code("optax") in capsys.readouterr().out


def test_where_nothing_has_learned_nothing_is_recommended(capsys):
    found = samples.unlearned_advice()
    assert failure_lines(found) == (
        "digits: none of 6 runs did better than what needs no model", "for the cost of 0.4 full trainings, in 3 s",
    )  # fmt: skip
    show_advice(found)
    shown = capsys.readouterr().out
    assert " nothing has learned " in shown
    assert all(f"careful: {warning}" in shown for warning in found.warnings)
    assert found.more in shown
    for absent in ("recommendation", "The code to paste", "expected", "[x]", "nan"):
        assert absent not in shown


def test_brackets_of_the_user_are_no_markup(advice, capsys):
    evil = "[bold]so[/bold] [x]"
    show_advice(replace(advice, task=evil, reasons=(evil,), warnings=(evil,), more=evil, next_run=evil))
    shown = capsys.readouterr().out
    for line in (f"400 steps of {evil}", f"- {evil}", f"careful: {evil}", f"would be spent on {evil}"):
        assert line in shown


@pytest.mark.parametrize("name", ["x" * 10, "x" * 99, "x" * 500, "a\nb" * 60])
@pytest.mark.parametrize("loses", [0.0, 1e-6, 0.0121, 3.0, float("nan")])
def test_the_progress_is_one_short_line(advice, name, loses):
    line = progress_line(replace(advice, strategy=replace(advice.strategy, name=name), loses=loses))
    assert len(line) <= 100
    assert "\n" not in line
    assert line.endswith("one more training gains 0.42 %")


def test_the_progress_says_the_answer_so_far(advice):
    assert progress_line(advice) == "AdamW one_cycle 0.01: loses 1.2 %, one more training gains 0.42 %"
    assert progress_line(replace(advice, next_run="")) == "AdamW one_cycle 0.01: loses 1.2 %"
    assert progress_line(samples.unlearned_advice()) == "nothing has learned in 6 runs"
