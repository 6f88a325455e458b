"""The user's own logs: what is read, what is left out, and every way to be no log."""

import json

import numpy as np
import pytest

from stepsize.jobs import loss_curves, read_norms
from stepsize.jobs.logs.rates import rates_between
from stepsize.jobs.logs.read import read_logs, read_rates
from stepsize.jobs.logs.updates import number_updates
from stepsize.kernel.errors import BudgetError, FormatError, ParameterError

NAMES = {"step": None, "loss": None}


@pytest.fixture
def log(tmp_path):
    def write(text, name="log.csv"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def lines(names, rows):
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n"


def loss_log(file, **options):
    (found,) = read_logs(file, NAMES, main="loss", **options)
    return found


def test_a_resume_replaces_what_it_repeats_and_says_how_much(log):
    rows = [(10, 9), (20, 8), (30, 7), (40, 6), (30, 5), (40, 4)]
    found = loss_log(log(lines(("step", "loss"), rows)))
    assert found.columns["loss"].steps.tolist() == [9, 19, 29, 39]
    assert found.columns["loss"].values.tolist() == [9, 8, 5, 4]
    assert "2 numbers replaced by later ones" in " ".join(found.notes)


def test_nothing_of_the_old_branch_is_left_behind_a_resume(log):
    """The run went to 60, and was resumed at 30 and has come to 40: 50 and 60 are of a branch that was given up."""
    rows = [(10, 9), (20, 8), (30, 7), (40, 6), (50, 5), (60, 4), (30, 3), (40, 2)]
    found = loss_log(log(lines(("step", "loss"), rows)))
    assert found.columns["loss"].values.tolist() == [9, 8, 3, 2]
    assert found.total == 40


def test_a_file_that_begins_with_the_last_step_is_turned(log):
    found = loss_log(log(lines(("step", "loss"), [(step, step + 1) for step in range(9, -1, -1)])))
    assert found.columns["loss"].values.tolist() == list(range(1, 11))


def test_numbers_that_are_none_are_left_out_and_counted(log):
    found = loss_log(log("\ufeffstep, loss,note\n0,nan,a\n1,2.5,b\n2,,c\n3,inf\nx,1,d\n4,True\n"))
    assert found.columns["loss"].values.tolist() == [2.5]
    assert "4 numbers left out" in found.notes[0]  # the empty one is none


def test_a_column_tells_runs_apart(log):
    found = read_logs(log("run,step,loss\na,0,1\nb,0,2\na,1,3\n"), NAMES, main="loss", run="run")
    assert [(each.name, each.columns["loss"].values.tolist()) for each in found] == [("a", [1, 3]), ("b", [2])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "log.csv is empty"),
        ("step,loss\n", "the columns 'step', 'loss' and no row"),
        ("step,eval_loss\n1,2\n", "no column 'loss', nor any of its other names .*; it has 'eval_loss', 'step'"),
        ("epoch,loss\n1,2\n", "no column 'step'.*by --step-column"),
        ("step,loss\n1,\n2,\n", "no number in 'loss' beside a step. Its 2 rows have 0 in 'loss'"),
        ("step,loss\n-1,2\n", "whole number of at least 0, not -1"),
        ("step,loss\n1.5,2\n", "whole number of at least 0, not 1.5"),
        ("step,loss\n1e300,2\n", "1e.300 counts no updates"),
        (b"\xff\xfe\x00step", "is no log in CSV or JSON"),
        ('{"step": 1, "loss": }', "is no log in CSV or JSON"),
        ('{"kind": "Cosine", "parts": {}}', "is no log: in JSON it is a list of objects"),
        ('{"step": [1, 2], "loss": [1]}', "is no log in CSV or JSON"),
        ("[1, 2]", "holds 1 where a log in JSON holds an object"),
        ("[]", "has no row"),
        ("[" * 100_000, "is no log in CSV or JSON"),
        ("step,loss\n0,3\n10,2\n20,1\n0,3\n10,2\n", "falls back from 20 to 0 .* another run or another epoch"),
        ("step,epoch,loss\n0,0.5,3\n9,0.5,2\n0,1,3\n9,1,2\n", "'epoch' is not a whole number for each row"),
    ],
)
def test_what_is_no_log_is_refused(log, text, words):
    with pytest.raises(FormatError, match=words):
        loss_log(log(text))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read .*no\.csv: No such file"):
        loss_log(tmp_path / "no.csv")


