"""A training that finds its rate in a trainer's loop is then, bit by bit, one that is driven at it from the start."""

import os
from pathlib import Path

import lightning.pytorch
import processes
import pytest
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning_loop import QUIET
from torchmetrics.classification import MulticlassAccuracy
from traces import drawn, same, seeded
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from stepsize.adapters import lightning as for_lightning
from stepsize.adapters import transformers as for_transformers
from stepsize.adapters.torch.groups import plain
from stepsize.callbacks import lightning as tune_lightning
from stepsize.callbacks import transformers as tune_transformers
from stepsize.kernel.errors import DriveError, ParameterError, TaskError
from stepsize.policies import wsd
from stepsize.results.io import dumps

os.environ["HF_HUB_OFFLINE"] = "1"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:no pilot run did better"),
]
STEPS, EPOCHS = 48, 6


# Lightning


class Data(lightning.pytorch.LightningDataModule):
    def __init__(self, rows=64):
        super().__init__()
        x = torch.randn(rows + 16, 4, generator=torch.Generator().manual_seed(0))
        pairs = torch.utils.data.TensorDataset(x, (x[:, 0] > x[:, 1]).long())
        self.parts = torch.utils.data.random_split(pairs, (rows, 16), torch.Generator().manual_seed(0))

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.parts[0], batch_size=8, shuffle=True)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(self.parts[1], batch_size=8)


class Module(lightning.pytorch.LightningModule):
    """Dropout, BatchNorm, a metric, and two groups of which one has a tenth of the rate and no decay."""

    def __init__(self, fails_at=None, scale=1.0, manual=False):
        super().__init__()
        hidden = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.2)
        self.net, self.accuracy = torch.nn.Sequential(*hidden, torch.nn.Linear(8, 2)), MulticlassAccuracy(2)
        self.seen, self.batches, self.fails_at, self.scale = [], 0, fails_at, scale
        self.automatic_optimization = not manual

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self.net(x + 0.01 * sum(drawn()))
        loss = torch.nn.functional.cross_entropy(out, y) * self.scale
        self.accuracy(out, y)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
        self.batches += 1
        if self.batches == self.fails_at:
            raise ArithmeticError
        if self.automatic_optimization:
            return loss
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return None

    def validation_step(self, batch):
        x, y = batch
        self.log("val_loss", torch.nn.functional.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        groups = [
            {"params": self.net[:4].parameters(), "lr": 1e-4, "weight_decay": 0.0},
            {"params": self.net[4].parameters()},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1e-3)
        optimizer.register_step_pre_hook(lambda *_: self.seen.append([group["lr"] for group in optimizer.param_groups]))
        return optimizer


class Heard(Callback):
    """Notes every hook of a callback that is called, with the Trainer's step."""

    def __init__(self):
        self.hooks = []

    def __getattribute__(self, name):
        if name.startswith("on_") and name not in ("on_save_checkpoint", "on_load_checkpoint"):
            return lambda trainer, *_, **__: self.hooks.append((name, trainer.global_step))
        return super().__getattribute__(name)


def fitted(folder, callback, module=(), scale=None, **arguments):
    """Everything there is after a training: weights, states, counts, the log file, and what other callbacks heard."""
    seeded()
    made, heard = Module(**dict(module)), Heard()
    logger = CSVLogger(folder, version=str(len(list(folder.glob("*/*")))))
    others = [heard, LearningRateMonitor(), ModelCheckpoint(monitor="val_loss", save_top_k=1)]
    settings = {**QUIET, "max_epochs": EPOCHS, "logger": logger, "log_every_n_steps": 1, "enable_checkpointing": True}
    if scale:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        settings["plugins"] = [MixedPrecision("16-mixed", "cpu", scaler=scaler)]
    trainer = lightning.pytorch.Trainer(**{**settings, "callbacks": [callback, *others], **arguments})
    trainer.fit(made, datamodule=Data())
    return made, [
        made.state_dict(),
        trainer.optimizers[0].state_dict(),
        {name: float(value) for name, value in trainer.callback_metrics.items()},
        (trainer.global_step, trainer.current_epoch, made.batches),
        Path(logger.log_dir, "metrics.csv").read_text(encoding="utf-8"),
        heard.hooks,
        [file.name for file in sorted(Path(logger.log_dir).rglob("*.ckpt"))],
        drawn(),
    ]


LIGHTNING = {
    "plain": ({}, {}, {}),
    "validated by its own loss": ({"validate": "val_loss"}, {}, {}),
    "accumulated and clipped": (
        {"policy": "wsd"},
        {"accumulate_grad_batches": 3, "gradient_clip_val": 0.5, "max_epochs": 15},
        {},
    ),
    "manual": ({"monitor": "loss"}, {}, {"manual": True}),
    "float16": ({"steps": 40}, {"scale": 2.0**24}, {}),
}


@pytest.mark.parametrize("name", LIGHTNING)
def test_lightning_real_run_is_bit_by_bit_that_of_a_policy_callback(name, tmp_path):
    asked, arguments, module = LIGHTNING[name]
    callback = tune_lightning.TuneCallback(**asked)
    made, tuned = fitted(tmp_path, callback, module, **arguments)
    policy = for_lightning.PolicyCallback(callback.answer.policy, steps=asked.get("steps"))
    driven, expected = fitted(tmp_path, policy, module, **arguments)
    assert same(tuned, expected)
    assert len(callback.answer.runs) >= 2
    assert made.seen == driven.seen
    assert all(first == pytest.approx(second / 10) for first, second in made.seen)
    assert callback.answer.scored == ("validation loss" if "validated" in name else "training loss")
    assert callback.answer.steps == len(driven.seen) == {"accumulated and clipped": 45, "float16": 40}.get(name, STEPS)


@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_code_of_an_answer_is_the_callback_that_drives_at_it(framework):
    callback, made = tune_lightning.TuneCallback(), {}
    plainly(callback)
    exec(callback.answer.code(framework), made)  # noqa: S102  (to run it is what it is for)
    assert (
        type(made["callback"])
        is {"lightning": for_lightning, "transformers": for_transformers}[framework].PolicyCallback
    )
    policy = made["callback"].policies[0].over(STEPS)
    own = callback.answer.policy.over(STEPS).table(0, STEPS)["lr"].tolist()
    assert policy.table(0, STEPS)["lr"].tolist() == pytest.approx(own, rel=1e-12, abs=0)


class Stop(Callback):
    """Saves a checkpoint at the end of an epoch, and stops."""

    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)
            raise KeyError


