"""The driver: sets an optimizer's hyperparameters before each update, in a loop of yours or of somebody else's."""

from __future__ import annotations

import json
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from stepsize.adapters.given_policy import PolicyLike, bind
from stepsize.adapters.torch.groups import after_update, before_update, in_force, plain, unheard, written
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.torch.rates import policy_of
from stepsize.adapters.torch.writer import Writer
from stepsize.kernel.errors import DriveError, SpecError, brief
from stepsize.kernel.spec import envelope
from stepsize.policies import Groups, Policy
from stepsize.schedules import Feedback, Listener
from stepsize.schedules.base import whole_step, whole_steps

PATIENCE = 10_000
"""Turns of a loop without an update after which an attached driver says that none will come."""

ENOUGH = 3
"""Turns of a loop that change the parameters without an update after which it says that it hears of none."""


class Driver:
    """Sets an optimizer's hyperparameters before each update. Made by `drive`; there are three ways to use it.

    ::

        for step in driver: ...            a loop of yours, one update a turn
        for step in driver.attach(): ...   one where a turn may make no update: accumulation, a GradScaler that skips
        driver.attach()                    a trainer's loop: every update moves the driver on by itself
        driver.set(step)                   a loop that counts its own steps

    step: the update that comes next, counted from 0; all that a checkpoint needs. steps: the horizon.
    """

    def __init__(
        self, optimizer: Any, policy: PolicyLike, steps: int, start: int, *, feedback: Feedback | None,
        log: Log | None, rebind: bool = False,
    ) -> None:  # fmt: skip
        self.steps = whole_steps(steps)
        self.step = whole_step(start)
        if self.step > self.steps:
            raise DriveError(
                f"start={start} lies behind the end of a run of {steps} steps; train longer or start earlier."
            )
        driven = plain(optimizer)
        self._policy = bind(policy_of(policy, driven, self.step), self.steps)
        self._write = Writer(driven, self._policy, self.step)
        self._reference: Callable[[], torch.optim.Optimizer | None] = lambda: driven
        self._listener = Listener(feedback) if feedback is not None else None
        self._log, self._rebind = log, rebind
        self._hooks: tuple[Any, ...] = ()
        self._heard = False

    def __iter__(self) -> Iterator[int]:
        if self._hooks:
            yield from self._turns()
            return
        optimizer, write, steps, log = self._optimizer(), self._write, self.steps, self._log
        while (step := self.step) < steps:
            write(step, optimizer.param_groups)
            if log is not None:
                log(step, self.values)
            self.step = step + 1
            yield step

    def __len__(self) -> int:
        return self.steps - self.step

    def set(self, step: int) -> None:
        """Set every hyperparameter to its value at update number `step`; the same step may be set again.

        Behind the horizon the schedules hold their last values, and a warning says so once.

        Raises DriveError when `step` goes backwards, or something else has set a value since this driver did.
        """
        if step < self.step - 1:
            raise DriveError(
                f"after update {self.step - 1} comes no update {step}: training does not go backwards. To go on from "
                "an older checkpoint, load its state: driver.load_state_dict(...), or make a driver with start=."
            )
        self._set(self._optimizer(), whole_step(step))
        self._record(step)
        self.step = step + 1

    def attach(self) -> Driver:
        """Move on with the optimizer's own updates from now on, and return this driver.

        The values of `self.step` are set at once, and those of the next update right after each update. An update that
        a GradScaler skips is none; a `step()` on behalf of accumulated micro-batches is one. Nothing is patched: these
        are hooks of torch's own, and `detach` removes them.

        Of an optimizer that holds another one on its own groups, such as SAM, it follows that one's, so two calls
        (climb, then step) are one update.

        Raises DriveError where something else has set a value since, and, in a loop over this driver, where parameters
        change and no `step()` is called.

        Watch out: a captured CUDA graph replays its update without the hooks; use `for step in driver` there.
        """
        if not self._hooks:
            optimizer = self._optimizer()
            self._reference = weakref.ref(optimizer)  # the hooks belong to it, and a circle would keep both alive
            self._hooks = before_update(optimizer, self._before), after_update(optimizer, self._after)
            if self.step < self.steps:
                self._set(optimizer, self.step)
        return self

    def hold(self) -> None:
        """Set the values of `self.step` again, where a trainer's own scheduler or a checkpoint has overwritten them."""
        if self.step < self.steps:
            self._write.write(self.step, self._optimizer().param_groups)

    def check(self) -> None:
        """Raise DriveError where something else has set a value since this driver did, as long as its run is."""
        if self.step < self.steps:
            self._write.check(self._optimizer().param_groups)

    def detach(self) -> None:
        """Stop moving with the optimizer's updates; it keeps the values that it has."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = ()

    def tell(self, loss: Any) -> float:
        """Tell the feedback a loss, or whatever metric it judges, and return its multiplier of the learning rate.

        It holds from the next update that is set; an attached driver sets it at once.

        Raises DriveError when this driver has no feedback.
        """
        if self._listener is None:
            raise DriveError("this driver has no feedback to tell; make it with drive(..., feedback=Plateau()).")
        multiplier = self._listener(loss)
        if multiplier != self._write.multiplier:
            self._write.multiply(multiplier)
            if self._hooks and self.step < self.steps:
                self._write(self.step, self._optimizer().param_groups)
        return multiplier

    def at(self, step: int) -> list[dict[str, float]]:
        """Return the values that update number `step` uses, by name, for each parameter group; nothing is set."""
        return self._write.at(whole_step(step))

    @property
    def names(self) -> list[str]:
        """The hyperparameters that it sets, in one parameter group at least."""
        return self._write.names

    @property
    def values(self) -> dict[str, float]:
        """What the optimizer has now, by name, and by `name/group` where it has more than one parameter group."""
        return in_force(self._optimizer(), self.names)

    def state_dict(self) -> dict[str, Any]:
        """Return the step, the horizon, the policy's spec and the state of the feedback: plain numbers and strings."""
        state = {"step": self.step, "steps": self.steps, "spec": fingerprint(self._policy)}
        return state if self._listener is None else {**state, "feedback": self._listener.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved step, and set its values at once, whatever is loaded into the optimizer before or after.

        Raises DriveError when the state was saved with another feedback, or, unless `rebind` was given, with another
        policy or horizon; and when its step lies behind the end.
        """
        mine = {"steps": self.steps, "spec": fingerprint(self._policy)}
        saved = {name: state_dict.get(name) for name in mine}
        other = saved != mine and not self._rebind
        if other or ("feedback" in state_dict) != (self._listener is not None):
            raise DriveError(
                "this checkpoint was saved with another policy, horizon or feedback, so its step does not mean the "
                f"same here. Saved: {saved['steps']} steps of {str(saved['spec'])[:200]}. Make the driver as it was "
                "made then, or start anew; stepsize.schedules.jump says what another horizon would change, and "
                "rebind=True goes on with another policy or horizon on purpose."
            )
        step = whole_step(state_dict["step"])
        if step > self.steps:
            raise DriveError(
                f"this checkpoint stands at update {step}, behind the end of a run of {self.steps}; train longer."
            )
        if self._listener is not None:
            self._listener.load_state_dict(state_dict["feedback"])
            self._write.multiply(self._listener.multiplier)
        self.step = step
        self.hold()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the hooks, with the optimizer; a copy goes on with a copy of that."""
        kept = {name: value for name, value in vars(self).items() if name not in ("_reference", "_hooks")}
        return {**kept, "optimizer": self._optimizer(), "attached": bool(self._hooks)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with the optimizer that was copied or pickled along, attached to it where this driver was."""
        optimizer, attached = state.pop("optimizer"), state.pop("attached")
        vars(self).update(state)
        self._hooks, self._reference = (), lambda: optimizer
        self._write.adopt(optimizer)
        if attached:
            self.attach()
            self._reference = lambda: optimizer  # nobody else may hold the copy

    def _set(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        if step == self.steps:
            warnings.warn(
                f"training goes on behind the horizon of {self.steps} updates; the schedules hold their last values. "
                "Make the driver with as many steps as the run has.",
                stacklevel=3,
            )
        self._write(step, optimizer.param_groups)

    def _record(self, step: int) -> None:
        if self._log is not None:
            self._log(step, self.values)

    def _turns(self) -> Iterator[int]:
        """Yield the step of each turn of a loop; the hooks move it on."""
        before, turns, changes = self.step, 0, 0
        writes: int | None = None
        while self.step < self.steps and self._hooks:
            turns = 0 if self.step != before else turns + 1
            before = self.step
            if turns > PATIENCE:
                raise DriveError(
                    f"{PATIENCE} turns of the loop have made no update at step {before}: either every gradient is "
                    "infinite, or this loop steps another optimizer, or a captured graph without the driver's hooks."
                )
            if not self._heard and (optimizer := self._reference()) is not None:
                now = written(optimizer)
                changes, writes = changes + (writes not in (None, now)), now
                if changes == ENOUGH:
                    raise unheard(optimizer)
            yield before
        self.detach()

    def _before(self, optimizer: torch.optim.Optimizer) -> None:
        self._heard = True
        if not self._write.holds or self._write.stilled(optimizer.param_groups):
            return  # this run is over, and the optimizer is in another; or it only makes its state
        if self.step >= self.steps:
            self._set(optimizer, self.step)
        elif not self._write.knows(optimizer.param_groups):  # a checkpoint was loaded into it, or a group was added
            self._write.write(self.step, optimizer.param_groups)
        else:
            self._write.check(optimizer.param_groups)

    def _after(self, optimizer: torch.optim.Optimizer) -> None:
        if self._write.stilled(optimizer.param_groups):
            return
        if self.step < self.steps or self._write.holds:
            self._record(self.step)  # only now, as the loss or a loaded checkpoint may have changed what was set
            self.step += 1
        if self.step < self.steps:
            self._set(optimizer, self.step)

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = self._reference()
        if optimizer is None:
            raise DriveError("the optimizer of this driver is gone; keep it as long as the driver.")
        return optimizer

    def __repr__(self) -> str:
        return f"Driver(step={self.step}, steps={self.steps}, policy={brief(self._policy)})"


def drive(
    optimizer: Any,
    policy: PolicyLike,
    steps: int,
    start: int = 0,
    *,
    feedback: Feedback | None = None,
    log: Log | None = None,
    rebind: bool = False,
) -> Driver:
    """Return a driver: iterate over it for the updates of a run, each with its hyperparameters already set.

    optimizer: any `torch.optim` optimizer, also one that a trainer has wrapped. policy: shares and "rest" are bound to
        `steps`; `momentum` means `betas[0]` for the Adam family; `Groups` says what each parameter group is multiplied
        by, or gives it a policy of its own. Also a file that `save` wrote, or the name of a recipe, such as "cosine",
        which then peaks at the rate that the optimizer was made with.
    steps: the horizon, optimizer updates. start: the update that a resumed run begins with.
    feedback: multiplies the learning rate by what it makes of the losses given to `driver.tell(loss)`.
    log: a function that is called with the number of each update and the values that it uses; `csv_log(path)` and
        `tensorboard_log(writer)` return one.
    rebind: whether a state of another policy or horizon may be loaded: the run goes on at its step with this policy,
        bound to these steps, where the values may jump; `stepsize.schedules.jump` says by how much.
    Parameter groups that differ keep their own ratios to the optimizer's default: one without weight decay stays
    without. One that is added during the run is driven too.

    Raises DriveError when the optimizer lacks a scheduled hyperparameter; one without momentum only gets a warning.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> from stepsize.schedules import Linear
    >>> [optimizer.param_groups[0]["lr"] for _ in drive(optimizer, Policy(lr=Linear(1.0, 0.0)), steps=4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return Driver(optimizer, policy, steps, start, feedback=feedback, log=log, rebind=rebind)


def fingerprint(policy: Policy | Groups) -> str:
    """Return the text by which a checkpoint knows a policy again: its spec, or that it holds the user's function."""
    try:
        return json.dumps(envelope(policy), allow_nan=False)
    except SpecError:
        return f"a {policy.noun} that holds a function of yours"
