"""A policy as torch's own LRScheduler, for trainers that own the loop and insist on one."""

from __future__ import annotations

import weakref
from typing import Any, Literal

import torch
from torch.optim.lr_scheduler import LRScheduler

from stepsize.adapters.given_policy import PolicyLike
from stepsize.adapters.torch.driver import fingerprint
from stepsize.adapters.torch.groups import after_update, plain
from stepsize.adapters.torch.rates import policy_of
from stepsize.adapters.torch.writer import Writer
from stepsize.kernel.errors import DriveError, brief
from stepsize.policies import LR, Groups, Policy


class PolicyLR(LRScheduler):
    """A policy as torch's own LRScheduler, one update for each call of `step()`; made by `as_lr_scheduler`.

    Its values are a function of `last_epoch`, the number of updates made, alone. Unlike torch's it does not patch
    `optimizer.step`, and so cannot warn of the order of the calls.
    """

    def __init__(self, optimizer: Any, policy: Policy | Groups, last_epoch: int = -1, *, rebind: bool = False) -> None:
        self.optimizer = plain(optimizer)
        self._whole_policy, self._rebind = policy, rebind
        self._write = Writer(self.optimizer, policy, last_epoch + 1)
        self.policy = self._write.policy
        self.policy[LR].table(0, 1)
        for group in self.optimizer.param_groups:  # where everybody looks for the rate that a schedule multiplies
            rate = group["lr"]
            group.setdefault("initial_lr", rate.clone() if isinstance(rate, torch.Tensor) else rate)
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._step_count = 1
        self._set()

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rate of each group: a function of `last_epoch`, the number of updates made, alone."""
        scheduled = self._write.at(max(0, self.last_epoch))
        groups = self.optimizer.param_groups
        return [values[LR] if LR in values else group["lr"] for values, group in zip(scheduled, groups, strict=False)]

    def step(self, epoch: int | None = None) -> None:
        """Move on by one update, or to update number `epoch`, and set every hyperparameter of the policy.

        Raises DriveError, but on the way to an `epoch`, where something else has set a value since this scheduler did.
        """
        self._step_count += 1
        if epoch is not None:
            self._update_lr(int(epoch))
            return
        self.last_epoch = step = self.last_epoch + 1
        row = step if step > 0 else 0  # noqa: FURB136  (a call of max costs as much as half of the writes)
        self._write(row, self.optimizer.param_groups)

    def _initial_step(self) -> None:
        """Set the first values again; torch's SequentialLR asks for this, after it has put back the optimizer's own."""
        self._update_lr()

    @property
    def _last_lr(self) -> list[float | torch.Tensor]:  # type: ignore[override]  # torch keeps it after each step
        """What `get_last_lr` returns, worked out when it is asked for."""
        return self.get_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go to an epoch; torch's SequentialLR asks for this."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set()

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the policy's spec: plain numbers and strings."""
        return {"step": self.last_epoch, "spec": fingerprint(self._whole_policy)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved step, and set its values at once, whatever was loaded into the optimizer before or after.

        Raises DriveError when the state was saved with another policy, unless `rebind` was given, or is none of ours.
        """
        spec = state_dict.get("spec")
        if spec is None or (spec != fingerprint(self._whole_policy) and not self._rebind):
            raise DriveError(
                "this checkpoint was saved with another policy or horizon, so its step does not mean the same here. "
                f"Saved: {str(spec)[:200]}. Build the scheduler with the saved policy, or start anew; "
                "rebind=True goes on with another policy or horizon on purpose."
            )
        self.last_epoch = int(state_dict["step"])
        self._step_count = self.last_epoch + 1
        self._set()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with the optimizer that was copied or pickled along."""
        self.__dict__.update(state)
        self._write.adopt(self.optimizer)

    def _set(self) -> None:
        self._write.write(max(0, self.last_epoch), self.optimizer.param_groups)


class AttachedLR(PolicyLR):
    """A policy as an LRScheduler that the optimizer's own updates move; made by `as_lr_scheduler(counts="updates")`.

    `step()` may be called as often as a trainer likes, in each process, after skipped updates and accumulated batches:
    it does nothing.
    """

    def __init__(self, optimizer: Any, policy: Policy | Groups, last_epoch: int = -1, *, rebind: bool = False) -> None:
        super().__init__(optimizer, policy, last_epoch, rebind=rebind)
        self._listen()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with the updates of the optimizer that was copied or pickled along."""
        super().__setstate__(state)
        self._listen()

    def _listen(self) -> None:
        mine = weakref.ref(self)  # the hook belongs to the optimizer, and a circle would keep both alive

        def made(optimizer: torch.optim.Optimizer) -> None:
            scheduler = mine()
            if scheduler is not None and not scheduler._write.stilled(optimizer.param_groups):  # noqa: SLF001  (it is this class)
                PolicyLR.step(scheduler)

        after_update(self.optimizer, made)

    def step(self, epoch: int | None = None) -> None:
        """Do nothing: the values of the next update were set right after the last one."""


def as_lr_scheduler(
    optimizer: Any,
    policy: PolicyLike,
    last_epoch: int = -1,
    *,
    steps: int | None = None,
    counts: Literal["calls", "updates"] = "calls",
    rebind: bool = False,
) -> PolicyLR:
    """Return `policy` as a torch LRScheduler, for trainers that own the loop.

    policy: bound (`policy.over(steps)`), unless `steps` is given; also a file that `save` wrote, or the name of a
        recipe, as in `drive`. steps: the horizon, optimizer updates.
    counts: "calls" moves on with each call of `step()`, as torch's own do; "updates" with each update that the
        optimizer makes, for a trainer that calls too often (Accelerate), or after updates that a GradScaler skipped.
    rebind: whether a state of another policy or horizon may be loaded, as in `drive`.

    Raises UnboundError when the policy still has shares, DriveError when the optimizer lacks a hyperparameter of it.

    Watch out: "updates" hears of them by a hook of the optimizer, which a captured CUDA graph does not run.
    """
    kinds = {"calls": PolicyLR, "updates": AttachedLR}
    if counts not in kinds:
        raise DriveError(f"a scheduler counts 'calls' or 'updates', not {brief(counts)}.")
    made = policy_of(policy, plain(optimizer), last_epoch + 1)
    return kinds[counts](optimizer, made if steps is None else made.over(steps), last_epoch, rebind=rebind)
