"""Training after a range test is training without one, bit by bit, in every loop; torch's own is in tests/adapters."""

import functools
import itertools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import lightning.pytorch
import numpy as np
import optax
import processes
import pytest
import pytorch_lightning
import tinynet as tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning_loop import QUIET
from torchmetrics.classification import MulticlassAccuracy
from traces import drawn, same, seeded
from transformers import TrainerCallback
from transformers_loop import InfiniteTrainer, model, trainer_of

from stepsize import RangeTest, ramp, suggest
from stepsize.adapters import lightning as for_lightning
from stepsize.adapters import transformers as for_transformers
from stepsize.adapters.torch.groups import plain
from stepsize.kernel.errors import DriveError, TaskError

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from stepsize.adapters import keras as for_keras  # noqa: E402  (once Keras has its backend)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),  # torch, where a scaler skips the first
    pytest.mark.filterwarnings("ignore:os.fork.. was called"),  # JAX, of the workers of a DataLoader
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # how Keras on torch makes an array
]
RANGE = {"low": 1e-4, "high": 1.0, "points": 25}


# Lightning


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2)
    )


def lightning_module(package=lightning.pytorch, *, manual=False, infinite=(), fails_at=None, returns=True):
    class Module(package.LightningModule):
        """Counts its batches, keeps a metric, and logs; with one optimizer, or with two that it steps itself."""

        automatic_optimization = not manual

        def __init__(self):
            super().__init__()
            self.net, self.accuracy, self.batches, self.rates = network(), MulticlassAccuracy(2), 0, []

        def training_step(self, batch, batch_idx):
            x, y = batch
            out = self.net(x + 0.01 * sum(drawn()))
            loss = torch.nn.functional.cross_entropy(out, y)
            self.accuracy(out, y)
            self.log("loss", loss, on_step=True, on_epoch=True)
            self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
            self.batches += 1
            if self.batches == fails_at:
                raise ArithmeticError
            if manual:
                for optimizer in self.optimizers():
                    optimizer.zero_grad()
                self.manual_backward(loss)
                for optimizer in self.optimizers():
                    optimizer.step()
                return {"loss": loss.detach()} if returns else None
            return loss * (float("inf") if self.batches - 1 in infinite else 1.0)

        def configure_optimizers(self):
            if manual:
                halves = self.net[0], self.net[4]
                return [
                    torch.optim.Adam(half.parameters(), lr=lr) for half, lr in zip(halves, (0.01, 0.002), strict=True)
                ]
            optimizer = torch.optim.AdamW(self.net.parameters(), lr=0.01)
            optimizer.register_step_pre_hook(lambda *_: self.rates.append(optimizer.param_groups[0]["lr"]))
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    return Module()


class Heard(Callback):
    """Notes every hook of a callback that is called, with the Trainer's step."""

    def __init__(self):
        self.hooks = []

    def __getattribute__(self, name):
        if name.startswith("on_") and name not in ("on_save_checkpoint", "on_load_checkpoint"):
            return lambda trainer, *_, **__: self.hooks.append((name, trainer.global_step))
        return super().__getattribute__(name)


def fitted(tmp_path, *callbacks, make=lightning_module, package=lightning.pytorch, **arguments):
    """Everything there is after a training: weights, states, counts, the log file, and what other callbacks heard."""
    seeded()
    made = make()
    heard, logger = package.Callback(), False
    if package is lightning.pytorch:
        heard, logger = Heard(), CSVLogger(tmp_path, version=str(len(list(tmp_path.glob("*/*")))))
    settings = {**QUIET, "max_epochs": 2, "callbacks": [*callbacks, heard], "logger": logger, "log_every_n_steps": 1}
    trainer = package.Trainer(**settings, **arguments)
    data = tiny.loader(6).dataset
    trainer.fit(made, torch.utils.data.DataLoader(data, batch_size=8, shuffle=True))
    return made, [
        made.state_dict(),
        [optimizer.state_dict() for optimizer in trainer.optimizers],
        {name: float(value) for name, value in trainer.callback_metrics.items()},
        (trainer.global_step, trainer.current_epoch, made.batches),
        Path(logger.log_dir, "metrics.csv").read_text(encoding="utf-8") if logger else "",
        heard.hooks if logger else [],
        drawn(),
    ]


def half():
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**24))]}


TRAININGS = {
    "plain": dict,
    "accumulated and clipped": lambda: {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5},
    "float16": half,
}


