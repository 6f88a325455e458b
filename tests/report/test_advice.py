"""The page of an advice: the answer first, what it rests on folded, and one number for one thing."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest
import samples

import stepsize.report
from stepsize import load, save, search_space
from stepsize.codegen import OF_THE_TASK
from stepsize.report import render, write_report
from stepsize.report.advice import advice_article
from stepsize.report.parts import Checks, Code, Picture, Points, Table
from stepsize.results import Interval
from stepsize.rules import SGD


def undrawn(function, *args, label, caption, size=None, chart=""):
    """A picture of nothing: what is drawn is the matter of other tests, and takes its time."""
    return Picture("<svg></svg>", label, caption)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    for module in (stepsize.report.advice, stepsize.report.race):
        monkeypatch.setattr(module, "draw", undrawn)


@pytest.fixture(scope="module")
def advice():
    return samples.advice()


@pytest.fixture(scope="module")
def small():
    return samples.small_advice()


def section(advice, title, **options):
    """The blocks of one section of an advice."""
    found = {each.title: each for each in advice_article(advice, **options).sections}
    return found[title].blocks


def titles(advice):
    return [each.title for each in advice_article(advice).sections]


def facts(advice):
    return dict(advice_article(advice).facts.pairs)


def test_the_answer_stands_in_two_sentences(advice):
    article = advice_article(advice)
    assert article.title == "AdamW one_cycle 0.01"
    assert article.lead == (
        "Train digits for 400 steps with AdamW and the schedule one_cycle, at a peak rate of 0.01. "
        "It is expected to lose 1.2 % of what training gains, at most 4 % on nine of ten such tasks."
    )
    assert "400 steps in batches of 16 with AdamW" in advice_article(replace(advice, batch_size=16)).lead


def test_the_facts_are_those_of_the_answer(advice):
    found = facts(advice)
    assert found["Peak learning rate"] == "0.01"
    assert found["Learning rate"].startswith("cosine from 0.0004 to 0.01 over 120 steps, then cosine")
    assert (
        found["Expected validation loss"]
        == f"{advice.score.mean:.4g} ({advice.score.low:.4g} to {advice.score.high:.4g})"
    )
    assert found["One more run"] == "0.05658 to 0.07258, with 95 % confidence"
    assert found["Against the baseline"] == (
        "Better than AdamW constant 0.001, the usual one, by 0.0966 (0.0911 to 0.102), 4.3 % of what training gains, "
        "on 3 paired seeds"
    )
    assert found["Cost"] == "37.4 full trainings in 95.2 seconds; the budget was 40 full trainings"


def test_what_one_training_cannot_buy_is_said_and_not_made_up(small):
    found = facts(small)
    assert found["Expected validation loss"] == "No validation loss is promised from pilot runs alone"
    assert found["Against the baseline"] == "Nothing ran beside it as a baseline"
    assert "One more run" not in found
    assert not {"Finalists", "Learning curves"} & set(titles(small))
    page = html.unescape(render(small))
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<style.*?</style>|<pre.*?</pre>", "", page, flags=re.DOTALL))
    full = replace(small, runs=(*small.runs, samples.search_runs()[9]))
    assert facts(full)["Expected validation loss"] == "No validation loss is promised from one seed"


def test_the_sections_stand_in_the_order_in_which_one_asks(advice):
    shown = [each.title for each in advice_article(advice).sections if not each.folded]
    assert shown == ["What makes it safe", "Why", "How it was found", "Code to paste", "Watch out"]
    folded = [each.title for each in advice_article(advice).sections if each.folded]
    assert folded == [
        "The same without stepsize",
        "All 14 runs",
        "Finalists",
        "Learning curves",
        "What was not tried",
        "How to repeat it",
    ]


def test_every_insurance_says_whether_it_was_bought(advice):
    (checks,) = section(advice, "What makes it safe")
    assert isinstance(checks, Checks)
    assert [holds for holds, _, _ in checks.items] == [True, True, True, True, False]
    page = render(replace(advice, insurances=(*advice.insurances, replace(advice.insurances[0], holds=None))))
    assert re.findall(r'<span class="verdict">(.*?)</span>', page) == [*["held"] * 4, "not held", "says nothing here"]
    assert "What makes it safe" not in titles(replace(advice, insurances=()))


@pytest.mark.parametrize(
    ("count", "more"), [(0, None), (2, None), (3, None), (4, "1 more reason"), (6, "3 more reasons")]
)
def test_three_reasons_are_seen_and_the_rest_is_folded(advice, count, more):
    reasons = tuple(f"reason {i}" for i in range(count))
    now = replace(advice, reasons=reasons)
    if not count:
        assert "Why" not in titles(now)
        return
    first, *rest = section(now, "Why")
    assert first == Points(reasons[:3])
    assert rest == ([] if more is None else [Points(reasons[3:], summary=more)])


def test_both_pictures_have_captions_with_the_numbers_of_the_answer(advice):
    gallery, onward = section(advice, "How it was found")
    belief, course = gallery.pictures
    assert belief.caption == (
        "The best peak rate of AdamW one_cycle lies between 0.0059 and 0.02 with 90 %, by 11 runs of it; before any "
        "run it came from the width of the layers and one gradient."
    )
    assert "In the end it is 1.2 % of what training gains, for 37.4 full trainings." in course.caption
    assert onward.items == (
        (
            "One more training would be spent on a fresh seed of AdamW warmup_cosine 0.00316, "
            "and is expected to gain 0.42 %."
        ),
        advice.more,
    )


@pytest.mark.parametrize("framework", ["torch", "lightning", "optax", "keras"])
def test_the_code_is_for_the_framework_that_was_asked_for(advice, framework):
    (code,) = section(advice, "Code to paste", framework=framework)
    assert code == Code(advice.code(framework))
    assert html.escape(code.text, quote=False) in render(advice, framework=framework).replace("&#34;", '"')


def test_native_code_says_what_of_a_task_is_yours_to_add(advice):
    said = f"{OF_THE_TASK}\n"
    plain = replace(advice, task="digits").code("transformers", native=True)
    assert replace(advice, task="mine.py").code("transformers", native=True) == said + plain
    assert not plain.startswith("#")


def test_where_a_framework_has_no_code_the_page_says_why(advice, tmp_path):
    (said,) = section(advice, "Code to paste", framework="mxnet")
    assert said.warning
    assert "there is no code for 'mxnet'" in said.items[0]
    written = write_report(tmp_path / "page.html", advice, framework="mxnet").read_text(encoding="utf-8")
    assert "there is no code for &#39;mxnet&#39;" in written


def test_the_table_has_every_run(advice):
    (table,) = section(advice, "All 14 runs")
    assert table.rows[5] == (
        "6", "AdamW one_cycle 0.316", "25", "7000", "diverged", "locating AdamW one_cycle", "0.402",
        "AdamW one_cycle 0.0158", "5.5 %",
    )  # fmt: skip
    assert [row[0] for row in table.rows] == [str(number) for number in range(1, 15)]
    assert table.marked == frozenset(range(14)) - {10, 11, 13}


def test_a_share_has_one_value_on_the_page(advice, small):
    """What the answer is expected to lose is the same in the lead, below the picture, and in the last row."""
    for each in (advice, small):
        page = html.unescape(render(each))
        share = f"{100 * each.loses:.2g} %"
        said = re.findall(r"(?:expected to lose|In the end it is) ([\d.]+ %)", page)
        assert set(said) == {share}
        assert section(each, f"All {len(each.runs)} runs")[0].rows[-1][-1] == share


def test_the_finalists_are_those_of_the_final(advice):
    said, *blocks = section(advice, "Finalists")
    assert said.items == (
        "The seeds cannot tell these apart: AdamW one_cycle 0.01, AdamW warmup_cosine 0.00316.",
        "The simplest of them, with the fewest pieces: AdamW warmup_cosine 0.00316.",
    )
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [row[0] for row in tables[0].rows] == [each.strategy.name for each in advice.final.standings]
    alone = tuple(replace(each, tied=i == 0) for i, each in enumerate(advice.final.standings))
    now = replace(advice, final=replace(advice.final, standings=alone))
    assert section(now, "Finalists")[0].items == ("The seeds tell all other finalists from it.",)


def test_what_was_left_out_is_what_the_advice_says(advice):
    points, table = section(advice, "What was not tried")
    assert points.items == (
        "Of the default rules, not tried at all: Nesterov, Lion.",
        "Of the default policies, tried with no rule: wsd, exp_range.",
    )
    assert table.rows == (
        ("AdamW", "13", "0.001 to 0.316", "one_cycle, warmup_cosine"),
        ("Momentum", "1", "0.316", "one_cycle"),
    )
    bare = replace(advice, untried_rules=(), untried_policies=(), runs=())
    assert not {"What was not tried", "All 0 runs"} & set(titles(bare))


def test_a_task_on_which_nothing_learned_gets_no_recommendation():
    found = samples.unlearned_advice()
    article = advice_article(found)
    assert article.title == "Nothing has learned"
    assert article.lead == (
        "None of 6 runs did better than what needs no model, so no strategy is recommended; what to try is below."
    )
    assert titles(found) == ["Watch out", "What ran", "All 6 runs", "What was not tried", "How to repeat it"]
    assert [name for name, _ in article.facts.pairs] == ["Cost"]
    page = render(found)
    assert all(html.escape(warning) in page for warning in found.warnings)
    assert html.escape(found.more) in page
    for absent in (
        "Code to paste",
        "expected to lose",
        "The strategy as JSON",
        "Answer then",
        "build_optimizer",
        "set apart",
    ):
        assert absent not in page


def test_a_metric_is_called_by_its_name(advice):
    """Where a task is scored by a metric, no number of its page is called a loss."""
    scored = "negative validation accuracy"
    now = replace(advice, scored=scored, final=replace(advice.final, scored=scored))
    assert f"Expected {scored}" in facts(now)
    assert "alidation loss" not in re.sub(r"lowest validation loss", "", render(now))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"better": Interval(-0.02, -0.03, -0.01), "share": -0.01, "named": True},
         ("Worse than AdamW constant 0.001, yours, by 0.02 (0.01 to 0.03), 1 % of what training gains, on 3 paired "
         "seeds")),
        ({"seeds": (1,), "scores": (0.2,), "answer": (0.1,), "better": Interval(0.1, np.nan, np.nan), "steps": 100},
         ("Better than AdamW constant 0.001, the usual one, by 0.1, 4.3 % of what training gains, on one seed "
         "in 100 steps")),
        ({"scores": (0.2, np.inf, np.inf), "better": Interval(np.inf, np.nan, np.nan)},
         "Of 3 runs, AdamW constant 0.001, the usual one, diverged in 2, and the answer in 0"),
    ],
)  # fmt: skip
def test_the_baseline_is_said_whoever_is_better(advice, changed, said):
    assert facts(replace(advice, baseline=replace(advice.baseline, **changed)))["Against the baseline"] == said


def test_a_saved_advice_has_the_same_page_after_the_default_search_space_has_changed(advice, tmp_path, monkeypatch):
    before, path = render(advice), save(advice, tmp_path / "advice.json")
    monkeypatch.setattr(search_space, "RULES", (SGD(),))
    monkeypatch.setattr(search_space, "POLICIES", ("wsd", "constant"))
    assert render(load(path)) == before
