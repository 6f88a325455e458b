"""Two writers of one hyperparameter, in the loop of every framework: noticed before the update that it would spoil.

What else sets the rate is a line of the user's or a part of the framework. tests/adapters/test_second_writer.py has the
plain loops of torch, and what must not be taken for a second writer.
"""

import os
import warnings

import accelerate
import lightning.pytorch as lightning
import pytest
import tinynet as tiny
import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers.param_scheduler import CosineAnnealingScheduler
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning_loop import module, trainer_of
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import TrainerCallback
from transformers_loop import trainer_of as transformers_trainer

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.ignite import PolicyScheduler
from stepsize.adapters.lightning import PolicyCallback, with_scheduler
from stepsize.adapters.transformers import PolicyCallback as TransformersCallback
from stepsize.kernel.errors import DriveError
from stepsize.schedules import Constant

os.environ.setdefault("KERAS_BACKEND", "torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]

POLICY = Policy(lr=Constant(0.1))
NOTICED = "something else sets it too, and each undoes the other"
EPOCH = 4
"""Updates of one."""


def halve(optimizer):
    for group in optimizer.param_groups:
        group["lr"] *= 0.5


class Halving(lightning.Callback):
    """Sets the rate as an epoch begins, as a callback of Lightning's own would."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            halve(trainer.optimizers[0])


def in_lightning(way):
    def train(folder):
        def configure(net):
            made = tiny.two_groups(net)
            return made if way == "callback" else with_scheduler(made, POLICY, tiny.STEPS)

        made = module(configure=configure)
        own = [PolicyCallback(POLICY)] if way == "callback" else []
        with pytest.raises(DriveError, match=NOTICED):
            trainer_of(*own, Halving()).fit(made, tiny.loader())
        return [row[0][0] for row in made.seen]

    return train


def in_transformers(*, first):
    """The other callback comes before ours, or after it."""

    def train(folder):
        class Halve(TrainerCallback):
            rates = ()

            def on_step_end(self, args, state, control, optimizer=None, **kwargs):
                self.rates = (*self.rates, optimizer.param_groups[0]["lr"])
                if state.global_step == EPOCH:
                    halve(optimizer)

        other, own = Halve(), TransformersCallback(POLICY)
        with pytest.raises(DriveError, match=NOTICED):
            transformers_trainer(folder, *((other, own) if first else (own, other))).train()
        return [0.1] * len(other.rates)

    return train


def in_accelerate(folder):
    accelerator, net = accelerate.Accelerator(cpu=True), tiny.model()
    optimizer = tiny.two_groups(net)
    scheduler = as_lr_scheduler(optimizer, POLICY.over(tiny.STEPS), counts="updates")
    net, prepared, scheduler = accelerator.prepare(net, optimizer, scheduler)
    reduce, seen = ReduceLROnPlateau(optimizer, factor=0.5, patience=0), []

    def train():
        for step in range(tiny.STEPS):
            if step and not step % EPOCH:
                reduce.step(float(step))
            accelerator.backward(tiny.loss(net, step))
            prepared.step()
            scheduler.step()
            seen.append(0.1)

    reduce.step(0.0)
    with pytest.raises(DriveError, match=NOTICED):
        train()
    return seen


def in_ignite(way):
    def train(folder):
        net = tiny.model()
        optimizer, seen = tiny.two_groups(net), []
        trainer = create_supervised_trainer(net, optimizer, torch.nn.functional.cross_entropy)
        if way == "driver":
            drive(optimizer, POLICY, tiny.STEPS).attach()
        else:
            trainer.add_event_handler(Events.ITERATION_STARTED, PolicyScheduler(optimizer, POLICY, tiny.STEPS))
        theirs = CosineAnnealingScheduler(optimizer, "lr", 0.05, 0.0, 10)
        trainer.add_event_handler(Events.ITERATION_STARTED(event_filter=lambda _, event: event > EPOCH), theirs)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: seen.append(optimizer.param_groups[0]["lr"]))
        with pytest.raises(DriveError, match=NOTICED):
            trainer.run([tiny.batch(step) for step in range(EPOCH)], max_epochs=3)
        return seen[:EPOCH]

    return train


def in_keras(folder):
    keras = pytest.importorskip("keras")
    from stepsize.adapters.keras import PolicyCallback as KerasCallback  # noqa: PLC0415  (Keras is looked for first)

    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: seen.append(round(float(model.optimizer.learning_rate), 6))
    )
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=1e9)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = torch.ones(2 * EPOCH, 4).numpy()
    with pytest.raises(DriveError, match=NOTICED + ".*Keras's ReduceLROnPlateau"):
        model.fit(x, x[:, :1], epochs=6, batch_size=4, verbose=0, callbacks=[note, plateau, KerasCallback(POLICY)])
    return seen


def in_fastai(folder):
    pytest.importorskip("fastai")
    with warnings.catch_warnings(action="ignore"):
        from fastai.callback.schedule import ParamScheduler, SchedLin  # noqa: PLC0415  (as above)
        from fastai_loop import Adam, DataLoader, DataLoaders, Learner  # noqa: PLC0415

        from stepsize.adapters.fastai import PolicyCallback as FastaiCallback  # noqa: PLC0415

    batches = [tiny.batch(step) for step in range(EPOCH)]
    loaders = DataLoaders(DataLoader(batches, bs=None), DataLoader(batches, bs=None))
    learner = Learner(loaders, tiny.model(), loss_func=torch.nn.functional.cross_entropy, opt_func=Adam)
    own, other = FastaiCallback(POLICY), ParamScheduler({"lr": SchedLin(0.05, 0.0)})
    with learner.no_bar(), learner.no_logging(), pytest.raises(DriveError, match=NOTICED):
        learner.fit(3, cbs=[own, other])
    return own.hps["lr"] * EPOCH  # it sets the rate before the first update, which has ours


LOOPS = {
    "lightning-callback": in_lightning("callback"),
    "lightning-scheduler": in_lightning("scheduler"),
    "transformers-first": in_transformers(first=True),
    "transformers-last": in_transformers(first=False),
    "accelerate": in_accelerate,
    "ignite-driver": in_ignite("driver"),
    "ignite-scheduler": in_ignite("scheduler"),
    "keras": in_keras,
    "fastai": in_fastai,
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_second_writer_is_noticed(loop, tmp_path):
    """Every update before it has the policy's rate; none is made at a third one."""
    seen = LOOPS[loop](tmp_path)
    assert set(seen) == {0.1}
    assert len(seen) in (EPOCH, EPOCH + 1)  # a scheduler that counts updates looks right after one


def test_lightnings_average_is_refused_before_training_beside_the_callback():
    averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1)
    made = module()
    with pytest.raises(DriveError, match=r"StochasticWeightAveraging.*with_scheduler.*WeightAveraging"):
        trainer_of(PolicyCallback(POLICY), averaging).fit(made, tiny.loader())
    assert made.seen == []


def test_what_averages_without_a_rate_of_its_own_is_no_second_writer():
    made = module()
    trainer_of(PolicyCallback(tiny.POLICY), WeightAveraging()).fit(made, tiny.loader())
    assert made.seen == tiny.expected()


@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch", "ignore:Swapping scheduler")
def test_lightnings_average_replaces_a_scheduler_of_ours():
    """It anneals from the rate that it finds to its own, and ours has no say any more."""
    averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1, annealing_epochs=1)
    made = module(configure=lambda net: with_scheduler(tiny.two_groups(net), POLICY, tiny.STEPS))
    trainer_of(averaging).fit(made, tiny.loader())
    assert [row[0][0] for row in made.seen] == pytest.approx([0.1] * EPOCH + [0.05] * (tiny.STEPS - EPOCH))
