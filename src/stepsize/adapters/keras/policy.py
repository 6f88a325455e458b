"""Keras 3: a schedule as a learning rate, a strategy as an optimizer, and a policy as a callback.

The step is the optimizer's own `iterations`, which Keras saves with it, so there is nothing else to resume from. The
first two are saved and loaded with the model, once this module is imported.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from stepsize.adapters.given_policy import PolicyLike, bind, read_policy
from stepsize.adapters.second_writer import same, second_writer
from stepsize.kernel import arrays
from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import DriveError, brief, suggestion
from stepsize.kernel.optional import need
from stepsize.kernel.spec import envelope
from stepsize.policies import LR, Groups, Policy
from stepsize.policies.recipes import Recipe
from stepsize.results.io import CATALOGUE
from stepsize.schedules import Constant, Schedule
from stepsize.schedules.base import whole_steps
from stepsize.strategy import Strategy

keras: Any = need("keras")
ops: Any = keras.ops

# Looked up once, since `torch.compile` cannot trace the looking up: float64 on torch; jax follows `jax_enable_x64`.
_LIKE = ops.convert_to_tensor(0)
_NATIVE = arrays.is_array(_LIKE)
_NAMESPACE = arrays.namespace(_LIKE) if _NATIVE else ops  # the library's own: `keras.ops.maximum` rounds to float32
_FLOAT = keras.backend.standardize_dtype(arrays.real(_LIKE, _NAMESPACE).dtype) if _NATIVE else "float64"
_FUNCTIONS = arrays.functions(_LIKE) if _NATIVE else ops

ATTRIBUTES = {
    "momentum": ("beta_1", "momentum"),
    "beta2": ("beta_2",),
    "alpha": ("rho",),
    "epsilon": ("epsilon",),
    "weight_decay": ("weight_decay",),
}
"""What Keras's optimizers call a hyperparameter: the first that an optimizer has."""

FROM_OUTSIDE = (
    "Keras's ReduceLROnPlateau and LearningRateScheduler set the rate of an optimizer that no PolicyCallback drives."
)


