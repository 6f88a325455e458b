"""Pictures of races put the best on top, tell ties apart and list what diverged."""

from dataclasses import replace

import numpy as np
import pytest
import samples

from stepsize.plots import plot_chances, plot_race, plot_rungs, plot_sensitivity, style
from stepsize.results import Interval


def texts(ax):
    return [text.get_text() for text in ax.texts]


def dots(ax):
    """The dots, as (mean, row, colour)."""
    return [(l.get_xdata()[0], l.get_ydata()[0], l.get_color()) for l in ax.lines if l.get_marker() == "o"]  # noqa: E741


def test_the_best_is_on_top_and_every_finite_mean_has_a_dot():
    race = samples.final()
    ax = plot_race(race)
    assert [label.get_text() for label in ax.get_yticklabels()] == [s.strategy.name for s in race.standings]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    means = [s.score.mean for s in race.standings if np.isfinite(s.score.mean)]
    assert [x for x, _, _ in dots(ax)] == means
    assert ax.get_xlabel() == "validation loss, mean and 95 % interval"


def test_ties_have_the_colour_of_the_best():
    race = samples.final()
    tied = [row == 0 or s.tied for row, s in enumerate(race.standings)]
    assert sum(tied) == 2
    assert [color == style.BLUE for _, _, color in dots(plot_race(race))] == tied[:5]
    assert plot_race(race).get_title(loc="left") == "AdamW one_cycle 0.01 leads; 1 more is tied with it"


def test_the_whiskers_are_the_interval():
    race = samples.final()
    score = race.standings[0].score
    assert any(list(line.get_xdata()) == [score.low, score.high] for line in plot_race(race).lines)


def test_what_diverged_is_listed():
    assert "diverged (2 seeds)" in texts(plot_race(samples.final()))


def test_only_the_first_are_drawn():
    assert len(plot_race(samples.final(), most=3).get_yticklabels()) == 3


def test_a_race_in_which_all_diverged_can_be_drawn():
    race = samples.final()
    lost = Interval(np.inf, np.inf, np.inf)
    race = replace(race, standings=tuple(replace(s, score=lost, behind=None, tied=False) for s in race.standings))
    ax = plot_race(race)
    ax.figure.draw_without_rendering()
    assert ax.get_title(loc="left") == "Every strategy diverged"
    assert not dots(ax)


def test_one_seed_has_no_interval_and_keeps_its_dot():
    race = samples.final()
    alone = tuple(replace(s, score=Interval(s.score.mean, -np.inf, np.inf)) for s in race.standings)
    ax = plot_race(replace(race, standings=alone))
    assert len(dots(ax)) == 5
    assert np.isfinite(ax.get_xlim()).all()


def test_an_interval_wide_beyond_use_does_not_set_the_scale():
    race = samples.final()
    first, *others = race.standings
    wide = replace(first, score=Interval(first.score.mean, -1e6, 1e6))
    low, high = plot_race(replace(race, standings=(wide, *others))).get_xlim()
    assert high - low < 1


def test_sensitivity_has_one_line_a_policy_in_order_of_the_rate():
    race = samples.search()
    ax = plot_sensitivity(race)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(names) == 8
    assert "AdamW one_cycle" in names
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    rates, scores = lines["AdamW one_cycle"].get_data()
    assert list(rates) == pytest.approx([0.001, 0.00316, 0.01, 0.0316, 0.1], rel=1e-6)
    assert len(scores) == 5
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "peak learning rate"


def test_sensitivity_marks_the_rates_that_diverged():
    ax = plot_sensitivity(samples.search())
    crosses = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert crosses
    assert ax.get_legend().get_title().get_text().splitlines()[-1] == "cross: diverged"


def test_sensitivity_has_a_bar_of_the_rates_within_five_percent_and_a_triangle_at_an_end():
    race = samples.search()
    shown = race.sensitivities[:8]
    ax = plot_sensitivity(race)
    bars = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 6]
    assert bars == [(each.low, each.high) for each in shown if each.high > each.low]
    assert not [line for line in ax.lines if line.get_marker() in ("<", ">")]
    first, best = race.rungs[0], shown[0]
    low = [i for i, s in enumerate(first.strategies) if s.family != best.strategy.family or s.peak <= best.best]
    cut = replace(first, strategies=tuple(first.strategies[i] for i in low), scores=first.scores[low])
    ax = plot_sensitivity(replace(race, rungs=(cut, *race.rungs[1:])))
    triangles = [(line.get_marker(), line.get_xdata()[0]) for line in ax.lines if line.get_marker() in ("<", ">")]
    assert triangles == [(">", best.best)]
    assert "triangle: best at an end" in ax.get_legend().get_title().get_text()


def test_rungs_have_a_line_a_strategy_and_a_cross_where_it_went_out():
    race = samples.search()
    ax = plot_rungs(race)
    ax.figure.draw_without_rendering()
    first, second = race.rungs
    assert sum(line.get_marker() == "x" for line in ax.lines) == len(first.strategies) - len(second.strategies)
    lines = {line.get_label(): line for line in ax.lines if line.get_marker() == "o"}
    assert set(lines) == {strategy.name for strategy in first.strategies}
    for row, index in enumerate(second.order):
        name = second.strategies[index].name
        assert list(lines[name].get_xdata()) == [0, 1]
        assert lines[name].get_ydata()[1] == row + 1
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["100 steps\n2 seeds", "400 steps\n2 seeds"]
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named == [second.strategies[i].name for i in second.order[:7]]
    assert len({lines[name].get_color() for name in named}) == len(named)


def test_all_that_diverged_share_the_last_rank():
    race = samples.final()
    scores = race.rungs[0].scores.copy()
    scores[-2:] = np.inf
    ax = plot_rungs(replace(race, rungs=(replace(race.rungs[0], scores=scores),)))
    assert sorted(line.get_ydata()[0] for line in ax.lines) == [1, 2, 3, 4, 5, 5]


def test_chances_are_bars_in_the_order_of_the_standings():
    race = samples.final()
    ax = plot_chances(race)
    shown = race.standings[:5]
    assert [bar.get_width() for bar in ax.patches] == [standing.chance for standing in shown]
    assert [label.get_text() for label in ax.get_yticklabels()] == [standing.strategy.name for standing in shown]
    assert texts(ax)[-1] == "<1 %"
    alone = tuple(replace(standing, chance=np.nan) for standing in race.standings)
    assert not plot_chances(replace(race, standings=alone)).patches
