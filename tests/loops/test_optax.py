"""optax's own loop: a schedule as a learning rate, and a strategy as a gradient transformation."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from patience import HUNG
from x64 import enable_x64

import stepsize
from stepsize import Policy, Strategy, drive
from stepsize.adapters.optax import scale_by_feedback, transformation
from stepsize.adapters.torch import build_optimizer
from stepsize.kernel.errors import DriveError, ParameterError, UnboundError
from stepsize.policies import Groups, one_cycle
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp
from stepsize.schedules import Cosine, Linear, Listener, Plateau, Triangular

STEPS = 12
POLICY = one_cycle(0.1).replace(weight_decay=Linear(0.1, 0.0))
RNG = np.random.default_rng(5)
START = RNG.normal(size=6)
MIX = RNG.normal(size=(8, 6))


@pytest.fixture
def x64():
    with enable_x64(True):
        yield


def problem(p):
    """A smooth function of p, (6,), that is neither convex nor quadratic."""
    return jnp.log1p((jnp.asarray(MIX, p.dtype) @ p) ** 2).sum() + jnp.sin(3 * p).sum()


def in_torch(p):
    return torch.log1p((torch.as_tensor(MIX) @ p) ** 2).sum() + torch.sin(3 * p).sum()


def train(tx, p, state, steps, path=None):
    """Go on for some updates, compiled once, and return the parameters and the state."""
    traces = []

    @jax.jit
    def update(p, state):
        traces.append(1)
        updates, state = tx.update(jax.grad(problem)(p), state, p)
        return optax.apply_updates(p, updates), state

    for _ in range(steps):
        p, state = update(p, state)
        if path is not None:
            path.append(np.asarray(p, np.float64))
    assert len(traces) == 1
    return p, state


def saved(state, file):
    """Write the state as plain arrays, and return what reads it again: nothing is pickled."""
    leaves, tree = jax.tree.flatten(state)
    np.savez(file, *leaves)
    with np.load(file, allow_pickle=False) as arrays:
        return jax.tree.unflatten(tree, [jnp.asarray(arrays[f"arr_{i}"]) for i in range(len(leaves))])


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize(
    "lr", [one_cycle(0.1)["lr"], Linear(0.0, 0.1, "30%") >> Cosine(0.1, 0.0), Triangular(0.01, 0.1, 7)]
)
def test_a_schedule_is_a_learning_rate_of_any_optimizer_in_one_trace(lr, precise):
    """Plain descent with a gradient of 1 shows the rate, and Adam compiles as it does with a number."""
    schedule = lr.over(200)
    with enable_x64(precise):
        tx = optax.sgd(learning_rate=schedule)
        one, traces = jnp.ones(()), []

        @jax.jit
        def update(state):
            traces.append(1)
            return tx.update(one, state)

        state, rates = tx.init(one), []
        for _ in range(220):
            updates, state = update(state)
            rates.append(-float(updates))
        expected = schedule.table(0, 220)
        np.testing.assert_allclose(rates, expected, rtol=0, atol=(1e-15 if precise else 3e-7) * expected.max())
        assert len(traces) == 1
        tx = optax.adam(learning_rate=schedule)
        train(tx, jnp.asarray(START), tx.init(jnp.asarray(START)), 3)


CASES = {
    "SGD with L2": (SGD(weight_decay=0.05), {}),
    "SGD with a moving L2": (SGD(), {"weight_decay": Linear(0.1, 0.0)}),
    "Momentum": (Momentum(weight_decay=0.05), {"momentum": Triangular(0.95, 0.8, 7)}),
    "Nesterov": (Nesterov(weight_decay=0.05), {"momentum": Triangular(0.95, 0.8, 7)}),
    "RMSProp": (RMSProp(alpha=0.9, epsilon=1e-3, weight_decay=0.05), {}),
    "Adam": (Adam(weight_decay=0.05), {"momentum": Triangular(0.95, 0.8, 7)}),
    "Adam with a large epsilon": (Adam(beta2=0.95, epsilon=1e-2), {"weight_decay": Linear(0.1, 0.0)}),
    "AdamW": (AdamW(), {"momentum": Triangular(0.95, 0.8, 7), "weight_decay": Linear(0.3, 0.0)}),
}


@pytest.mark.parametrize("name", CASES)
def test_200_updates_are_those_of_the_rule_and_of_torch_optim(name, x64):
    """In float64, to 1e-12 relative + 1e-12, as the rules themselves are held to torch."""
    rule, moving = CASES[name]
    policy = Policy(lr=Linear(0.01, 0.05, "10%") >> Cosine(0.05, 0.001), **moving)
    tx, path = transformation(rule, policy, steps=200), []
    train(tx, jnp.asarray(START), tx.init(jnp.asarray(START)), 200, path)

    bound, p, slots, by_rule = Strategy(rule, policy).over(200), START, rule.init(START, np), []
    slope = jax.jit(jax.grad(problem))
    for step in range(200):
        h = {key: float(column[0]) for key, column in bound.table(step, step + 1).items()}
        p, slots = rule.step(p, np.asarray(slope(p)), slots, rule.coefficients(h, step + 1), np)
        by_rule.append(p)
    np.testing.assert_allclose(path, by_rule, rtol=1e-12, atol=1e-12)

    q, by_torch = torch.nn.Parameter(torch.tensor(START)), []
    optimizer = build_optimizer([q], rule)
    for _ in drive(optimizer, policy, steps=200):
        optimizer.zero_grad()
        in_torch(q).backward()
        optimizer.step()
        by_torch.append(q.detach().numpy().copy())
    np.testing.assert_allclose(path, by_torch, rtol=1e-12, atol=1e-12)


OWN = Policy(lr=Linear(0.0, 0.02), beta2=Linear(0.99, 0.9), weight_decay=0.0)
"""A policy of its own for one group, which moves another hyperparameter."""


def two_groups(biases=None):
    """Weights with decay, and a bias without."""
    groups = Groups(POLICY, {"weights": {}, "biases": biases or {"lr": 0.5, "weight_decay": 0.0}})
    return groups, transformation(AdamW(), groups, STEPS, labels={"w": "weights", "b": "biases"})


@pytest.mark.parametrize("biases", [None, OWN], ids=["ratios", "own"])
def test_values_right_at_each_update(biases):
    """What the update used stands in the state after it, by the names of the rule; each group has its own."""
    groups, tx = two_groups(biases)
    p = {"w": jnp.ones(3), "b": jnp.ones(())}
    state, seen = tx.init(p), {"weights": [], "biases": []}
    update = jax.jit(tx.update)
    for _ in range(STEPS):
        _, state = update(jax.tree.map(jnp.sin, p), state, p)
        for group, rows in seen.items():
            rows.append(state.inner_states[group].inner_state.hyperparams)
    for group, table in groups.over(STEPS).table(0, STEPS).items():
        assert set(seen[group][0]) == {"lr", "momentum", "beta2", "epsilon", "weight_decay"}
        for name, column in table.items():
            got = [float(row[name]) for row in seen[group]]
            np.testing.assert_allclose(got, column, rtol=0, atol=3e-7 * (1 + column.max()))
    assert float(seen["biases"][0]["weight_decay"]) == 0.0


@pytest.mark.parametrize("biases", [None, OWN], ids=["ratios", "own"])
def test_each_group_moves_as_it_does_in_torch(x64, biases):
    """In float64 to 1e-13 relative; `b` is made of a number, whose dtype JAX calls weak."""
    groups, tx = two_groups(biases)
    p = {"w": jnp.asarray([1.0, -2.0, 0.5]), "b": jnp.asarray(0.3)}
    w, b = (torch.nn.Parameter(torch.tensor(np.asarray(p[name]))) for name in ("w", "b"))
    optimizer = torch.optim.AdamW([{"params": [w]}, {"params": [b]}])
    update, state = jax.jit(tx.update), tx.init(p)
    for _ in drive(optimizer, groups, STEPS):
        w.grad, b.grad = torch.sin(w.detach()), torch.sin(b.detach())
        optimizer.step()
        updates, state = update(jax.tree.map(jnp.sin, p), state, p)
        p = optax.apply_updates(p, updates)
        np.testing.assert_allclose(p["w"], w.detach(), rtol=1e-13)
        np.testing.assert_allclose(p["b"], b.detach(), rtol=1e-13)


@pytest.mark.parametrize("stop", [1, 5, STEPS - 1])
def test_resume_is_bit_identical(stop, tmp_path):
    """The count is in the state, so the arrays of the state and the weights are the whole checkpoint."""
    tx = transformation(AdamW(), POLICY, STEPS)
    start = jnp.asarray(START, jnp.float32)
    whole, last = train(tx, start, tx.init(start), STEPS)
    p, state = train(tx, start, tx.init(start), stop)
    p, state = saved((p, state), tmp_path / "checkpoint.npz")
    p, state = train(tx, p, state, STEPS - stop)
    assert np.array_equal(p, whole)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(last), strict=True))


def test_saved_and_reloaded(tmp_path):
    """The state holds no policy: that is saved beside it, as a file of ours, and makes the same transformation."""
    strategy = Strategy(Nesterov(), one_cycle(0.1)).over(STEPS)
    again = stepsize.load(stepsize.save(strategy, tmp_path / "strategy.json"))
    start = jnp.asarray(START, jnp.float32)
    ours, theirs = transformation(strategy), transformation(again)
    whole, _ = train(ours, start, ours.init(start), STEPS)
    p, state = train(ours, start, ours.init(start), 5)
    p, _ = train(theirs, *saved((p, state), tmp_path / "checkpoint.npz"), STEPS - 5)
    assert again == strategy
    assert np.array_equal(p, whole)


def test_accumulation():
    """optax.MultiSteps: the policy moves with every k-th call, and is then right."""
    k, tx = 3, transformation(Momentum(), one_cycle(0.1), STEPS)
    many = optax.MultiSteps(tx, k)
    accumulate, at_once, gradient = map(jax.jit, (many.update, tx.update, jax.grad(problem)))
    p = jnp.asarray(START, jnp.float32)
    state, expected = many.init(p), one_cycle(0.1).over(STEPS).table(0, STEPS)["lr"]
    plain, inner = p, tx.init(p)
    for step in range(STEPS):
        slope = gradient(p)
        for _ in range(k):
            updates, state = accumulate(slope, state, p)
            p = optax.apply_updates(p, updates)
        rate = state.inner_opt_state.hyperparams["lr"]
        assert float(rate) == pytest.approx(expected[step], rel=1e-5, abs=1e-8)
        updates, inner = at_once(slope, inner, plain)
        plain = optax.apply_updates(plain, updates)
        np.testing.assert_allclose(p, plain, rtol=1e-5, atol=1e-6)


def test_skipped_steps():
    """optax.apply_if_finite is optax's way to skip: an update that is not made does not move the policy."""
    tx = optax.apply_if_finite(transformation(Momentum(), one_cycle(0.1), STEPS), max_consecutive_errors=3)
    p, expected = jnp.ones(2), one_cycle(0.1).over(STEPS).table(0, STEPS)["lr"]
    update, state, made = jax.jit(tx.update), tx.init(p), 0
    for call in range(STEPS + 3):
        skipped = call in {0, 4, 5}
        before = p
        updates, state = update(p * (jnp.nan if skipped else 1.0), state, p)
        p = optax.apply_updates(p, updates)
        if skipped:
            assert np.array_equal(p, before)
            continue
        assert float(state.inner_state.hyperparams["lr"]) == pytest.approx(expected[made], rel=1e-5, abs=1e-8)
        made += 1
    assert made == STEPS == int(state.inner_state.count)


