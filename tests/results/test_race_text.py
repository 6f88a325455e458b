"""What a race says of itself: one sentence for each thing to know, and none for what is not so."""

from dataclasses import replace

import numpy as np
import samples

from stepsize.results import Interval, Race, Rung
from stepsize.results.race_text import percent


def said(race, part):
    """The sentences with `part` in them."""
    return [sentence for sentence in race.sentences if part in sentence]


def test_the_winner_its_chance_and_who_cannot_be_separated_from_it():
    race = samples.final()
    best, second, *others = race.standings
    (first,) = said(race, "lowest mean")
    assert f"{best.strategy.name} has the lowest mean validation loss, {best.score.mean:.4g}" in first
    assert f"chance of {percent(best.chance)}" in first
    assert said(race, "cannot be separated from") == [
        f"It cannot be separated from {second.strategy.name} (Holm's correction, 5 % over all comparisons)."
    ]
    apart = replace(race, standings=(best, replace(second, tied=False), *others))
    assert not said(apart, "cannot be told")
    assert said(apart, "separated from all others")


def test_one_seed_is_said_to_tell_nothing():
    race = samples.final()
    alone = replace(race.rungs[0], seeds=(11,), scores=race.rungs[0].scores[:, :1])
    assert said(replace(race, rungs=(alone,)), "One seed tells nothing apart")


def test_a_race_that_all_lost_says_so_first():
    race = samples.final()
    lost = tuple(
        replace(standing, score=Interval(np.inf, -np.inf, np.inf), tied=False, behind=None)
        for standing in race.standings
    )
    every = replace(race, standings=lost)
    assert every.sentences[0] == "Every strategy diverged."
    assert str(every) == f"all of {len(lost)} strategies diverged in {race.steps} steps of {race.task}"


def test_the_selection_is_always_said():
    race = samples.final()
    assert said(race, "last iterate")
    assert said(replace(race, selection="best"), "flatters")


def test_rungs_say_their_view_their_agreement_and_the_winners_place():
    race = samples.search()
    (sentence,) = said(race, "Kendall's tau")
    assert "On the rung of 100 steps (whole schedules in fewer steps) its order agrees with the full length" in sentence
    assert "by 0.71" in sentence
    assert "over the 16 strategies" in sentence
    assert "number 1 of 90" in sentence
    assert "did not tell those apart" not in sentence
    (weak,) = said(replace(race, view="prefix", agreement=(0.1,)), "Kendall's tau")
    assert "(the first part of the long runs)" in weak
    assert "did not tell those apart" in weak
    unknown = replace(race, agreement=(np.nan,))
    assert not said(unknown, "Kendall's tau")
    assert said(unknown, "steps) the winner was number 1 of 90.")


def test_an_agreement_over_two_strategies_is_not_said():
    race = samples.search()
    first, second = race.rungs
    two = replace(second, strategies=second.strategies[:2], scores=second.scores[:2])
    assert not said(replace(race, rungs=(first, two)), "Kendall's tau")


def test_seeds_that_tuned_and_seeds_that_were_added_are_named():
    race = samples.search()
    assert not said(race, "seeds")
    first, second = race.rungs
    tuned = replace(race, tuned=1, rungs=(first, replace(second, seeds=(4, 9))), extensions=2)
    assert said(tuned, "chosen on seeds 1, 2, and are judged on seeds 4, 9")
    assert said(tuned, "added 2 times")
    assert said(tuned, "comparisons and extensions")


def test_a_best_rate_at_an_end_is_flagged_for_those_who_got_far():
    race = samples.final()
    (rung,) = race.rungs
    strategies = tuple(samples.strategy(rung.strategies[0].rule, "cosine", peak) for peak in (0.01, 0.02, 0.03))
    falling = Rung(400, strategies, (1, 2), np.array([[3.0, 3], [2, 2], [1, 1]]))
    short = replace(race, rungs=(falling,), standings=samples.standings(falling), agreement=())
    assert said(short, "The best rate of AdamW cosine, 0.03, is the highest that was tried: try higher ones.")
    rising = replace(falling, scores=falling.scores[::-1])
    assert said(replace(short, rungs=(rising,)), "AdamW cosine, 0.01, is the lowest that was tried: try lower ones.")
    other = replace(short, standings=race.standings[2:3])
    assert not said(other, "best rate of")


def test_unequal_decay_is_said_by_rule():
    race = samples.final()
    (sentence,) = said(race, "total decay of AdamW")
    assert "0.0126 to 0.04" in sentence
    equal = tuple(replace(standing, decay=0.01) for standing in race.standings)
    assert not said(replace(race, standings=equal), "total decay")


def test_a_race_of_one_speaks_of_no_other():
    race: Race = samples.final()
    only = replace(race, standings=race.standings[:1])
    assert not said(only, "told")
