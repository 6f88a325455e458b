"""A report says what the result says, refers to nothing outside itself, and escapes whatever it is given."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import samples

from stepsize.kernel.errors import FormatError, ParameterError
from stepsize.policies import one_cycle
from stepsize.report import render, write_report
from stepsize.results import Interval
from stepsize.results.io import dumps, loads
from stepsize.rules import SGD
from stepsize.schedules import Cosine
from stepsize.strategy import Strategy

EVIL = "<script>alert('1')</script> \"& $x$ _"


class Page(HTMLParser):
    """The tags, ids, and text of a page; refuses a tag that closes another."""

    VOID = frozenset({"meta", "use", "path", "br"})
    SILENT = frozenset({"script", "style"})

    def __init__(self, page):
        super().__init__()
        self.tags, self.ids, self.links, self.open, self.data = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("href", "xlink:href", "src") if name in values]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.SILENT:
            return
        self.data.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.data).split())


@pytest.fixture(scope="module")
def advice():
    return samples.advice()


@pytest.fixture(scope="module")
def page(advice):
    return render(advice)


@pytest.fixture(scope="module")
def race_text(advice):
    return Page(render(advice.final)).text


@pytest.fixture(scope="module")
def search_text():
    return Page(render(samples.search())).text


def test_the_answer_stands_on_top(page, advice):
    text = Page(page).text
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert "<title>AdamW one_cycle 0.01 – stepsize</title>" in page  # noqa: RUF001
    assert '<h1 class="answer">AdamW one_cycle 0.01</h1>' in page
    assert "cosine from 0.0004 to 0.01 over 120 steps, then cosine from 0.01 to 4e-8 over 280 steps" in text
    score = advice.score
    assert "It is expected to lose 1.2 % of what training gains, at most 4 % on nine of ten such tasks." in text
    assert f"Expected validation loss {score.mean:.4g} ({score.low:.4g} to {score.high:.4g})" in text
    assert "0.05658 to 0.07258, with 95 % confidence" in text
    assert "37.4 full trainings" in text


def test_everything_the_advice_rests_on_is_there(page, advice):
    found = Page(page)
    for sentence in (*advice.reasons, *advice.warnings, *(each.because for each in advice.insurances)):
        assert sentence in found.text
    assert html.escape(advice.code(), quote=False) in page.replace("&#34;", '"')
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "What makes it safe", "Why", "How it was found", "Code to paste", "Watch out", "The same without stepsize",
        "All 14 runs", "Finalists", "Learning curves", "What was not tried", "How to repeat it",
    ]  # fmt: skip
    assert found.tags.count("svg") == 2 + 2 + 1 + 1
    assert found.tags.count("figcaption") == found.tags.count("svg") == page.count('role="img" aria-label="')
    assert advice.more in found.text
    for fact in (
        "Hardware x86_64, 2 cores",
        "stepsize 0.1.0, numpy 2.4.6, torch 2.13.0",
        "11, 12, 13, 14, 15, 7000, 7100, 7101",
        "95.2 seconds",
    ):
        assert fact in found.text


def test_the_sections_that_few_read_are_folded_and_can_be_linked_to(page):
    """A link into a closed part opens it, without script."""
    folded = re.findall(r'<section><details><summary><h2>(.*?)</h2></summary>\n<div id="(.*?)">', page)
    titles = [
        "The same without stepsize", "All 14 runs", "Finalists", "Learning curves", "What was not tried",
        "How to repeat it",
    ]  # fmt: skip
    assert folded == [(title, f"s1-{number}") for number, title in enumerate(titles, start=6)]
    assert all(f'<a href="#{link}">{title}</a>' in page for title, link in folded)
    assert "<details open" not in page


def test_the_tables_say_who_is_tied_and_who_diverged(page):
    rows = re.findall(
        r'<tr class="marked">\n<th scope="row" class="text">(.*?)</th>\n<td class="text">(.*?)</td>', page
    )
    assert rows == [("AdamW one_cycle 0.01", "best"), ("AdamW warmup_cosine 0.00316", "tied")]
    assert '<td class="text">2 diverged</td>' in page


def test_the_strategy_can_be_read_back_from_the_page(page, advice):
    (folded,) = re.findall(r"<summary>The strategy as JSON</summary>.*?<code>(.*?)</code>", page, flags=re.DOTALL)
    assert loads(html.unescape(folded)) == advice.strategy


def test_the_page_refers_to_nothing_outside(page):
    found = Page(page)
    page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|//[a-z]|\bsrc=|@import|<script|<link|<iframe|<!--|<\?xml|xmlns", page)
    assert all(link.startswith("#") for link in found.links)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) | {link[1:] for link in found.links} == set(found.ids)


def test_no_two_pictures_share_an_id(page, advice):
    for text in (page, render(advice.final, advice.final)):
        ids = Page(text).ids
        assert len(ids) == len(set(ids)) > 10
        assert "\ue000" not in text


def test_the_same_result_makes_the_same_bytes(page):
    assert render(samples.advice()) == page


def test_a_reopened_advice_makes_the_same_page(page, advice):
    assert render(loads(dumps(advice))) == page


def test_the_users_matplotlib_settings_do_not_reach_the_page(page, advice):
    import matplotlib as mpl  # noqa: PLC0415

    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path"}):
        assert render(advice) == page
        assert mpl.rcParams["font.size"] == 30


def test_whatever_the_user_wrote_is_escaped(advice):
    evil = replace(advice.strategy, name=EVIL)
    standings = (replace(advice.final.standings[0], strategy=evil), *advice.final.standings[1:])
    trials = tuple(replace(t, strategy=replace(t.strategy, name=EVIL)) for t in advice.final.curves.trials)
    final = replace(
        advice.final, task=EVIL, engine=EVIL, standings=standings, curves=replace(advice.final.curves, trials=trials)
    )
    insurance = replace(advice.insurances[0], name=EVIL, because=EVIL)
    belief = replace(advice.belief, family=EVIL, source=EVIL)
    run = replace(advice.runs[0], strategy=evil, answer=evil, stage=EVIL)
    page = render(
        replace(
            advice, task=EVIL, strategy=evil, reasons=(EVIL,), warnings=(EVIL,), final=final, versions=((EVIL, EVIL),),
            engine=EVIL, insurances=(insurance,), belief=belief, runs=(run,), next_run=EVIL, more=EVIL,
            baseline=replace(advice.baseline, strategy=evil),
        )
    )  # fmt: skip
    found = Page(page)
    assert found.tags.count("script") == page.count("<script") == page.count("</script") == 1
    assert f"Advice · task {EVIL}" in found.text
    for entry in (
        f"Watch out {EVIL}", f"Engine {EVIL}", f"Versions {EVIL} {EVIL}", f"{EVIL} held {EVIL}",
        f"than {EVIL}, the usual", f"spent on {EVIL}", f"came from {EVIL}",
    ):  # fmt: skip
        assert entry in found.text


def test_text_that_resembles_markup_of_a_picture_is_left_alone(advice):
    name = 'a id="b" href="#c" url(#d) font-family: e;'
    strategy = Strategy(SGD(), one_cycle(0.1, momentum=None), name).over(10)
    page = render(strategy)
    assert html.unescape(Page(page).text).count(name) >= 3
    assert "<text" in page


def test_a_name_in_any_script_is_kept():
    assert "学習率 🚀" in Page(render(Strategy(SGD(), one_cycle(0.1, momentum=None), "学習率 🚀"))).text


def test_a_race_says_what_it_is_worth(race_text, search_text):
    search = samples.search()
    for sentence in search.sentences:
        assert sentence in search_text
    assert "Seed 11" in race_text
    assert "Total decay" in search_text
    for each in search.sensitivities:
        assert f"{each.family} {each.best:.3g}" in search_text
        assert str(each) in search_text


def test_a_metric_is_called_by_its_name():
    """Where a task is scored by a metric, no number of its race is called a loss."""
    scored = "negative validation accuracy"
    text = Page(render(replace(samples.search(), scored=scored))).text
    assert scored in text
    assert "alidation loss" not in text


def test_a_column_is_there_when_strategies_differ_in_it(advice, race_text):
    """Seeds that were added to the leaders alone; weights that are drawn to zero by some alone."""
    race = advice.final
    (rung,) = race.rungs
    leaders = [i for i, strategy in enumerate(rung.strategies) if strategy.name != race.standings[-1].strategy.name]
    grown = replace(
        rung, strategies=tuple(rung.strategies[i] for i in leaders), seeds=(*rung.seeds, 99),
        scores=np.concatenate([rung.scores, rung.scores[:, :1]], axis=1)[leaders],
    )  # fmt: skip
    more = Page(render(replace(race, rungs=(rung, grown), agreement=(1.0,)))).text
    heading = "Behind the best Seeds Total decay"
    assert heading in more
    assert heading not in race_text
    still = replace(race, standings=tuple(replace(standing, decay=0.0) for standing in race.standings))
    assert "Total decay" not in Page(render(still)).text


def test_a_race_stands_alone(search_text):
    assert "Race · task digits" in search_text
    assert "Strategies tried 90" in search_text


def test_a_sweep_takes_the_suggestion_that_follows_it():
    sweep = samples.range_test()
    found = Page(render(sweep, samples.suggestion(sweep)))
    assert found.tags.count("h1") == 1
    assert "AdamW: from 0.00042 (0.00031 to 0.00055) to 0.17 (0.12 to 0.21)" in found.text
    assert "the losses of a range test" in Page(render(sweep)).text
    noise = samples.range_test(SGD(), clear=False)
    unclear = render(noise, samples.suggestion(noise, clear=False))
    assert "SGD: no clear answer" in unclear
    assert "points warning" in unclear


def test_a_grid_shows_where_its_runs_end_and_what_they_cost():
    grid, found = samples.searched()
    page = render(grid, found)
    text = Page(page).text
    assert "Grid of rates · task digits" in text
    assert "AdamW: use 0.024 (0.02 to 0.03)" in text
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Why", "The schedule", "Where whole runs end"]
    assert page.count("<svg") == 1
    assert "Runs of each seed 5 of 200 steps" in text
    assert "2 000 updates, 5 full trainings of 400 steps" in text  # 2 * 5 * 200
    assert "Largest stable rate, by curvature 0.5 (0.4 to 0.6)" in text
    assert "the curvature bears far more than the runs do." in text
    assert "Snapshot" not in text
    kept = replace(samples.range_test(), memory=1_500_000)
    assert "Snapshot kept in memory 1.5 MB" in Page(render(kept)).text


def test_the_code_of_a_suggestion_is_its_policy():
    sweep, found = samples.searched()
    (code,) = re.findall(r"<pre.*?<code>(.*?)</code>", render(sweep, found), flags=re.DOTALL)
    from stepsize.policies import Policy  # noqa: PLC0415
    from stepsize.schedules import Chain, Constant, Linear, Scaled  # noqa: PLC0415

    names = {each.__name__: each for each in (Policy, Cosine, Chain, Constant, Linear, Scaled)}
    assert eval(html.unescape(code), names) == found.policy  # noqa: S307


def test_a_grid_alone_and_a_sweep_of_another_hyperparameter_have_pages():
    text = Page(render(samples.grid())).text
    assert "Grid of rates · task digits" in text
    text = Page(
        render(samples.hyperparameter_sweep(hyperparameter="weight_decay", values=(1e-4, 1e-3, 1e-2), best=1e-3))
    ).text
    assert "Sweep of the weight decay" in text
    assert "at its own weight decay" in text
    _, found = samples.searched()
    text = Page(
        render(
            samples.hyperparameter_sweep(hyperparameter="weight_decay", values=(1e-4, 1e-3, 1e-2), best=1e-3),
            replace(found, min_lr=None, max_lr=None),
        )
    ).text
    assert "Weight decay 0.024 (0.02 to 0.03)" in text
    assert "Least rate" not in text


def test_several_results_are_articles_of_one_page(advice):
    page = render(advice.final, samples.range_test(), samples.suggestion(samples.range_test()), advice.final.curves)
    assert "<h1>3 results</h1>" in page
    assert page.count("<article>") == 3
    assert page.count('<h2 class="answer">') == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Cosine(0.1, 0.0), "cosine from 0.1 to 0 over the rest"),
        (one_cycle(0.1), "momentum"),
        (Strategy(SGD(), one_cycle(0.1, momentum=None)), "SGD Cosine &gt;&gt; Cosine 0.1"),
        (samples.suggestion(samples.range_test()), "0.00042"),
        (Interval(1.0, 0.5, 1.5), "The value as JSON"),
    ],
)
def test_any_value_has_a_page(value, text):
    assert text in render(value)


def test_schedules_are_drawn_over_the_steps_of_the_race(advice):
    free = tuple(
        replace(s, strategy=Strategy(SGD(), one_cycle(0.1, momentum=None), f"SGD one_cycle {i}"))
        for i, s in enumerate(advice.final.standings)
    )
    text = Page(render(replace(advice.final, standings=free))).text
    assert "over 120 steps, then cosine from 0.1 to 4e-7 over 280 steps" in text
    assert "the rest" not in text


def test_a_reason_has_one_full_stop():
    sweep = samples.range_test()
    page = render(sweep, replace(samples.suggestion(sweep), reason="so it is."))
    assert "so it is.</" in page


def test_a_race_that_all_lost_says_so(advice):
    lost = Interval(np.inf, np.inf, np.inf)
    standings = tuple(replace(s, score=lost, behind=None, tied=False, diverged=5) for s in advice.final.standings)
    text = Page(render(replace(advice.final, standings=standings))).text
    assert "Every strategy diverged" in text
    assert not re.search(r"\b(inf|nan)\b", text.partition("The strategy as JSON")[0])
    lost = replace(advice, final=replace(advice.final, standings=standings))
    assert lost.simplest == lost.strategy
    text = Page(render(lost)).text
    assert "Every finalist diverged." in text
    assert "The seeds tell all other finalists from it" not in text


def test_nothing_to_report_is_an_error():
    with pytest.raises(ParameterError, match="at least one result"):
        render()


def test_a_report_is_written_whole(tmp_path, page, advice):
    path = write_report(tmp_path / "new" / "report.html", advice)
    assert path.read_text(encoding="utf-8") == page
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path, advice):
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", advice.strategy)


def test_the_page_is_light_enough_to_mail(page):
    assert len(page.encode()) < 450_000
