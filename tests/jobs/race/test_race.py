"""Races and range tests: equal budget, paired seeds, whole schedules on short rungs, divergence as data."""

import inspect
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import Climb, Entrants, RungPlan, Runner, halving, race, range_test, suggest
from stepsize.jobs.paired_statistics import kendall
from stepsize.jobs.race.entrants import at_suggestion
from stepsize.jobs.race.race import RaceOptions, plan_race
from stepsize.jobs.race.rungs import retime
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.policies import constant, cosine
from stepsize.results.io import dumps, loads
from stepsize.rules import SGD, AdamW, Lion, Momentum
from stepsize.strategy import Strategy, Trial
from stepsize.theory import rescale_factor

TINY = Path(__file__).parents[2] / "problems" / "tiny.py"


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


class Recorder:
    """An engine that remembers what it was asked to run."""

    def __init__(self, inner=None):
        self.inner, self.asked = inner or Ensemble(), []

    @property
    def label(self):
        return self.inner.label

    def split(self, trials):
        return self.inner.split(trials)

    def run(self, task, trials, steps, *, score_every=None, progress=None):
        self.asked.append((tuple(trials), steps, score_every))
        return self.inner.run(task, trials, steps, score_every=score_every, progress=progress)


def strategies(*rates, rule=None, names=("constant", "cosine")):
    return [Strategy.of(rule or "SGD", name, rate, name=f"{name} {rate:g}") for name in names for rate in rates]


def test_a_record_says_what_its_scores_are(task):
    """The loss, unless the task has a metric; a record that was kept before this was said is of the loss."""

    def accuracy(outputs, targets):
        return (outputs.argmax(1) == targets).float().mean()

    record = race(replace(task, metric=accuracy, mode="max"), strategies(0.03), steps=40, seeds=(0,))
    assert record.scored == "negative validation accuracy"
    assert "has the lowest mean negative validation accuracy, -" in record.sentences[0]
    assert loads(dumps(record)).scored == record.scored
    kept = json.loads(dumps(race(task, strategies(0.03), steps=40, seeds=(0,))))
    del kept["value"]["scored"]
    assert loads(json.dumps(kept)).scored == "validation loss"


def test_every_strategy_runs_the_same_seeds_for_the_same_length(task):
    engine = Recorder()
    field = strategies(0.03, 0.3)
    record = race(task, field, steps=40, seeds=(3, 5), tune_seeds=0, runner=Runner(task, engine=engine))
    asked = [(trial.strategy.name, trial.seed, steps) for trials, steps, _ in engine.asked for trial in trials]
    assert sorted(asked) == sorted((s.name, seed, 40) for s in field for seed in (3, 5))
    assert record.cost == pytest.approx(8)
    first = record.curves.losses[0].reshape(4, 2)
    assert np.ptp(first, axis=0).max() < 1e-6
    assert abs(first[0, 0] - first[0, 1]) > 1e-3


def test_the_standings_are_by_the_mean_of_the_scores(task):
    record = race(task, strategies(0.001, 0.03, 0.3), steps=40, tune_seeds=0, runner=Runner(task, engine=Ensemble()))
    means = [standing.score.mean for standing in record.standings]
    assert means == sorted(means)
    scores = record.curves.final.reshape(6, 3)
    assert means == pytest.approx(sorted(scores.mean(1)))
    assert record.best.name == record.rungs[-1].strategies[int(scores.mean(1).argmin())].name
    assert record.curves.score_steps.tolist() == list(range(2, 41, 2))


def test_the_engines_give_the_same_standings(task):
    field = strategies(0.01, 0.1, rule=AdamW())
    ensemble, loop = (
        race(task, field, steps=20, tune_seeds=0, runner=Runner(task, engine=engine)) for engine in (Ensemble(), Loop())
    )
    assert [s.strategy.name for s in ensemble.standings] == [s.strategy.name for s in loop.standings]
    np.testing.assert_allclose(ensemble.rungs[0].scores, loop.rungs[0].scores, rtol=1e-4)


