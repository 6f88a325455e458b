"""Keras 3: a fit that finds its rate in pilot runs before its first batch, and is driven at it.

::

    model.fit(x, y, batch_size=64, epochs=10, callbacks=[TuneCallback(batches, "one_cycle")])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stepsize.adapters.keras.policy import PolicyCallback, updates_made
from stepsize.adapters.keras.range_test import check, restored, updates
from stepsize.adapters.range_test import Step
from stepsize.callbacks.answered import Answered
from stepsize.jobs.advise.advise import LEAST_HORIZON
from stepsize.jobs.tune.family import Asked, named_rule
from stepsize.jobs.tune.pilots import check_validate, share_of, warn_of_guess
from stepsize.jobs.tune.tuned import find
from stepsize.kernel.errors import DriveError
from stepsize.policies import Policy
from stepsize.results import Advice, load, save
from stepsize.rules import SGD, AdamW, Momentum, Nesterov, Rule


class TuneCallback(Answered, PolicyCallback):
    """Makes pilot runs when `fit` begins, puts everything back, and drives the learning rate at what they found.

    batches: what `train_on_batch` takes, as in `climb`: a callback does not see the data of `fit`. Each pilot run
        begins with the first.
    policy: by name, as a function of its peak, or as a value, whose own peak does not matter; only its rate counts.
    steps: of the real run, as in `PolicyCallback`.
    share: what the pilot runs may cost, as a share of the run: when not given .35 of it from 5000 updates on, and at
        most all of it below. With 0 there are none, and it trains at what other tasks say.
    validate: returns the held-out loss; without it the training losses of the last tenth of each pilot run score it.
    rule: that the optimizer follows, where it is none of Keras's. keep: a file where the answer is kept; a fit that
        goes on with a model that has made updates already reads it there.
    answer: what the pilot runs found, a result to save. piloting: whether this is a pilot run.

    The variables of model, optimizer and metrics are put back, and on the torch backend the generators as well; other
    callbacks hear nothing. The real run is that of `PolicyCallback(callback.answer.policy)`.

    Raises, as training begins, DriveError for a run of less than 40 updates, for what PolicyCallback and `climb`
    refuse, and for a model that has made updates where nothing says at what rate; TaskError where the first loss is no
    number, where all pilot runs diverge, and for no batches; ParameterError for a policy or share that there is not.

    Watch out: with `keras.callbacks.BackupAndRestore` list that one first, and give `keep=`. A dataset that changes as
    it is read is not put back.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        policy: Asked = "one_cycle",
        steps: int | None = None,
        *,
        share: float | None = None,
        validate: Callable[[], Any] | None = None,
        rule: Rule | str | None = None,
        keep: str | Path | None = None,
    ) -> None:
        super().__init__(Policy(lr=0.0), steps)  # until there is an answer
        share_of(share, LEAST_HORIZON)
        check_validate(validate)
        self._batches, self._asked, self._rule, self._keep = batches, policy, rule, keep
        self._options: dict[str, Any] = {"share": share, "validate": validate}

    def on_train_begin(self, logs: Any = None) -> None:
        """Make the pilot runs, unless the model has been trained already, and bind the policy that they found."""
        super().on_train_begin(logs)  # refuses what would have no effect
        check(self.model)
        if not updates_made(self._optimizer):
            self._answer = self._find()
            if self._keep is not None:
                save(self._answer, self._keep)
        elif self._answer is None:
            self._answer = self._kept()
        self.policy = self.answer.policy.over(self._end)

    def _find(self) -> Advice:
        rule = rule_like(self._optimizer) if self._rule is None else self._rule
        self._piloting = True
        try:
            answer = find(self._begin, self._asked, steps=self._end, rule=rule, task=self.model.name, **self._options)
        finally:
            self._piloting = False
        warn_of_guess(answer)
        return answer

    @contextmanager
    def _begin(self) -> Iterator[Step]:
        with restored(self.model):
            yield updates(self.model, self._batches)

    def _kept(self) -> Advice:
        if self._keep is None or not Path(self._keep).exists():
            raise DriveError(
                f"this model has made {updates_made(self._optimizer)} updates, and nothing says what rate was found "
                "for them. Give TuneCallback the keep= of the run before, or compile the model with a new optimizer."
            )
        return load(self._keep, Advice)


def rule_like(optimizer: Any) -> Rule:
    """Return our rule that one of Keras's optimizers is most like; AdamW, with a warning, where nothing says."""
    title = type(optimizer).__name__
    if title == "SGD":
        return (Nesterov() if optimizer.nesterov else Momentum()) if optimizer.momentum else SGD()
    found = named_rule(title)
    if found is None:
        warnings.warn(
            f"{title} is no update rule that is known here, so the search begins where AdamW would. Its pilot runs are "
            "its own all the same; rule= says another.",
            stacklevel=4,
        )
    return found or AdamW()