def plainly(callback, path=None, stop=None, made=None, **arguments):
    """Fit without logger and validation; return the module."""
    seeded()
    made = made or Module()
    stops = [] if stop is None else [Stop(stop, 2)]
    trainer = lightning.pytorch.Trainer(
        **{**QUIET, "max_epochs": EPOCHS, "limit_val_batches": 0, "callbacks": [callback, *stops], **arguments}
    )
    trainer.fit(made, datamodule=Data(), ckpt_path=path, weights_only=True)
    return made


def test_lightning_goes_on_from_a_checkpoint_without_new_pilot_runs(tmp_path):
    """And a PolicyCallback goes on from it too; another policy or length is refused."""
    path = tmp_path / "stopped.ckpt"
    first = tune_lightning.TuneCallback()
    with pytest.raises(KeyError):
        plainly(first, stop=path)
    again = tune_lightning.TuneCallback()
    gone_on = plainly(again, path)
    policy = first.answer.policy.over(STEPS)
    rates = policy.table(0, STEPS)["lr"].tolist()
    assert [second for _, second in gone_on.seen] == rates[24:]
    assert dumps(again.answer) == dumps(first.answer)
    driven = plainly(for_lightning.PolicyCallback(first.answer.policy), path)
    assert same(driven.state_dict(), gone_on.state_dict())
    with pytest.raises(DriveError, match="saved with another policy"):
        plainly(tune_lightning.TuneCallback("wsd"), path)
    with pytest.raises(DriveError, match="another horizon: 48 updates then, and 56 now"):
        plainly(tune_lightning.TuneCallback(), path, max_epochs=7)


