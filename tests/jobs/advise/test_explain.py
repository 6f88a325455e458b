"""What an advice says that it has not tried."""

import pytest
import samples

from stepsize.jobs.advise import explain
from stepsize.jobs.advise.search_space import POLICIES, RULES
from stepsize.strategy import describe_rule


@pytest.fixture(scope="module")
def found():
    """A search in which AdamW, Momentum and RMSProp raced, and nothing was tried alone."""
    final = samples.final()
    return explain.Findings(
        final=final,
        search=samples.search(),
        strategy=final.standings[0].strategy,
        scores=final.rungs[0].scores[0],
        pilots=(),
        start=2.3,
    )


def test_rules_that_raced_are_not_among_the_untried(found):
    raced = {describe_rule(strategy.rule) for rung in found.search.rungs for strategy in rung.strategies}
    assert explain.untried_rules(found) == tuple(name for name in map(describe_rule, RULES) if name not in raced)
    assert {"AdamW", "Momentum"} < raced


def test_policies_that_raced_are_not_among_the_untried(found):
    assert set(explain.untried_policies(found)) == set(POLICIES) - set(samples.RECIPES_TRIED)