@pytest.mark.parametrize("name", TRAININGS)
def test_lightning_range_test_leaves_no_trace(name, tmp_path):
    callback = for_lightning.RangeTestCallback(**RANGE)
    _, tested = fitted(tmp_path, callback, **TRAININGS[name]())
    made, untested = fitted(tmp_path, **TRAININGS[name]())
    assert same(tested, untested)
    assert callback.record.optimizer == "AdamW"
    assert callback.record.horizon == (6 if "accumulated" in name else 12)
    assert len(callback.record.rates) == 25
    assert made.rates


def test_lightning_records_the_rates_that_were_used(tmp_path):
    callback = for_lightning.RangeTestCallback(**RANGE)
    made, used = lightning_module(), []
    made.configure_optimizers = noting(made.configure_optimizers, used)
    fitted(tmp_path, callback, make=lambda: made)
    assert used[:25] == callback.record.rates.tolist()


def noting(configure, used):
    def noted():
        found = configure()
        optimizer = found["optimizer"]
        optimizer.register_step_pre_hook(lambda *_: used.append(optimizer.param_groups[0]["lr"]))
        return found

    return noted


@pytest.mark.parametrize("returns", [True, False])
def test_lightning_several_optimizers_leave_no_trace(returns, tmp_path):
    callback = for_lightning.RangeTestCallback(monitor=None if returns else "loss", **RANGE)
    make = functools.partial(lightning_module, manual=True, returns=returns)
    _, tested = fitted(tmp_path, callback, make=make)
    _, untested = fitted(tmp_path, make=make)
    assert same(tested, untested)
    assert callback.record.optimizer == "Adam, Adam"


def test_lightning_range_test_in_the_other_package_leaves_no_trace(tmp_path):
    callback = for_lightning.RangeTestCallback(**RANGE)
    _, tested = fitted(tmp_path, callback, make=lambda: lightning_module(pytorch_lightning), package=pytorch_lightning)
    _, untested = fitted(tmp_path, make=lambda: lightning_module(pytorch_lightning), package=pytorch_lightning)
    assert same(tested, untested)
    assert len(callback.record.rates) == 25


def test_lightning_policy_beside_a_range_test_does_not_move(tmp_path):
    policy = lambda: for_lightning.PolicyCallback(tiny.POLICY.only(["lr"]))  # noqa: E731  (a new one each time)

    def without_scheduler():
        made = lightning_module()
        configure = made.configure_optimizers
        made.configure_optimizers = lambda: configure()["optimizer"]
        return made

    _, tested = fitted(tmp_path, policy(), for_lightning.RangeTestCallback(**RANGE), make=without_scheduler)
    _, untested = fitted(tmp_path, policy(), make=without_scheduler)
    assert same(tested, untested)
    with pytest.raises(DriveError, match="PolicyCallback drives the rate"):
        fitted(tmp_path, policy(), for_lightning.RangeTestCallback(apply=len, **RANGE), make=without_scheduler)


@pytest.mark.parametrize("fails_at", [1, 20])
def test_lightning_error_in_a_range_test_leaves_no_trace(fails_at, tmp_path):
    seeded()
    made = lightning_module(fails_at=fails_at)
    before, accuracy = {name: value.clone() for name, value in made.state_dict().items()}, made.accuracy
    with pytest.raises(ArithmeticError):
        fitted(tmp_path, for_lightning.RangeTestCallback(**RANGE), make=lambda: made)
    seeded()
    expected = lightning_module().state_dict()
    assert same(dict(before), dict(expected))
    assert same(dict(made.state_dict()), before)
    assert made.batches == accuracy._update_count == 0


def test_lightning_rate_that_was_found_is_trained_at(tmp_path):
    """The module's warmup goes on, to another height."""
    callback = for_lightning.RangeTestCallback(apply=lambda sweep: 0.05, **RANGE)
    made, used = lightning_module(), []
    made.configure_optimizers = noting(made.configure_optimizers, used)
    fitted(tmp_path, callback, make=lambda: made)
    assert np.allclose(used[25:], [0.05 * min(1.0, (step + 1) / 10) for step in range(12)])


def test_lightning_wrong_input_is_refused(tmp_path):
    with pytest.raises(DriveError, match=r"nothing has logged 'lass'.*Did you mean 'loss'"):
        fitted(
            tmp_path,
            for_lightning.RangeTestCallback(monitor="lass", **RANGE),
            make=lambda: lightning_module(manual=True, returns=False),
        )
    with pytest.raises(TaskError, match="no learning rate can help"):
        fitted(tmp_path, for_lightning.RangeTestCallback(**RANGE), make=lambda: lightning_module(infinite=(0,)))


# transformers


