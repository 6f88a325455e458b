"""Where the best rate lies is drawn with the runs that say so; the course of a search ends at its advice."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.plots import plot_advice, plot_search_course
from stepsize.plots.advice import changes, course
from stepsize.strategy import Strategy


@pytest.fixture(scope="module")
def advice():
    return samples.advice()


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def dots(ax):
    """The rates and scores that are drawn as points on the second axis, by their label."""
    _, right = ax.figure.axes
    return {
        line.get_label(): line.get_xydata().tolist() for line in right.lines if not line.get_label().startswith("_")
    }


def test_the_belief_is_drawn_with_the_answer_and_the_90_percent(advice):
    ax = plot_advice(advice)
    belief = advice.belief
    (filled,) = ax.collections
    tops = filled.get_paths()[0].vertices
    assert tops[tops[:, 1].argmax(), 0] == pytest.approx(0.0112, rel=0.05)
    (answer,) = [line for line in ax.lines if line.get_label() == "the answer, 0.01"]
    assert set(answer.get_xdata()) == {0.01}
    (bar,) = [line for line in ax.lines if line.get_label() == "90 % range"]
    assert list(bar.get_xdata()) == [belief.low, belief.high]
    (before,) = [line for line in ax.lines if line.get_label() == "before any run"]
    assert before.get_linestyle() == "--"
    assert ax.get_title(loc="left") == "AdamW one_cycle: 0.0059 to 0.02"
    assert (ax.get_xlabel(), ax.get_xscale()) == ("peak learning rate", "log")


@pytest.mark.parametrize("points", [101, 281])
def test_the_density_is_by_decade_whatever_the_grid(advice, points):
    """The area over log10 of the rate is 1, though the grid is half as fine in its upper half."""
    rates = np.concatenate([np.geomspace(1e-6, 1e-3, points), np.geomspace(1.1e-3, 10, points // 2)])
    density = np.exp(-0.5 * (np.log10(rates / 0.001) / 0.5) ** 2) * np.gradient(np.log10(rates))
    density = density / density.sum()
    ax = plot_advice(replace(advice, belief=replace(advice.belief, rates=rates, density=density, before=density)))
    curve = next(line for line in ax.lines if len(line.get_xdata()) == len(rates))
    assert np.trapezoid(curve.get_ydata(), np.log10(rates)) == pytest.approx(1.0, abs=0.02)


def test_the_runs_of_the_family_are_dots_by_their_length(advice):
    drawn = dots(plot_advice(advice))
    assert list(drawn) == ["runs of 25 steps", "runs of 100 steps", "runs of 400 steps", "diverged"]
    assert drawn["runs of 100 steps"] == [[0.00562, 0.21], [0.0178, 0.187], [0.0562, 0.34]]
    assert drawn["runs of 400 steps"] == [[0.01, 0.0661], [0.01, 0.0634]]  # of no other family


def test_a_run_that_diverged_is_a_cross_at_the_top(advice):
    _, right = plot_advice(advice).figure.axes
    crosses = [line for line in right.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [line.get_xdata().tolist() for line in crosses] == [[0.316]]
    assert crosses[0].get_ydata() == [0.96]
    calm = replace(advice, runs=tuple(run for run in advice.runs if np.isfinite(run.score)))
    assert "diverged" not in labels(plot_advice(calm))


def test_all_runs_and_the_belief_are_inside_the_picture(advice):
    ax = plot_advice(advice)
    low, high = ax.get_xlim()
    peaks = [run.strategy.peak for run in advice.own_runs]
    assert low < min(*peaks, advice.belief.low)
    assert max(*peaks, advice.belief.high) < high
    assert low > 1e-6  # where nothing is believed and nothing ran is left out


def test_where_nothing_has_learned_there_is_no_line_at_an_answer():
    ax = plot_advice(samples.unlearned_advice())
    assert not any(label.startswith("the answer") for label in labels(ax))
    assert ax.get_title(loc="left") == "AdamW one_cycle: nothing has learned"


def test_an_answer_that_no_run_of_its_family_speaks_for_is_drawn_alone(advice):
    ax = plot_advice(replace(advice, runs=()))
    assert len(ax.figure.axes) == 1
    assert "the answer, 0.01" in labels(ax)


def test_the_course_is_what_the_answer_was_expected_to_lose(advice):
    points = course(advice)
    assert [point.cost for point in points] == [*(run.cost for run in advice.runs), advice.cost]
    assert [point.loses for point in points[:2]] == pytest.approx([31, 20])
    assert points[-1].loses == pytest.approx(100 * advice.loses)
    ax = plot_search_course(advice)
    line = ax.lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert line.get_xdata().tolist() == [point.cost for point in points]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_title(loc="left") == "14 runs, 37.4 full trainings"


def test_a_search_without_a_final_ends_at_its_last_run():
    points = course(samples.small_advice())
    assert len(points) == 9 + 1  # it cost a little more than its runs: the look at the model
    small = samples.small_advice()
    assert len(course(replace(small, cost=small.runs[-1].cost))) == 9
    assert plot_search_course(small).get_xscale() == "linear"


def test_the_changes_of_the_answer_are_numbered_and_named(advice):
    names = [point.answer.name for point in changes(course(advice))]
    assert names[-3:] == ["AdamW one_cycle 0.0125", "AdamW warmup_cosine 0.00316", "AdamW one_cycle 0.01"]
    ax = plot_search_course(advice)
    assert labels(ax) == [f"{number}: {name}" for number, name in enumerate(names[-6:], start=1)]
    assert [text.get_text() for text in ax.texts] == list("123456")


def test_a_rate_that_hardly_moves_is_no_other_answer(advice):
    answers = [Strategy.of("AdamW", "one_cycle", rate) for rate in (0.01, 0.0112, 0.0118, 0.02)]
    runs = tuple(replace(run, answer=answer) for run, answer in zip(advice.runs, answers, strict=False))
    found = changes(course(replace(advice, runs=runs, cost=0.0)))
    assert [point.answer.peak for point in found] == pytest.approx([0.01, 0.02])


def test_a_search_that_ran_nothing_has_a_course_of_one_point(advice):
    (point,) = course(replace(advice, runs=()))
    assert point == (advice.cost, pytest.approx(100 * advice.loses), advice.strategy)
    assert plot_search_course(replace(advice, runs=())).get_title(loc="left") == "0 runs, 37.4 full trainings"


def test_an_advice_draws_itself(advice):
    assert advice.plot().get_title(loc="left") == plot_advice(advice).get_title(loc="left")
