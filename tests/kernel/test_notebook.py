"""What a notebook shows: values by themselves, pictures, and how far a job is."""

import html
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import samples
from teacher import teacher

from stepsize.engines import Loop
from stepsize.execution.journal import Journal
from stepsize.execution.runner import Runner
from stepsize.jobs import advise
from stepsize.kernel import notebook
from stepsize.kernel.notebook import in_notebook, notebook_progress
from stepsize.policies import one_cycle
from stepsize.rules import AdamW
from stepsize.schedules import Cosine, Table
from stepsize.strategy import Strategy

KINDS = {
    "policy": one_cycle(0.1),
    "schedule": Cosine(0.1, 0.0),
    "strategy": Strategy.of("AdamW", "one_cycle", 0.01, name="<script>alert(1)</script>"),
    "advice": samples.advice(),
    "race": samples.final(),
    "range test": samples.range_test(),
    "suggestion": samples.suggestion(samples.range_test()),
    "record": samples.curves(),
}
RESULTS = ("advice", "race", "range test", "suggestion", "record")


@pytest.fixture
def shown(monkeypatch):
    """A kernel that keeps what it is asked to show."""
    kept = []

    class Handle:
        def update(self, value):
            kept.append(value)

    def display(value, *, display_id=False):
        kept.append(value)
        return Handle() if display_id else None

    ipython, screen = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    ipython.version_info = (9, 0)  # matplotlib asks for it
    screen.display, screen.HTML = display, lambda markup: markup
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", screen)
    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_shows_itself(kind):
    markup = KINDS[kind]._repr_html_()
    assert html.escape(str(KINDS[kind])) in markup
    assert markup.count("<svg") == markup.count("</svg>") == (kind != "suggestion")
    assert not re.search("<(script|style|link)", markup)
    assert markup.startswith("<div style=")


def test_a_long_table_is_no_long_cell():
    markup = Table(tuple(np.linspace(0.1, 0.0, 20_000).tolist()))._repr_html_()
    assert len(markup) < 100_000
    assert "Table(values=(0.1, " in markup


def test_two_values_share_no_id():
    ids = [set(re.findall(r' id="([^"]+)"', KINDS[kind]._repr_html_())) for kind in ("policy", "race")]
    assert all(ids)
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_is_a_line_of_text(kind):
    assert repr(KINDS[kind]) == f"<{KINDS[kind].noun}: {KINDS[kind]}>"
    assert len(repr(KINDS[kind])) < 150
    assert "\n" not in repr(KINDS[kind])


def test_without_matplotlib_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setattr(notebook, "installed", lambda package: package != "matplotlib")
    assert KINDS["policy"]._repr_html_() is None


def test_a_plot_appears_in_a_cell_and_is_still_the_axes(shown):
    axes = KINDS["policy"].plot()
    assert shown == [axes.figure]
    assert KINDS["policy"].plot(ax=axes) is axes
    assert len(shown) == 1


def test_outside_of_a_notebook_nothing_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
    assert notebook_progress() is None


def test_the_stop_button_shows_the_answer_so_far_and_a_journal_goes_on(shown, tmp_path):
    """As Ctrl-C on a terminal; the same cell goes on from what is kept."""
    asked = {"budget": 1.0, "rules": [AdamW()], "policies": ["cosine"], "engine": Loop()}

    def stop(stage, updates):
        if len(journal) >= 2:
            raise KeyboardInterrupt

    with Journal(tmp_path / "kept") as journal, pytest.raises(KeyboardInterrupt):
        advise(teacher(), journal=journal, progress=stop, **asked)
    (so_far,) = shown
    assert so_far.runs or so_far.belief
    with Journal(tmp_path / "kept") as journal:
        kept = len(journal)
        again = advise(teacher(), journal=journal, **asked)
        assert 0 < kept < len(again.runs) <= len(journal)
    assert again.strategy == advise(teacher(), progress=lambda *_: None, **asked).strategy


def test_a_job_says_how_far_it_is_in_one_line(shown, monkeypatch):
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    Runner(teacher())._progress("race", 7)
    progress = notebook_progress()
    progress("a <b> stage", 5)
    progress("a <b> stage", 6)
    assert shown[0].startswith("<code>race: 7 updates")
    assert [each.partition(",")[0] for each in shown[1:]] == [
        "<code>a &lt;b&gt; stage: 5 updates", "<code>a &lt;b&gt; stage: 11 updates",
    ]  # fmt: skip
