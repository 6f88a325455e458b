"""A rate that a training finds in pilot runs of its own, where a trainer owns the loop: what its callback needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Protocol

import torch

from stepsize.adapters.torch.logs import Log
from stepsize.adapters.trainer_hook import TrainerHook, UpdateBatches
from stepsize.callbacks.answered import Answered
from stepsize.jobs.advise.advise import LEAST_HORIZON
from stepsize.jobs.tune.family import Asked, check_steps, family, rule_like, rule_of_name
from stepsize.jobs.tune.pilots import check_validate, share_of
from stepsize.jobs.tune.tune import tune
from stepsize.kernel.errors import DriveError, suggestion
from stepsize.policies import Policy
from stepsize.results import Advice
from stepsize.results.io import dumps, loads
from stepsize.rules import Rule


class Updates(Protocol):
    """The updates of a trainer, as its range test makes them too."""

    batches: UpdateBatches
    things: tuple[Any, ...]

    def make(self, batches: list[Any], tell: Callable[[Any], object]) -> None:
        """Make one update of its batches, and tell their losses."""


class TuneHook(Answered, TrainerHook):
    """Makes the pilot runs of a training that a trainer runs, and drives it at the rate found.

    The callback of a trainer is a subclass of this and of its PolicyCallback, in this order. When training begins anew
    it calls `check` and `find`, when it goes on from a checkpoint `resume`, and then lets its PolicyCallback begin.

    policy, share, rule, log, device, skip_frozen: as in `tune`. validate: a function, as in `tune`, or the name of a
        loss of the trainer's own validation. horizon: the `steps` of a PolicyCallback that takes them.

    Raises ParameterError for a share that there is not, and for a validation that is neither.
    """

    def __init__(
        self,
        policy: Asked = "one_cycle",
        *,
        share: float | None = None,
        validate: Callable[[], Any] | str | None = None,
        rule: Rule | str | None = None,
        device: torch.device | str | None = None,
        skip_frozen: bool = False,
        log: Log | None = None,
        **horizon: Any,
    ) -> None:
        super().__init__(Policy(lr=0.0), log=log, **horizon)  # until there is an answer
        share_of(share, LEAST_HORIZON)
        if not isinstance(validate, str):
            check_validate(validate)
        self._asked, self._rule, self._validate = policy, rule, validate
        self._options: dict[str, Any] = {"share": share, "device": device, "skip_frozen": skip_frozen}
        self.forget()

    def forget(self) -> None:
        """Forget the training before."""
        self._answer = None
        self._text = ""

    def check(self, optimizer: Any, steps: int) -> None:
        """Raise DriveError, LengthError or ParameterError for a run or a policy that cannot be tuned."""
        check_steps(steps, LEAST_HORIZON)
        self._family(optimizer, steps)

    def find(self, models: list[Any], optimizer: Any, updates: Updates, steps: int, *others: Any) -> None:
        """Make the pilot runs of a training, put everything back, and take the policy that they found.

        models: that the updates train. steps: of the training. others: what else is put back.

        Raises what `tune` raises.
        """
        things = (*updates.things, *others)
        loop = tune(
            models, optimizer, updates.batches, *things, steps=steps, policy=self._asked,
            rule=self._rule, validate=self._validation(), **self._options,
        )  # fmt: skip
        self._piloting = True
        try:
            with closing(loop.pilot_runs()) as turns:
                for batches in turns:
                    updates.make(batches, loop.tell)
        finally:
            self._piloting = False
        self._take(loop.answer)
        self.policies = [loop.answer.policy]

    def resume(self, optimizer: Any, steps: int) -> None:
        """Take the policy that is asked for, at the rate that was found then; `begin` refuses another policy."""
        self.policies = [self._family(optimizer, steps).at(self.answer.strategy.peak).policy]

    def own_validation(self, name: str) -> Any:
        """Return a loss of the trainer's own validation, by its name."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the driver and the answer, plain numbers and strings; nothing before training begins."""
        state = super().state_dict()
        return {**state, "answer": self._text} if state else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved step, at the rate that was found then.

        Raises DriveError for the state of a callback that has found none, and what a PolicyCallback raises.
        """
        if state_dict:
            self.load_answer(state_dict)
        super().load_state_dict(state_dict)

    def load_answer(self, state_dict: Mapping[str, Any]) -> None:
        """Take the answer of a saved state; raise DriveError where there is none."""
        if "answer" not in state_dict:
            raise DriveError(
                "this checkpoint was saved with a PolicyCallback, so its rate was given and not found. Go on with that "
                "callback, or start anew."
            )
        self._take(loads(state_dict["answer"], Advice))

    def _take(self, answer: Advice) -> None:
        self._answer, self._text = answer, dumps(answer)

    def _family(self, optimizer: Any, steps: int) -> Any:
        rule = rule_like(optimizer) if self._rule is None else rule_of_name(self._rule)
        return family(rule, self._asked, steps, optimizer)

    def _validation(self) -> Callable[[], Any] | None:
        name = self._validate
        return (lambda: self.own_validation(name)) if isinstance(name, str) else name


def only(optimizers: list[Any]) -> Any:
    """Return the optimizer of a training; raise DriveError where it has several."""
    if len(optimizers) != 1:
        raise DriveError(
            f"one rate is tuned, and this training has {len(optimizers)} optimizers. Tune it in a loop of your own, "
            "stepsize.tune(model, optimizer, loader, others), or drive them all: PolicyCallback([policy, policy])."
        )
    return optimizers[0]


def metric(metrics: Mapping[str, Any], name: str) -> Any:
    """Return a metric of a validation; raise DriveError where it has none of that name."""
    if name not in metrics:
        known = ", ".join(map(str, metrics)) or "nothing"
        raise DriveError(
            f"validate={name!r} names a loss of the trainer's own validation, which logs {known}. "
            f"{suggestion(name, map(str, metrics))}"
        )
    return metrics[name]
