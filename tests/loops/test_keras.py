"""Keras's own loop, `fit`: a schedule, a whole strategy, and a callback; all of it on torch, and once again on jax."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from patience import HUNG

from stepsize import Policy, Strategy, drive, rules
from stepsize.adapters.torch import build_optimizer
from stepsize.kernel.errors import DriveError, LengthError, ParameterError, SpecError, UnboundError
from stepsize.policies import Groups, one_cycle
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp
from stepsize.schedules import Constant, Cosine, Linear, Repeat, Triangular

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from stepsize.adapters.keras import KerasOptimizer, KerasSchedule, PolicyCallback  # noqa: E402

BACKEND = keras.backend.backend()
OTHER = {"torch": "jax", "jax": "torch"}[BACKEND]
ON_JAX = BACKEND == "jax"

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # how Keras on torch makes an array

BATCHES, EPOCHS = 4, 3
STEPS = BATCHES * EPOCHS
POLICY = one_cycle(0.1).replace(weight_decay=Linear(0.1, 0.0))
RNG = np.random.default_rng(3)
X = RNG.normal(size=(2 * BATCHES, 3)).astype("float32")
Y = np.tanh(X @ RNG.normal(size=(3, 2))).astype("float32")


SINGLE = {"rtol": 1e-4, "atol": 1e-5}
"""What is left of float32 after a few updates; Keras multiplies matrices in no other precision."""


def model(optimizer, dtype=None, **settings):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, activation="tanh", dtype=dtype), keras.layers.Dense(2, dtype=dtype)]
    net = keras.Sequential([keras.Input((3,), dtype=dtype), *layers])
    net.compile(optimizer, "mse", **settings)
    return net


def fit(net, epochs=EPOCHS, **settings):
    data = {"x": X, "y": Y, "batch_size": 2, "shuffle": False, "verbose": 0}
    return net.fit(**(data | {"epochs": epochs} | settings))


def weights(net):
    return np.concatenate([np.asarray(each, np.float64).ravel() for each in net.get_weights()])


def number(value):
    return float(keras.ops.convert_to_numpy(value))


class Watch(keras.callbacks.Callback):
    """Collect something of the model at the end of each batch."""

    def __init__(self, read):
        super().__init__()
        self.read, self.seen = read, []

    def on_train_batch_end(self, batch, logs=None):
        if ON_JAX:
            self.model.jax_state_sync()
        self.seen.append(self.read(self.model))


# The schedule


SCHEDULES = {
    "one cycle": one_cycle(0.1)["lr"],
    "warmup and cosine": Linear(0.0, 0.1, "30%") >> Cosine(0.1, 0.0),
    "restarts": Repeat(Cosine(0.1, 0.0, 5), stretch=2),
    "triangles": Triangular(0.01, 0.1, 7),
    "constant": Constant(0.1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_gives_its_table_for_numbers_tensors_and_variables(name):
    schedule = SCHEDULES[name].over(100)
    ours, table = KerasSchedule(schedule), schedule.table(0, 120)
    assert str(ours(3).dtype).endswith("float32")
    for step in (0, 1, 7, 99, 100, 119):
        for given in (step, keras.ops.convert_to_tensor(step), keras.Variable(step, dtype="int", trainable=False)):
            assert number(ours(given)) == pytest.approx(table[step], rel=1e-5, abs=1e-7)


def test_a_schedule_is_computed_in_a_compiled_function():
    schedule = KerasSchedule(SCHEDULES["one cycle"].over(100))
    if ON_JAX:
        import jax  # noqa: PLC0415

        compiled = jax.jit(schedule)
    else:
        compiled = torch.compile(schedule, fullgraph=True, backend="aot_eager")
    table = schedule.schedule.table(0, 110)
    for step in (0, 1, 50, 109):
        assert number(compiled(keras.ops.convert_to_tensor(step))) == pytest.approx(table[step], rel=1e-5, abs=1e-7)


def test_a_step_beyond_the_whole_numbers_of_float32():
    """On torch a sawtooth turns at the right update; jax has the nearest float32 of a step, without x64."""
    far = 2**26 + 3
    schedule = Repeat(Linear(1.0, 0.0, 8))
    value = number(KerasSchedule(schedule)(keras.ops.convert_to_tensor(far)))
    assert value == pytest.approx(schedule(int(np.float32(far)) if ON_JAX else far))
    ramp = Linear(1.0, 0.0, 2**30)
    assert number(KerasSchedule(ramp)(keras.ops.convert_to_tensor(far))) == pytest.approx(ramp(far), rel=1e-6)


def test_the_rate_follows_the_schedule_in_an_optimizer_of_keras():
    """Plain descent on a loss whose gradient is 1 shows the rate of each update."""
    schedule = one_cycle(0.1)["lr"].over(STEPS)
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    net.compile(keras.optimizers.SGD(KerasSchedule(schedule)), loss=lambda y, p: keras.ops.mean(p))
    watch = Watch(lambda net: float(net.get_weights()[0][0, 0]))
    net.fit(np.ones((BATCHES, 1)), np.ones((BATCHES, 1)), batch_size=1, epochs=EPOCHS, verbose=0, callbacks=[watch])
    rates = -np.diff(watch.seen, prepend=0.0)
    np.testing.assert_allclose(rates, schedule.table(0, STEPS), rtol=0, atol=1e-7)


# A strategy


RULES = {
    "SGD": SGD(weight_decay=0.05),
    "Momentum": Momentum(dampening=0.1, weight_decay=0.05),
    "Nesterov": Nesterov(weight_decay=0.05),
    "RMSProp": RMSProp(weight_decay=0.05),
    "Adam": Adam(weight_decay=0.05),
    "AdamW": AdamW(),
}


def in_torch(rule, policy, start, k=1):
    """The weights after each update of torch.optim, driven by the policy; a group of biases without decay."""
    q = [torch.nn.Parameter(torch.tensor(each, dtype=torch.float64)) for each in start]
    optimizer = build_optimizer([{"params": q[0::2]}, {"params": q[1::2], "weight_decay": 0.0}], rule)
    x, y = torch.tensor(X, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)
    path, rows = [], np.resize(np.arange(len(X)), EPOCHS * len(X)).reshape(-1, 2 * k)
    for _, row in zip(drive(optimizer, policy, len(rows)), rows, strict=True):
        optimizer.zero_grad()
        found = torch.tanh(x[row] @ q[0] + q[1]) @ q[2] + q[3]
        ((found - y[row]) ** 2).mean().backward()
        optimizer.step()
        path.append(np.concatenate([each.detach().numpy().ravel() for each in q]))
    return np.array(path)


def strategy(rule, policy=POLICY):
    return Strategy(rule, policy.only(rule.hyperparameters))


def without_decay_of_biases(optimizer):
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize("name", RULES)
def test_values_right_at_each_update(name):
    """In `fit`: the weights at each update are those of torch.optim, driven by the same policy, with its two groups."""
    rule = RULES[name]
    optimizer = without_decay_of_biases(KerasOptimizer(strategy(rule), STEPS))
    net = model(optimizer)
    watch, start = Watch(lambda net: (weights(net), net.optimizer.values)), net.get_weights()
    fit(net, callbacks=[watch])
    expected = in_torch(rule, strategy(rule).policy, start)
    np.testing.assert_allclose([w for w, _ in watch.seen], expected, **SINGLE)
    table = strategy(rule).over(STEPS).table(0, STEPS + 1)
    for step, (_, values) in enumerate(watch.seen, start=1):
        assert values == {key: column[step] for key, column in table.items()}
        assert set(values) == set(rule.hyperparameters)


@pytest.mark.parametrize("name", RULES)
def test_200_updates_are_those_of_torch_optim(name):
    """Given the same gradients: in float64 on torch to 1e-12 relative; in float32 on jax, as it is by default."""
    rule, policy = RULES[name], strategy(RULES[name]).policy
    start = np.random.default_rng(5).normal(size=6)
    variable = keras.Variable(start, dtype="float32" if ON_JAX else "float64", name="kernel")
    ours = KerasOptimizer(Strategy(rule, policy), 200)
    ours.build([variable])
    q = torch.nn.Parameter(torch.tensor(start))
    theirs = build_optimizer([q], rule)
    for _ in drive(theirs, policy, 200):
        theirs.zero_grad()
        (torch.log1p(q**2).sum() + torch.sin(3 * q).sum()).backward()
        ours.apply([keras.ops.convert_to_tensor(q.grad.numpy(), variable.dtype)])
        theirs.step()
        found = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(found, q.detach().numpy(), **(SINGLE if ON_JAX else {"rtol": 1e-12, "atol": 1e-13}))


def saved(net, folder):
    net.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@pytest.mark.parametrize("kind", ["KerasOptimizer", "KerasSchedule", "PolicyCallback"])
def test_resume_is_bit_identical(kind, tmp_path):
    """A model saved after an epoch, loaded without custom objects, goes on as if nothing had been."""
    policy = POLICY if not ON_JAX else POLICY.only(["lr"])

    def begun():
        if kind == "KerasOptimizer":
            return model(without_decay_of_biases(KerasOptimizer(strategy(AdamW()), STEPS)))
        if kind == "KerasSchedule":
            return model(keras.optimizers.AdamW(KerasSchedule(POLICY["lr"].over(STEPS))))
        return model(keras.optimizers.AdamW(0.1))

    def go_on(net, **settings):
        fit(net, callbacks=[PolicyCallback(policy)] if kind == "PolicyCallback" else [], **settings)
        return net

    whole = go_on(begun())
    half = begun()
    stop = PolicyCallback(policy, steps=STEPS)
    fit(half, epochs=1, callbacks=[stop] if kind == "PolicyCallback" else [])
    again = go_on(saved(half, tmp_path), initial_epoch=1)
    assert np.array_equal(weights(again), weights(whole))
    assert int(number(again.optimizer.iterations)) == STEPS


def test_a_crash_is_backed_up_and_restored_to_the_same_bits(tmp_path):
    """Keras's own BackupAndRestore, which saves the weights and the optimizer in the middle of an epoch."""

    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(number(self.model.optimizer.iterations)) >= 7 or batch == 2:
                raise RuntimeError("the machine is gone")

    def begun():
        return model(KerasOptimizer(strategy(Nesterov()), STEPS))

    whole = begun()
    fit(whole)
    backup = functools.partial(keras.callbacks.BackupAndRestore, tmp_path / "backup")
    with pytest.raises(RuntimeError, match="the machine is gone"):
        fit(begun(), callbacks=[backup(), Watch(lambda net: None), _after(Crash(), 1)])
    again = begun()
    fit(again, callbacks=[backup()])
    assert np.array_equal(weights(again), weights(whole))


