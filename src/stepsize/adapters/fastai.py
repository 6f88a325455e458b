"""fastai: a policy as a callback of the Learner, or as the functions of `pct_train` that its ParamScheduler takes.

::

    learn.fit(5, cbs=PolicyCallback(one_cycle(1e-3)))                               every update has its values
    learn.fit(5, cbs=ParamScheduler(as_schedules(one_cycle(1e-3), 5 * len(dls.train))))

fastai calls momentum `mom`, weight decay `wd` and beta2 `sqr_mom`; a policy calls them as it does everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from stepsize.adapters.given_policy import PolicyLike
from stepsize.adapters.second_writer import same, second_writer
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.trainer_hook import TrainerHook
from stepsize.kernel.errors import DriveError, brief
from stepsize.kernel.optional import need
from stepsize.kernel.spec import is_real
from stepsize.policies import Groups, Policy
from stepsize.schedules import Schedule
from stepsize.schedules.base import whole_steps

Callback: Any = need("fastai.callback.core").Callback

THEIRS = {"momentum": "mom", "weight_decay": "wd", "beta2": "sqr_mom", "epsilon": "eps"}
"""fastai's names, by ours, of the hyperparameters that it calls otherwise."""

OURS = {theirs: ours for ours, theirs in THEIRS.items()}

ONE_OF_TWO = (
    "fit_one_cycle, fine_tune and ParamScheduler set them too: call learn.fit(n_epoch, cbs=PolicyCallback(...))."
)

SLACK = 1e-4
"""Steps by which a `pct_train`, a sum of many rounded parts, may fall short of its step."""


