"""Several range tests that differ in one thing: each is its own range test, and what cannot be compared is refused."""

import numpy as np
import pytest
from teacher import teacher

from stepsize import FunctionTask
from stepsize.engines import Loop
from stepsize.jobs import Runner, compare_range_tests, range_test, suggest
from stepsize.kernel.errors import ParameterError
from stepsize.results import RangeTests, load, save
from stepsize.rules import SGD, Momentum

OPTIONS = {"low": 1e-4, "high": 10.0, "steps": 80, "seeds": (0, 1)}


@pytest.fixture(scope="module")
def task():
    return teacher(60)


@pytest.fixture(scope="module")
def tests(task):
    return compare_range_tests(task, "weight_decay", (0.0, 0.1), Momentum(), held_out=True, engine=Loop(), **OPTIONS)


def test_each_is_its_own_range_test(task, tests):
    alone = range_test(
        task, Momentum(weight_decay=0.1), held_out=True, widen=False, engine=Loop(), **OPTIONS
    )  # fmt: skip
    np.testing.assert_array_equal(tests.tests[1].held_out, alone.held_out)
    assert tests.names == ("0", "0.1")
    assert tests.found[1].reason == suggest(alone).reason
    assert tests.cost == 2 * 80 * 2


def test_the_table_has_a_row_each_and_its_lowest_point(tests):
    head, *rows = tests.table
    assert head == ("weight decay", "from", "to", "seeds", "best validation loss")
    assert [row[0] for row in rows] == ["0", "0.1"]
    for row, found, low in zip(rows, tests.found, tests.lows, strict=True):
        smooth = found.smooth[np.isfinite(found.smooth).all(axis=1)]
        assert low == pytest.approx(np.median(smooth, axis=1).min(), rel=1e-12)
        assert float(row[-1]) == pytest.approx(low, rel=1e-2)


def test_it_is_kept_in_a_file(tests, tmp_path):
    again = load(save(tests, tmp_path / "tests.json"))
    assert isinstance(again, RangeTests)
    assert again.table == tests.table


def test_rules_and_batch_sizes_are_compared_too(task):
    rules = compare_range_tests(task, "rule", ("SGD", "AdamW(weight_decay=0.1)"), engine=Loop(), **OPTIONS)
    assert rules.names == ("SGD", "AdamW(weight_decay=0.1)")
    runner = Runner(task, engine=Loop())
    sizes = compare_range_tests(task, "batch_size", (8, 32), SGD(), runner=runner, **OPTIONS)
    assert sizes.names == ("8", "32")
    assert runner.updates == sizes.cost
    assert (sizes.tests[0].losses != sizes.tests[1].losses).any()


@pytest.mark.parametrize(
    ("compared", "values", "options", "message"),
    [
        ("momentum", (0.9,), {}, "at least two distinct values"),
        ("momentum", (0.9, 0.9), {}, "at least two distinct values"),
        ("mometum", (0.9, 0.8), {}, "Did you mean 'momentum'"),
        ("lr", (0.9, 0.8), {}, "'lr'"),
        ("momentum", (0.9, 1.2), {}, "up to, but not including, 1"),
        ("momentum", (0.9, 0.8), {"momentum": (0.9, 0.8)}, "cannot move too"),
        ("rule", ("SGD", "AdmW"), {}, "Did you mean"),
        ("batch_size", (8, 10**6), {}, "training samples"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_the_work(task, compared, values, options, message):
    with pytest.raises(ParameterError, match=message):
        compare_range_tests(
            task, compared, values, Momentum(), **OPTIONS, **options, progress=lambda *_: pytest.fail("it ran")
        )
    with pytest.raises(ParameterError, match="own affair"):
        compare_range_tests(FunctionTask(lambda _: None), "batch_size", (8, 16))


def test_one_test_and_one_suggestion_a_name(tests):
    with pytest.raises(ParameterError, match="one test and one suggestion a name"):
        RangeTests(compared="momentum", names=("a",), tests=tests.tests, found=tests.found)
