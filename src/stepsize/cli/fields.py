"""Who races: strategies that are written down, or rules x policies x rates, the rates perhaps from range tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.cli import arguments
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import recipe
from stepsize.rules import Rule
from stepsize.strategy import Strategy
from stepsize.theory.range_test import range_test_steps

if TYPE_CHECKING:
    from stepsize.jobs import Runner
    from stepsize.problems import Trainable

POLICIES = ("constant", "cosine", "one_cycle")
"""What races when nothing is named."""

USUAL = 2
"""Of the usual rules of advice, so many race when none are named."""

RAMP = 4 * range_test_steps()
"""Replica-steps of a range test, for the progress bar."""


@dataclass(frozen=True)
class Field:
    """Who races: the strategies that are `given`, and `policies` of `tested` rules at the rate of a range test each."""

    given: tuple[Strategy, ...]
    tested: tuple[Rule, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many strategies race."""
        return len(self.given) + len(self.tested) * len(self.policies)

    @property
    def families(self) -> int:
        """How many strategies are left when each has its best rate."""
        return len({strategy.family for strategy in self.given}) + len(self.tested) * len(self.policies)

    @property
    def updates(self) -> int:
        """What the range tests cost, in replica-steps."""
        return len(self.tested) * RAMP

    def strategies(self, runner: Runner, horizon: int) -> list[Strategy]:
        """Return them all, after the range tests."""
        from stepsize import jobs
        from stepsize.jobs.advise.search_space import candidates

        found = list(self.given)
        for rule in self.tested:
            rate = jobs.suggest(jobs.range_test(runner.task, rule, runner=runner))
            found += candidates(rule, rate, self.policies, 1, horizon)
        return found


def field_of(
    task: Trainable, strategies: str | None, rules: Sequence[str] | None, policies: Sequence[str] | None,
    rates: Sequence[str] | None,
) -> Field:  # fmt: skip
    """Return who races on a task, from the words of the command line.

    Raises ParameterError when strategies are given beside their parts, BudgetError when there is nothing to compare,
    and what is wrong with a name, a rate or a file.
    """
    from stepsize.jobs.advise.search_space import usual_rules
    from stepsize.jobs.race.strategy_files import read_strategies

    if strategies is not None:
        parts = {"--rules": rules, "--policies": policies, "--rates": rates}
        besides = [name for name, value in parts.items() if value is not None]
        if besides:
            raise ParameterError(f"--strategies says who races, and so does {besides[0]}; leave one of them away.")
        return _raced(Field(tuple(read_strategies(strategies))))
    chosen = usual_rules(task)[:USUAL] if rules is None else arguments.parse_rules(list(rules))
    names = tuple(POLICIES if policies is None else policies)
    for name in names:
        recipe(name)
    if rates is None:
        return _raced(Field((), tuple(chosen), names))
    peaks = arguments.parse_rates(list(rates))
    return _raced(Field(tuple(Strategy.of(rule, name, peak) for rule in chosen for name in names for peak in peaks)))


def _raced(field: Field) -> Field:
    if field.count < 2:
        raise BudgetError(
            f"a race needs at least two strategies, not {field.count}; name more rules, policies or rates."
        )
    return field