class PolicyCallback(TrainerHook, Callback):  # type: ignore[misc]  # looked up, so its base is Any here
    """A policy as a callback of fastai's Learner: it sets every hyperparameter right before each update.

    policy: shares and "rest" are bound to `steps`. Also a file that `save` wrote, or the name of a recipe, such as
        "cosine", which then peaks at the rate of the fit.
    steps: the horizon, optimizer updates; where none is given, the batches of the fit, `n_epoch * len(dls.train)`.
    log, rebind: as in `drive`.
    driver: what sets the values, once a fit has begun.
    It drives fastai's own optimizers and torch's in an OptimWrapper. Parameter groups that differ (discriminative rates
    by a slice, a group without decay) keep their ratios to the largest, or have those of `Groups`, in order. An update
    that GradientAccumulation puts off or MixedPrecision skips does not count. `fit(n_epoch, start_epoch=k)` goes on at
    the share k / n_epoch of the steps, and after `load_state_dict` at the step that was saved.

    Raises DriveError, when the fit begins, for an optimizer without a scheduled hyperparameter, for accumulation
    without `steps`, and for a saved state of another policy or horizon; later on where another callback sets what the
    policy does.

    Watch out: a fit begins the policy anew, as it does with fastai's schedulers. With skipped updates `start_epoch`
    alone would begin too late; save `state_dict()` beside the model.
    """

    order, run_valid = 1000, False  # after all callbacks that may cancel the step
    _stateattrs = ("drivers", "hps", "_seen", "_begun")  # what `learn.export` leaves out
    _begun = False

    def __init__(
        self, policy: PolicyLike, steps: int | None = None, *, log: Log | None = None, rebind: bool = False
    ) -> None:
        super().__init__(policy, steps=steps, log=log, rebind=rebind)
        Callback.__init__(self)

    def _init_state(self) -> None:
        """Have no drivers, as at first; fastai's, for a callback that was exported."""
        self.drivers = []

    def before_fit(self) -> None:
        """Stand aside for the finder of a learning rate, and begin the policy with the next training."""
        self.run = not hasattr(self.learn, "lr_finder")
        self._begun = False

    def before_train(self) -> None:
        """Make the driver of this fit, in its first epoch; only now the optimizer and its batches are known."""
        if self._begun:
            return
        self._seen = _seen(self.learn.opt)
        steps = self._horizon()
        self.begin([self._seen], steps, start=0 if self._saved else self._start(steps), attach=False)
        self._begun = True
        self.hps: dict[str, list[float]] = {THEIRS.get(name, name): [] for name in self.drivers[0].names}

    def before_step(self) -> None:
        """Set the values of this update."""
        if any(self.hps.values()):
            self._check()
        self.set()
        for name, history in self.hps.items():
            values = [group[OURS.get(name, name)] for group in self._seen.param_groups]
            self.learn.opt.set_hyper(name, values)
            history.append(values[-1])

    def _check(self) -> None:
        """Raise DriveError where a value is not what this has set for the update before."""
        for left, found in zip(self._seen.param_groups, self.learn.opt.hypers, strict=False):
            for name in self.hps:
                ours = OURS.get(name, name)
                if not same(left[ours], found[name]):
                    raise second_writer(ours, left[ours], found[name], ONE_OF_TWO)

    def after_fit(self) -> None:
        """Leave the values to the recorder, for `learn.recorder.plot_sched()`."""
        if self._begun and hasattr(self.learn, "recorder"):
            self.learn.recorder.hps = self.hps

    def state_dict(self) -> dict[str, Any]:
        """Return the step, the horizon and the policy's spec: plain numbers and strings.

        Raises DriveError before the first fit.
        """
        if not self.drivers:
            raise DriveError("this callback has driven nothing yet; it begins with the first epoch of learn.fit(...).")
        return super().state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Begin the next fit at a saved step; it raises DriveError when it has another policy or horizon."""
        self.drivers = []
        super().load_state_dict(state_dict)

    def _horizon(self) -> int:
        if self._steps is None and hasattr(self.learn, "gradient_accumulation"):
            raise DriveError(
                "with GradientAccumulation there are fewer updates than batches, and their number hangs on the sizes "
                "of the batches. Tell the horizon in updates: PolicyCallback(policy, steps=...)."
            )
        return self.horizons(int(self.learn.n_epoch) * len(self.learn.dl))[0]

    def _start(self, steps: int) -> int:
        start, part = divmod(self.learn.epoch * steps, self.learn.n_epoch)
        if part:
            raise DriveError(
                f"epoch {self.learn.epoch} of {self.learn.n_epoch} begins at no whole step of {steps}. Load the state "
                "that was saved with the model: callback.load_state_dict(...)."
            )
        return int(start)


@dataclass(frozen=True)
class PctSchedule:
    """A schedule as a function of `pct_train`, the share of the run that is done: `f(floor(pct * steps))`.

    schedule: one for each parameter group in a tuple, for a list of their values; or one, whose value all of them get.
    """

    schedule: Schedule | tuple[Schedule, ...]
    steps: int

    def __call__(self, pct: float) -> float | list[float]:
        """Return the value at the share `pct` of the run."""
        step = math.floor(pct * self.steps + SLACK)
        return [each(step) for each in self.schedule] if isinstance(self.schedule, tuple) else self.schedule(step)


def as_schedules(policy: Policy | Groups, steps: int) -> dict[str, Callable[[float], Any]]:
    """Return what fastai's `ParamScheduler` takes: functions of `pct_train` by fastai's names.

    steps: the horizon, `n_epoch * len(dls.train)`; with k batches accumulated for each update, a k-th of it.

    Watch out: the value of a Policy goes to all parameter groups, also to one without weight decay; `Groups` give each
    its own. `pct_train` counts batches, so skipped updates count too. PolicyCallback has neither weakness.

    >>> from stepsize.schedules import Linear
    >>> f = as_schedules(Policy(lr=Linear(1.0, 0.0), momentum=0.9), steps=4)
    >>> f["lr"](0.25), f["lr"](0.49), f["mom"](0.5)
    (0.75, 0.75, 0.9)
    """
    bound, total = policy.over(steps), whole_steps(steps)
    if isinstance(bound, Policy):
        return {THEIRS.get(name, name): PctSchedule(schedule, total) for name, schedule in bound.schedules}
    groups = {group: bound[group] for group in bound}
    names = dict.fromkeys(name for policy in groups.values() for name in policy)
    for name, (group, each) in product(names, groups.items()):
        if name not in each:
            raise DriveError(
                f"fastai's ParamScheduler sets {name} in all parameter groups or in none, and the policy of the group "
                f"{brief(group)} does not schedule it. Schedule it there too, such as with a number, or take "
                "PolicyCallback."
            )
    return {THEIRS.get(n, n): PctSchedule(tuple(each[n] for each in groups.values()), total) for n in names}


def _seen(opt: Any) -> torch.optim.Optimizer:
    """Return a torch optimizer with the hyperparameters of fastai's, under our names, for a driver to write to."""
    groups = [{OURS.get(name, name): value for name, value in hyper.items() if is_real(value)} for hyper in opt.hypers]
    largest = {name: max(group[name] for group in groups) for name in groups[0]}
    kind = type(type(opt).__name__, (torch.optim.Optimizer,), {})  # a driver's messages name it
    made: torch.optim.Optimizer = kind([{**group, "params": [torch.zeros(1)]} for group in groups], largest)
    return made
