"""Several range tests that differ in one thing: a hyperparameter, the batch size or the rule.

Smith compares weight decays by a range test of each, in one picture: the best bears the largest rate at the lowest
loss [smith2018disciplined, sec. 4.4].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.batch_size.running_time import check_batch_sizes
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.suggest import suggest
from stepsize.kernel.errors import ParameterError, check_name
from stepsize.policies import LR
from stepsize.problems import Trainable
from stepsize.results import RangeTests
from stepsize.results.range_test import BATCH_SIZE
from stepsize.rules import AdamW, Rule
from stepsize.strategy import describe_rule, find_rule

RULE = "rule"
"""What is compared where whole rules are."""


def compare_range_tests(
    task: Trainable,
    compared: str,
    values: Sequence[Any],
    rule: Rule | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
    **options: Any,
) -> RangeTests:
    """Return a range test for each of several values of one thing, all else the same, with what each suggests.

    compared: a hyperparameter of the rule, "batch_size", or "rule", whose values are rules or their names, such as
        "AdamW(weight_decay=0.1)". values: at least two, distinct. rule: AdamW with its defaults when not given.
        options: what `range_test` takes: `low`, `high`, `steps`, `seeds`, `held_out`, `momentum` and more; no range is
        widened unless `widen=True`, so that all have the same.

    Raises ParameterError for what cannot be compared, or a value that it may not have, before any test runs.

    Watch out: tests of equal length are no trainings of equal time: larger batches have seen more samples.

    Source: [smith2018disciplined, sec. 4.4].
    """
    if len(values) < 2 or len(set(values)) < len(values):
        raise ParameterError(f"a comparison needs at least two distinct values of {compared}, not {list(values)!r}.")
    rule = AdamW() if rule is None else rule
    rules, tasks = [rule] * len(values), [task] * len(values)
    if compared == RULE:
        rules = [find_rule(value) if isinstance(value, str) else value for value in values]
        names = [describe_rule(each) for each in rules]
    elif compared == BATCH_SIZE:
        known = check_batch_sizes(task, values)
        tasks, names = [replace(known, batch_size=int(size)) for size in values], [f"{size:g}" for size in values]
    else:
        check_name(
            compared, sorted({*rule.hyperparameters, BATCH_SIZE, RULE} - {LR}), f"hyperparameter of {rule.title}"
        )
        if compared == "momentum" and options.get("momentum") is not None:
            raise ParameterError("the momentum is compared, so it cannot move too; leave one of the two out.")
        rules, names = [rule.having(**{compared: value}) for value in values], [f"{value:g}" for value in values]
    runner = runner or Runner(task, engine=engine, progress=progress)
    tests = [
        range_test(each, own, runner=runner if each is task else runner.on(each), **{"widen": False, **options})
        for each, own in zip(tasks, rules, strict=True)
    ]
    found = tuple(map(suggest, tests))
    return RangeTests(compared=compared, names=tuple(names), tests=tuple(tests), found=found)
