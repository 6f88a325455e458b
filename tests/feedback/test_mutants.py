"""Feedback call by call, at the edges of what counts: traces written by hand, and the numbers by default."""

import math

import pytest

from stepsize.schedules import Greedy, Listener, Plateau


def heard(feedback, losses):
    listen = Listener(feedback)
    return [listen(loss) for loss in losses]


def test_the_numbers_by_default():
    said = {"relative": True, "cooldown": 0, "least": 0.0, "mode": "min"}
    assert Plateau() == Plateau(factor=0.1, patience=10, threshold=1e-4, **said)
    said = {"relative": False, "cooldown": 0, "warmup": 0, "window": 1, "reset": 0, "mode": "min"}
    assert Greedy() == Greedy(factor=0.95, patience=10, threshold=1e-6, least=0.01, most=10.0, **said)


def test_plateau_by_default_drops_to_a_tenth_at_the_eleventh_bad_call():
    assert heard(Plateau(), [1.0] * 23) == pytest.approx([1.0] * 11 + [0.1] * 11 + [0.01])


def test_plateau_by_default_wants_a_ten_thousandth_of_the_best():
    for best, enough, short in ((1.0, 0.99985, 0.99995), (-1.0, -1.00015, -1.00005), (100.0, 99.985, 99.995)):
        assert heard(Plateau(patience=0), [best, enough])[-1] == 1.0
        assert heard(Plateau(patience=0), [best, short])[-1] == 0.1


def test_plateau_has_no_floor_by_default():
    assert heard(Plateau(patience=0), [1.0] * 41)[-1] == pytest.approx(1e-40, rel=1e-9)


@pytest.mark.parametrize("make", [Plateau, Greedy])
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(("best", "size"), [(8.0, 8.0), (-8.0, 8.0), (0.0, 0.0)])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_better_is_by_more_than_the_threshold(make, relative, best, size, mode):
    feedback = make(patience=0, threshold=0.25, relative=relative, mode=mode)
    gap, sign = 0.25 * (size if relative else 1.0), 1 if mode == "min" else -1
    first, _ = feedback.update(feedback.init(), sign * best)
    for less, is_better in ((gap + 0.125, True), (gap, False), (gap - 0.125, False), (-0.5, False)):
        state, multiplier = feedback.update(first, sign * (best - less))
        assert (state.best != first.best) == is_better
        assert state.best == sign * (best - less * is_better)
        assert (multiplier < first.multiplier) == (not is_better)


@pytest.mark.parametrize("patience", [0, 1, 2])
@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_plateau_counts_its_patience_and_its_cooldown(patience, cooldown):
    """After the best, `patience + 1` bad calls make a drop, and then `cooldown` calls are not counted."""
    drops = [1 + patience + k * (patience + 1 + cooldown) for k in range(4)]
    found = Listener(Plateau(factor=0.5, patience=patience, cooldown=cooldown))
    for _ in range(drops[-1] + 1):
        found(1.0)
    assert [change.call for change in found.changes] == drops