def _after(callback, epochs):
    """A callback that wakes up after some epochs."""
    whole, began = callback.on_train_batch_end, []
    callback.on_epoch_begin = lambda epoch, logs=None: began.append(epoch)
    callback.on_train_batch_end = lambda batch, logs=None: whole(batch, logs) if len(began) > epochs else None
    return callback


@pytest.mark.parametrize("name", ["Momentum", "AdamW"])
def test_accumulation(name):
    """`gradient_accumulation_steps`: the weights of every second batch are those of torch.optim with double batches."""
    rule, k = RULES[name], 2
    optimizer = KerasOptimizer(strategy(rule), STEPS // k, gradient_accumulation_steps=k)
    net = model(without_decay_of_biases(optimizer))
    watch, start = Watch(weights), net.get_weights()
    fit(net, callbacks=[watch])
    expected = in_torch(rule, strategy(rule).policy, start, k)
    np.testing.assert_allclose(watch.seen[k - 1 :: k], expected, **SINGLE)
    np.testing.assert_array_equal(watch.seen[k::k], watch.seen[k - 1 : -1 : k])


@pytest.mark.parametrize("kind", ["KerasSchedule", "PolicyCallback"])
def test_accumulation_of_a_rate(kind):
    """Keras hands a schedule the number of batches, so it takes their number; the callback asks for `iterations`."""
    k, schedule = 3, Linear(1.0, 0.0).over(STEPS // 3)
    rate = KerasSchedule(schedule, accumulation=k) if kind == "KerasSchedule" else 1.0
    net = model(keras.optimizers.SGD(rate, gradient_accumulation_steps=k))
    drives = [PolicyCallback(Policy(lr=Linear(1.0, 0.0)))] if kind == "PolicyCallback" else []
    rates = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if ON_JAX:
                self.model.jax_state_sync()
            rates.append(number(self.model.optimizer.learning_rate))

    fit(net, callbacks=[*drives, Note()])
    assert rates == np.repeat(schedule.table(0, STEPS // k), k).tolist()


def test_skipped_steps():
    """LossScaleOptimizer is Keras's way to skip: an update with infinite gradients does not move the policy."""
    inner = KerasOptimizer(strategy(AdamW()), STEPS)
    net = model(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0, dynamic_growth_steps=1000))
    poisoned = Y.copy()
    poisoned[2:4] = np.inf
    watch = Watch(lambda net: (weights(net), net.optimizer.inner_optimizer.values["lr"]))
    fit(net, y=poisoned, callbacks=[watch])
    made = [batch for batch in range(STEPS) if batch % BATCHES != 1]
    rates = strategy(AdamW()).over(STEPS).table(0, STEPS)["lr"]
    assert [watch.seen[batch][1] for batch in made] == rates[1 : len(made) + 1].tolist()
    for batch in set(range(STEPS)) - set(made):
        assert np.array_equal(watch.seen[batch][0], watch.seen[batch - 1][0])
    assert int(number(inner.iterations)) == len(made)


def test_the_callback_does_not_count_what_a_loss_scale_skips():
    net = model(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=2.0))
    poisoned = Y.copy()
    poisoned[2:4] = np.inf
    watch = Watch(lambda net: number(net.optimizer.learning_rate))
    fit(net, y=poisoned, callbacks=[PolicyCallback(Policy(lr=Linear(1.0, 0.0))), watch])
    steps = np.cumsum([0, *(batch % BATCHES != 1 for batch in range(STEPS - 1))])
    np.testing.assert_allclose(watch.seen, Linear(1.0, 0.0, STEPS).table(0, STEPS)[steps], rtol=1e-6)


TWO_DEVICES = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import keras, numpy as np
sys.path[:0] = sys.argv[1:]
import test_keras as tests
from stepsize.adapters.keras import KerasOptimizer
from stepsize.rules import AdamW

alone = tests.model(KerasOptimizer(tests.strategy(AdamW()), tests.STEPS))
watch = tests.Watch(tests.weights)
tests.fit(alone, callbacks=[watch])
keras.distribution.set_distribution(keras.distribution.DataParallel())
both = tests.model(KerasOptimizer(tests.strategy(AdamW()), tests.STEPS))
table = tests.strategy(AdamW()).over(tests.STEPS).table(0, tests.STEPS + 1)


def state(net):
    step = int(tests.number(net.optimizer.iterations))
    assert net.optimizer.values == {name: column[step] for name, column in table.items()}
    for variable in net.trainable_variables:
        one, other = (np.asarray(shard.data) for shard in variable.value.addressable_shards)
        assert np.array_equal(one, other)
    return tests.weights(net)


again = tests.Watch(state)
tests.fit(both, callbacks=[again])
np.testing.assert_allclose(again.seen, watch.seen, rtol=1e-4, atol=1e-6)
assert len(again.seen) == tests.STEPS
print("equal on", len(keras.distribution.list_devices()), "devices")
"""


def test_two_processes():
    """Keras's DataParallel on two devices of JAX: each has half of every batch, and both have equal weights."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    folder = Path(__file__).parent
    command, env = [sys.executable, "-c", TWO_DEVICES, str(folder), str(folder.parent)], {**os.environ, **flags}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HUNG, env=env)
    assert done.stdout.strip() == "equal on 2 devices", done.stderr


def test_saved_and_reloaded(tmp_path):
    """The strategy is in the file; the config is JSON; and what describes no strategy is refused, with its path."""
    settings = {"gradient_accumulation_steps": 2, "clipnorm": 1.0, "name": "mine"}
    net = model(KerasOptimizer(strategy(AdamW()), STEPS, **settings))
    fit(net)
    again = saved(net, tmp_path)
    assert again.optimizer.strategy == strategy(AdamW()).over(STEPS)
    config = json.loads(json.dumps(again.optimizer.get_config()))
    assert KerasOptimizer.from_config(config).get_config() == config == net.optimizer.get_config()
    assert {name: config[name] for name in settings} == settings
    config["strategy"]["value"]["rule"]["kind"] = "Adamw"
    with pytest.raises(SpecError, match=r"at \$\.value\.rule: no rule is called 'Adamw'\. Did you mean 'AdamW'"):
        KerasOptimizer.from_config(config)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_saved_and_reloaded(name, tmp_path):
    net = model(keras.optimizers.SGD(KerasSchedule(SCHEDULES[name].over(STEPS), accumulation=2)))
    again = saved(net, tmp_path).optimizer._learning_rate
    assert (again.schedule, again.accumulation) == (SCHEDULES[name].over(STEPS), 2)


@pytest.mark.skipif(not ON_JAX, reason="Keras has this not on torch")
def test_several_batches_in_one_execution():
    """Values are computed in the compiled step, so no callback between the batches is missed."""
    one = model(KerasOptimizer(strategy(AdamW()), STEPS))
    fit(one)
    many = model(KerasOptimizer(strategy(AdamW()), STEPS), steps_per_execution=BATCHES)
    fit(many)
    np.testing.assert_allclose(weights(many), weights(one), rtol=1e-5)


def test_states_are_in_float32_at_least():
    """In bfloat16 a beta2 of 0.999 would be 1."""
    optimizer = KerasOptimizer(Strategy(Adam(), Policy(lr=0.01)), STEPS)
    net = model(optimizer, "bfloat16")
    before = net.get_weights()
    net.fit(X, Y, batch_size=2, epochs=EPOCHS, verbose=0)
    assert {each.dtype for each in net.trainable_variables} == {"bfloat16"}
    assert {each.dtype for each in optimizer.variables[1:]} == {"float32"}
    after = [np.asarray(each, "float32") for each in net.get_weights()]
    assert all(np.isfinite(each).all() for each in after)
    assert any(not np.array_equal(a, np.asarray(b, "float32")) for a, b in zip(after, before, strict=True))


# The callback


@pytest.mark.skipif(ON_JAX, reason="a compiled step has everything but the rate in it")
@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: keras.optimizers.AdamW(0.1), {"lr": "learning_rate", "momentum": "beta_1", "weight_decay": None}),
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), {"lr": "learning_rate", "momentum": None}),
        (lambda: keras.optimizers.RMSprop(0.1, momentum=0.9), {"lr": "learning_rate", "momentum": None}),
        (lambda: keras.optimizers.Lion(0.1), {"lr": "learning_rate", "momentum": "beta_1", "weight_decay": None}),
    ],
)
def test_the_callback_moves_everything_on_torch(make, names):
    """As the optimizer had it in the batch; the log of an epoch has the values of its last update."""
    policy = POLICY.only(names)

    def state(net):
        return {name: number(getattr(net.optimizer, attribute or name)) for name, attribute in names.items()}

    net, watch = model(make()), Watch(state)
    history = fit(net, callbacks=[PolicyCallback(policy), watch]).history
    for name, column in policy.over(STEPS).table(0, STEPS).items():
        np.testing.assert_allclose([row[name] for row in watch.seen], column, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(history[name], column[BATCHES - 1 :: BATCHES], rtol=1e-6, atol=1e-12)


def test_the_callback_gives_a_rate_to_the_same_bits_as_a_schedule_does():
    by_callback = model(keras.optimizers.Adam(0.1))
    fit(by_callback, callbacks=[PolicyCallback(POLICY.only(["lr"]))])
    by_schedule = model(keras.optimizers.Adam(KerasSchedule(POLICY["lr"].over(STEPS))))
    fit(by_schedule)
    np.testing.assert_allclose(weights(by_callback), weights(by_schedule), rtol=2e-6 if ON_JAX else 0)


def refused(callback, optimizer=None, words="", **settings):
    net = model(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), **settings)
    before = weights(net)
    with pytest.raises(DriveError, match=words):
        fit(net, callbacks=[callback])
    assert np.array_equal(weights(net), before)