def test_columns_that_are_not_there_are_refused(log):
    with pytest.raises(FormatError, match="no column 'seed'"):
        loss_log(log("step,loss\n1,2\n"), run="seed")
    with pytest.raises(FormatError, match=r"several rates, 'lr-A', 'lr-B'. Say which one"):
        loss_curves(log("step,lr-A,lr-B,loss\n1,1,1,2\n"))


@pytest.mark.parametrize(
    ("first", "last", "apart", "found"),
    [(0, 999, 1, (0, 1000)), (1, 1000, 1, (1, 1000)), (9, 999, 10, (0, 1000)), (10, 1000, 10, (1, 1000)),
     (0, 990, 10, (0, 1000)), (1, 991, 10, (1, 1000)), (500, 10_000, 500, (1, 10_000)), (499, 9_999, 500, (0, 10_000)),
     (7, 7, 1, (0, 8)), (0, 996, 4, (0, 1000))],
)  # fmt: skip
def test_what_the_steps_count_is_seen_from_them(first, last, apart, found):
    assert number_updates(np.arange(first, last + 1.0, apart)) == found


def test_a_first_and_a_last_row_beside_the_regular_ones_change_nothing():
    """transformers' logging_first_step, and a row after the last update."""
    assert number_updates(np.array([1.0, *range(10, 1001, 10)])) == (1, 1000)
    assert number_updates(np.array([0.0, *range(9, 1000, 10)])) == (0, 1000)
    assert number_updates(np.array([*range(0, 1000, 10), 994.0])) == (0, 995)


def test_a_length_settles_what_the_steps_count():
    steps = np.arange(0.0, 1001, 10)
    assert number_updates(steps) == (0, 1010)
    assert number_updates(steps, 1000) == number_updates(steps, stopped=True) == (1, 1000)
    with pytest.raises(ParameterError, match="goes on to step 1000, beyond a run of 999"):
        number_updates(steps, 999)


