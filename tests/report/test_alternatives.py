"""What the page says beside the answer: who else would do, and what was not tried."""

from dataclasses import replace

import pytest
import samples

from stepsize import load, save
from stepsize.jobs.advise import explain, search_space
from stepsize.report import render
from stepsize.report.alternatives import alternatives, lead, untried
from stepsize.results import Interval
from stepsize.rules import SGD


@pytest.fixture(scope="module")
def advice():
    return samples.advice()


def test_the_answer_stands_in_three_sentences(advice):
    assert lead(advice).startswith(
        "Train digits for 400 steps with AdamW and the schedule one_cycle, at a peak rate of 0.01. "
        "Expect a validation loss of 0.06458; one more run should end at 0.05658 to 0.07258, with 95 % confidence."
    )
    assert lead(advice).endswith("1 other finalist cannot be separated from it.")
    unknown = Interval(0.1, float("nan"), float("nan"))
    assert "Expect a validation loss of 0.1." in lead(replace(advice, score=unknown, promise=unknown))


def test_the_alternatives_are_those_of_the_advice(advice):
    points, table, *specs = alternatives(advice).blocks
    said = " ".join(points.items)
    assert f"fewest pieces: {advice.simplest.name}." in said
    assert f"wrong by most: {advice.least_sensitive.name}." in said
    assert all(strategy.name in said for strategy in advice.indistinguishable)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["AdamW one_cycle 0.01"][0] == "recommended"
    assert rows["Momentum triangular 3.16"][0] == "diverged"
    assert {
        i for i, row in enumerate(table.rows) if row[0] in {s.name for s in advice.indistinguishable}
    } == table.marked
    for name, share in advice.losses.items():
        if share < 1:
            assert float(rows[name][2].removesuffix(" %")) == pytest.approx(100 * share, rel=0.05)
    assert len(specs) == len(advice.final.standings) - 1


def test_a_winner_alone_is_said_to_be_alone(advice):
    alone = tuple(replace(s, tied=i == 0) for i, s in enumerate(advice.final.standings))
    one = replace(advice, final=replace(advice.final, standings=alone))
    assert alternatives(one).blocks[0].items == ("The seeds tell all other finalists from it.",)
    nobody = tuple(replace(s, tied=False) for s in advice.final.standings)
    assert alternatives(replace(advice, final=replace(advice.final, standings=nobody))).title == "Alternatives"


def test_what_was_left_out_is_what_the_advice_says(advice):
    points, table = untried(advice).blocks
    assert points.items == (
        "Of the default rules, not tried at all: Nesterov, Lion.",
        "Tried out alone, and not raced: SGD.",
        "Of the default policies, tried with no rule: wsd, exp_range.",
        advice.more,
    )
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["AdamW", "Momentum", "SGD", "RMSProp", "Nesterov", "Lion"]
    assert rows["AdamW"] == ("a range test", "0.001 to 0.1", "all 6", "30")
    assert rows["SGD"] == ("a range test, not clear", "—", "—", "—")
    assert rows["Lion"] == ("—", "—", "—", "—")


def test_a_saved_advice_has_the_same_page_after_the_default_search_space_has_changed(advice, tmp_path, monkeypatch):
    before, path = render(advice), save(advice, tmp_path / "advice.json")
    for module in (search_space, explain):
        monkeypatch.setattr(module, "RULES", (SGD(),))
        monkeypatch.setattr(module, "POLICIES", ("wsd", "constant"))
    assert render(load(path)) == before