class Hooks(TrainerCallback):
    def __init__(self):
        self.heard = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda args, state, control, **_: self.heard.append((name, state.global_step, state.epoch))
        return super().__getattribute__(name)


def hugged(folder, test=None, scaler=None, **arguments):
    """Everything there is after a training by the Trainer, and what others heard of it."""
    seeded()
    hooks = Hooks()
    trainer = trainer_of(folder, hooks, rows=20, warmup_steps=3, **arguments)
    if scaler is not None:
        trainer.accelerator.scaler = scaler
    callback = test(trainer) if test is not None else None
    if callback is not None:
        trainer.add_callback(callback)
    trainer.train()
    logs = [
        {k: v for k, v in entry.items() if "runtime" not in k and "per_second" not in k}
        for entry in trainer.state.log_history
    ]
    return callback, [
        trainer.model.state_dict(),
        plain(trainer.optimizer).state_dict(),
        logs,
        hooks.heard,
        trainer.state.global_step,
        drawn(),
    ]


def with_test(**settings):
    return lambda trainer: for_transformers.RangeTestCallback(trainer, **RANGE, **settings)


SETTINGS = {
    "plain": dict,
    "accumulated": lambda: {"gradient_accumulation_steps": 2},
    "scaled": lambda: {"scaler": torch.amp.GradScaler("cpu", init_scale=2.0**16), "max_grad_norm": 0.0},
    "bfloat16": lambda: {"bf16": True},
    "workers": lambda: {"dataloader_num_workers": 1, "dataloader_persistent_workers": True},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_transformers_range_test_leaves_no_trace(name, tmp_path):
    callback, tested = hugged(tmp_path / "tested", with_test(), **SETTINGS[name]())
    _, untested = hugged(tmp_path / "untested", **SETTINGS[name]())
    assert same(tested, untested)
    assert callback.record.optimizer == "AdamW"
    assert callback.record.horizon == tiny.STEPS
    assert abs(callback.record.losses[0, 0] - tested[2][0]["loss"]) < 1e-6, (
        "the first batch of training, as it is logged"
    )


def test_transformers_rate_that_was_found_is_trained_at(tmp_path):
    _, (_, _, logs, *_) = hugged(
        tmp_path, with_test(apply=lambda sweep: 0.03), lr_scheduler_type="constant_with_warmup"
    )
    rates = [entry["learning_rate"] for entry in logs if "learning_rate" in entry]
    assert np.allclose(rates, [0.03 * min(1.0, step / 3) for step in range(tiny.STEPS)])


def test_transformers_error_in_a_range_test_leaves_no_trace(tmp_path, monkeypatch):
    seeded()
    net = model()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    compute, calls = InfiniteTrainer.compute_loss, []

    def failing(self, *given, **named):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return compute(self, *given, **named)

    monkeypatch.setattr(InfiniteTrainer, "compute_loss", failing)
    with pytest.raises(KeyboardInterrupt):
        hugged(tmp_path, with_test(), net=net)
    assert same(dict(net.state_dict()), before)


def test_transformers_policy_and_a_rate_to_apply_are_refused(tmp_path):
    trainer = trainer_of(tmp_path, for_transformers.PolicyCallback(tiny.POLICY))
    trainer.add_callback(for_transformers.RangeTestCallback(trainer, apply=len))
    with pytest.raises(DriveError, match="PolicyCallback drives the rate"):
        trainer.train()


# Accelerate


@pytest.fixture
def accelerator():
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_accelerate_range_test_leaves_no_trace(accelerator):
    def trained(tested):
        seeded()
        net = network()
        prepared = accelerator.prepare(
            net,
            torch.optim.AdamW(net.parameters()),
            torch.utils.data.DataLoader(tiny.loader(6).dataset, 8, shuffle=True),
        )
        net, optimizer, loader = prepared

        def update(x, y):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            accelerator.backward(loss)
            optimizer.step()
            return loss

        if tested:
            with RangeTest(net, optimizer, loader, vars(accelerator.gradient_state), **RANGE) as test:
                rates = iter(test)
                for _ in range(5):
                    for (x, y), _ in zip(loader, rates, strict=False):
                        test.tell(update(x, y))
            assert len(test.record.rates) >= 20
        for _ in range(2):
            for x, y in loader:
                update(x, y)
        return [net.state_dict(), optimizer.state_dict(), drawn()]

    assert same(trained(tested=True), trained(tested=False))


# Processes


def test_two_processes_stop_at_the_same_rate_and_leave_no_trace(tmp_path):
    """By hand, in Lightning and in transformers; by hand one of them sees NaN, and neither waits for the other."""
    processes.two("trainers_range_test.py", tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert same(first["tested"], second["tested"])
    for found in (first, second):
        assert same(found["tested"], found["untested"])
    for mine, others in zip(first["records"], second["records"], strict=True):
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(mine, others, strict=True))
    rates, losses, held_out = first["records"][0]
    assert rates[-2] <= 0.1 < rates[-1]
    assert losses[-1].isnan()
    assert held_out[0].item() == 0.5


# Other frameworks, by `ramp`


def test_optax_range_test_leaves_no_trace():
    """The state of a functional loop is thrown away; the rate is an argument of the compiled update."""
    x = jax.random.normal(jax.random.key(0), (64, 4))
    y, start = x[:, 0] * x[:, 1], jnp.zeros(4)
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)
    traces = []

    @jax.jit
    def update(p, state, rate):
        traces.append(1)
        loss, gradient = jax.value_and_grad(lambda p: ((jnp.tanh(x @ p) - y) ** 2).mean())(p)
        state.hyperparams["learning_rate"] = rate
        updates, state = tx.update(gradient, state, p)
        return optax.apply_updates(p, updates), state, loss

    def make(seed):
        p = start + 0.1 * jax.random.normal(jax.random.key(seed), (4,))
        state = tx.init(p)

        def step(rate):
            nonlocal p, state
            p, state, loss = update(p, state, rate)
            return loss

        return step

    sweep = ramp(make=make, seeds=(0, 1, 2), low=1e-4, high=10.0, optimizer="optax adam")
    assert sweep.losses.shape[1] == 3
    assert np.isfinite(sweep.losses[0]).all()
    assert len(traces) == 1
    assert float(start.sum()) == 0.0


