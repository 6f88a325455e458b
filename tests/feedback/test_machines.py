"""What every feedback keeps to: a pure machine, for one run as for many, in every library, saved and resumed."""

import json
import math

import array_api_compat
import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.schedules import Change, Greedy, Listener, Plateau, Schedule
from stepsize.testing import check_value

MACHINES = [
    Plateau(),
    Plateau(factor=0.5, patience=1, cooldown=2, least=0.1, relative=False, mode="max"),
    Greedy(),
    Greedy(factor=0.5, patience=1, cooldown=1, warmup=2, window=3, reset=2),
]
machines = pytest.mark.parametrize("feedback", MACHINES, ids=lambda each: type(each).__name__)

noise = np.random.default_rng(0)
LOSSES = np.round(2 + np.cumsum(noise.normal(size=(120, 7)), axis=0) / 4, 1)
LOSSES[40:43, 2] = np.nan
LOSSES[60, 3] = np.inf


def multipliers(feedback, losses, xp=None):
    """The multipliers after each row of losses."""
    state, rows = feedback.init(losses[0]), []
    for row in losses:
        state, multiplier = feedback.update(state, row, xp)
        rows.append(multiplier)
    return rows


EXPECTED = [np.stack(multipliers(feedback, LOSSES)) for feedback in MACHINES]


@machines
def test_it_is_a_value(feedback):
    check_value(feedback)
    assert not isinstance(feedback, Schedule)


@machines
def test_many_replicas_are_as_many_runs_alone(feedback):
    together = np.stack(multipliers(feedback, LOSSES))
    for column in range(LOSSES.shape[1]):
        listen = Listener(feedback)
        assert [listen(loss) for loss in LOSSES[:, column]] == together[:, column].tolist()


@machines
@settings(max_examples=20)
@given(data=st.data())
def test_one_replica_never_hears_another(feedback, data):
    column = data.draw(st.integers(0, 6))
    others = data.draw(st.lists(st.floats(allow_nan=True), min_size=7, max_size=7))
    changed = np.broadcast_to(others, LOSSES.shape).copy()
    changed[:, column] = LOSSES[:, column]
    with np.errstate(all="ignore"):
        found = np.stack(multipliers(feedback, changed))[:, column]
    assert np.array_equal(found, np.stack(multipliers(feedback, LOSSES))[:, column])


@pytest.mark.parametrize(("feedback", "expected"), list(zip(MACHINES, EXPECTED, strict=True)))
def test_every_library_gives_numpys_multipliers(feedback, expected):
    for rows in (torch.as_tensor(LOSSES), strict.asarray(LOSSES)):
        xp = array_api_compat.array_namespace(rows)
        for given_xp in (None, xp):
            found = multipliers(feedback, [rows[k, :] for k in range(len(LOSSES))], given_xp)
            assert type(found[0]) is type(rows)
            np.testing.assert_array_equal(np.stack([np.asarray(row) for row in found]), expected)


@pytest.mark.parametrize(("feedback", "expected"), list(zip(MACHINES, EXPECTED, strict=True)))
def test_jax_compiles_it_into_a_scan(feedback, expected):
    rows = jnp.asarray(LOSSES)
    _, found = jax.jit(lambda rows: jax.lax.scan(feedback.update, feedback.init(rows[0]), rows))(rows)
    assert (np.abs(np.asarray(found) - expected) < 1e-5).mean() > 0.99  # float32 judges a hair's breadth otherwise


@machines
def test_a_state_keeps_the_dtype_and_the_shape_of_what_it_was_made_for(feedback):
    like = torch.zeros(2, 3, dtype=torch.float32)
    state = feedback.init(like)
    for _ in range(5):
        state, multiplier = feedback.update(state, like)
        leaves = jax.tree.leaves(tuple(state))
        assert {leaf.dtype for leaf in leaves} == {torch.float32}
        assert {leaf.shape for leaf in leaves} == {(2, 3)}
    assert multiplier is state.multiplier
    assert feedback.init(torch.tensor([1, 2])).multiplier.dtype == torch.float64


@machines
def test_update_leaves_the_given_state_as_it_was(feedback):
    state = feedback.init(LOSSES[0])
    before = [leaf.copy() for leaf in jax.tree.leaves(tuple(state))]
    feedback.update(state, LOSSES[0])
    for leaf, old in zip(jax.tree.leaves(tuple(state)), before, strict=True):
        np.testing.assert_array_equal(leaf, old)


@machines
@pytest.mark.parametrize("column", [0, 2, 3])
@pytest.mark.parametrize("stop", [0, 1, 41, 77])
def test_a_listener_resumes_exactly_from_json(feedback, column, stop):
    losses = LOSSES[:, column]
    whole, first, again = Listener(feedback), Listener(feedback), Listener(feedback)
    expected = [whole(loss) for loss in losses]
    for loss in losses[:stop]:
        first(loss)
    again.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert again.multiplier == first.multiplier
    assert [again(loss) for loss in losses[stop:]] == expected[stop:]
    assert (again.calls, again.changes) == (whole.calls, whole.changes)
    assert again.state_dict() == whole.state_dict()


def test_a_state_dict_loads_with_weights_only(tmp_path):
    listen = Listener(Plateau(patience=0))
    listen(1.0)
    torch.save(listen.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == listen.state_dict()


def test_changes_say_when_and_from_what_to_what():
    listen = Listener(Plateau(factor=0.5, patience=0))
    for loss in (1.0, 1.0, 0.5, 0.5):
        listen(loss)
    assert listen.changes == [Change(1, 1.0, 0.5), Change(3, 0.5, 0.25)]


@pytest.mark.parametrize("loss", [3, 3.0, np.float32(3), np.array([3.0]).sum(), torch.tensor(3.0), jnp.asarray(3.0)])
def test_a_listener_hears_a_number_of_any_library(loss):
    assert Listener(Plateau())(loss) == 1.0


@pytest.mark.parametrize("loss", [np.zeros(3), torch.zeros(3), None, [1.0, 2.0]])
def test_a_listener_hears_one_number_at_a_time(loss):
    with pytest.raises(ParameterError, match=r"hears one number a call, not .*For many runs at once keep a state of"):
        Listener(Plateau())(loss)


def test_the_state_of_another_feedback_is_refused():
    saved = Listener(Plateau(patience=3)).state_dict()
    with pytest.raises(SpecError, match=r"saved by another feedback, .* Make the Listener with the saved feedback"):
        Listener(Plateau(patience=4)).load_state_dict(saved)


@pytest.mark.parametrize(
    "damage",
    [{"state": {}}, {"state": {"best": "x"}}, {"state": None}, {"calls": None}, {"changes": [[1]]}],
    ids=str,
)
def test_a_damaged_state_is_refused_and_leaves_the_listener_as_it_was(damage):
    listen = Listener(Plateau(patience=0))
    listen(1.0)
    before = listen.state_dict()
    with pytest.raises(SpecError, match=r"this is not the state of a Listener \(.*give what state_dict\(\) returned"):
        listen.load_state_dict({**before, **damage})
    assert listen.state_dict() == before


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_first_metric_is_the_best(mode):
    for feedback in (Plateau(mode=mode), Greedy(mode=mode)):
        state, _ = feedback.update(feedback.init(), -3.0)
        assert state.best == -3.0
        state, _ = feedback.update(feedback.init(), math.inf if mode == "min" else -math.inf)
        assert state.bad == 1