@keras.saving.register_keras_serializable(package="stepsize")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # looked up, so its base is Any here
    """A schedule as Keras's LearningRateSchedule; it runs inside of the compiled step, on every backend.

    schedule: bound, `schedule.over(steps)`. accumulation: the optimizer's `gradient_accumulation_steps`: Keras hands a
        schedule the number of batches, not of updates, so without it the schedule ends that many times too early.

    Raises UnboundError when the schedule is not bound, DriveError when it is none.

    Watch out: torch computes it in float64, jax in float32, where steps beyond 2**24 are rounded.

    >>> from stepsize.schedules import Linear
    >>> float(KerasSchedule(Linear(1.0, 0.0, 4))(1))
    0.75
    """

    def __init__(self, schedule: Schedule, accumulation: int = 1) -> None:
        if not isinstance(schedule, Schedule):
            raise DriveError(
                f"KerasSchedule takes a Schedule, such as Cosine(0.1, 0.0, 1000), not {brief(schedule)}. "
                "The rate of a policy is policy['lr']; all of it is for KerasOptimizer or PolicyCallback."
            )
        schedule.table(0, 1)
        self.schedule, self.accumulation = schedule, whole_steps(accumulation)

    def __call__(self, step: Any) -> Array:
        """Return the value at batch number `step`, a number or tensor of any backend, in the backend's float."""
        t, xp = _clock(step, self.accumulation)
        return ops.cast(self.schedule.value(t, xp), _wide(keras.config.floatx()))

    def get_config(self) -> dict[str, Any]:
        """Return the schedule's spec and the accumulation; JSON data."""
        return {"schedule": envelope(self.schedule), "accumulation": self.accumulation}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the schedule that `get_config` describes; raise SpecError when it describes none."""
        return cls(CATALOGUE.open(config["schedule"], Schedule), config["accumulation"])


@keras.saving.register_keras_serializable(package="stepsize")
class KerasOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]  # looked up, so its base is Any here
    """A strategy as a Keras optimizer: its rule, every hyperparameter of which follows the policy.

    strategy: a rule and a policy. steps: the horizon, optimizer updates; not needed for a policy that is bound.
    settings: what else a Keras optimizer takes: `clipnorm`, `use_ema`, `gradient_accumulation_steps`, `name` and more.
    The conventions are those of the rule, which are torch's; so `exclude_from_weight_decay` holds for L2 as well.
    Hyperparameters are computed in the compiled step from `iterations`: compiled, accumulated, several batches in one
    execution, the values are right at each update. States are kept in float32 at least.

    Raises DriveError when it is given no strategy, a rule that looks at the whole model, or a rate or decay beside it;
    UnboundError without the steps.

    Watch out: the learning rate cannot be assigned; exchange the strategy. Which variables `exclude_from_weight_decay`
    has left out by `var_list` is not saved; by `var_names` it is.
    """

    def __init__(self, strategy: Strategy, steps: int | None = None, **settings: Any) -> None:
        if not isinstance(strategy, Strategy):
            raise DriveError(
                f"KerasOptimizer takes a Strategy, such as Strategy(AdamW(), policy), not {brief(strategy)}."
            )
        for name in ("learning_rate", "weight_decay"):
            if settings.get(name) is not None:
                raise DriveError(
                    f"{name}={brief(settings[name])} stands beside a strategy, which says what it is. "
                    "Put it into the strategy's policy."
                )
        if not strategy.rule.elementwise:
            raise DriveError(
                f"KerasOptimizer updates one variable at a time, and {strategy.rule.title} looks at the whole model, "
                "keeps a number of it, or is wrapped around a rule. Take the rule by itself (Keras clips by clipnorm= "
                "and averages by use_ema=), or run it in an engine of stepsize."
            )
        bound = strategy if steps is None else strategy.over(steps)
        bound.policy.table(0, 1)
        rate = KerasSchedule(bound.policy[LR], settings.get("gradient_accumulation_steps") or 1)
        super().__init__(**{**settings, "learning_rate": rate, "weight_decay": None})
        self.strategy = bound
        self._undecayed: list[str] = []

    @property
    def values(self) -> dict[str, float]:
        """What the next update uses, by name."""
        step = updates_made(self)
        return {name: float(column[0]) for name, column in self.strategy.table(step, step + 1).items()}

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: list[str] | None = None) -> None:
        """Leave variables out of weight decay, as in Keras; unlike there, those given by name are saved as well."""
        super().exclude_from_weight_decay(var_list, var_names)
        self._undecayed = sorted(var_names or [])

    def build(self, variables: list[Any]) -> None:
        """Make the rule's slots for each variable."""
        if self.built:
            return
        super().build(variables)
        self._slots = [self._slots_of(variable) for variable in variables]

    def _slots_of(self, variable: Any) -> list[Any]:
        """Return the slots of one variable; an elementwise rule fills each with one number."""
        name, layout = variable.path.replace("/", "_"), getattr(variable, "_layout", None)
        return [
            self.add_variable(
                variable.shape, initializer=keras.initializers.Constant(slot.item()), dtype=_wide(variable.dtype),
                layout=layout, name=f"{name}_slot{index}",
            )
            for index, slot in enumerate(self.strategy.rule.init(np.zeros((1, 1)), np))
        ]  # fmt: skip

    def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None) -> None:
        """Update the variables; the coefficients of the update are computed once for all of them."""
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        self._now = {kind: self._coefficients(*kind) for kind in map(self._kind, variables)}
        try:
            super().apply(grads, None if trainable_variables is None else variables)
        finally:
            self._now = {}

    def _kind(self, variable: Any) -> tuple[bool, str]:
        return self._use_weight_decay(variable), _wide(variable.dtype)

    def _coefficients(self, decays: bool, dtype: str) -> dict[str, Array]:  # noqa: FBT001  (half of a key)
        rule, (t, xp) = self.strategy.rule, _clock(self.iterations)
        moving = {name: schedule.value(t, xp) for name, schedule in self.strategy.policy.schedules}
        fixed = {name: value + 0.0 * t for name, value in rule.hyperparameters.items()}  # in the dtype of t, too
        h = {**fixed, **moving, **({} if decays else {"weight_decay": 0.0 * t})}
        return {name: ops.cast(value, dtype) for name, value in rule.coefficients(h, t + 1).items()}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its slots by the rule's formula."""
        del learning_rate
        decays, dtype = self._kind(variable)
        slots = self._slots[self._get_variable_index(variable)]
        held = tuple(ops.convert_to_tensor(slot) for slot in slots)
        p, g = ops.cast(variable, dtype), ops.cast(gradient, dtype)
        p, new = self.strategy.rule.step(p, g, held, self._now[decays, dtype], _NAMESPACE)
        self.assign(variable, ops.cast(p, variable.dtype))
        for slot, value in zip(slots, new, strict=True):
            self.assign(slot, value)

    def get_config(self) -> dict[str, Any]:
        """Return Keras's settings and the strategy's spec; JSON data."""
        config = super().get_config()
        settings = {name: config[name] for name in config if name not in ("learning_rate", "weight_decay")}
        return {**settings, "strategy": envelope(self.strategy), "undecayed": list(self._undecayed)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:  # noqa: ARG003  (Keras's name)
        """Return the optimizer that `get_config` describes; raise SpecError when it describes none."""
        settings = {name: value for name, value in config.items() if name not in ("strategy", "undecayed")}
        optimizer = cls(CATALOGUE.open(config["strategy"], Strategy), **settings)
        if config["undecayed"]:
            optimizer.exclude_from_weight_decay(var_names=config["undecayed"])
        return optimizer


class PolicyCallback(keras.callbacks.Callback):  # type: ignore[misc]  # looked up, so its base is Any here
    """Drives one of Keras's own optimizers, made with a float learning rate, from outside of the compiled step.

    policy: `momentum` means `beta_1` where the optimizer has it. Also a file that `save` wrote, its spec, or the name
        of a recipe, such as "cosine", which then peaks at the optimizer's own rate.
    steps: the horizon, optimizer updates; by default those of `fit`, its epochs times its batches, divided by the
        optimizer's `gradient_accumulation_steps`.
    Each batch begins with the values for the update that it belongs to; at the end of an epoch they are in the logs.

    Raises DriveError, as training begins, where it would have no effect: when the rate is a schedule; when batches are
    executed together; and when anything but the rate is to move and the step is compiled, since Keras burns the
    numbers into it, as always on jax. KerasOptimizer can do all of it. Later on where another callback, such as
    ReduceLROnPlateau, sets the rate too.

    Watch out: on jax it fetches the state from the device before each batch; KerasSchedule does not.
    """

    def __init__(self, policy: PolicyLike, steps: int | None = None) -> None:
        super().__init__()
        given, self.steps = read_policy(policy), None if steps is None else whole_steps(steps)
        if isinstance(given, Groups):
            raise DriveError("PolicyCallback takes no Groups, since Keras has no parameter groups; give it a Policy.")
        self._given: Policy | Recipe = given
        self.policy = self._given if isinstance(self._given, Policy) else Policy(lr=0.0)  # until there is a rate
        if self.steps is not None:
            self.policy = self.policy.over(self.steps)

    @property
    def values(self) -> dict[str, float]:
        """What the optimizer has now, by the policy's names."""
        optimizer = self._optimizer
        return {name: _number(getattr(optimizer, attribute)) for name, attribute in self._names.items()}

    @property
    def _optimizer(self) -> Any:
        """The model's optimizer, inside of one that scales the loss."""
        optimizer = self.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    def on_train_begin(self, logs: Any = None) -> None:
        """Bind the policy to the run, and refuse what would have no effect."""
        del logs
        optimizer = self._optimizer
        steps = self.steps or self._horizon(optimizer)
        self._given = self._at_own_rate(optimizer)
        self.policy, self._end = bind(self._given, steps), steps
        self._names = {name: _attribute(optimizer, name) for name in self.policy}
        self._left: dict[str, float] = {}
        self._refuse_what_has_no_effect(optimizer)
        start = updates_made(optimizer)
        if start >= steps:
            raise DriveError(
                f"this optimizer has made {start} updates already, and the run has {steps}. Give PolicyCallback the "
                "steps of the whole training, or compile the model with a new optimizer."
            )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set every hyperparameter to its value for the update that this batch belongs to."""
        del batch, logs
        self._sync()
        optimizer = self._optimizer
        step = updates_made(optimizer)
        self._check()
        if step == self._end:
            warnings.warn(
                f"training goes on behind the horizon of {step} updates; the schedules hold their last values. "
                "Give PolicyCallback as many steps as the run has.",
                stacklevel=2,
            )
        for name, value in self.policy.at(step).items():
            setattr(optimizer, self._names[name], value)
        self._left = self.values  # as Keras has rounded them

    def _check(self) -> None:
        """Raise DriveError where a value is not what this has set for the batch before."""
        found = self.values if self._left else {}
        for name, left in self._left.items():
            if not same(left, found[name]):
                raise second_writer(name, left, found[name], FROM_OUTSIDE)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the values of the last update into the logs."""
        del epoch
        self._sync()
        if logs is not None:
            logs.update(self.values)

    def _at_own_rate(self, optimizer: Any) -> Policy:
        """Return the policy that was given, a recipe at the rate that the optimizer was compiled with."""
        if isinstance(self._given, Policy):
            return self._given
        if updates_made(optimizer):
            raise DriveError(
                "a recipe by name peaks at the optimizer's own rate, and this one has been moved since. Give the "
                "recipe its peak, such as cosine(0.1)."
            )
        self._refuse_schedule(optimizer)
        return self._given(_number(optimizer.learning_rate))

    def _refuse_schedule(self, optimizer: Any) -> None:
        if not isinstance(optimizer._learning_rate, keras.Variable):  # noqa: SLF001  (its public name calls the schedule)
            raise DriveError("the optimizer's learning rate is a schedule, which nobody can set; give it a float.")

    def _sync(self) -> None:
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def _horizon(self, optimizer: Any) -> int:
        batches = self.params.get("steps")
        if not batches:
            raise DriveError(
                "fit does not know how many batches an epoch has; write PolicyCallback(policy, steps=...)."
            )
        return max(1, int(self.params["epochs"] * batches) // (optimizer.gradient_accumulation_steps or 1))

    def _refuse_what_has_no_effect(self, optimizer: Any) -> None:
        use = "Use KerasOptimizer(Strategy(rule, policy), steps=...), which computes them in the compiled step"
        self._refuse_schedule(optimizer)
        if self.model.steps_per_execution > 1:
            raise DriveError(
                f"with steps_per_execution={self.model.steps_per_execution} batches run without a callback between. "
                f"{use}, or KerasSchedule for the rate alone."
            )
        eager = self.model.run_eagerly or (keras.backend.backend() == "torch" and not self.model.jit_compile)
        frozen = [name for name in self.policy if name != LR and not self._holds(optimizer, name)]
        if frozen and not eager:
            raise DriveError(
                f"{', '.join(frozen)} cannot be moved from outside: a compiled step has the numbers in it "
                f"({keras.backend.backend()}). {use}, drive the rate alone with policy.only(['lr']), or compile with "
                "run_eagerly=True."
            )

    def _holds(self, optimizer: Any, name: str) -> bool:
        """Whether the policy asks for the value that the optimizer has, and never for another."""
        schedule = self.policy[name]
        return isinstance(schedule, Constant) and schedule(0) == getattr(optimizer, self._names[name])


def _wide(dtype: str) -> str:
    """Return the dtype in which the numbers of an update are computed: float32 at least."""
    return "float64" if dtype == "float64" else "float32"


def _clock(step: Any, accumulation: int = 1) -> tuple[Array, Any]:
    """Return the update that batch number `step` belongs to, as floats, and the namespace for formulas of it."""
    t = ops.convert_to_tensor(step)
    t = ops.floor_divide(t, accumulation) if accumulation > 1 else t
    return ops.cast(t, _FLOAT), _FUNCTIONS


def updates_made(optimizer: Any) -> int:
    """Return how many updates were made, which is the number of the next."""
    return int(_number(optimizer.iterations))


def _number(value: Any) -> float:
    """Return a number, a tensor or a variable as a float; on torch, Keras's way over an array makes NumPy 2 warn."""
    return float(ops.convert_to_tensor(value))


def _attribute(optimizer: Any, name: str) -> str:
    """Return what the optimizer calls the hyperparameter; raise DriveError when it cannot be moved."""
    if name == LR:
        return "learning_rate"
    kind = type(optimizer).__name__
    attribute = next((theirs for theirs in ATTRIBUTES.get(name, ()) if hasattr(optimizer, theirs)), None)
    if attribute is None:
        known = [LR, *(ours for ours, theirs in ATTRIBUTES.items() if any(hasattr(optimizer, a) for a in theirs))]
        raise DriveError(f"Keras's {kind} has no {name} to move. {suggestion(name, known)} Or policy.only({known}).")
    if attribute == "momentum" and not optimizer.momentum:
        raise DriveError(
            f"this {kind} was made with momentum 0, and keeps no buffer for it; make it with momentum=0.9."
        )
    return attribute
