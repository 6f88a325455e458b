"""What listens to the loss: a multiplier that moves when a metric does, for any schedule to be multiplied by.

A schedule is a function of the step alone, so a feedback is no schedule. It is a pure state machine beside one::

    state = feedback.init()
    state, multiplier = feedback.update(state, loss)       # after each epoch, say
    rate = schedule(step) * multiplier

A state is a named tuple of floats or arrays. One state of arrays holds as many independent replicas as `like` had, and
passes through `jax.jit` and `jax.lax.scan`. For a single run `Listener` keeps the state and writes down each change.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from stepsize.kernel import arrays
from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError, SpecError, brief
from stepsize.kernel.spec import Bound, Count, Momentum, Share, Spec, Whole, encode

Factor = Annotated[float, Bound("a number above 0 and below 1", low=0, high=1, open_low=True, open_high=True)]
Most = Annotated[float, Bound("a number of at least 1", low=1)]


class Feedback(Spec, ABC):
    """A multiplier that follows a metric, as a pure state machine."""

    @abstractmethod
    def init(self, like: Array = 0.0) -> Any:
        """Return the state before the first call, one machine for each element of `like`, in its library and dtype.

        like: a number, or an array of any shape, such as the losses of all replicas, (replicas,).
        """

    @abstractmethod
    def update(self, state: Any, loss: Array, xp: Any = None) -> tuple[Any, Array]:
        """Return the next state, and the multiplier from now on, after a call with `loss`.

        loss: in the shape that the state was made for. xp: the namespace of its library, by default the state's.
        """


@dataclass(frozen=True)
class Judge(Feedback):
    """A feedback that first of all says whether a metric is better than the best so far.

    threshold: by how much it has to be better, so that noise is no improvement.
    relative: whether the threshold is a share of the best value's *size*, or in the metric's own unit.
    mode: whether "min" or "max" is better. NaN never is.
    """

    factor: Factor = 0.1
    patience: Whole = 10
    threshold: Momentum = 1e-4
    relative: bool = True
    cooldown: Whole = 0
    least: Share = 0.0
    mode: Literal["min", "max"] = "min"

    def better(self, loss: Array, best: Array, xp: Any) -> Array:
        """Return whether `loss` beats `best` by the threshold, as a boolean array."""
        sign = 1.0 if self.mode == "min" else -1.0
        loss, best = sign * loss, sign * best
        if not self.relative:
            return loss < best - self.threshold
        # By a share of its size: below 0, `best * (1 - threshold)` would be a worse value than the best.
        return loss < xp.where(best < 0, best * (1 + self.threshold), best * (1 - self.threshold))

    @property
    def worst(self) -> float:
        """What the first metric is compared with."""
        return math.inf if self.mode == "min" else -math.inf


class PlateauState(NamedTuple):
    """Where a Plateau stands; each field in the shape of the loss.

    best: the best metric so far. bad: calls since then. cooling: calls to come in which bad ones are not counted.
    multiplier: what the schedule is multiplied by.
    """

    best: Array
    bad: Array
    cooling: Array
    multiplier: Array


@dataclass(frozen=True)
class Plateau(Judge):
    """Reduce on a plateau: after more than `patience` calls that are not better, `multiplier *= factor`.

    factor: what each reduction multiplies by. patience: how many bad calls are borne (calls).
    threshold, relative, mode: when a metric is better; see `Judge`. NaN is a bad call.
    cooldown: how long bad calls are not counted after a reduction (calls). least: the multiplier never falls below it.
    The state machine of torch's ReduceLROnPlateau with one difference: there, with a relative threshold and a metric
    below 0 (a log-likelihood, a reward), a slightly *worse* value counts as better.

    Watch out: it is blind to a metric that only jitters, and each reduction makes the next improvement smaller; a run
    of known length is better served by a decay.

    >>> plateau = Plateau(factor=0.5, patience=1)
    >>> state = plateau.init()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state, multiplier = plateau.update(state, loss)
    >>> float(multiplier)
    0.5
    """

    def init(self, like: Array = 0.0) -> PlateauState:
        """Return the state before the first call."""
        zero = _zeros(like)
        return PlateauState(zero + self.worst, zero, zero, zero + 1.0)

    def update(self, state: PlateauState, loss: Array, xp: Any = None) -> tuple[PlateauState, Array]:
        """Return the next state and its multiplier."""
        xp = xp or arrays.namespace(state.multiplier)
        better = self.better(loss, state.best, xp)
        best = xp.where(better, loss, state.best)
        cooled = state.cooling > 0
        bad = xp.where(better, 0.0, state.bad + 1)
        bad = xp.where(cooled, 0.0, bad)
        cooling = xp.where(cooled, state.cooling - 1, state.cooling)
        drop = bad > self.patience
        multiplier = xp.where(drop, xp.maximum(state.multiplier * self.factor, self.least), state.multiplier)
        cooling, bad = xp.where(drop, float(self.cooldown), cooling), xp.where(drop, 0.0, bad)
        return PlateauState(best, bad, cooling, multiplier), multiplier


class GreedyState(NamedTuple):
    """Where a Greedy stands; each field in the shape of the loss.

    best: the best metric so far. good, bad: how many calls in a row were better, or were not. pause: calls to come that
    are not judged. floor: reductions at the floor. calls: how many of `recent`, the last losses, are there already.
    multiplier: what the schedule is multiplied by.
    """

    best: Array
    good: Array
    bad: Array
    pause: Array
    floor: Array
    calls: Array
    recent: tuple[Array, ...]
    multiplier: Array


@dataclass(frozen=True)
class Greedy(Judge):
    """GreedyLR: raise while the metric improves, `multiplier /= factor`; reduce while it does not, `*= factor`.

    factor: above 0 and below 1. patience: more calls in a row than this make a change (calls).
    threshold, relative, mode: when a metric is better; see `Judge`.
    cooldown, warmup: how long nothing is judged after a reduction, and after a raise (calls).
    least, most: the bounds of the multiplier. window: judge the mean of so many last losses (calls).
    reset: begin anew after so many reductions at the floor without a raise between them; 0 is never.
    As `greedy` in transformers 5, whose bounds are learning rates, after Subramanian and others, arXiv 2512.14527.

    Watch out: a training loss that falls anyway raises the rate up to `most`; keep that below where the run diverges.

    >>> listen = Listener(Greedy(factor=0.5, patience=1))
    >>> [listen(loss) for loss in (1.0, 0.9, 0.8, 0.8, 0.8)]
    [1.0, 2.0, 2.0, 2.0, 1.0]
    """

    factor: Factor = 0.95
    threshold: Momentum = 1e-6
    relative: bool = False
    least: Share = 0.01
    warmup: Whole = 0
    most: Most = 10.0
    window: Count = 1
    reset: Whole = 0

    def init(self, like: Array = 0.0) -> GreedyState:
        """Return the state before the first call."""
        zero = _zeros(like)
        recent = (zero,) * self.window
        return GreedyState(zero + self.worst, zero, zero, zero, zero, zero, recent, zero + 1.0)

    def update(self, state: GreedyState, loss: Array, xp: Any = None) -> tuple[GreedyState, Array]:
        """Return the next state and its multiplier."""
        xp = xp or arrays.namespace(state.multiplier)
        recent = (loss, *state.recent[:-1])
        calls = xp.minimum(state.calls + 1, float(self.window))
        metric = sum(recent) / calls
        judged, better = state.pause <= 0, self.better(metric, state.best, xp)
        best = xp.where(judged, xp.where(better, metric, state.best), state.best)
        good = xp.where(judged, xp.where(better, state.good + 1, 0.0), 0.0)
        bad = xp.where(judged, xp.where(better, 0.0, state.bad + 1), 0.0)
        pause = xp.where(judged, 0.0, state.pause - 1)
        after = self._adapt(GreedyState(best, good, bad, pause, state.floor, calls, recent, state.multiplier), xp)
        return after, after.multiplier

    def _adapt(self, state: GreedyState, xp: Any) -> GreedyState:
        """Return the state with its multiplier raised or reduced where there were calls enough of one kind."""
        up, down = state.good > self.patience, state.bad > self.patience
        raised = xp.minimum(state.multiplier / self.factor, self.most)
        reduced = xp.maximum(state.multiplier * self.factor, self.least)
        multiplier = xp.where(up, raised, xp.where(down, reduced, state.multiplier))
        floor = xp.where(multiplier <= self.least, state.floor + 1, state.floor)
        after = state._replace(
            good=xp.where(up, 0.0, state.good),
            bad=xp.where(down, 0.0, state.bad),
            pause=xp.where(up, float(self.warmup), xp.where(down, float(self.cooldown), state.pause)),
            floor=xp.where(up, 0.0, xp.where(down, floor, state.floor)),
            multiplier=multiplier,
        )
        return self._anew(after, xp) if self.reset else after

    def _anew(self, state: GreedyState, xp: Any) -> GreedyState:
        """Return the state, as it was before the first call where the floor was met often enough."""
        again = state.floor >= self.reset
        return GreedyState(
            best=xp.where(again, self.worst, state.best),
            good=xp.where(again, 0.0, state.good),
            bad=xp.where(again, 0.0, state.bad),
            pause=state.pause,
            floor=xp.where(again, 0.0, state.floor),
            calls=xp.where(again, 0.0, state.calls),
            recent=tuple(xp.where(again, 0.0, loss) for loss in state.recent),
            multiplier=xp.where(again, 1.0, state.multiplier),
        )


class Change(NamedTuple):
    """A change of the multiplier: in which call, counted from 0, from what, and to what."""

    call: int
    before: float
    after: float


class Listener:
    """A feedback with its state, for one run: call it with each loss and multiply by what it returns.

    feedback: the state machine. calls: how many losses it has heard. changes: every change so far, as it happened.

    Raises ParameterError for a loss that is not one number.

    >>> listen = Listener(Plateau(factor=0.5, patience=1))
    >>> [listen(loss) for loss in (1.0, 0.9, 0.9, 0.9)]
    [1.0, 1.0, 1.0, 0.5]
    >>> listen.changes
    [Change(call=3, before=1.0, after=0.5)]
    """

    def __init__(self, feedback: Feedback) -> None:
        self.feedback = feedback
        self.calls = 0
        self.changes: list[Change] = []
        self._state = feedback.init()

    @property
    def multiplier(self) -> float:
        """What the schedule is multiplied by now."""
        return float(self._state.multiplier)

    def __call__(self, loss: Any) -> float:
        """Hear a loss, and return the multiplier from now on."""
        before = self.multiplier
        self._state, _ = self.feedback.update(self._state, _one_number(loss))
        if self.multiplier != before:
            self.changes.append(Change(self.calls, before, self.multiplier))
        self.calls += 1
        return self.multiplier

    def state_dict(self) -> dict[str, Any]:
        """Return everything in plain numbers, strings, lists and dicts, as JSON and `torch.save` have them."""
        changes = [list(change) for change in self.changes]
        return {
            "feedback": encode(self.feedback),
            "calls": self.calls,
            "changes": changes,
            "state": {name: _plain(value) for name, value in self._state._asdict().items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict()` was taken.

        Raises SpecError when it was taken of another feedback, or is not one.
        """
        saved = state_dict.get("feedback")
        if saved != encode(self.feedback):
            raise SpecError(
                f"this state was saved by another feedback, {brief(saved)}, so its counts do not mean the same to "
                f"{self.feedback!r}. Make the Listener with the saved feedback, or start anew."
            )
        try:
            state = type(self._state)(**{name: _restored(value) for name, value in state_dict["state"].items()})
            changes = [Change(int(call), float(old), float(new)) for call, old, new in state_dict["changes"]]
            calls = int(state_dict["calls"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SpecError(
                f"this is not the state of a Listener ({error}); give what state_dict() returned."
            ) from None
        self.calls, self.changes, self._state = calls, changes, state


def _zeros(like: Array) -> Array:
    if not arrays.is_array(like):
        like = arrays.floats(like)
    xp = arrays.namespace(like)
    return xp.zeros_like(arrays.real(like, xp))


def _one_number(loss: Any) -> Array:
    try:
        return arrays.floats(float(loss))
    except (TypeError, ValueError, RuntimeError):
        raise ParameterError(
            f"a Listener hears one number a call, not {brief(loss)}. For many runs at once keep a state of arrays: "
            "feedback.init(losses), then feedback.update(state, losses, xp)."
        ) from None


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple) else encode(float(value))


def _restored(value: Any) -> Any:
    return tuple(map(_restored, value)) if isinstance(value, list) else arrays.floats(float(value))