def test_lightning_checkpoint_of_a_given_rate_is_refused(tmp_path):
    path = tmp_path / "stopped.ckpt"
    with pytest.raises(KeyError):
        plainly(for_lightning.PolicyCallback(wsd(0.01)), stop=path)
    with pytest.raises(DriveError, match="its rate was given and not found"):
        plainly(tune_lightning.TuneCallback("wsd"), path)


def test_lightning_without_a_share_trains_at_what_is_believed_and_says_so():
    callback = tune_lightning.TuneCallback(share=0)
    with pytest.warns(UserWarning, match="no pilot run was made, so the rate"):
        made = plainly(callback)
    assert callback.answer.runs == ()
    assert made.seen[0][1] == callback.answer.policy.over(STEPS)["lr"](0)
    assert len(made.seen) == STEPS


def test_lightning_error_in_a_pilot_run_leaves_no_trace():
    made, callback = Module(fails_at=4), tune_lightning.TuneCallback()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(ArithmeticError):
        plainly(callback, made=made)
    assert same(dict(made.state_dict()), before)
    assert made.batches == made.accuracy._update_count == 0
    assert not callback.piloting
    with pytest.raises(DriveError, match="there is no answer before the pilot runs are over"):
        callback.answer  # noqa: B018  (asking is the test)


def test_lightning_module_can_ask_whether_this_is_a_pilot_run():
    callback, asked = tune_lightning.TuneCallback(), []

    class Asking(Module):
        def training_step(self, batch, batch_idx):
            asked.append(callback.piloting)
            return super().training_step(batch, batch_idx)

    plainly(callback, made=Asking())
    assert asked[:1] == [True]
    assert asked[-STEPS:] == [False] * STEPS
    assert sum(asked) == len(asked) - STEPS


LIGHTNING_REFUSALS = {
    "a first loss that is NaN": (TaskError, "no learning rate can help", {}, {"scale": float("nan")}, {}),
    "no end": (DriveError, "Lightning cannot tell how many updates", {}, {}, {"max_epochs": -1}),
    "too short": (DriveError, "8 updates is too short to tune", {}, {}, {"max_epochs": 1}),
    "no such policy": (ParameterError, "one_cycel.*Did you mean", {"policy": "one_cycel"}, {}, {}),
    "no loss": (DriveError, "has logged 'lass'.*Did you mean 'loss'", {"monitor": "lass"}, {"manual": True}, {}),
    "no such validation": (
        DriveError,
        "logs val_loss.*Did you mean 'val_loss'",
        {"validate": "val_lost"},
        {},
        {"limit_val_batches": 1.0},
    ),
}


@pytest.mark.parametrize("name", LIGHTNING_REFUSALS)
def test_lightning_wrong_input_is_refused(name):
    error, words, asked, module, arguments = LIGHTNING_REFUSALS[name]
    with pytest.raises(error, match=words):
        plainly(tune_lightning.TuneCallback(**asked), made=Module(**module), **arguments)


def test_lightning_dry_run_tunes_nothing_and_says_so():
    with pytest.warns(UserWarning, match="with fast_dev_run nothing is tuned or driven"):
        made = plainly(tune_lightning.TuneCallback(), fast_dev_run=True)
    assert made.seen == [pytest.approx([1e-4, 1e-3])]


def test_a_share_that_there_is_not_is_refused_at_once():
    with pytest.raises(ParameterError, match="share= is what the pilot runs may cost"):
        tune_lightning.TuneCallback(share=-1)


def test_lightning_several_optimizers_and_schedulers_are_refused():
    made = Module(manual=True)
    configure = made.configure_optimizers
    made.configure_optimizers = lambda: [configure(), torch.optim.SGD(made.net[4].parameters(), lr=0.1)]
    with pytest.raises(DriveError, match="this training has 2 optimizers"):
        plainly(tune_lightning.TuneCallback(), made=made)
    made.configure_optimizers = lambda: ([optimizer := configure()], [torch.optim.lr_scheduler.StepLR(optimizer, 1)])
    with pytest.raises(DriveError, match=r"returns a scheduler \(StepLR\), which would undo what TuneCallback"):
        plainly(tune_lightning.TuneCallback(), made=made)


