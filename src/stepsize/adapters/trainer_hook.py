"""A policy in somebody else's training loop: what the callback of any trainer needs.

CONTRIBUTING.md shows an adapter for a trainer. Where the optimizer is none of torch's, as in optax and Keras, the
framework counts the updates itself, and there is nothing to hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stepsize.adapters.given_policy import PolicyLike, read_policy
from stepsize.adapters.torch.driver import Driver, drive
from stepsize.adapters.torch.logs import Log
from stepsize.kernel.errors import DriveError, brief, suggestion
from stepsize.policies import Groups, Policy
from stepsize.policies.recipes import Recipe
from stepsize.schedules import Feedback
from stepsize.schedules.base import whole_steps


class TrainerHook:
    """Drives the optimizers of a training that a trainer runs: horizon, feedback, log and state.

    An adapter is a subclass of this and of the trainer's own callback, whose events call `begin([optimizer], steps)`
    when training begins, `notify(metrics)` after an evaluation, and `finish()`. The trainer's checkpoint keeps
    `state_dict()`.

    policy: one policy, or a list with one for each optimizer; also a file that `save` wrote, its spec, or the name of a
        recipe, such as "cosine", which then peaks at the rate that the optimizer was made with.
    steps: the horizon, optimizer updates, or one for each optimizer; by default what the trainer says of its run.
    feedback: multiplies the learning rates by what it makes of the metric `monitor`.
    log: is called with each step and its values, by the first process alone; the names of several optimizers are
        `0/lr` and `1/lr`.
    rebind: whether a checkpoint of another policy or horizon may be taken up, as in `drive`.
    drivers: one for each optimizer, in their order; none before training begins.

    Raises DriveError for a feedback without a metric, or a metric without a feedback, and for what is no policy.
    """

    def __init__(
        self,
        policy: Sequence[PolicyLike] | PolicyLike,
        *,
        steps: int | Sequence[int] | None = None,
        feedback: Feedback | None = None,
        monitor: str | None = None,
        log: Log | None = None,
        rebind: bool = False,
    ) -> None:
        if (feedback is None) != (monitor is None):
            raise DriveError("a feedback listens to a metric of the training: give feedback= and monitor= together.")
        given: list[Any] = list(policy) if isinstance(policy, Sequence) and not isinstance(policy, str) else [policy]
        self.policies: list[Policy | Groups | Recipe] = [read_policy(each) for each in given]
        self.drivers: list[Driver] = []
        self._steps = steps if steps is None or isinstance(steps, Sequence) else whole_steps(steps)
        self._feedback, self._monitor, self._log, self._rebind = feedback, monitor, log, rebind
        self._saved: Mapping[str, Any] | None = None

    @property
    def driver(self) -> Driver | None:
        """What drives the first optimizer; None before training begins."""
        return self.drivers[0] if self.drivers else None

    def horizons(self, steps: int) -> list[int]:
        """Return the horizon of each driver: what the user gave, else the trainer's `steps`.

        Raises DriveError when there are not as many as policies.
        """
        steps_or_list = steps if self._steps is None else self._steps
        horizons = [steps_or_list] * len(self.policies) if isinstance(steps_or_list, int) else list(steps_or_list)
        if len(horizons) != len(self.policies):
            raise DriveError(
                f"{type(self).__name__} has {len(self.policies)} policies and steps={brief(self._steps)}; give one "
                "number for all of them, or a list with one for each."
            )
        return horizons

    def begin(
        self, optimizers: Sequence[Any], horizon: int | Sequence[int], *, start: int = 0, logs: bool = True,
        attach: bool = True,
    ) -> None:  # fmt: skip
        """Make a driver for each optimizer of a training, and go to the state that was loaded before.

        horizon: what the trainer says of its run, for `horizons`; or one for each optimizer, as it is.
        start: the update that comes next, where the optimizers carry the values of a checkpoint already.
        logs: False in all processes but the first. attach: whether the drivers follow the updates of the optimizers
        from now on; else the adapter calls `set` before each.

        Raises DriveError when the policies are not as many as the optimizers, and what `drive` raises.
        """
        if len(optimizers) != len(self.policies):
            raise DriveError(
                f"there are {len(optimizers)} optimizers, and {type(self).__name__} has {len(self.policies)} policies. "
                "Give a list with one for each, in the order in which configure_optimizers returns them."
            )
        horizons = self.horizons(horizon) if isinstance(horizon, int) else horizon
        self.finish()
        self.drivers = []  # those of the last training, if this is another one
        for index, (optimizer, policy, steps) in enumerate(zip(optimizers, self.policies, horizons, strict=True)):
            own: dict[str, Any] = {
                "feedback": self._feedback,
                "log": self._log_of(index) if logs else None,
                "rebind": self._rebind,
            }
            begin = min(start, steps)  # a state of a longer run is refused when it is loaded, with a better sentence
            self.drivers.append(drive(optimizer, policy, steps, begin, **own))
        if self._saved is not None:
            TrainerHook.load_state_dict(self, self._saved)  # not that of an adapter, which may keep it for later
            self._saved = None
        for driver in self.drivers if attach else ():
            driver.attach()

    def set(self) -> None:
        """Set the values of the next update, where the drivers are not attached."""
        for driver in self.drivers:
            driver.set(driver.step)

    def hold(self) -> None:
        """Set the values of the update to come again, where the trainer may have overwritten them."""
        for driver in self.drivers:
            driver.hold()

    def check_values(self) -> None:
        """Raise DriveError where something else has set a hyperparameter since the drivers did."""
        for driver in self.drivers:
            driver.check()

    def notify(self, metrics: Mapping[str, Any], hint: str | None = None) -> bool:
        """Tell the feedback the metric that it listens to, and return whether `metrics` has it.

        Raises DriveError where it is missing and there is a hint what to do.
        """
        if self._monitor is not None and self._monitor in metrics:
            for driver in self.drivers:
                driver.tell(metrics[self._monitor])
            return True
        if self._monitor is not None and hint is not None:
            near = suggestion(self._monitor, map(str, metrics))
            raise DriveError(f"the feedback listens to {self._monitor!r}, which nothing has logged. {near} {hint}")
        return False

    def finish(self) -> None:
        """Let go of the optimizers; they keep their values."""
        for driver in self.drivers:
            driver.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each driver, plain numbers and strings; nothing before training begins."""
        return {"drivers": [driver.state_dict() for driver in self.drivers]} if self.drivers else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved step; before there are drivers, keep it for when there are.

        A state from before training began is empty, and there is nothing to go to.

        Raises DriveError when it was saved with other policies or another horizon, unless `rebind` was given, or with
        another feedback.
        """
        if not state_dict:
            return
        saved = state_dict["drivers"]
        if len(saved) != len(self.policies):
            raise DriveError(
                f"this checkpoint was saved with {len(saved)} policies, and there are {len(self.policies)} now. Give "
                f"{type(self).__name__} those that it was saved with, or start anew."
            )
        if not self.drivers:
            self._saved = state_dict
        for driver, state in zip(self.drivers, saved, strict=False):
            driver.load_state_dict(state)

    def _log_of(self, index: int) -> Log | None:
        log = self._log
        if log is None or len(self.policies) == 1:
            return log
        return lambda step, values: log(step, {f"{index}/{name}": value for name, value in values.items()})


class UpdateBatches:
    """The batches of a trainer's loader in lists, one for each update, which the last of a pass has fewer of.

    loader: goes through its batches anew each time. count: batches that make an update.
    samplers: what is given the number of each pass, where it takes one: `set_epoch(number)`.

    >>> list(UpdateBatches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """

    def __init__(self, loader: Iterable[Any], count: int, samplers: Sequence[Any] = ()) -> None:
        self._loader, self._count, self._samplers = loader, count, samplers

    def __iter__(self) -> Iterator[list[Any]]:
        batches = iter(self._loader)
        while update := list(islice(batches, self._count)):
            yield update

    def set_epoch(self, number: int) -> None:
        """Tell the samplers which pass comes next."""
        for sampler in self._samplers:
            if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                set_epoch(number)