def test_a_short_rung_runs_every_schedule_whole_with_its_rate_moved_by_the_bound(task):
    engine = Recorder()
    field = [Strategy(SGD(), cosine(0.2), "cosine"), Strategy(SGD(), constant(0.1), "constant")]
    rungs = (RungPlan(10, (0,)), RungPlan(40, (0, 1)))
    record = race(task, field, steps=40, rungs=rungs, runner=Runner(task, engine=engine))
    short = {trial.strategy.name: trial.strategy for trial in engine.asked[0][0]}
    for strategy in field:
        schedule = strategy.policy["lr"]
        factor = rescale_factor(schedule.over(40).table(0, 40), schedule.over(10).table(0, 10))
        found = short[strategy.name].over(10).policy["lr"].table(0, 10)
        np.testing.assert_allclose(found, factor * schedule.over(10).table(0, 10))
        assert factor > 1.2
    assert {trial.strategy.peak for trial in engine.asked[1][0]} == {0.2, 0.1}
    assert record.rungs[0].strategies == tuple(field)
    assert retime(field[0], 40, 40) is field[0]


def test_the_first_rung_keeps_the_best_of_every_family(task):
    field = [*strategies(0.1, 0.2, 0.3, names=("cosine",)), *strategies(1e-5, 1e-4, names=("constant",))]
    rungs = (RungPlan(10, (0,), 2), RungPlan(20, (0,), 1), RungPlan(40, (0, 1)))
    record = race(task, field, steps=40, rungs=rungs, runner=Runner(task, engine=Ensemble()))
    families = [[s.policy["lr"].outline for s in rung.strategies] for rung in record.rungs]
    assert families[1].count("Cosine") == 2
    assert families[1].count("Constant") == 1
    assert "constant 0.0001" in {s.name for s in record.rungs[1].strategies}
    assert families[2] == ["Cosine"]
    assert len(record.agreement) == 2


def test_a_strategy_that_diverged_does_not_go_on(task):
    wild = Strategy(SGD(), constant(1e9), "wild")
    regression = load_task(f"{TINY}:regression")
    rungs = (RungPlan(10, (0, 1)), RungPlan(30, (0, 1)))
    record = race(
        regression, [wild, *strategies(0.01, 0.05)], steps=30, rungs=rungs, runner=Runner(regression, engine=Ensemble())
    )
    assert not np.isfinite(record.rungs[0].means[0])
    assert "wild" not in {s.name for s in record.rungs[1].strategies}


def test_divergence_is_data_and_last_in_the_standings(task):
    regression = load_task(f"{TINY}:regression")
    wild = Strategy(SGD(), constant(1e9), "wild")
    record = race(
        regression,
        [wild, *strategies(0.01, names=("constant",))],
        steps=30,
        runner=Runner(regression, engine=Ensemble()),
    )
    last = record.standings[-1]
    assert (last.strategy.name, last.diverged, last.tied, last.behind) == ("wild", 3, False, None)
    again = loads(dumps(record))
    assert [s.strategy for s in again.standings] == [s.strategy for s in record.standings]
    assert again.standings[-1].score.mean == np.inf


def test_when_everything_diverges_there_is_still_a_record(task):
    regression = load_task(f"{TINY}:regression")
    wild = strategies(1e9, 1e10, names=("constant",))
    rungs = (RungPlan(10, (0,), 1), RungPlan(20, (0, 1)))
    record = race(regression, wild, steps=20, rungs=rungs, runner=Runner(regression, engine=Ensemble()))
    assert [standing.diverged for standing in record.standings] == [2] * len(record.standings)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"strategies": strategies(0.1, names=("cosine",))}, BudgetError, "at least two strategies, not 1"),
        ({"strategies": []}, BudgetError, "not 0"),
        ({"strategies": strategies(0.1, 0.1)}, ParameterError, "the strategy 'constant 0.1' is given 2 times"),
        ({"rungs": (RungPlan(10, (0,)),)}, ParameterError, "full horizon of 40 steps, not 10"),
        ({"rungs": ()}, ParameterError, "not 0"),
        ({"view": "prefixed"}, ParameterError, "no view of a rung is called 'prefixed'. Did you mean 'prefix'"),
        ({"selection": "first"}, ParameterError, "no selection is called 'first'. Allowed: best, last"),
        (
            {"tune_seeds": (5, 0), "strategies": strategies(0.1, 0.2)},
            ParameterError,
            "seed 0 both chooses the rates and judges them",
        ),
        ({"seeds": 10**30}, ParameterError, "seeds must be 0 or more, and at most 1000, not 1000000000.*or a list"),
        ({"tune_seeds": -3}, ParameterError, "tune_seeds must be 0 or more, and at most 1000, not -3"),
        ({"budget": 5}, BudgetError, "budget of 5 full trainings is too small: the rungs alone cost 6.0"),
        ({"budget": "soon"}, ParameterError, "full trainings above 0, such as 30, a time.*not 'soon'"),
    ],
)
def test_a_race_that_compares_nothing_is_refused_before_it_runs(task, arguments, error, message):
    engine = Recorder()
    with pytest.raises(error, match=message):
        race(task, **{"strategies": strategies(0.1), "steps": 40, "runner": Runner(task, engine=engine), **arguments})
    assert engine.asked == []


