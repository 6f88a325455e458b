"""optax: a strategy as a gradient transformation, every hyperparameter of which follows its policy.

::

    tx = transformation(AdamW(), one_cycle(0.01), steps=10_000)
    opt_state = tx.init(params)
    updates, opt_state = tx.update(grads, opt_state, params)       # the values in force: opt_state.hyperparams["lr"]

A schedule by itself needs no adapter: `optax.adam(learning_rate=schedule)`. The step is the count in the optimizer's
state, so a checkpoint of the state is all there is to resume from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from inspect import Parameter, Signature
from typing import Any

from stepsize.kernel.errors import DriveError, brief
from stepsize.kernel.optional import need
from stepsize.policies import Groups, Policy
from stepsize.rules import Rule
from stepsize.schedules import Feedback, Schedule
from stepsize.strategy import Strategy

jax: Any = need("jax")
jnp: Any = need("jax.numpy")
optax: Any = need("optax")

DAMPENING = "dampening"


def transformation(
    strategy: Strategy | Rule, policy: Policy | Groups | None = None, steps: int | None = None, *, labels: Any = None
) -> Any:
    """Return the optax transformation of a strategy, or of a rule and a policy.

    policy: which hyperparameters of the rule move; none for a strategy, which has its own, or for a rule that keeps the
        values it was made with. `Groups` need `labels`, a tree of group names like the parameters, or a function that
        makes one, as in `optax.multi_transform`.
    steps: the horizon, optimizer updates; not needed for a policy that is bound already.

    It is `optax.inject_hyperparams` around optax's own parts, put together as torch's optimizers are: L2 before the
    moments, RMSProp with epsilon outside of the root and a mean square that starts at 0. `opt_state.hyperparams` holds
    all hyperparameters of the rule under its own names, as the last update used them; those that no schedule
    moves can be set there by hand. States are kept in the widest dtype of the parameters, float32 at least: in
    bfloat16 a beta2 of 0.999 would be 1.

    Raises DriveError for a rule that optax does not have, for dampening, and for labels without groups or the reverse;
    ParameterError when the policy schedules what the rule does not have; UnboundError without the steps it needs.

    Watch out: `update` needs the parameters, even without weight decay. Below `jax_enable_x64` the step is float32 in
    a formula, so beyond 2**24 updates it is rounded.

    >>> from stepsize.rules import Momentum
    >>> from stepsize.schedules import Linear
    >>> tx = transformation(Momentum(), Policy(lr=Linear(1.0, 0.0), momentum=0.5), steps=4)
    >>> state = tx.init(jnp.zeros(2))
    >>> {name: float(value) for name, value in sorted(state.hyperparams.items())}
    {'lr': 1.0, 'momentum': 0.5, 'weight_decay': 0.0}
    """
    rule = strategy
    if isinstance(strategy, Strategy):
        if policy is not None:
            raise DriveError("a strategy has a policy already; give its rule and the other policy: strategy.rule, ...")
        rule, policy = strategy.rule, strategy.policy
    if not isinstance(rule, Rule):
        raise DriveError(
            f"a transformation is made of a Strategy, or of a rule and a policy, not of {brief(strategy)}. "
            "Write transformation(AdamW(), policy, steps=1000)."
        )
    if isinstance(policy, Groups) != (labels is not None):
        raise DriveError(
            "Groups and labels come together: the labels say which parameters belong to which group. Write "
            "transformation(rule, Groups(policy, {'head': {}, 'body': {'lr': 0.1}}), labels={'w1': 'body', ...})."
        )
    if not isinstance(policy, Groups):
        return _single(rule, policy, steps)
    return optax.multi_transform({name: _single(rule, policy[name], steps) for name in policy}, labels)


def scale_by_feedback(feedback: Feedback) -> Any:
    """Return the transformation that multiplies the updates by what `feedback` makes of the loss.

    It stands last in a chain, and takes the loss by name::

        tx = optax.chain(transformation(rule, policy, steps), scale_by_feedback(Plateau()))
        updates, opt_state = tx.update(grads, opt_state, params, value=loss)

    Watch out: `opt_state.hyperparams["lr"]` is the schedule's, without the multiplier.
    """

    def init(params: Any) -> Any:
        del params
        return _strong(feedback.init(jnp.asarray(0.0)))

    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        state, multiplier = feedback.update(state, jnp.asarray(value, jnp.asarray(0.0).dtype), jnp)
        return jax.tree.map(lambda leaf: leaf * multiplier.astype(leaf.dtype), updates), _strong(state)

    return optax.GradientTransformationExtraArgs(init, update)


def _strong(state: Any) -> Any:
    """Return the state as arrays of one dtype for good; a number's dtype is weak, and would be compiled twice."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), state)


