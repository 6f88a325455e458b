"""Wrong input: exit code 2, one clear line, and nothing left behind; told before the long work starts."""

import re
from pathlib import Path

import pytest

from stepsize.policies import one_cycle
from stepsize.results.io import save

ADVISE = ("advise", "../tiny.py", "--steps", 40, "--budget", 3, "--rules", "SGD", "--policies", "constant,cosine")
RACE = ("race", "../tiny.py", "--steps", 40, "--rules", "SGD", "--policies", "cosine,constant", "--rates", "0.01")
RANGE = ("range-test", "../tiny.py", "--rule", "SGD", "--seeds", 2, "--steps", 40)


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch, request):
    """None of these commands may train anything."""
    for engine in ("vectorised.ensemble.Ensemble", "loop.Loop"):
        monkeypatch.setattr(f"stepsize.engines.{engine}.run", lambda *_, **__: pytest.fail("something was trained"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("advise", "digist"), "no task is called 'digist'. Did you mean 'digits'"),
        (("advise", "nowhere.py"), "no task file 'nowhere.py'"),
        (("advise", "../tiny.py:perceptorn"), "has no function 'perceptorn'. Did you mean 'perceptron'"),
        pytest.param(("advise", "../tiny.py:nan_loss"), "nan at the first step"),
        (("advise", "../tiny.py", "--rules", "AdmaW"), "no rule is called 'AdmaW'. Did you mean 'AdamW'"),
        pytest.param(
            ("advise", "../tiny.py", "--policies", "cosin"),
            "no policy is called 'cosin'. Did you mean 'cosine'",
        ),
        pytest.param(("advise", "../tiny.py", "--rules", ","), "at least one"),
        (("advise", "../tiny.py", "--baseline", "AdamW cosin 1"), "no policy is called 'cosin'. Did you mean 'cosine'"),
        (("advise", "../tiny.py", "--steps", "10"), "10 steps are too short"),
        (("race", "../tiny.py", "--rules", "SDG", "--rates", "0.1"), "no rule is called 'SDG'. Did you mean 'SGD'"),
        pytest.param(("race", "../tiny.py", "--policies", "cosin", "--rates", "0.1"), "no policy is called 'cosin'"),
        pytest.param(("race", "../tiny.py", "--policies", "cosin"), "no policy is called 'cosin'"),
        (("race", "../tiny.py", "--rates", "0.1,fast"), "a learning rate is a number above 0, not 'fast'"),
        (("race", "../tiny.py", "--rates", "0.1,-1"), "a learning rate is a number above 0, not '-1'"),
        (("race", "../tiny.py", "--rates", "nan"), "a learning rate is a number above 0, not 'nan'"),
        (("race", "../tiny.py", "--rates", ","), "at least one"),
        pytest.param(
            ("race", "../tiny.py", "--rules", "SGD", "--policies", "cosine", "--rates", "0.1"),
            "at least two strategies",
        ),
        pytest.param(
            ("range-test", "../tiny.py", "--rule", "Adamw"),
            "no rule is called 'Adamw'. Did you mean 'AdamW'",
        ),
        (("range-test", "../tiny.py", "--low", "1", "--high", "0.1"), "climbs from low to high"),
        (("range-test", "../tiny.py", "--steps", "5"), "5 steps is too short"),
        (("range-test", "../tiny.py:nan_loss"), "nan at the first step"),
        (("range-test", "../tiny.py", "--for", "cosin"), "no policy is called 'cosin'. Did you mean 'cosine'"),
        (("range-test", "../tiny.py", "--for", "nowhere.json"), "cannot read nowhere.json"),
        (("range-test", "../tiny.py", "--for", "cosine", "--budget", "much"), "a budget is a number of full trainings"),
        (("range-test", "../tiny.py", "--for", "cosine", "--horizon", "9"), "9 steps are too short a training"),
        (("range-test", "../tiny.py", "--for", "cosine", "--seeds", "2"), "--seeds is of a range test, and --for"),
        (("range-test", "../tiny.py", "--for", "cosine", "--high", "10"), "--high is of a range test, and --for"),
        (
            ("range-test", "../tiny.py", "--of", "mometum", "--lr", "0.1"),
            "no hyperparameter of AdamW.",
        ),
        (
            ("range-test", "../tiny.py", "--of", "momentum", "--values", "0.9,high", "--lr", "1"),
            "is a number, not 'high'",
        ),
        (("show", "one_cylce"), "no schedule or policy is called 'one_cylce'. Did you mean 'one_cycle'"),
        (("show", "one_cycle", "peek=0.1"), "one_cycle has no field 'peek'. Did you mean 'peak'"),
        (("show", "one_cycle", "peak=high"), "peak.*'high'"),
        (("show", "one_cycle", "peak"), "no schedule or policy is called 'peak'"),
        (("show", "Cosine", "strat=0.1", "end=0"), "'strat'"),
        (("show", "Cosine", "start=0.1", "end=0", "steps=0.3"), "length"),
        (("show", "one_cycle", "warmup=150%"), "share"),
        (("show", "one_cycle", "curve=round"), "curve cannot be 'round'"),
        (("show", "nowhere.json"), "nowhere.json: No such file"),
        (("report", "nowhere.json"), "nowhere.json: No such file"),
        (("report", "../tiny.py"), "not JSON that stepsize wrote"),
        (("show", "cosine", "--plot", "a.xyz"), "a.xyz"),
        (("show", "cosine", "--steps", "0"), "0 is not in the range"),
        (("advise",), "Missing argument 'TASK'"),
        (("advice", "digits"), "No such command 'advice'"),
    ],
)
def test_wrong_input_is_one_line(refused, arguments, message):
    assert re.search(message, refused(*arguments))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def task(:\n", "does not import: SyntaxError"),
        ("import no_such_package\n", r"No module named 'no_such_package' \(line 1\)"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("def task():\n    return 3\n", "must return a stepsize.Task, not int"),
        ("def task():\n    raise ValueError('no\\n  data')\n", r"ValueError: no data \(line 2\)"),
        ("tusk = 3\n", "no function 'task'"),
    ],
)
@pytest.mark.parametrize("command", ["advise", "race", "range-test"])
def test_a_broken_task_file_is_one_line(refused, folder, command, text, message):
    (folder / "broken.py").write_text(text)
    assert re.search(message, refused(command, "broken.py"))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1, 2", b'{"stepsize": 99, "value": {}}', b'{"kind": "Cosine"}', b"\xff\xfe\x00", b"null"]
)
@pytest.mark.parametrize("command", ["report", "show"])
def test_a_file_that_is_not_ours_is_one_line(refused, folder, command, content):
    (folder / "other.json").write_bytes(content)
    assert "other.json" in refused(command, "other.json")


