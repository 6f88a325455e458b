"""`stepsize transfer`: the rate for a longer run, from a line or from what other commands saved."""

import re

import numpy as np
import pytest
import samples

from stepsize import load, transfer
from stepsize.policies import wsd
from stepsize.results.io import loads, save
from stepsize.rules import SGD
from stepsize.strategy import Strategy

LINE = ("transfer", "AdamW one_cycle 0.01", "--from", 400, "--to", 6400)


def test_it_prints_the_rate_by_what_factor_and_why(stepsize):
    done = stepsize(*LINE)
    longer = transfer(Strategy.of("AdamW", "one_cycle", 0.01), 400, 6400)
    assert done.code == 0
    first, why, use = done.out.splitlines()
    assert first == f"lr      {longer.peak:.3g}   the peak to use in 6400 steps"
    assert f"It is {longer.peak / 0.01:.3g} times the 0.01 of 400 steps" in why
    assert "T**-0.2, and strays by 0.15 decades in a doubling" in why
    low, high = map(float, re.search(r"lie in ([\d.e-]+) to ([\d.e-]+)\.$", why).groups())
    assert low < longer.peak < high
    assert np.log10(high / low) == pytest.approx(2 * 0.15 * np.sqrt(4), abs=0.05)
    assert use == f"Use it as: {longer.policy!r}"


def test_it_writes_the_strategy_and_prints_it_as_json(stepsize, folder):
    done = stepsize(*LINE, "--json", "--save", "longer.json")
    assert loads(done.out) == load("longer.json") == transfer(Strategy.of("AdamW", "one_cycle", 0.01), 400, 6400)


def test_a_cooldown_grows_and_the_rate_stays(stepsize):
    save(Strategy(SGD(), wsd(0.1, cooldown="20%", shape="linear")), "wsd.json")
    done = stepsize("transfer", "wsd.json", "--from", 400, "--to", 800, "--by", "cooldown")
    assert done.out.startswith("lr      0.1   the peak to use in 800 steps")
    assert re.search(r"The rate stays, and 491 of 800 steps cool down", done.out)


def test_a_rule_of_its_own_scale_keeps_its_rate(stepsize):
    done = stepsize("transfer", "Prodigy cosine 1.0", "--from", 400, "--to", 800)
    assert "Prodigy finds its own scale, so its rate stays." in done.out


@pytest.mark.parametrize("name", ["advice", "final"])
def test_what_is_saved_knows_its_steps(stepsize, name):
    result = getattr(samples, name)()
    strategy = result.strategy if name == "advice" else result.best
    save(result, "saved.json")
    expected = transfer(strategy, result.steps, 2 * result.steps)
    assert loads(stepsize("transfer", "saved.json", "--to", 2 * result.steps, "--json").out) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("AdamW one_cycle 0.01", "--to", 6400), "does not say how long the runs were .* add --from"),
        (("AdamW one_cycle", "--from", 400, "--to", 6400), "a strategy is a rule, a policy and a peak rate"),
        (("AdamW one_cycle 0.01", "--from", 400, "--to", 200), "transferred to a longer run, not to 200"),
        (("AdamW one_cycle 0.01", "--from", 400, "--to", 8000), "20 times the 400"),
        (("AdamW constant 0.01", "--from", 400, "--to", 800), "ends at 100% of its peak"),
        (("nowhere.json", "--to", 800), "nowhere.json: No such file"),
        (("range.json", "--to", 800), "holds a range test, which tuned nothing: stepsize range-test TASK --for"),
        (("grid.json", "--to", 800), "grid.json holds a grid of rates, and no strategy"),
    ],
)  # fmt: skip
def test_what_cannot_be_transferred_is_refused_in_one_line(refused, arguments, message):
    save(samples.range_test(), "range.json")
    save(samples.grid(), "grid.json")
    assert re.search(message, refused("transfer", *arguments))