def keras_model(seed=0):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
    net = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    net.compile(keras.optimizers.Adam(0.001), "mse", metrics=["mae"])
    return net


def keras_batches():
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    return [(x[rows], x[rows, :1] * x[rows, 1:2]) for rows in np.split(np.arange(32), 4)]


def test_keras_range_test_leaves_no_trace():
    def trained(test_it=None, before=0):
        seeded()
        net = keras_model()
        for batch in keras_batches()[:before]:
            net.train_on_batch(*batch)
        sweep = test_it(net) if test_it else None
        x, y = (np.concatenate(each) for each in zip(*keras_batches(), strict=True))
        history = net.fit(x, y, epochs=3, batch_size=8, verbose=0).history
        return sweep, [
            [each.tolist() for each in net.get_weights()],
            float(net.optimizer.learning_rate),
            history,
            drawn(),
        ]

    def failing(net):
        with pytest.raises(ZeroDivisionError):
            for_keras.climb(net, (pair if at < 3 else 1 / 0 for at in range(9) for pair in keras_batches()))

    for before in (0, 3):
        sweep, tested = trained(lambda net: for_keras.climb(net, keras_batches(), **RANGE), before)
        assert same(tested, trained(before=before)[1])
        assert same(trained(failing, before)[1], tested)
        assert (sweep.optimizer, len(sweep.rates)) == ("Adam", 25)
        assert sweep.memory > 0


def test_keras_records_the_loss_of_each_batch_at_its_rate():
    """Against a plain loop that sets the same rates by hand."""
    seeded()
    sweep = for_keras.climb(keras_model(), keras_batches(), **RANGE)
    seeded()
    plain, losses = keras_model(), []
    for rate, batch in zip(sweep.rates, itertools.cycle(keras_batches()), strict=False):
        plain.optimizer.learning_rate = rate
        losses.append(plain.train_on_batch(*batch)[0])
        plain.reset_metrics()
    assert np.allclose(sweep.losses[:, 0], losses, rtol=1e-6)


def test_keras_wrong_input_is_refused():
    with pytest.raises(DriveError, match="is not compiled"):
        for_keras.climb(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), keras_batches())
    net = keras.Sequential([keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    with pytest.raises(DriveError, match="is not built"):
        for_keras.climb(net, keras_batches())
    net = keras_model()
    net.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)), "mse")
    with pytest.raises(DriveError, match="rate is a schedule"):
        for_keras.climb(net, keras_batches())
    with pytest.raises(TaskError, match="the loader has no batch"):
        for_keras.climb(keras_model(), [])


def test_a_sweep_of_a_trainer_can_be_read(tmp_path):
    callback = for_lightning.RangeTestCallback(low=1e-5, high=10.0)
    fitted(tmp_path, callback)
    found = suggest(callback.record)
    assert found.reason