def test_a_strategy_whose_lengths_are_steps_is_raced_by_an_engine_that_measures_it_first():
    field = [Strategy(SGD(), cosine(0.1), "a").over(40), Strategy(SGD(), constant(0.1), "b").over(40)]
    record = race(
        load_task(f"{TINY}:perceptron"),
        field,
        steps=40,
        seeds=(0,),
        runner=Runner(load_task(f"{TINY}:perceptron"), engine=Ensemble()),
    )
    assert len(record.standings) == 2


def test_a_prefix_rung_runs_the_first_part_of_the_long_run(task):
    engine = Recorder()
    field = [Strategy(SGD(), cosine(0.2), "cosine"), Strategy(SGD(), constant(0.1), "constant")]
    rungs = (RungPlan(10, (0,)), RungPlan(40, (0, 1)))
    record = race(task, field, steps=40, rungs=rungs, view="prefix", runner=Runner(task, engine=engine))
    for trial in engine.asked[0][0]:
        strategy = next(each for each in field if each.name == trial.strategy.name)
        assert trial.strategy.over(10).table(0, 10)["lr"].tolist() == strategy.over(40).table(0, 10)["lr"].tolist()
    assert record.view == "prefix"
    assert record.rungs[0].strategies == tuple(field)


def test_the_best_checkpoint_is_the_lowest_score_along_the_way(task):
    field = strategies(0.3, 3.0)
    last, best = (
        race(task, field, steps=40, tune_seeds=0, selection=how, runner=Runner(task, engine=Ensemble()))
        for how in ("last", "best")
    )
    lowest = np.nanmin(last.curves.scores, axis=0).reshape(4, 3)
    assert best.rungs[0].scores.tolist() == lowest.tolist()
    assert (best.rungs[0].scores < last.rungs[0].scores).any()
    assert (last.selection, best.selection) == ("last", "best")


def test_the_best_checkpoint_of_a_run_that_diverged_is_none():
    regression = load_task(f"{TINY}:regression")
    field = [Strategy(SGD(), constant(30.0), "wild"), *strategies(0.01, names=("constant",))]
    record = race(
        regression, field, steps=40, seeds=(0,), selection="best", runner=Runner(regression, engine=Ensemble())
    )
    assert np.isfinite(record.curves.scores[0, 0])
    assert record.standings[-1].diverged == 1


def test_the_rates_are_tuned_on_seeds_that_do_not_judge(task):
    engine = Recorder()
    field = strategies(0.001, 0.03, 0.3)
    record = race(task, field, steps=40, seeds=(0, 1), tune_seeds=(7, 8, 9), runner=Runner(task, engine=engine))
    tuning, judging = record.rungs
    assert (tuning.seeds, judging.seeds, record.tuned) == ((7, 8, 9), (0, 1), 1)
    for family in ("constant", "cosine"):
        ranked = [tuning.strategies[i].name for i in tuning.order if tuning.strategies[i].name.startswith(family)]
        assert [s.name for s in judging.strategies if s.name.startswith(family)] == ranked[:1]
    assert record.cost == pytest.approx(6 * 3 + 2 * 2)
    assert len(record.agreement) == 1


