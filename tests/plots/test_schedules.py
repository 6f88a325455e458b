"""Pictures of schedules and policies show the right values on the right axes."""

import sys

import numpy as np
import pytest

from stepsize.plots import plot_policy, plot_schedule, plot_schedules
from stepsize.plots.schedules import POINTS
from stepsize.policies import RECIPES, Policy, one_cycle, step_decay
from stepsize.schedules import Constant, Cosine, Linear


def test_an_unbound_schedule_is_drawn_over_the_given_steps():
    ax = plot_schedule(Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0), steps=200)
    x, y = ax.lines[0].get_data()
    assert len(ax.lines) == 1
    assert (x[0], x[-1], len(x)) == (0, 199, 200)
    assert y[20] == pytest.approx(0.1)
    assert ax.get_xlabel() == "step"
    assert ax.get_title(loc="left") == "Linear >> Cosine over 200 steps"


def test_a_thousand_steps_are_the_default():
    assert plot_schedule(Cosine(0.1, 0.0)).lines[0].get_xdata()[-1] == 999


def test_a_bound_schedule_keeps_its_own_length():
    assert plot_schedule(Cosine(0.1, 0.0, 50), steps=700).lines[0].get_xdata()[-1] == 49


def test_a_long_schedule_is_sampled_with_exact_values():
    schedule = step_decay(0.1)["lr"].over(1_000_000)
    x, y = plot_schedule(schedule).lines[0].get_data()
    assert len(x) <= POINTS
    np.testing.assert_array_equal(y, schedule(x))


def test_one_step_and_zero_can_be_drawn():
    assert len(plot_schedule(Constant(0.0), steps=1).lines[0].get_xdata()) == 1


def test_the_methods_of_the_values_draw():
    assert Cosine(0.1, 0.0).plot(steps=10).lines[0].get_xdata()[-1] == 9
    assert one_cycle(0.1).plot(steps=10).get_ylabel() == "lr"


def test_momentum_stands_on_its_own_axis_and_moves_the_other_way():
    ax = plot_policy(one_cycle(0.1), steps=100)
    (twin,) = [other for other in ax.figure.axes if other is not ax]
    assert (ax.get_ylabel(), twin.get_ylabel()) == ("lr", "momentum")
    lr, momentum = ax.lines[0].get_ydata(), twin.lines[0].get_ydata()
    assert lr.argmax() == momentum.argmin() == 30
    low, high = twin.get_ylim()
    assert low < momentum.min() < momentum.max() < high


def test_a_policy_without_momentum_has_one_axis():
    assert len(plot_policy(Policy(lr=0.1), steps=10).figure.axes) == 1


def test_a_policy_without_a_rate_draws_what_it_has():
    assert plot_policy(Policy(momentum=0.9), steps=10).get_ylabel() == "momentum"


def test_several_policies_are_named_in_the_legend():
    ax = plot_schedules({name: recipe(0.1) for name, recipe in RECIPES.items()}, 100)
    assert len(ax.lines) == len(RECIPES)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(RECIPES)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == len(RECIPES)


def test_names_with_dollars_and_underscores_are_shown_as_they_are():
    ax = plot_schedules({"_a $x$ b$": Policy(lr=0.1)}, 10)
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_texts()[0].get_text().strip() == r"_a \$x\$ b\$"


def test_no_policies_make_an_empty_picture():
    assert plot_schedules({}, 10).get_legend() is None


def test_drawing_goes_to_the_given_axes_and_leaves_no_global_state():
    ax = plot_schedule(Cosine(0.1, 0.0))
    assert plot_schedule(Linear(0.1, 0.0), ax=ax) is ax
    assert len(ax.lines) == 2
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
