"""Ignite: a policy as a parameter scheduler, for those who compose it with Ignite's own.

::

    driver = drive(optimizer, policy, steps).attach()                   all that a trainer needs
    PolicyScheduler(optimizer, policy, steps).attach(trainer)           the same as one of Ignite's handlers

`drive` knows nothing of Ignite: it moves with the updates that the optimizer makes. The scheduler moves with the events
it is attached to, as Ignite's own do, so it can follow a warmup of theirs, and keeps `param_history`.
"""

from __future__ import annotations

from typing import Any

from stepsize.adapters.given_policy import PolicyLike
from stepsize.adapters.torch.groups import plain, read
from stepsize.adapters.trainer_hook import TrainerHook
from stepsize.kernel.optional import need
from stepsize.policies import LR, Policy

ParamScheduler: Any = need("ignite.handlers.param_scheduler").ParamScheduler


class PolicyScheduler(TrainerHook, ParamScheduler):  # type: ignore[misc]  # looked up, so its base is Any here
    """A policy as Ignite's parameter scheduler: each event sets every hyperparameter of the next update.

    optimizer, policy, steps, rebind: as `drive` takes them; a step is an event.
    save_history: whether to append the values of each event to `engine.state.param_history`, by hyperparameter, one for
        each parameter group.
    driver: what sets the values, and its `step`, the event that comes next.
    Attach it to `Events.ITERATION_STARTED`, and to `Events.ITERATION_STARTED(every=k)` with k accumulated batches. As
    `Checkpoint(to_save={"policy": scheduler, ...})` it is saved and loaded.

    Raises DriveError as `drive` does, and when a state of another policy or horizon is loaded.

    Watch out: it counts events. Where updates are skipped, as by a GradScaler, `drive(...).attach()` counts updates.
    """

    def __init__(
        self,
        optimizer: Any,
        policy: PolicyLike,
        steps: int,
        save_history: bool = False,  # noqa: FBT001, FBT002  (Ignite's)
        *,
        rebind: bool = False,
    ) -> None:
        super().__init__(policy, steps=steps, rebind=rebind)
        ParamScheduler.__init__(self, plain(optimizer), LR, save_history)
        self.begin([self.optimizer], steps, attach=False)

    def __call__(self, engine: Any, name: str | None = None) -> None:  # noqa: ARG002  (Ignite's)
        """Set the values of the next update in all parameter groups."""
        self.set()
        self.event_index = self.drivers[0].step
        if self.save_history and engine is not None:
            if getattr(engine.state, "param_history", None) is None:
                engine.state.param_history = {}
            for hyperparameter in self.drivers[0].names:
                values = [read(group, hyperparameter) for group in self.optimizer.param_groups]
                engine.state.param_history.setdefault(hyperparameter, []).append(values)

    def get_param(self) -> list[float] | float:
        """Return the learning rate that the next event sets; a list where those of the parameter groups differ."""
        scheduled = self.drivers[0].at(self.drivers[0].step)
        groups = zip(scheduled, self.optimizer.param_groups, strict=False)
        rates = [values[LR] if LR in values else read(group, LR) for values, group in groups]
        return rates if len(set(rates)) > 1 else rates[0]  # Ignite's warmup compares it with one number

    def load_state_dict(self, state_dict: Any) -> None:
        """Go to a saved step, and set its values at once.

        Raises DriveError when the state was saved with another policy or horizon.
        """
        super().load_state_dict(state_dict)
        self.event_index = self.drivers[0].step

    @classmethod
    def simulate_values(cls, num_events: int, policy: Policy, steps: int, param_name: str = LR) -> list[list[float]]:
        """Return `[event, value]` for the first `num_events` events; `plot_values` draws them.

        >>> from stepsize.schedules import Linear
        >>> PolicyScheduler.simulate_values(2, Policy(lr=Linear(1.0, 0.0)), steps=4)
        [[0, 1.0], [1, 0.75]]
        """
        values = policy.over(steps)[param_name].table(0, num_events).tolist()
        return [[event, value] for event, value in enumerate(values)]
