"""A range test as text: the curve's lowest point, the axes and the marks stand where they are."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import plotext
import pytest
import samples

from stepsize.kernel.errors import ParameterError
from stepsize.plots import sketch, terminal
from stepsize.plots.terminal import MARKS
from stepsize.results import Estimate, RangeTestRecord, Suggestion
from stepsize.rules import SGD


def ramp(curve, *, low=1e-5, high=10.0, points=400):
    """A range test of one seed whose losses are `curve` of log10 of the rate."""
    rates = np.geomspace(low, high, points)
    return record(rates, np.asarray(curve(np.log10(rates))))


def record(rates, losses):
    return RangeTestRecord(
        task="bowl", rule=SGD(), rates=rates, losses=losses.astype(np.float32)[:, None], seeds=(0,),
        steps=len(rates), cost=len(rates),
    )  # fmt: skip


def canvas(text):
    """The drawing right of the y axis, a list of lines."""
    sides = [re.match(r" *(?:-?[\d.]+(?:e-?\d+)?)?[│┤├┼](.*)", line) for line in text.splitlines()]
    return [side[1] for side in sides if side]


def inked(text):
    """The (line, column) of all dots."""
    return {(i, j) for i, row in enumerate(canvas(text)) for j, char in enumerate(row) if 0x2800 < ord(char) < 0x2900}


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("best", [-4.0, -2.5, 0.2])
def test_the_lowest_dot_stands_over_the_lowest_loss(best, width):
    text = sketch(ramp(lambda x: 1 + 0.3 * abs(x - best), points=120), None, width, 16)
    dots = inked(text)
    bottom = max(line for line, _ in dots)
    columns = [column for line, column in dots if line == bottom]
    across = width - re.search("[│┤]", text.splitlines()[1]).end()
    room = 0.03 * 6  # decades: the axis is wider than the rates by 3 % at either end
    middle = -5 - room + (np.mean(columns) + 0.5) / across * (6 + 2 * room)
    assert middle == pytest.approx(best, abs=0.2)


def test_every_column_between_the_first_and_the_last_rate_has_a_dot():
    dots = inked(sketch(ramp(lambda x: 2 - np.tanh(9 * (x + 2))), None, 80, 10))
    columns = {column for _, column in dots}
    assert columns == set(range(min(columns), max(columns) + 1))
    assert len(columns) > 60


@pytest.mark.parametrize("width", [40, 60, 79, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_asked(width, encoding):
    sweep, (_, found) = samples.range_test(), samples.searched()
    found = replace(found, base=Estimate(0.006, 0.006, 0.006))
    text = sketch(sweep, found, width, 8, encoding)
    assert width - 20 < max(map(len, text.splitlines())) <= width
    assert len(canvas(text)) == (8 if encoding == "utf-8" else 0)


def test_marks_stand_under_their_rates():
    sweep = ramp(lambda x: 2 + 0.1 * x)
    marks = {"min": 1e-3, "max": 1e-1, "lr": 1e-2, "limit": 1.0}
    estimates = [Estimate(value, value, value) for value in marks.values()]
    smooth = np.empty((0, 0))
    low, high, lr, limit = estimates
    found = Suggestion(min_lr=low, max_lr=high, clear=True, reason="", smooth=smooth, lr=lr, limit=limit)
    *_, under, axis, numbers, legend = sketch(sweep, found, 80, 6).splitlines()
    for word, value in marks.items():
        column = under.index(MARKS[word])
        assert axis[column] == "┬"
        assert f"{value:g}" in numbers[column - 3 : column + 4]
    assert legend == "[ min 0.001  ] max 0.1  ▲ lr 0.01  ┊ limit 1"


def test_a_mark_hides_no_other():
    same = Estimate(0.01, 0.01, 0.01)
    found = Suggestion(min_lr=same, max_lr=same, clear=True, reason="", smooth=np.empty((0, 0)), lr=same)
    rows = canvas(sketch(ramp(lambda x: 2 + 0.1 * x), found, 80, 6))
    columns = {sign: [row.index(sign) for row in rows if sign in row] for sign in "[]▲"}
    assert len({tuple(column) for column in columns.values()}) == 1
    assert all(len(column) == 1 for column in columns.values())


def test_the_numbers_of_the_y_axis_are_those_of_the_curve():
    text = sketch(ramp(lambda x: 3 + 0 * x), None, 60, 9)
    lines = text.splitlines()[1:10]
    (flat,) = {line for line, _ in inked(text)}
    assert float(lines[flat].split("┤")[0]) == 3


def test_a_grid_has_its_own_mark_and_says_what_its_signs_are():
    text = sketch(*samples.searched())
    assert "validation loss at the end of runs, over the peak rate" in text
    assert "● 200 steps  ┈ before training  ✗ diverged  ▲ lr 0.024" in text
    assert "min" not in text


def test_the_signs_of_a_grid_stand_at_its_final_losses():
    rates = tuple(np.geomspace(1e-4, 1.0, 9))
    rows = canvas(sketch(samples.grid(rates=rates, best=1e-2, diverged=False), None, 80, 12))
    signs = sorted((column, line) for line, row in enumerate(rows) for column, char in enumerate(row) if char == "●")
    assert len(signs) == 9
    lines = [line for _, line in signs]
    assert lines.index(max(lines)) <= 4 <= 8 - lines[::-1].index(max(lines))
    assert lines[:5] == sorted(lines[:5])
    assert lines[4:] == sorted(lines[4:], reverse=True)


def test_what_diverged_or_stops_high_is_at_the_top():
    grid = samples.grid()
    grid.held_out[-2] = 1e9
    text = sketch(grid)
    (top, *_) = canvas(text)
    assert "✗" in top
    assert "↑" in top
    assert top.index("↑") < top.index("✗")
    assert "✗ diverged  ↑ higher" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.0, -2.0])
def test_losses_of_any_value_can_be_sketched(value):
    sweep = samples.range_test()
    text = sketch(replace(sweep, losses=np.full_like(sweep.losses, value)))
    said = "no loss is finite" in text
    assert said is not np.isfinite(value)
    assert bool(inked(text)) is not said
    grid = samples.grid()
    assert sketch(replace(grid, held_out=np.full_like(grid.held_out, value)))


def test_one_point_is_one_dot():
    sweep = record(np.array([0.1]), np.array([2.0]))
    text = sketch(sweep)
    assert len(inked(text)) == 1
    assert "0.1" in text.splitlines()[-1].split()
    assert "●" in sketch(samples.grid(rates=(0.1,), seeds=1, diverged=False))


def test_an_explosion_fills_no_part_of_the_picture():
    text = sketch(ramp(lambda x: 2 + np.where(x > 0, 10.0 ** (8 * x), 0)), None, 80, 10)
    right = [(line, column) for line, column in inked(text) if column > 66]
    assert not right


def test_another_hyperparameter_is_named_and_has_round_numbers():
    grid = samples.hyperparameter_sweep(hyperparameter="momentum", values=(0.8, 0.85, 0.9, 0.95), best=0.9)
    text = sketch(grid)
    assert "over the momentum" in text
    assert text.splitlines()[-2].split() == ["0.8", "0.85", "0.9", "0.95"]


def rows(table):
    """The rates, losses and bars of a table."""
    found = [re.match(r" +([\d.e-]+) +([\d.einfa]+)  (#*|diverged)$", line) for line in table.splitlines()]
    return [(float(row[1]), float(row[2]), row[3]) for row in found if row]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "no-such-encoding"])
def test_an_encoding_without_braille_gets_the_numbers_in_a_table(encoding):
    grid = samples.grid()
    text = sketch(replace(grid, task="目標"), None, encoding=encoding)
    assert text.isascii()
    for (rate, loss, bar), own, runs in zip(rows(text), grid.rates, grid.judged, strict=True):
        assert rate == pytest.approx(own, rel=1e-2)
        assert loss == pytest.approx(runs.mean(), rel=1e-3, nan_ok=True)
        assert (bar == "diverged") == (not np.isfinite(runs).all())


def test_bars_of_a_table_are_longer_for_higher_losses():
    table = rows(sketch(ramp(lambda x: 3 + 0.3 * x), None, 80, encoding="ascii"))
    lengths = [len(bar) for _, _, bar in table]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] <= 58


def test_without_plotext_there_is_the_same_table(monkeypatch):
    sweep, found = samples.searched()
    monkeypatch.setattr(terminal, "installed", lambda package: package != "plotext")
    assert sketch(sweep, found) == sketch(sweep, found, encoding="ascii")


def test_a_figure_of_the_users_own_terminal_is_left_as_wide_as_it_was():
    figure = plotext.figure
    before = figure.size()
    sketch(samples.range_test(), None, 300, 90)
    figure.plot_size(300, 90)
    assert figure.size() == before


@pytest.mark.parametrize(("width", "height"), [(39, 12), (80, 3), (0, 0), (-1, 12)])
def test_a_sketch_too_small_to_be_read_is_an_error(width, height):
    with pytest.raises(ParameterError, match="at least 40 and 4"):
        sketch(samples.range_test(), None, width, height)


def test_a_sketch_needs_no_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np\n"
        "from stepsize.plots import sketch\n"
        "from stepsize.results import RangeTestRecord\n"
        "rates, losses = np.geomspace(1e-4, 1, 50), np.ones((50, 1), dtype=np.float32)\n"
        "record = RangeTestRecord(task='t', rule=None, rates=rates, losses=losses, seeds=(0,), steps=50, cost=50)\n"
        "print(len(sketch(record).splitlines()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 15