def test_strategies_of_any_name_have_their_rates_tuned_by_what_they_are(task):
    """Three rules called "run 1", "run 2" and "run 3" were one family, and two of them were never judged."""
    field = [
        Strategy(rule, constant(rate), f"run {number}")
        for number, (rule, rate) in enumerate(((AdamW(), 0.01), (SGD(), 0.3), (Lion(), 0.001)), 1)
    ]
    record = race(
        task,
        [*field, field[1].at(0.1)],
        steps=40,
        seeds=(0, 1),
        tune_seeds=(7,),
        runner=Runner(task, engine=Ensemble()),
    )
    judged = {standing.strategy.rule.title: standing.strategy for standing in record.standings}
    assert set(judged) == {"AdamW", "SGD", "Lion"}
    assert judged["SGD"] in (field[1], field[1].at(0.1))
    assert [each.family for each in record.sensitivities if len(each.rates) == 2] == ["SGD Constant"]


def test_strategies_with_one_rate_each_are_all_judged(task):
    field = [
        Strategy.of(rule, "constant", rate, name=f"run {number}")
        for number, (rule, rate) in enumerate((("AdamW", 0.01), ("SGD", 0.3), ("Lion", 0.001)), 1)
    ]
    runner = Runner(task, engine=Ensemble())
    record = race(task, field, steps=40, seeds=(0, 1), tune_seeds=(7,), runner=runner)
    assert {standing.strategy.name for standing in record.standings} == {"run 1", "run 2", "run 3"}
    assert record.rungs[-1].seeds == (0, 1)


def test_one_rule_with_other_hyperparameters_races_under_a_name_of_its_own(task):
    field = [Strategy.of(rule, "cosine", 0.01) for rule in (AdamW(), AdamW(weight_decay=0.1))]
    record = race(task, field, steps=20, seeds=(0,), runner=Runner(task, engine=Ensemble()))
    assert {row["strategy"] for row in record.rows()} == {"AdamW cosine 0.01", "AdamW(weight_decay=0.1) cosine 0.01"}


def test_two_strategies_of_one_name_are_separated_in_print(task):
    field = [Strategy(SGD(), constant(rate), "mine") for rate in (0.1, 1e-6)]
    record = race(task, field, steps=20, seeds=(0,), runner=Runner(task, engine=Ensemble()))
    rows = {row["strategy"]: row for row in record.rows()}
    assert {name: row["peak"] for name, row in rows.items()} == {"mine": 0.1, "mine (2)": 1e-6}
    assert rows["mine"]["seed_0"] < rows["mine (2)"]["seed_0"]


def test_rungs_may_tune_the_rates(task):
    field = strategies(0.001, 0.03, 0.3)
    rungs = halving(len(field), 40, (7, 8), rungs=2)
    record = race(
        task, field, steps=40, seeds=(0, 1), tune_seeds=(7, 8), rungs=rungs, runner=Runner(task, engine=Ensemble())
    )
    assert [rung.steps for rung in record.rungs] == [13, 40, 40]
    assert (record.tuned, record.rungs[-1].seeds) == (2, (0, 1))


def test_a_budget_adds_seeds_for_the_leaders_until_it_ends(task):
    equals = [Strategy(SGD(), constant(0.03), "a"), Strategy(SGD(), constant(0.03), "b")]
    field = [*equals, *strategies(1.0, names=("constant",))]
    record = race(task, field, steps=40, seeds=range(4, 8), budget=23, runner=Runner(task, engine=Ensemble()))
    assert [len(rung.seeds) for rung in record.rungs] == [4, 6, 9]
    assert record.rungs[-1].seeds == tuple(range(4, 13))
    assert record.extensions == 2
    assert record.cost == 3 * 4 + 2 * 2 + 2 * 3
    assert {s.strategy.name for s in record.standings} == {s.name for s in field}
    assert [s.strategy.name for s in record.standings][-1] == "constant 1"
    assert record.indistinguishable == tuple(equals)
    assert sum(s.chance for s in record.standings) == pytest.approx(1)