def test_a_result_without_a_schedule_is_not_shown(refused, folder):
    from stepsize.results import Interval  # noqa: PLC0415

    save(Interval(1.0, 0.5, 1.5), "interval.json")
    assert "holds a Interval" in refused("show", "interval.json") or "Interval" in refused("show", "interval.json")


@pytest.mark.parametrize("path", ["file/out", "folder"])
@pytest.mark.parametrize(
    ("command", "option", "ending"),
    [
        (ADVISE, "--save", ".json"),
        (ADVISE, "--report", ".html"),
        (RACE, "--save", ".json"),
        (RACE, "--report", ".html"),
        (RANGE, "--save", ".json"),
        (RANGE, "--plot", ".png"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_trained(refused, command, option, ending, path):
    folder = Path()
    (folder / "file").write_text("in the way")
    (folder / f"folder{ending}").mkdir()
    assert path in refused(*command, option, f"{path}{ending}")


@pytest.mark.parametrize("path", ["file/journal", "file"])
def test_a_journal_that_cannot_be_kept_is_refused(refused, folder, path):
    (folder / "file").write_text("in the way")
    assert "file" in refused(*ADVISE, "--journal", path)


def test_a_picture_of_an_unknown_kind_is_refused_before_anything_is_trained(refused):
    assert "sweep.xyz" in refused(*RANGE, "--plot", "sweep.xyz")


def test_a_report_into_a_file_in_the_way_is_refused(refused, folder):
    save(one_cycle(0.1), "policy.json")
    (folder / "file").write_text("in the way")
    assert "file" in refused("report", "policy.json", "--out", "file/page.html")


def test_an_error_in_the_middle_leaves_the_old_file_whole(refused, folder):
    Path("page.html").write_text("old")
    refused("report", "nowhere.json", "--out", "page.html")
    assert Path("page.html").read_text() == "old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategies", "AdamW cosine"), "the peak rate is missing"),
        (("--strategies", "AdamW cosine 0.1"), "at least two strategies, not 1"),
        (("--strategies", "AdamW cosine 0.1 0.2, cosine 0.1"), "'AdamW cosine 0.1' is written already"),
        (("--strategies", "nowhere.toml"), "cannot read nowhere.toml"),
        (
            ("--strategies", "AdamW cosine 0.1 0.2", "--rates", "0.1"),
            "--strategies says who races, and so does --rates",
        ),
        (("--budget", "soon"), "a budget is .*such as 20min.*not 'soon'"),
        (("--budget", "-3"), "a budget is .*not '-3'"),
        (("--budget", "0s"), "a budget is"),
        (("--rates", "0.1,0.2", "--budget", "3"), "budget of 3 full trainings is too small"),
        (("--rates", "0.1", "--tune-seeds", "2"), "nothing to"),
        (("--rates", "0.1", "--steps", "40", "--rungs", "halving"), "begin with 4, and need 10"),
        (("--rates", "0.1", "--view", "prefx"), "'prefx' is not one of"),
        (("--rates", "0.1", "--selection", "first"), "'first' is not one of"),
        (("--rates", "0.1", "--csv", "/proc/none/a.csv"), "cannot write /proc/none/a.csv"),
    ],
)
def test_a_race_that_makes_no_sense_is_one_line(refused, arguments, message):
    assert re.search(message, refused("race", "../tiny.py", *arguments))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"strategies are a list"),
        ("strategies = []", r"strategies are a list"),
        ('[[strategies]]\nrule = "AdamW"\npolicy = "cosine"\nlr = 0.1\nepochs = 3', r"at \$.strategies\[0\].*'epochs'"),
        ('[[strategies]]\nrule = "AdmaW"\npolicy = "cosine"\nlr = 0.1', "Did you mean 'AdamW'"),
        pytest.param(
            '[[strategies]]\nrule = "SGD"\npolicy.kind = "Policy"\npolicy.lr = {kind = "Constant", level = 0.1}\n'
            'policy.momentum = {kind = "Constant", level = 0.9}',
            "SGD has no hyperparameter 'momentum'",
        ),
        ("[[strategies]", "is not TOML"),
    ],
)
def test_a_file_of_strategies_that_is_wrong_is_one_line(refused, folder, text, message):
    (folder / "field.toml").write_text(text)
    assert re.search(message, refused("race", "../tiny.py", "--strategies", "field.toml"))