def per_epoch(length, apart, epochs=4, begin=None):
    """Rows of epoch and step in it, logged every `apart` updates of the run, or of the epoch from `begin` on."""
    total = length * epochs
    if begin is None:
        return [(s // length, s % length, s) for s in range(apart - 1, total, apart)]
    return [(e, s, e * length + s) for e in range(epochs) for s in range(begin, length, apart)]


@pytest.mark.parametrize(
    "rows", [per_epoch(250, 10), per_epoch(250, 40), per_epoch(250, 10, begin=9), per_epoch(97, 1, begin=0)]
)
def test_a_step_that_begins_again_in_each_epoch_is_counted_on(log, rows):
    found = loss_log(log(lines(("epoch", "step", "loss"), [(e, s, at + 1) for e, s, at in rows])))
    assert found.columns["loss"].steps.tolist() == [at for *_, at in rows]
    assert f"each of {rows[-1][0] + 1} epochs" in found.notes[0]


def test_an_epoch_that_is_begun_anew_after_a_crash_is_a_resume(log):
    rows = [
        *per_epoch(50, 10, epochs=2, begin=9),
        (2, 9, 109),
        (2, 19, 119),
        *((2, s, 100 + s) for s in range(9, 50, 10)),
    ]
    found = loss_log(log(lines(("epoch", "step", "loss"), [(e, s, at + 1) for e, s, at in rows])))
    assert found.columns["loss"].steps.tolist() == list(range(9, 150, 10))
    assert "2 numbers replaced" in " ".join(found.notes)


def test_a_step_through_the_whole_run_goes_before_one_of_the_epoch(log):
    rows = [(s % 250, s, 1.0) for s in range(9, 1000, 10)]
    found = loss_log(log(lines(("step", "global_step", "loss"), rows)))
    assert (found.total, len(found.columns["loss"].steps)) == (1000, 100)
    assert "counts by 'global_step'" in found.notes


def test_a_second_line_of_names_begins_another_run(log):
    text = lines(("step", "loss"), [(s, 1) for s in range(9, 200, 10)])
    both = text + lines(("loss", "step"), [(2, s) for s in range(9, 100, 10)])
    found = read_logs(log(both), NAMES, main="loss")
    assert [(each.name, each.total) for each in found] == [("log", 200), ("log (2)", 100)]
    assert set(found[1].columns["loss"].values) == {2.0}


def test_a_second_line_of_names_before_a_resume_begins_none(log):
    text = lines(("step", "loss"), [(s, 1) for s in range(9, 200, 10)])
    found = loss_log(log(text + lines(("step", "loss"), [(s, 2) for s in range(109, 300, 10)])))
    assert (found.total, found.columns["loss"].values.sum()) == (300, 10 + 20 * 2)


def test_rate_and_loss_of_one_step_may_stand_in_two_rows(log):
    """As Lightning and `wandb.log`, called twice, write them; each column has its numbers."""
    rows = [row for s in range(4, 100, 5) for row in ((s, 1 - s / 100, ""), (s, "", 3.0))]
    (curve,), _ = loss_curves(log(lines(("step", "lr-SGD", "train_loss"), rows)))
    assert len(curve.rates) == 100
    assert curve.at.tolist() == list(range(5, 101, 5))
    np.testing.assert_allclose(curve.rates[4:], 1 - np.arange(4, 100) / 100)


def test_the_rate_may_be_logged_at_other_steps_than_the_loss(log):
    rows = [(s, 1 - s / 100, "") for s in range(0, 100, 2)] + [(s, "", 3.0) for s in range(9, 100, 10)]
    (curve,), _ = loss_curves(log(lines(("step", "lr", "loss"), rows)))
    assert (len(curve.rates), len(curve.at)) == (100, 10)


def test_json_is_read_in_all_its_forms(log):
    rows = [{"step": s, "loss": 2.0, "learning_rate": 0.1, "note": None} for s in range(5, 51, 5)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    state = {"global_step": 50, "log_history": [*rows, {"step": 50, "train_loss": 9.0}]}
    for text, name in (
        (json.dumps(rows), "a.json"),
        ("\n".join(map(json.dumps, rows)), "a.jsonl"),
        ("\n".join(map(json.dumps, rows)) + '\n{"step": 55, "lo', "killed.jsonl"),
        (json.dumps(columns), "columns.json"),
        (json.dumps(state, indent=2), "trainer_state.json"),
    ):
        (curve,), notes = loss_curves(log(text, name))
        assert (len(curve.rates), curve.losses.tolist()) == (50, [2.0] * 10), name
        assert "takes 'learning_rate' as lr" in notes[0]


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_other_separators_are_seen(log, separator):
    text = lines(("step", "lr", "loss"), [(s, 0.1, 2) for s in range(10)]).replace(",", separator)
    assert len(loss_curves(log(text))[0][0].rates) == 10


def test_curves_of_tensorboard_are_put_together_by_their_runs(log):
    files = [
        log(lines(("Wall time", "Step", "Value"), [(1e9 + s, s, value) for s in range(0, 50, 5)]), name)
        for name, value in {
            "run-a-tag-lr.csv": 0.1, "run-a-tag-loss.csv": 2.0, "b/lr.csv": 0.2, "b/loss.csv": 3.0,
        }.items()
    ]  # fmt: skip
    curves, _ = loss_curves(files)
    assert [(each.name, each.rates[0], each.losses[0]) for each in curves] == [("a", 0.1, 2.0), ("b", 0.2, 3.0)]
    with pytest.raises(FormatError, match=r"run-a-tag-lr.csv has no column 'loss'"):
        loss_curves(files[:1])


def test_charts_of_wandb_have_a_column_for_each_run(log):
    def chart(metric, values):
        names = ["Step", *(f"{run} - {metric}{band}" for run in "ab" for band in ("", "__MIN", "__MAX"))]
        rows = [(s, *(v for value in values for v in (value, -9, -9))) for s in range(0, 50, 5)]
        return log(
            '"' + lines([f'{name}"' for name in names], []).replace(",", ',"') + lines((), rows)[1:], f"{metric}.csv"
        )

    curves, _ = loss_curves([chart("lr", (0.1, 0.2)), chart("loss", (2.0, 3.0))])
    assert [(each.name, each.rates[0], each.losses[0]) for each in curves] == [("a", 0.1, 2.0), ("b", 0.2, 3.0)]


def test_a_line_a_value_is_read_too(log):
    rows = [row for s in range(20) for row in ((s, "lr/body", 0.1), (s, "lr/head", 1 - s / 20), (s, "loss", 2.0))]
    file = log(lines(("step", "name", "value"), rows))
    (curve,), _ = loss_curves(file, lr="lr/head")
    np.testing.assert_allclose(curve.rates, 1 - np.arange(20) / 20)
    np.testing.assert_allclose(read_rates(file, lr="lr/body"), np.full(20, 0.1))


def test_files_of_one_name_are_told_apart_by_their_folders(log):
    files = [log("step,lr,loss\n0,1,2\n1,1,2\n", f"version_{i}/metrics.csv") for i in (0, 1)]
    assert [each.name for each in loss_curves(files)[0]] == ["version_0/metrics", "version_1/metrics"]


def test_tokens_are_divided_and_too_long_a_run_is_refused_in_a_sentence(log):
    rows = [(s * 3_000_000, 1 - s / 1001, 2.0, 1.0) for s in range(1, 1001)]
    file = log(lines(("step", "lr", "loss", "grad_norm"), rows))
    with pytest.raises(BudgetError, match=r"3e\+09 updates, .* samples or tokens, .*--per-update"):
        loss_curves(file)
    (curve,), _ = loss_curves(file, per_update=3_000_000)
    assert (len(curve.rates), curve.at[0], curve.at[-1]) == (1000, 1, 1000)
    norms = read_norms(file)  # needs no table
    assert (norms.total, norms.rates.at([2_999_999_999]).round(6)) == (3_000_000_000, round(1 - 1000 / 1001, 6))
    with pytest.raises(ParameterError, match="at least 1 sample or token, not 0"):
        loss_curves(file, per_update=0)


def test_one_of_several_runs_is_refined_and_has_to_be_named(log):
    file = log(lines(("run", "step", "grad_norm"), [(run, s, 1.0) for run in "ab" for s in range(40)]))
    with pytest.raises(FormatError, match=r"there are 2 runs, 'a' of 40 updates, 'b' of 40 updates, .* by --run"):
        read_norms(file, run="run")
    assert read_norms(file, run="run", only="b").total == 40
    with pytest.raises(FormatError, match="no run is called 'c'"):
        read_norms(file, run="run", only="c")


def test_rates_go_on_lines_between_the_rows():
    table = rates_between(np.array([2.0, 4.0, 6.0]), np.array([1.0, 0.8, 0.6]), 9).table(9)
    np.testing.assert_allclose(table, [1, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6])


def test_a_jump_between_rows_happens_at_the_later_one():
    table = rates_between(np.arange(0.0, 50, 10), np.array([1.0, 1, 0.3, 0.3, 0.3]), 50).table(50)
    assert (table[:20] == 1).all()
    assert (table[20:] == 0.3).all()


def test_a_cooldown_that_begins_is_no_jump():
    rates = rates_between(np.arange(0.0, 50, 10), np.array([1.0, 1, 0.7, 0.4, 0.1]), 50)
    assert rates.at([15]) == pytest.approx(0.85)


def test_a_warmup_before_the_first_row_rises_from_zero():
    table = rates_between(np.array([10.0, 20.0]), np.array([0.5, 0.5]), 21, warmup=5).table(7)
    np.testing.assert_allclose(table, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


@pytest.mark.parametrize(
    ("rates", "warmup", "words"),
    [([0.0, 0.0], 0, "not all 0"), ([1.0, -1.0], 0, "at least 0"), ([1.0, 1.0], 11, "warmup of 11 updates")],
)
def test_rates_that_are_none_are_refused(rates, warmup, words):
    with pytest.raises(ParameterError, match=words):
        rates_between(np.array([0.0, 10.0]), np.array(rates), 11, warmup)


def test_a_row_of_losses_ends_its_update(log):
    (curves, notes) = loss_curves(log("step,lr,loss\n0,1,9\n2,1,5\n4,0.5,4\n", "mine.csv"))
    assert (curves[0].name, len(curves[0].rates)) == ("mine", 6)  # a row every two updates
    assert notes == ["'mine': steps counted from 0, a run of 6 updates unless --steps says another length"]
    assert curves[0].at.tolist() == [1, 3, 5]
    (_, notes) = loss_curves(log("step,lr,loss\n0,1,9\n2,1,5\n4,0.5,4\n", "mine.csv"), total=8)
    assert notes == ["'mine': steps counted from 0, a run of 6 updates, as its rows say, not 8"]
    with pytest.raises(BudgetError, match="run 'log' has one row"):
        loss_curves(log("step,lr,loss\n0,1,9\n"))


def test_norms_come_with_rates_where_there_are_any(log):
    plain = read_norms(log("step,grad_norm\n0,2\n5,1\n10,1\n"))
    assert plain.rates is None
    assert (plain.norms.tolist(), plain.total) == ([2, 1, 1], 15)
    rates = read_norms(log("step,grad_norm,lr\n0,2,1\n5,1,1\n10,1,0.5\n")).rates
    assert rates.at([0, 5, 9, 10]).tolist() == [1, 1, 1, 0.5]