def test_what_would_have_no_effect_is_refused_before_the_first_batch():
    all_of_it = PolicyCallback(one_cycle(0.1))
    by_schedule = keras.optimizers.SGD(KerasSchedule(Constant(0.1)), momentum=0.9)
    refused(all_of_it, by_schedule, "learning rate is a schedule")
    if ON_JAX:  # Keras has it not on torch
        refused(all_of_it, words="steps_per_execution=2 batches run without a callback", steps_per_execution=2)
    refused(all_of_it, keras.optimizers.SGD(0.1), "made with momentum 0, and keeps no buffer")
    refused(
        all_of_it, keras.optimizers.Adagrad(0.1), r"Adagrad has no momentum to move.*policy.only\(\['lr', 'epsilon'"
    )
    if ON_JAX:  # torch has its step compiled when it is asked to, which takes it long
        refused(all_of_it, words=r"momentum cannot be moved from outside.*KerasOptimizer\(Strategy")
    used = model(keras.optimizers.SGD(0.1))
    fit(used)
    with pytest.raises(DriveError, match=f"made {STEPS} updates already, and the run has {STEPS}"):
        fit(used, callbacks=[PolicyCallback(Policy(lr=0.1))])


def test_a_constant_that_the_optimizer_has_already_is_no_move():
    net = model(keras.optimizers.SGD(1.0, momentum=0.9))
    watch = Watch(lambda net: number(net.optimizer.learning_rate))
    fit(net, callbacks=[PolicyCallback(Policy(lr=Linear(1.0, 0.0), momentum=0.9)), watch])
    np.testing.assert_allclose(watch.seen, Linear(1.0, 0.0, STEPS).table(0, STEPS), rtol=1e-6)