def test_plateau_forgets_bad_calls_after_a_better_one_and_is_held_at_the_least():
    plateau = Plateau(factor=0.5, patience=1, least=0.3)
    losses = [4.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert heard(plateau, losses) == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_plateau_takes_a_best_while_it_cools():
    plateau = Plateau(factor=0.5, patience=0, cooldown=2)
    states, state = [], plateau.init()
    for loss in (4.0, 4.0, 3.0, 3.5, 3.5):
        state, _ = plateau.update(state, loss)
        states.append(tuple(map(float, state)))
    assert states == [(4, 0, 0, 1), (4, 0, 2, 0.5), (3, 0, 1, 0.5), (3, 0, 0, 0.5), (3, 0, 2, 0.25)]


def test_greedy_by_default_moves_by_a_twentieth_at_the_eleventh_call_of_a_kind():
    falling, flat = [100.0 - k for k in range(22)], [1.0] * 23
    assert heard(Greedy(), falling) == pytest.approx([1.0] * 10 + [1 / 0.95] * 11 + [1 / 0.95**2])
    assert heard(Greedy(), flat) == pytest.approx([1.0] * 11 + [0.95] * 11 + [0.95**2])


def test_greedy_by_default_stays_between_a_hundredth_and_ten():
    assert heard(Greedy(patience=0), [-float(k) for k in range(60)])[-1] == 10.0
    found = heard(Greedy(patience=0), [1.0] * 200)
    assert found[-1] == min(found) == 0.01


def test_greedy_by_default_wants_a_millionth():
    for best in (0.0, 1.0, -1.0):
        assert heard(Greedy(patience=0), [best, best - 1.5e-6])[-1] > heard(Greedy(patience=0), [best, best - 5e-7])[-1]
        assert heard(Greedy(patience=0), [best, best - 1.5e-6])[-1] > 1.1


def states(greedy, losses):
    """The numbers of a Greedy after each call, without its window."""
    found, state = [], greedy.init()
    for loss in losses:
        state, multiplier = greedy.update(state, loss)
        assert multiplier == state.multiplier
        found.append((state.best, state.good, state.bad, state.pause, state.floor, state.calls, state.multiplier))
    return [tuple(map(float, each)) for each in found]


def test_greedy_pauses_after_a_raise_and_after_a_reduction():
    greedy = Greedy(factor=0.5, patience=1, warmup=2, cooldown=1)
    # best, good, bad, pause, floor, calls, multiplier
    assert states(greedy, [9.0, 8.0, 7.0, 9.0, 8.5, 8.5, 7.0, 8.5, 8.5]) == [
        (9, 1, 0, 0, 0, 1, 1),
        (8, 0, 0, 2, 0, 1, 2),
        (8, 0, 0, 1, 0, 1, 2),
        (8, 0, 0, 0, 0, 1, 2),
        (8, 0, 1, 0, 0, 1, 2),
        (8, 0, 0, 1, 0, 1, 1),
        (8, 0, 0, 0, 0, 1, 1),
        (8, 0, 1, 0, 0, 1, 1),
        (8, 0, 0, 1, 0, 1, 0.5),
    ]


def test_greedy_counts_calls_in_a_row():
    greedy = Greedy(factor=0.5, patience=1)
    assert heard(greedy, [9.0, 9.0, 8.0, 8.0, 7.0, 7.0, 6.0, 5.0, 5.0, 5.0]) == [1, 1, 1, 1, 1, 1, 1, 2, 2, 1]


def test_greedy_judges_the_mean_of_its_window():
    greedy = Greedy(factor=0.5, patience=0, window=3, most=64.0)
    losses = [9.0, 3.0, 3.0, 3.0, 6.0]
    found = states(greedy, losses)
    assert [each[0] for each in found] == [9, 6, 5, 3, 3]
    assert [each[5] for each in found] == [1, 2, 3, 3, 3]
    assert [each[6] for each in found] == [2, 4, 8, 16, 8]


def test_greedy_begins_anew_in_everything_but_its_pause():
    greedy = Greedy(factor=0.5, patience=0, least=0.5, reset=2, cooldown=1, window=2)
    assert states(greedy, [4.0, 6.0, 9.0, 9.0, 9.0, 7.0, 7.0, 6.0]) == [
        (4, 0, 0, 0, 0, 1, 2),
        (4, 0, 0, 1, 0, 2, 1),
        (4, 0, 0, 0, 0, 2, 1),
        (4, 0, 0, 1, 1, 2, 0.5),
        (4, 0, 0, 0, 1, 2, 0.5),
        (math.inf, 0, 0, 1, 0, 0, 1),
        (math.inf, 0, 0, 0, 0, 1, 1),
        (6.5, 0, 0, 0, 0, 2, 2),
    ]


def test_greedy_anew_forgets_its_window():
    found = states(Greedy(factor=0.5, patience=0, least=0.5, reset=1, window=3), [math.nan, 5.0, 3.0])
    assert [each[0] for each in found] == [math.inf, 5, 4]
    assert [each[6] for each in found] == [1, 2, 4]


def test_greedy_that_may_begin_anew_still_has_its_patience():
    greedy = Greedy(factor=0.5, patience=2, reset=5)
    losses = [5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    found = states(greedy, losses)
    assert [each[1:3] for each in found] == [(1, 0), (2, 0), (0, 0), (1, 0), (0, 1), (0, 2), (0, 0), (0, 1)]
    assert [each[6] for each in found] == [1, 1, 2, 2, 2, 2, 1, 1]


def test_a_raise_forgets_the_floor():
    greedy = Greedy(factor=0.5, patience=0, least=0.5, reset=3)
    found = states(greedy, [4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0])
    assert [each[4] for each in found] == [0, 0, 1, 2, 0, 1, 2, 0]
    assert [each[6] for each in found] == [2, 1, 0.5, 0.5, 1, 0.5, 0.5, 1]


def test_without_reset_the_floor_is_counted_and_nothing_begins_anew():
    found = states(Greedy(factor=0.5, patience=0, least=0.5), [math.nan] * 4)
    assert [each[4] for each in found] == [1, 2, 3, 4]
    assert [each[6] for each in found] == [0.5] * 4