TWO_DEVICES = """
import functools
import jax, jax.numpy as jnp, numpy as np, optax
from stepsize.adapters.optax import transformation
from stepsize.policies import one_cycle
from stepsize.rules import AdamW

tx = transformation(AdamW(), one_cycle(0.1), steps=12)


@functools.partial(jax.pmap, axis_name="replica")
def update(p, state, batch):
    grads = jax.lax.pmean(jnp.sin(p) * batch, "replica")
    updates, state = tx.update(grads, state, p)
    return optax.apply_updates(p, updates), state


p = jnp.asarray([[1.0, -2.0, 0.5]] * 2)
state = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), tx.init(p[0]))
q, alone = p[0], tx.init(p[0])
table = one_cycle(0.1).over(12).table(0, 12)
for step in range(12):
    batch = jnp.asarray([1.0 + step, 2.0 - step])
    p, state = update(p, state, batch)
    updates, alone = tx.update(jnp.sin(q) * 1.5, alone, q)
    q = optax.apply_updates(q, updates)
    for name, column in table.items():
        np.testing.assert_allclose(state.hyperparams[name], [column[step]] * 2, rtol=1e-4, atol=1e-7)
    assert np.array_equal(p[0], p[1])
    np.testing.assert_allclose(p[0], q, rtol=1e-5, atol=1e-6)
assert len(p.sharding.device_set) == 2
print("equal on", jax.device_count(), "devices")
"""