def test_uncompiled_the_callback_moves_everything_on_every_backend():
    net = model(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    watch = Watch(lambda net: net.optimizer.momentum)
    fit(net, callbacks=[PolicyCallback(one_cycle(0.1)), watch])
    assert watch.seen == one_cycle(0.1).over(STEPS).table(0, STEPS)["momentum"].tolist()


def test_a_run_that_goes_on_behind_its_horizon_holds_and_says_so():
    net = model(keras.optimizers.SGD(1.0))
    watch = Watch(lambda net: number(net.optimizer.learning_rate))
    with pytest.warns(UserWarning, match=r"behind the horizon of 8 updates; the schedules hold"):
        fit(net, callbacks=[PolicyCallback(Policy(lr=Linear(1.0, 0.5)), steps=8), watch])
    np.testing.assert_allclose(watch.seen[8:], [0.5] * 4)


def test_batches_that_fit_cannot_count_need_the_steps():
    callback = PolicyCallback(Policy(lr=0.1))
    callback.set_params({"epochs": 3, "steps": None})
    callback.set_model(model(keras.optimizers.SGD(0.1)))
    with pytest.raises(DriveError, match=r"how many batches an epoch has; write PolicyCallback\(policy, steps="):
        callback.on_train_begin()


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: KerasSchedule(Cosine(0.1, 0.0)), UnboundError, r"Bind it first"),
        (lambda: KerasSchedule(POLICY), DriveError, r"takes a Schedule.*policy\['lr'\]"),
        (lambda: KerasSchedule(Constant(0.1), accumulation=0), LengthError, r"at least 1"),
        (lambda: KerasOptimizer(Strategy(SGD(), Policy(lr=Cosine(0.1, 0.0)))), UnboundError, r"Bind it first"),
        (lambda: KerasOptimizer(POLICY, 9), DriveError, r"takes a Strategy"),
        (
            lambda: KerasOptimizer(Strategy(SGD(), Policy(lr=0.1)), 9, weight_decay=0.1),
            DriveError,
            r"weight_decay=0.1 stands beside a strategy",
        ),
        (lambda: KerasOptimizer(strategy(SGD()), 9, learning_rate=0.1), DriveError, r"learning_rate=0.1 stands beside"),
        (lambda: Strategy(SGD(), one_cycle(0.1)), ParameterError, r"SGD has no hyperparameter 'momentum'"),
        (lambda: PolicyCallback(0.1), DriveError, "a policy is wanted, not 0.1"),
        (lambda: PolicyCallback(Groups(POLICY, {"all": {}})), DriveError, "takes no Groups"),
    ],
)
def test_what_cannot_be_is_refused_at_once(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_the_rate_of_a_strategy_cannot_be_assigned():
    with pytest.raises(TypeError, match="not settable"):
        KerasOptimizer(strategy(SGD()), STEPS).learning_rate = 0.1


CROSSED = (
    "(values_right and AdamW) or (resume and Optimizer) or (test_accumulation and AdamW) or test_skipped_steps "
    "or several or (tensors and warmup) or compiled_function or beyond or no_effect or same_bits_as"
)


@pytest.mark.slow
def test_the_other_backend():
    """What a compiled step could change; `KERAS_BACKEND=jax pytest tests/loops/test_keras.py` is all of it."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", CROSSED]
    env = {**os.environ, "KERAS_BACKEND": OTHER}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HUNG, env=env)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", [rules.Prodigy(), rules.NAdam(), rules.Muon(), rules.ClipNorm(), rules.Polyak()])
def test_a_rule_that_looks_at_the_whole_model_is_refused(rule):
    with pytest.raises(DriveError, match="looks at the whole model, keeps a number of it, or is wrapped"):
        KerasOptimizer(Strategy(rule, Policy(lr=0.1)), 10)


OTHERS = [
    rules.Lion(),
    rules.Adagrad(initial=0.1),
    rules.RMSProp(centered=True),
    rules.RMSPropMomentum(),
    rules.Adadelta(),
    rules.AMSGrad(),
    rules.AdaMax(),
    rules.RAdam(),
]


@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: rule.title)
def test_other_rules_are_the_rule_too(rule):
    """A rule whose slots begin at a number, or are more than their names, equals its own formula; torch in float64."""
    start, slope = np.array([1.0, -2.0, 0.5]), np.array([1.0, 4.0, 0.25])
    variable = keras.Variable(start, dtype="float32" if ON_JAX else "float64")
    optimizer = KerasOptimizer(Strategy(rule, Policy(lr=Linear(0.1, 0.0))), 10)
    p, slots, bound = start, rule.init(start, np), Strategy(rule, Policy(lr=Linear(0.1, 0.0))).over(10)
    for step in range(10):
        gradient = slope * keras.ops.convert_to_numpy(variable)
        optimizer.apply([keras.ops.convert_to_tensor(gradient, variable.dtype)], [variable])
        h = {name: values[0] for name, values in bound.table(step, step + 1).items()}
        p, slots = rule.step(p, slope * p, slots, rule.coefficients(h, np.float64(step + 1)), np)
    found = keras.ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, p, **(SINGLE if ON_JAX else {"rtol": 1e-12}))


def test_a_plain_schedule_as_a_rate_names_the_one_for_keras():
    with pytest.raises(ParameterError, match="KerasSchedule"):
        _ = keras.optimizers.SGD(Cosine(0.1, 0.0, 10)).learning_rate


def test_a_recipe_by_name_peaks_at_the_rate_that_the_optimizer_was_made_with():
    watch = Watch(lambda net: number(net.optimizer.learning_rate))
    net = model(keras.optimizers.SGD(0.125))
    fit(net, callbacks=[PolicyCallback("cosine"), watch])
    assert watch.seen == pytest.approx(Cosine(0.125, 0.0, STEPS).table(0, STEPS), rel=1e-6)
    with pytest.raises(DriveError, match="has been moved since"):
        fit(net, callbacks=[PolicyCallback("cosine", steps=2 * STEPS)])
    with pytest.raises(DriveError, match="learning rate is a schedule"):
        fit(model(keras.optimizers.SGD(KerasSchedule(Constant(0.1, 8)))), callbacks=[PolicyCallback("cosine")])
