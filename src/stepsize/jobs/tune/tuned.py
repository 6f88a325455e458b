"""A training as a function `step(rate) -> loss`, of any framework, which finds its own rate and then trains with it.

::

    answer = tuned(step, steps=2000, snapshot=snapshot, restore=restore)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from stepsize.adapters.range_test import Step
from stepsize.jobs.advise.advise import LEAST_HORIZON
from stepsize.jobs.tune.family import Asked, check_steps, family, rule_of_name
from stepsize.jobs.tune.pilots import AT_REST, RESTED, LoopTask, Pilots, check_validate, scored, share_of
from stepsize.kernel.arrays import as_number
from stepsize.kernel.errors import ParameterError
from stepsize.policies import LR
from stepsize.results import Advice
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy

SEED = 0
"""What `make` is given: every run begins with the same weights and batches."""


def tuned(
    step: Step | None = None,
    policy: Asked = "one_cycle",
    *,
    steps: int,
    snapshot: Callable[[], Any] | None = None,
    restore: Callable[[Any], object] | None = None,
    make: Callable[[int], Step] | None = None,
    rule: Rule | str | None = None,
    share: float | None = None,
    validate: Callable[[], Any] | None = None,
    task: str = "step",
) -> Advice:
    """Find the rate of a training `step(rate) -> loss` in pilot runs of it, train with that, and return the answer.

    step: makes one update at the rate, and returns the loss of its batch before that update, as a number or an array
        of no dimensions, of any framework. policy, steps, share, validate: as in `tune`; `step` takes the rate alone,
        so what else a policy schedules is left out.
    snapshot, restore: `restore(snapshot())` puts back all that `step` changes: weights, optimizer, generators,
        batches. What `snapshot` returns has to be a copy where `step` works in place.
    make: instead of the three, `make(0)` returns a step that begins anew.
    rule: that `step` follows, or its name, which says where the search begins; AdamW when not given.
    task: a name for the record.

    Raises TaskError for a loss that is no number, for a first one that is NaN, and where all pilot runs diverge;
    DriveError for a run of less than 40 updates; ParameterError unless there is one of `make` and the other three. What
    the pilot runs changed is put back first.

    Watch out: nothing can be read off a function, so more of the share goes into finding where the rate lies at all.

    >>> weight = [1.0]
    >>> def step(rate):
    ...     loss = weight[0] ** 2
    ...     weight[0] -= rate * 2 * weight[0]
    ...     return loss
    >>> def restore(kept):
    ...     weight[:] = kept
    >>> answer = tuned(step, "cosine", steps=100, snapshot=weight.copy, restore=restore)
    >>> answer.learned, abs(weight[0]) < 1e-6
    (True, True)
    """
    begin = _beginning(step, snapshot, restore, make)
    answer = find(begin, policy, steps=steps, rule=rule, share=share, validate=validate, task=task)
    _train(make(SEED) if make is not None else step, answer.strategy, steps)  # type: ignore[arg-type]  # one is there
    return answer


Begin = Callable[[], AbstractContextManager[Step]]
"""Opens a context in which a step begins anew, and after which all is as it was."""


def find(
    begin: Begin,
    policy: Asked,
    *,
    steps: int,
    rule: Rule | str | None,
    share: float | None,
    validate: Callable[[], Any] | None,
    task: str,
) -> Advice:
    """Make the pilot runs of a training that `begin` begins anew, and return their answer, as `tuned` does."""
    check_steps(steps, LEAST_HORIZON)
    check_validate(validate)
    asked = AdamW() if rule is None else rule_of_name(rule)
    found = family(asked, policy, steps)
    allowed = share_of(share, steps)
    held_out = None if validate is None else lambda: as_number(validate(), "loss")
    with begin() as first:
        start = None if held_out is None else held_out()
        rested = [as_number(first(AT_REST), "loss") for _ in range(RESTED)]
    known = LoopTask(task, steps, start, rested, None, asked)
    pilots = Pilots(known, found, allowed)
    while (run := pilots.next()) is not None:
        with begin() as turn:
            losses = _train(turn, found.at(run.rate), run.steps)
            pilots.learn(scored(run, losses, held_out))
    return pilots.answer()


def _beginning(
    step: Step | None,
    snapshot: Callable[[], Any] | None,
    restore: Callable[[Any], object] | None,
    make: Callable[[int], Step] | None,
) -> Begin:
    if make is not None and step is None and snapshot is None and restore is None:
        return lambda: nullcontext(make(SEED))
    if step is None or snapshot is None or restore is None or make is not None:
        raise ParameterError(
            "a training to tune is step=, snapshot= and restore=, or make= alone: restore(snapshot()) puts back what "
            "step(rate) changes, and make(0) returns a step that begins anew."
        )

    @contextmanager
    def begin() -> Iterator[Step]:
        kept = snapshot()
        try:
            yield step
        finally:
            restore(kept)

    return begin


def _train(step: Step, strategy: Strategy, steps: int) -> list[float]:
    """Return the losses of a run, as far as the first that is no number."""
    losses: list[float] = []
    for rate in strategy.over(steps).table(0, steps)[LR].tolist():
        losses.append(as_number(step(rate), "loss"))
        if not math.isfinite(losses[-1]):
            break
    return losses