def test_the_seeds_that_are_added_are_those_of_a_longer_race(task):
    equals = [Strategy(SGD(), constant(0.1), "a"), Strategy(SGD(), cosine(0.1), "b")]
    grown = race(task, equals, steps=40, seeds=(0, 1), budget=6, runner=Runner(task, engine=Ensemble()))
    whole = race(task, equals, steps=40, seeds=(0, 1, 2), runner=Runner(task, engine=Ensemble()))
    assert grown.rungs[-1].seeds == whole.rungs[-1].seeds
    np.testing.assert_allclose(grown.rungs[-1].scores, whole.rungs[-1].scores, rtol=1e-6)
    assert grown.curves.trials == whole.curves.trials
    np.testing.assert_allclose(grown.curves.final, whole.curves.final, rtol=1e-6)


def test_a_budget_that_is_not_needed_is_not_spent(task):
    field = [Strategy(SGD(), constant(0.03), "good"), Strategy(SGD(), constant(1.0), "bad")]
    record = race(task, field, steps=40, seeds=range(4), budget="1h", runner=Runner(task, engine=Ensemble()))
    assert (record.extensions, record.cost) == (0, 8)
    assert [s.tied for s in record.standings] == [True, False]


def test_a_budget_that_does_not_pay_for_every_shape_sends_fewer_on(task):
    field = strategies(0.03, 0.3, names=("constant", "cosine", "linear_to_zero"))
    rungs = (RungPlan(10, (0,), 2), RungPlan(40, (0, 1)))
    free = race(task, field, steps=40, rungs=rungs, runner=Runner(task, engine=Ensemble()))
    bound = race(task, field, steps=40, rungs=rungs, budget=5.5, runner=Runner(task, engine=Ensemble()))
    assert [len(rung.strategies) for rung in free.rungs] == [6, 3]
    assert [len(rung.strategies) for rung in bound.rungs] == [6, 2]
    assert bound.cost == 5.5


def test_a_climb_gives_every_rung_and_is_sent_who_goes_on(task):
    rungs = (RungPlan(10, (0,), 2), RungPlan(40, (0, 1)))
    field = strategies(0.03, 0.3)
    climb, seen = Climb(Runner(task, engine=Ensemble()), field, 40, rungs), []
    for rung in climb:
        seen.append((rung, climb.curves.steps))
        if rung.steps < 40:
            kept = climb.survivors
            climb.send([*kept, field[0].at(0.1)])
    record = climb.record()
    assert seen == [(record.rungs[0], 10), (record.rungs[1], 40)]
    assert [strategy.peak for strategy in record.rungs[1].strategies] == [*(strategy.peak for strategy in kept), 0.1]


def test_a_race_is_a_climb_that_nobody_sends_anything(task):
    field, rungs = strategies(0.03, 0.3), (RungPlan(10, (0,), 2), RungPlan(40, (0, 1)))
    climbed = Climb(Runner(task, engine=Ensemble()), field, 40, rungs).finish()
    raced = race(task, field, steps=40, rungs=rungs, runner=Runner(task, engine=Ensemble()))
    assert [rung.scores.tolist() for rung in climbed.rungs] == [rung.scores.tolist() for rung in raced.rungs]
    assert climbed.standings == raced.standings


def test_rules_and_policies_race_at_the_rates_of_range_tests(task):
    runner = Runner(task, engine=Ensemble())
    record = race(task, Entrants(rules=["SGD"], policies=["cosine", "constant"]), steps=40, seeds=2, runner=runner)
    suggestion = suggest(range_test(task, SGD(), runner=Runner(task, engine=Ensemble())))
    expected = [at_suggestion(SGD(), policy, suggestion, 40) for policy in ("cosine", "constant")]
    assert list(record.rungs[0].strategies) == expected
    assert record.cost == pytest.approx(runner.updates / 40)
    assert record.cost > 4


def test_rules_policies_and_rates_are_all_their_combinations(task):
    entrants = Entrants(rules=["SGD", AdamW()], policies=["cosine"], rates=[0.01, 0.1])
    plan = plan_race(task, entrants, 40, RaceOptions(seeds=2))
    assert [s.name for s in plan.field.strategies] == [
        "SGD cosine 0.01", "SGD cosine 0.1", "AdamW cosine 0.01", "AdamW cosine 0.1"
    ]  # fmt: skip
    assert plan.rungs == (RungPlan(40, (1000, 1001)),)
    assert plan.judging == (0, 1)
    assert plan.updates == 40 * (4 * 2 + 2 * 2)


