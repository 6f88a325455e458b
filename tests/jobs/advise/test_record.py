"""The command that repeats an advice says all that was asked, or nothing."""

import shlex

from stepsize.cli.advise import advise
from stepsize.jobs.advise.answer.record import command
from stepsize.jobs.race.budget import Budget
from stepsize.rules import EMA, AdamW, Lion, TorchRule
from stepsize.search_space import POLICIES, RULES
from stepsize.strategy import find_rule

RULES_OF_ITS_OWN = (Lion(), AdamW(weight_decay=0.1, momentum=0.8), TorchRule("torch.optim.SGD", momentum=0.9))
NAMES = ["Lion", "AdamW(weight_decay=0.1,momentum=0.8)", "torch.optim.SGD(momentum=0.9)"]
ASKED = {"steps": 400, "budget": Budget.of(120), "seed": 3}


def test_defaults_are_left_out():
    assert command("digits", **ASKED) == "stepsize advise digits --steps 400 --seed 3 --budget 120"
    assert command("digits", **{**ASKED, "budget": None}) == "stepsize advise digits --steps 400 --seed 3"


def test_all_that_was_asked_is_read_back_by_the_command_line():
    for budget in ("800 trials", "0.5min", "12.25", "1"):
        words = shlex.split(
            command(
                "a b/mine.py:net", **{**ASKED, "budget": Budget.of(budget)}, rules=RULES_OF_ITS_OWN,
                policies=("cosine", "one_cycle"),
            )
        )  # fmt: skip
        found = advise.make_context("advise", words[2:]).params
        assert found["task"] == "a b/mine.py:net"
        assert (found["steps"], found["seed"]) == (400, 3)
        assert Budget.of(found["budget"]) == Budget.of(budget)
        assert (found["rules"], found["policies"]) == (NAMES, ["cosine", "one_cycle"])
        assert tuple(map(find_rule, found["rules"])) == RULES_OF_ITS_OWN


def test_what_the_command_line_cannot_say_has_no_command():
    assert command("task", **ASKED) == ""
    assert command("digits", **ASKED, rules=(AdamW(lr=0.1),)) == ""
    assert command("digits", **ASKED, rules=(EMA(Lion()),)) == ""
    assert command("digits", **ASKED, rules=RULES, policies=POLICIES[:1]).endswith("--policies constant")
