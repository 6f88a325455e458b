"""The verdict follows from the checks by a rule, and the rule can say no."""

import math
from dataclasses import replace

import pytest
from experiments.base import exact
from experiments.records import RECORDS, Check, Record, Row, sentence, verdict

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import envelope
from stepsize.results import Interval

BELOW_ONE = {"high": 1.0}
YES = Check("a", Interval(0.8, 0.7, 0.9), **BELOW_ONE)
OPEN = Check("b", Interval(0.9, 0.7, 1.1), **BELOW_ONE)
NO = Check("c", Interval(1.3, 1.2, 1.4), **BELOW_ONE)


@pytest.mark.parametrize(
    ("interval", "low", "high", "answer"),
    [
        ((0.8, 0.7, 0.9), -math.inf, 1.0, "shown"),
        ((0.9, 0.7, 1.1), -math.inf, 1.0, "open"),
        ((1.3, 1.2, 1.4), -math.inf, 1.0, "contradicted"),
        ((1.3, 1.2, 1.4), 1.0, math.inf, "shown"),
        ((0.8, 0.7, 0.9), 1.0, math.inf, "contradicted"),
        ((1.0, 0.9, 1.1), 0.8, 1.25, "shown"),
        ((1.2, 1.1, 1.3), 0.8, 1.25, "open"),
        ((1.5, 1.4, 1.6), 0.8, 1.25, "contradicted"),
        ((0.5, 0.4, 0.6), 0.8, 1.25, "contradicted"),
        ((0.0, 0.0, 0.0), 0.0, math.inf, "contradicted"),  # "more than nothing", and it was nothing
        ((math.inf, 0.0, math.inf), 0.0, 1.0, "open"),  # a seed diverged
        ((math.nan, math.nan, math.nan), 0.0, 1.0, "open"),
    ],
)
def test_a_check_is_shown_open_or_contradicted(interval, low, high, answer):
    assert Check("x", Interval(*interval), low, high).answer == answer


@pytest.mark.parametrize(
    ("checks", "found"),
    [
        ([YES, YES], "holds"),
        ([YES, OPEN], "holds in part"),
        ([YES, NO], "holds in part"),
        ([OPEN, OPEN], "does not show here"),
        ([NO], "does not show here"),
    ],
)
def test_the_verdict_counts_what_is_shown(checks, found):
    assert verdict(checks) == found


def test_the_sentence_names_every_check_once():
    assert sentence([YES, OPEN, NO]) == "Seen: a. Not decided: b. The opposite was seen of: c."


def record(*checks):
    written = {"setting": "made up", "intervals": "none"}
    return Record.of(
        "x", "it is so", "nobody", **written, seed=0, quick=False, rows=[Row("a", "b", exact(1))], checks=checks
    )


def test_a_record_survives_its_file():
    written = record(YES, NO, Check("d", Interval(math.inf, -math.inf, math.inf), 0.0))
    assert RECORDS.open(envelope(written), Record) == written


def test_a_verdict_that_was_typed_in_is_refused():
    with pytest.raises(ParameterError, match="says 'holds', and its checks say 'does not show here'"):
        replace(record(NO), verdict="holds")


def test_a_record_without_checks_is_refused():
    with pytest.raises(ParameterError, match="no check"):
        record()


@pytest.mark.parametrize(
    ("check", "written"),
    [(YES, "below 1"), (replace(YES, low=0.5, high=math.inf), "above 0.5"), (replace(YES, low=0.5), "0.5 to 1")],
)
def test_a_range_is_written_out(check, written):
    assert check.needed == written