# transformers


def bert():
    config = BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, num_labels=2,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def rows(count, seed):
    tokens = torch.randint(32, (count, 8), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": (row[0] > row[1]).long()} for row in tokens]


class Hooks(TrainerCallback):
    """Notes every hook that is called with the Trainer's step, and the rates of each update."""

    def __init__(self):
        self.heard, self.seen = [], []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda args, state, control, **given: self.hear(name, state, given)
        return super().__getattribute__(name)

    def hear(self, name, state, given):
        self.heard.append((name, state.global_step, state.epoch))
        if name == "on_pre_optimizer_step":
            groups = plain(given["optimizer"]).param_groups
            self.seen.append([(group["lr"], group["weight_decay"]) for group in groups])


class Losses(Trainer):
    """Logs from `compute_loss`, as users do, and multiplies the loss."""

    scale = 1.0

    def compute_loss(self, model, inputs, **named):
        loss = super().compute_loss(model, inputs, **named)
        if not model.training:
            return loss
        self.log({"own": float(torch.rand(()))})
        return loss * self.scale


def trainer_of(folder, hooks, net=None, data=None, **arguments):
    given = {
        "per_device_train_batch_size": 8, "max_steps": STEPS, "weight_decay": 0.1, "logging_steps": 5,
        "eval_strategy": "steps", "eval_steps": 24, "save_strategy": "steps", "save_steps": 24, "report_to": "none",
        "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False, **arguments,
    }  # fmt: skip
    seeded()
    made = TrainingArguments(str(folder), **given)
    sets = {"train_dataset": rows(60, 0) if data is None else data, "eval_dataset": rows(16, 1)}
    return Losses(net or bert(), made, callbacks=[hooks], **sets)


def hugged(folder, add, resume=None, **arguments):
    """Everything there is after a training by the Trainer, and what others heard of it."""
    hooks = Hooks()
    trainer = trainer_of(folder, hooks, **arguments)
    callback = add(trainer)
    trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=resume)
    timed = ("runtime", "per_second")
    logs = [
        {key: value for key, value in entry.items() if not any(word in key for word in timed)}
        for entry in trainer.state.log_history
    ]
    return callback, hooks, [
        trainer.model.state_dict(), plain(trainer.optimizer).state_dict(), logs, hooks.heard, hooks.seen,
        trainer.state.global_step, sorted(path.name for path in Path(folder).glob("*")), drawn(),
    ]  # fmt: skip


