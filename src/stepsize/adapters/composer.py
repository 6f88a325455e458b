"""Composer: a policy's learning rate as the function of the trainer's state that its schedulers are.

::

    Trainer(..., max_duration="10ep", schedulers=as_scheduler(policy))          the rate, in Composer's way
    drive(optimizer, policy, steps).attach()                                    every hyperparameter, before its Trainer

Composer's batch is one update of the optimizer, whatever the microbatches. This module needs no Composer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stepsize.adapters.given_policy import PolicyLike, read_policy
from stepsize.kernel import length
from stepsize.kernel.errors import DriveError, LengthError, brief
from stepsize.policies import LR, Clock, Groups, Policy, in_updates
from stepsize.schedules import Schedule, with_horizon

UNITS = {"ba": "updates", "ep": "epochs"}
"""Composer's units that a horizon may have, and what they are here."""


@dataclass(frozen=True)
class ComposerSchedule:
    """A schedule of the rate as a scheduler of Composer's: `alpha(t) = f(t) / rate`; made by `as_scheduler`."""

    schedule: Schedule
    steps: int | str | None
    base: float | None

    def __call__(self, state: Any, ssr: float = 1.0) -> float:
        """Return the multiplier of the optimizer's learning rate at the batch that `state` is in.

        ssr: Composer's scale schedule ratio; the whole schedule takes so many times as long: `alpha(t / ssr)`.

        Raises DriveError when there is no horizon to be had, LengthError when the lengths do not fit it.
        """
        batches = _whole(getattr(state, "dataloader_len", None))
        total = _whole(self.schedule.steps) or self._horizon(state, batches, ssr)
        rate: float = _bound(self.schedule, batches, total, max(1, int(total * ssr)))(int(state.timestamp.batch.value))
        return rate / (_rate(state.optimizers) if self.base is None else self.base)

    def _horizon(self, state: Any, batches: int | None, ssr: float) -> int:
        """Return the length of the run in batches, as it would be without `ssr`."""
        if isinstance(self.steps, int):
            return self.steps
        if isinstance(self.steps, str):
            return Clock(batches_per_epoch=batches).updates(self.steps)
        duration = state.max_duration
        unit = str(getattr(getattr(duration, "unit", None), "value", None))
        if unit not in UNITS:
            raise DriveError(
                f"a policy counts batches, and the max_duration of this run, {brief(duration)}, is neither in batches "
                "nor in epochs. Tell the horizon: as_scheduler(policy, '10000ba')."
            )
        # Composer has multiplied its max_duration by ssr before the first batch.
        return max(1, round(Clock(batches_per_epoch=batches).updates(f"{duration.value} {UNITS[unit]}") / ssr))


def as_scheduler(policy: PolicyLike, steps: int | str | None = None, *, base: float | None = None) -> ComposerSchedule:
    """Return a policy of the learning rate as what Composer's `Trainer(schedulers=...)` takes.

    policy: also a file that `save` wrote, or the name of a recipe, such as "cosine", whose rate alone is taken and then
        peaks at the optimizer's own.
    steps: the horizon in batches, as a number or "10000ba", or in epochs, "90ep"; none for the trainer's
        `max_duration`, and for a policy that is bound already.
    base: what the multiplier multiplies, the optimizer's own learning rate where none is given; 1.0 for a policy that
        is a multiplier itself. Groups of the optimizer keep their ratios to its default.

    Raises DriveError when the policy schedules more than the learning rate, which is all that Composer's schedulers
    move, LengthError for a horizon in another unit.

    Watch out: Composer asks for the multiplier before it counts the batch, so batches 0 and 1 both have that of 0, and
    the curve comes one batch late; so do Composer's own. `drive(optimizer, policy, steps).attach()` is on time.

    >>> from types import SimpleNamespace as State
    >>> from stepsize.schedules import Linear
    >>> schedule = as_scheduler(Policy(lr=Linear(0.1, 0.0)), "100ba", base=0.1)
    >>> [schedule(State(timestamp=State(batch=State(value=batch)))) for batch in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    given = read_policy(policy)
    if isinstance(given, Groups):
        raise DriveError("Composer's schedulers move all parameter groups alike; drive(...) takes Groups.")
    if not isinstance(given, Policy):
        given, base = given(1.0).only([LR]), 1.0  # a multiplier of the optimizer's own rate
    if list(given) != [LR]:
        raise DriveError(
            f"Composer's schedulers move the learning rate alone, and this policy schedules {', '.join(given)}. Drive "
            "them all with drive(optimizer, policy, steps).attach(), or take policy.only({'lr'})."
        )
    if base is not None and not base > 0:
        raise DriveError(f"a multiplier is of a rate above 0, so base cannot be {brief(base)}.")
    return ComposerSchedule(given[LR], None if steps is None else _parsed(steps), base)


def _parsed(steps: int | str) -> int | str:
    """Return a horizon as we write it: 100, "100ba" and "5ep" are 100 and "5 epochs"."""
    if not isinstance(steps, str):
        return length.parse(steps)
    number, unit = steps[:-2].strip(), steps[-2:]
    if unit not in UNITS:
        raise LengthError(
            f"a horizon in Composer is in batches or epochs, such as '10000ba' or '90ep', not {brief(steps)}. Write "
            "one of them, or nothing for the max_duration of the run."
        )
    return length.parse(f"{number} {UNITS[unit]}")


@lru_cache(maxsize=64)
def _bound(schedule: Schedule, batches: int | None, total: int, stretched: int) -> Schedule:
    """Return `schedule` over `total` batches, played in `stretched` ones."""
    return with_horizon(in_updates(schedule, Clock(batches_per_epoch=batches)).over(total), stretched)


def _rate(optimizers: Any) -> float:
    """Return what the groups' own rates are ratios to: their rate where they agree, else the optimizer's default."""
    optimizer = optimizers[0]
    own = {float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups}
    rate = own.pop() if len(own) == 1 else float(optimizer.defaults["lr"])
    if rate == 0:
        raise DriveError("the optimizer's learning rate is 0, which no multiplier moves. Give it one above 0.")
    return rate


def _whole(value: Any) -> int | None:
    """Return what may be a number of batches as one: an int, or Composer's Time."""
    value = getattr(value, "value", value)
    return value if isinstance(value, int) else None
