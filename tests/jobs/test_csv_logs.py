"""The user's own logs: what is read, what is left out, and every way to be no log."""

import numpy as np
import pytest

from stepsize.jobs import loss_curves, read_norms
from stepsize.jobs.csv_logs import rates_between, read_log
from stepsize.kernel.errors import BudgetError, FormatError, ParameterError

NAMES = {"step": "step", "loss": "loss"}


@pytest.fixture
def log(tmp_path):
    def write(text, name="log.csv"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def test_rows_are_sorted_and_of_one_step_the_later_holds(log):
    (found,) = read_log(log("step,loss\n20,3\n10,5\n20,4\n"), NAMES)
    assert found.steps.tolist() == [10, 20]
    assert found.columns["loss"].tolist() == [5, 4]
    assert (found.name, found.dropped) == ("log", 0)


def test_rows_without_a_number_are_left_out_and_counted(log):
    (found,) = read_log(log("\ufeffstep, loss,note\n0,nan,a\n1,2.5,b\n2,,c\n3,inf\nx,1,d\n"), NAMES)
    assert found.steps.tolist() == [1]
    assert found.dropped == 4


def test_a_column_tells_runs_apart(log):
    found = read_log(log("run,step,loss\na,0,1\nb,0,2\na,1,3\n"), NAMES, run="run")
    assert [(each.name, each.columns["loss"].tolist()) for each in found] == [("a", [1, 3]), ("b", [2])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "log.csv is empty"),
        ("step,loss\n", "the columns 'step', 'loss' and no row"),
        ("step,train_loss\n1,2\n", "no column 'loss'; it has 'step', 'train_loss'"),
        ("step,loss\nx,y\n", "no row with a number"),
        ("step,loss\n-1,2\n", "whole number of at least 0, not -1"),
        ("step,loss\n1.5,2\n", "whole number of at least 0, not 1.5"),
        (b"\xff\xfe\x00step", "is no CSV file"),
    ],
)
def test_what_is_no_log_is_refused(log, text, words):
    with pytest.raises(FormatError, match=words):
        read_log(log(text), NAMES)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read .*no\.csv: No such file"):
        read_log(tmp_path / "no.csv", NAMES)


def test_a_run_column_that_is_not_there_is_refused(log):
    with pytest.raises(FormatError, match="no column 'seed'"):
        read_log(log("step,loss\n1,2\n"), NAMES, run="seed")


def test_rates_go_on_lines_between_the_rows():
    table = rates_between(np.array([2.0, 4.0, 6.0]), np.array([1.0, 0.8, 0.6]), 9)
    np.testing.assert_allclose(table, [1, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6])


def test_a_jump_between_rows_happens_at_the_later_one():
    table = rates_between(np.arange(0.0, 50, 10), np.array([1.0, 1, 0.3, 0.3, 0.3]), 50)
    assert (table[:20] == 1).all()
    assert (table[20:] == 0.3).all()


def test_a_cooldown_that_begins_is_no_jump():
    table = rates_between(np.arange(0.0, 50, 10), np.array([1.0, 1, 0.7, 0.4, 0.1]), 50)
    assert table[15] == pytest.approx(0.85)


def test_a_warmup_before_the_first_row_rises_from_zero():
    table = rates_between(np.array([10.0, 20.0]), np.array([0.5, 0.5]), 21, warmup=5)
    np.testing.assert_allclose(table[:7], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


@pytest.mark.parametrize(
    ("rates", "warmup", "words"),
    [([0.0, 0.0], 0, "not all 0"), ([1.0, -1.0], 0, "at least 0"), ([1.0, 1.0], 11, "warmup of 11 updates")],
)
def test_rates_that_are_none_are_refused(rates, warmup, words):
    with pytest.raises(ParameterError, match=words):
        rates_between(np.array([0.0, 10.0]), np.array(rates), 11, warmup)


def test_a_row_of_losses_ends_its_update(log):
    (curves, dropped) = loss_curves(log("step,lr,loss\n0,1,9\n2,1,5\n4,0.5,4\n", "mine.csv"))
    assert (curves[0].name, len(curves[0].rates), dropped) == ("mine", 5, 0)
    assert curves[0].at.tolist() == [1, 3, 5]
    with pytest.raises(BudgetError, match="run 'log' has one row"):
        loss_curves(log("step,lr,loss\n0,1,9\n"))


def test_norms_come_with_rates_where_there_are_any(log):
    plain = read_norms(log("step,grad_norm\n0,2\n5,1\n10,1\n"))
    assert plain.rates is None
    assert plain.norms.tolist() == [2, 1, 1]
    assert len(read_norms(log("step,grad_norm,lr\n0,2,1\n5,1,1\n10,1,0.5\n")).rates) == 15
