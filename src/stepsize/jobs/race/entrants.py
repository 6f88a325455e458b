"""Who races: strategies as they are, or rules with policies, at rates that are given or found by range tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stepsize.engines import FunctionTask
from stepsize.execution.runner import Runner
from stepsize.jobs.lengths import in_task_updates
from stepsize.jobs.race.rungs import check_field
from stepsize.jobs.race.strategy_files import read_strategies
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.suggest import suggest
from stepsize.jobs.rescale import rescale_to_shape
from stepsize.policies import constant, recipe
from stepsize.problems import Trainable
from stepsize.results import Suggestion
from stepsize.rules import AdamW, Momentum, Rule
from stepsize.strategy import Strategy, find_rule, round_rate
from stepsize.theory.range_test import range_test_steps

RULES: tuple[Rule, ...] = (AdamW(), Momentum())
"""The rules that race when none are named, but for a training function that has its own."""

POLICIES = ("constant", "cosine", "one_cycle")
"""The policies that race when none are named."""

RANGE_TEST = 4 * range_test_steps()
"""Replica-steps of a range test, for a progress bar."""


@dataclass(frozen=True, kw_only=True)
class Entrants:
    """Who races: every rule with every policy, at every rate.

    rules: update rules, or their names; AdamW and Momentum when not given, or the rule of a training function.
    policies: names of recipes. rates: peak rates; when not given, a range test of each rule finds one for every policy,
        as a part of the race.
    """

    rules: Sequence[Rule | str] | None = None
    policies: Sequence[str] | None = None
    rates: Sequence[float] | None = None

    def rules_on(self, task: Trainable) -> tuple[Rule, ...]:
        """Return the rules that race on `task`; raise ParameterError for a name that no rule has."""
        if self.rules is not None:
            return tuple(find_rule(rule) if isinstance(rule, str) else rule for rule in self.rules)
        own = task.rule if isinstance(task, FunctionTask) else None
        return RULES if own is None else (own,)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Who races on a task: strategies as they are, and every policy with those rules that a range test comes before."""

    strategies: tuple[Strategy, ...] = ()
    tested: tuple[Rule, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many strategies race."""
        return len(self.strategies) + len(self.tested) * len(self.policies)

    @property
    def families(self) -> int:
        """How many strategies are left when each has its best rate."""
        return len({strategy.family for strategy in self.strategies}) + len(self.tested) * len(self.policies)

    @property
    def updates(self) -> int:
        """About what the range tests cost, in replica-steps."""
        return len(self.tested) * RANGE_TEST

    def measured(self, runner: Runner, horizon: int) -> list[Strategy]:
        """Run the range tests, and return all strategies."""
        strategies = list(self.strategies)
        for rule in self.tested:
            suggestion = suggest(range_test(runner.task, rule, runner=runner))
            strategies += [at_suggestion(rule, policy, suggestion, horizon) for policy in self.policies]
        return strategies


def line_up(task: Trainable, entrants: Entrants | Iterable[Strategy] | str | None = None) -> Field:
    """Return who races on a task; a text is a file of strategies or a line of them, as in `read_strategies`.

    Raises BudgetError when there is nothing to compare, and what is wrong with a name, a rate or a file.
    """
    if isinstance(entrants, str):
        entrants = read_strategies(entrants)
    if entrants is None or isinstance(entrants, Entrants):
        field = _combine(task, entrants or Entrants())
    else:
        field = Field(strategies=tuple(in_task_updates(each, task) for each in entrants))
    check_field(field.count)
    return field


def _combine(task: Trainable, entrants: Entrants) -> Field:
    rules = entrants.rules_on(task)
    policies = tuple(POLICIES if entrants.policies is None else entrants.policies)
    for policy in policies:
        recipe(policy)
    if entrants.rates is None:
        return Field(tested=rules, policies=policies)
    return Field(
        strategies=tuple(
            Strategy.of(rule, policy, rate) for rule in rules for policy in policies for rate in entrants.rates
        )
    )


def at_suggestion(rule: Rule, policy: str, suggestion: Suggestion, horizon: int) -> Strategy:
    """Return `rule` with the policy of that name, at the rate that a range test of the rule points to.

    Its peak is the constant rate that the range test suggests, or else the rule's own, rescaled to the policy by the
    last-iterate bound.
    """
    rate = rule.lr if suggestion.lr is None else suggestion.lr.value
    return Strategy.of(
        rule, policy, round_rate(rate * rescale_to_shape(None, constant(1.0), recipe(policy)(1.0), horizon))
    )