def test_two_processes():
    """Two devices, one program: in JAX the processes run one compiled step, so the devices of one process show it."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command, env = [sys.executable, "-c", TWO_DEVICES], {**os.environ, **flags}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HUNG, env=env)
    assert done.stdout.strip() == "equal on 2 devices", done.stderr


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_states_are_in_float32_at_least_and_keep_their_dtype(dtype, precise):
    """`lax.scan` refuses a state that changes its dtype, and in bfloat16 a beta2 of 0.999 would be 1."""
    with enable_x64(precise):
        tx = transformation(Adam(), one_cycle(0.01), steps=30)
        p = jnp.asarray(START, dtype)

        def update(carried, _):
            p, state = carried
            updates, state = tx.update(jax.grad(problem)(p), state, p)
            return (optax.apply_updates(p, updates), state), updates

        (last, state), updates = jax.lax.scan(update, (p, tx.init(p)), length=30)
        assert last.dtype == updates.dtype == p.dtype
        assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32", "int32"}
        assert float(state.hyperparams["beta2"]) == pytest.approx(0.999)
        assert np.isfinite(np.asarray(last, np.float32)).all()
        assert float(problem(last.astype(jnp.float32))) < float(problem(p.astype(jnp.float32)))


def test_leaves_of_several_dtypes_and_leaves_without_a_gradient():
    p = {"half": jnp.ones(2, jnp.bfloat16), "single": jnp.ones(3), "none": None}
    tx = optax.chain(optax.clip_by_global_norm(1.0), transformation(Momentum(), one_cycle(0.1), STEPS))
    updates, state = tx.update(p, tx.init(p), p)
    assert (updates["half"].dtype, updates["single"].dtype, updates["none"]) == (jnp.bfloat16, jnp.float32, None)
    assert optax.tree.get(state, "hyperparams")["lr"] == pytest.approx(one_cycle(0.1).over(STEPS).at(0)["lr"])


def test_what_no_schedule_moves_can_be_set_by_hand():
    tx = transformation(SGD(lr=0.5))
    state = tx.init(jnp.ones(1))
    assert tx.update(jnp.ones(1), state, jnp.ones(1))[0] == -0.5
    state.hyperparams["lr"] = jnp.asarray(0.25)
    assert tx.update(jnp.ones(1), state, jnp.ones(1))[0] == -0.25


def test_a_feedback_multiplies_the_updates_and_the_schedule_goes_on():
    """Told the same losses as a listener of ours, in one trace."""
    plateau = Plateau(factor=0.5, patience=1)
    tx = optax.chain(transformation(SGD(), Policy(lr=Linear(1.0, 0.0)), 8), scale_by_feedback(plateau))
    listener, traces = Listener(plateau), []

    @jax.jit
    def update(state, loss):
        traces.append(1)
        return tx.update(jnp.ones(()), state, jnp.ones(()), value=loss)

    state = tx.init(jnp.ones(()))
    for step, loss in enumerate([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]):
        updates, state = update(state, loss)
        assert -float(updates) == pytest.approx((1 - step / 8) * listener(loss), rel=1e-6)
    assert listener.multiplier == 0.25
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: transformation(SGD(), one_cycle(0.1), 9), ParameterError, r"SGD has no hyperparameter 'momentum'"),
        (lambda: transformation(Adam(), one_cycle(0.1)), UnboundError, r"Bind it first"),
        (lambda: transformation(Strategy(Adam(), one_cycle(0.1))), UnboundError, r"Bind it first"),
        (lambda: transformation(Adam(), Plateau(), 9), DriveError, r"It listens to the loss: optax.chain"),
        (lambda: transformation(Adam(), Linear(1.0, 0.0), 9), DriveError, r"follows a Policy or Groups, not Linear"),
        (lambda: transformation(Momentum(dampening=0.4)), DriveError, r"without dampening, and this has 0.4"),
        (
            lambda: transformation(Momentum(), Policy(lr=0.1, dampening=Linear(0.5, 0.0)), 9),
            DriveError,
            r"without dampening, and this has Linear",
        ),
        (lambda: transformation(one_cycle(0.1)), DriveError, r"made of a Strategy, or of a rule and a policy"),
        (lambda: transformation(Strategy(Adam(), one_cycle(0.1)), POLICY), DriveError, r"has a policy already"),
        (lambda: transformation(Adam(), Groups(POLICY, {"all": {}}), 9), DriveError, r"come together"),
        (lambda: transformation(Adam(), POLICY, 9, labels={"w": "all"}), DriveError, r"come together"),
    ],
)
def test_what_optax_cannot_do_is_refused_at_once(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_a_rule_of_the_users_own_is_refused():
    class Mine(SGD):
        facts = replace(SGD.facts, optax=None)

    with pytest.raises(DriveError, match=r"optax's parts do not make a Mine; run it in an engine"):
        transformation(Mine())