def _single(rule: Rule, policy: Policy | None, steps: int | None) -> Any:
    """Return the transformation of one group of parameters."""
    factory = _factory(rule)
    if policy is not None:
        policy = Strategy(rule, _checked(policy)).policy
        policy = policy if steps is None else policy.over(steps)
        policy.table(0, 1)
    moving = dict(policy.schedules) if policy is not None else {}
    values: dict[str, Schedule | float] = {**rule.hyperparameters, **moving}
    dampening = values.pop(DAMPENING, 0.0)
    if dampening != 0.0:
        raise DriveError(
            f"optax has momentum without dampening, and this has {brief(dampening)}. Leave it at 0, and make the rate "
            "smaller by 1 - dampening, or train with torch.optim or in an engine of stepsize."
        )

    @cache
    def made(dtype: Any) -> Any:
        hyperparameters = {
            name: partial(_value, value, dtype) if isinstance(value, Schedule) else value
            for name, value in values.items()
        }
        return optax.inject_hyperparams(factory, hyperparam_dtype=dtype)(**hyperparameters)

    return _in_one_dtype(made)


def _checked(policy: Any) -> Policy:
    if isinstance(policy, Policy):
        return policy
    hint = ""
    if isinstance(policy, Feedback):
        hint = " It listens to the loss: optax.chain(transformation(rule, policy, steps), scale_by_feedback(...))."
    raise DriveError(f"a transformation follows a Policy or Groups, not {brief(policy)}.{hint}")


def _value(schedule: Schedule, dtype: Any, count: Any) -> Any:
    return schedule(count).astype(dtype)


def _in_one_dtype(made: Callable[[Any], Any]) -> Any:
    """Return a transformation whose states and hyperparameters are of the parameters' widest dtype."""

    def init(params: Any) -> Any:
        dtype = _dtype(params)
        return made(dtype).init(_cast(params, dtype))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        dtype = _dtype(updates if params is None else params)
        made_updates, state = made(dtype).update(_cast(updates, dtype), state, _cast(params, dtype), **extra)
        return jax.tree.map(lambda new, old: new.astype(jnp.asarray(old).dtype), made_updates, updates), state

    return optax.GradientTransformationExtraArgs(init, update)


def _dtype(tree: Any) -> Any:
    """Return the widest dtype of the leaves, float32 at least; that of a number is not weak here."""
    widest = jnp.result_type(jnp.float32, *(jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(tree)))
    return jnp.finfo(widest).dtype


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(jnp.asarray(leaf).dtype, dtype)), tree)


def _factory(rule: Rule) -> Callable[..., Any]:
    """Return the function from the rule's hyperparameters to its update, in optax's parts, or raise DriveError."""
    twin = rule.facts.optax
    if rule.core is not rule or twin is None:
        raise DriveError(
            f"optax's parts do not make a {type(rule).__name__}; run it in an engine of stepsize, or write its step as "
            "a transformation of your own."
        )
    if rule.form != type(rule)().form:
        raise DriveError(
            f"optax's parts do not make {rule!r}, which has another convention than torch's. Leave its switches as "
            "they are, or run it in an engine of stepsize."
        )

    def made(*, lr: Any, weight_decay: Any, **others: Any) -> Any:
        scale = getattr(optax, twin.name)(*(others[name] for name in twin.fields), **twin.more)
        decay = optax.add_decayed_weights(weight_decay)
        parts = (scale, decay) if rule.facts.decoupled else (decay, scale)
        return optax.chain(*parts, optax.scale_by_learning_rate(lr))

    # inject_hyperparams reads the names of the hyperparameters off the signature, and `others` hides them.
    keywords = [Parameter(name, Parameter.KEYWORD_ONLY) for name in ("lr", "weight_decay", *twin.fields)]
    made.__signature__ = Signature(keywords)  # type: ignore[attr-defined]  # functions may have one: PEP 362
    return made