TRANSFORMERS = {
    "plain": ({}, {}),
    "evaluated": ({"policy": "warmup_linear", "validate": "eval_loss"}, {}),
    "accumulated": ({}, {"gradient_accumulation_steps": 3, "max_steps": 45, "num_train_epochs": 1}),
    "epochs": ({"policy": "cosine"}, {"max_steps": -1, "num_train_epochs": 6}),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_real_run_is_bit_by_bit_that_of_a_policy_callback(name, tmp_path):
    asked, arguments = TRANSFORMERS[name]
    callback, hooks, tuned = hugged(
        tmp_path / "tuned", lambda trainer: tune_transformers.TuneCallback(trainer, **asked), **arguments
    )
    policy = for_transformers.PolicyCallback(callback.answer.policy)
    *_, driven = hugged(tmp_path / "driven", lambda trainer: policy, **arguments)
    assert same(tuned, driven)
    assert len(callback.answer.runs) >= 2
    assert callback.answer.steps == len(hooks.seen) == arguments.get("max_steps", STEPS) % 49
    assert all((one, other) == (one, one) for (one, _), (other, _) in hooks.seen)
    assert [decay for _, decay in hooks.seen[0]] == [0.1, 0.0]
    assert callback.answer.scored == ("validation loss" if name == "evaluated" else "training loss")


def test_transformers_goes_on_from_a_checkpoint_without_new_pilot_runs(tmp_path):
    first, hooks, whole = hugged(tmp_path, tune_transformers.TuneCallback)
    again, rest, gone_on = hugged(tmp_path, tune_transformers.TuneCallback, str(tmp_path / "checkpoint-24"))
    assert dumps(again.answer) == dumps(first.answer)
    assert rest.seen == hooks.seen[24:]
    assert same(gone_on[:2], whole[:2])
    with pytest.raises(DriveError, match="saved with another policy"):
        hugged(
            tmp_path,
            lambda trainer: tune_transformers.TuneCallback(trainer, "wsd"),
            str(tmp_path / "checkpoint-24"),
        )


def test_transformers_without_a_share_trains_at_what_is_believed_and_says_so(tmp_path):
    with pytest.warns(UserWarning, match="no pilot run was made, so the rate"):
        callback, hooks, _ = hugged(tmp_path, lambda trainer: tune_transformers.TuneCallback(trainer, share=0))
    assert len(hooks.seen) == STEPS
    assert hooks.seen[0][0][0] == callback.answer.policy.over(STEPS)["lr"](0)


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return iter(rows(self.count, 0))


TRANSFORMERS_REFUSALS = {
    "a first loss that is NaN": (TaskError, "no learning rate can help", {}, {}, float("nan")),
    "too short": (DriveError, "12 updates is too short to tune", {}, {"max_steps": 12}, 1.0),
    "no such evaluation": (DriveError, "Did you mean 'eval_loss'", {"validate": "eval_los"}, {}, 1.0),
}


@pytest.mark.parametrize("name", TRANSFORMERS_REFUSALS)
def test_transformers_wrong_input_is_refused(name, tmp_path):
    error, words, asked, arguments, scale = TRANSFORMERS_REFUSALS[name]
    trainer = trainer_of(tmp_path, Hooks(), **arguments)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.scale = scale
    trainer.add_callback(tune_transformers.TuneCallback(trainer, **asked))
    with pytest.raises(error, match=words):
        trainer.train()
    assert same(dict(trainer.model.state_dict()), before)
    assert trainer.state.log_history == []


def test_transformers_another_driver_and_no_trainer_are_refused(tmp_path):
    trainer = trainer_of(tmp_path, for_transformers.PolicyCallback(wsd(0.01)))
    trainer.add_callback(tune_transformers.TuneCallback(trainer))
    with pytest.raises(DriveError, match="two callbacks of this Trainer drive its optimizer"):
        trainer.train()
    for made in (tune_transformers.TuneCallback, for_transformers.RangeTestCallback):
        with pytest.raises(DriveError, match=rf"takes the Trainer .* not 'wsd': trainer.add_callback\({made.__name__}"):
            made("wsd")


def test_transformers_loader_without_a_batch_is_refused(tmp_path):
    trainer = trainer_of(tmp_path, Hooks(), data=Stream(0))
    trainer.get_train_dataloader = lambda: torch.utils.data.DataLoader(Stream(0), batch_size=8)
    trainer.add_callback(tune_transformers.TuneCallback(trainer))
    with pytest.raises(TaskError, match="the loader has no batch"):
        trainer.train()


def test_transformers_tunes_on_a_stream(tmp_path):
    callback, hooks, _ = hugged(tmp_path, tune_transformers.TuneCallback, data=Stream(40))
    assert len(hooks.seen) == callback.answer.steps == STEPS


# Processes


@pytest.mark.parametrize("trainer", ["lightning", "transformers"])
def test_two_processes_agree_and_train_as_a_policy_callback_makes_them(trainer, two_processes):
    one, other = two_processes
    assert one[f"{trainer} runs"] == other[f"{trainer} runs"]
    assert len(one[f"{trainer} runs"]) >= 2
    for each in (one, other):
        assert torch.equal(each[trainer], one[f"{trainer} driven"])


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    processes.two("trainers_tune_of_two.py", folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