@pytest.mark.parametrize(
    ("rates", "steps", "options", "lengths"),
    [
        (8, 90, {}, [10, 90]),
        (8, 80, {}, [80]),
        (7, 90, {}, [90]),
        (8, 90, {"rungs": "none"}, [90]),
        (9, 90, {"rungs": "halving"}, [10, 30, 90]),
    ],
)
def test_many_strategies_begin_with_a_short_rung(task, rates, steps, options, lengths):
    entrants = Entrants(rules=["SGD"], policies=["cosine"], rates=[0.01 * 1.5**power for power in range(rates)])
    plan = plan_race(task, entrants, steps, RaceOptions(**options))
    assert [rung.steps for rung in plan.rungs] == lengths
    assert plan.judging == ()  # one family: there is nothing to choose rates for


def test_the_arguments_are_few():
    assert len(inspect.signature(race).parameters) <= 12


def test_agreement_is_with_the_end_and_the_ranks_are_the_winners(task):
    rungs = (RungPlan(10, (0, 1)), RungPlan(20, (0, 1), 3), RungPlan(40, (0, 1)))
    record = race(task, strategies(0.01, 0.1, 1.0), steps=40, rungs=rungs, runner=Runner(task, engine=Ensemble()))
    assert record.agreement == tuple(kendall(rung, record.rungs[-1]) for rung in record.rungs[:2])
    ranks = [[r.strategies[i].name for i in r.order].index(record.best.name) + 1 for r in record.rungs]
    assert record.ranks == tuple(ranks)
    assert record.ranks[-1] == 1


def test_one_seed_is_a_race_that_tells_nothing_apart(task):
    record = race(
        task, strategies(0.001, 0.3), steps=40, seeds=(0,), tune_seeds=0, runner=Runner(task, engine=Ensemble())
    )
    assert all(standing.tied for standing in record.standings)


def test_a_range_test_records_the_loss_at_every_rate(task):
    sweep = range_test(task, Momentum(), low=1e-4, high=1.0, seeds=(7, 8), widen=False)
    assert sweep.rates[0] == pytest.approx(1e-4)
    assert sweep.rates.shape == (160,)
    assert np.allclose(np.diff(np.log(sweep.rates)), np.log(sweep.rates[1] / sweep.rates[0]))
    assert sweep.losses.shape == (160, 2)
    assert sweep.seeds == (7, 8)
    assert sweep.rates[-1] < 1.0
    assert sweep.losses[0, 0] == pytest.approx(
        Ensemble().run(task, [Trial(Strategy(Momentum(), constant(1e-4)), 7)], 1).losses[0, 0]
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"low": 1.0, "high": 0.1}, ParameterError, "climbs from low to high"),
        ({"high": float("inf")}, ParameterError, "climbs from low to high"),
        ({"low": 0.0}, ParameterError, "above 0"),
        ({"low": 1.0, "high": 1.0}, ParameterError, "climbs"),
        ({"low": float("nan")}, ParameterError, "climbs"),
        ({"steps": 19}, BudgetError, "19 steps is too short.*at least 20"),
        ({"seeds": ()}, BudgetError, "at least one seed"),
    ],
)
def test_a_range_test_that_shows_nothing_is_refused(task, arguments, error, message):
    with pytest.raises(error, match=message):
        range_test(task, AdamW(), **arguments)


def test_a_task_that_cannot_be_trained_is_refused_before_anything_runs():
    engine, task = Recorder(), load_task(f"{TINY}:nan_loss")
    with pytest.raises(TaskError, match="nan at the first step"):
        Runner(task, engine=engine)
    assert engine.asked == []


def test_the_runner_says_why_the_engine_was_chosen(task):
    assert Runner(task).why == "ensemble on cpu: the model can be vectorised, and its steps are small"
    assert Runner(task, engine=Loop()).why == "plain loop, one trial at a time: as asked"
    assert "cannot be vectorised" in Runner(load_task(f"{TINY}:branching")).why
