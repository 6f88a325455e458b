"""Lightning's Trainer, with the policy as a callback and as the scheduler of the module."""

import importlib
import sys

import lightning.pytorch
import processes
import pytest
import pytorch_lightning
import tinynet as tiny
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning_loop import EPOCHS, Crash, CrashError, module, trainer_of, ways_of
from tinynet import POLICY, STEPS, loader

from stepsize import Policy
from stepsize.adapters.lightning import PolicyCallback, with_scheduler
from stepsize.kernel.errors import DriveError, MissingPackageError
from stepsize.policies import cosine, one_cycle
from stepsize.schedules import Cosine, Linear, Plateau

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
]

ways = pytest.mark.parametrize("way", ["callback", "scheduler"])


@ways
@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning], ids=lambda package: package.__name__)
def test_the_trainer_of_either_package_has_the_values(way, package):
    configure, callbacks = ways_of(way)
    made = module(package, configure)
    trainer_of(*callbacks, package=package).fit(made, loader())
    assert made.seen == tiny.expected()


def test_a_feedback_is_the_same_in_two_processes(tmp_path):
    """A feedback that hears another number in each process multiplies by the same in both."""
    processes.two("lightning_loop.py", tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["seen"] == second["seen"]
    assert torch.equal(first["weights"], second["weights"])
    expected = tiny.expected()
    multipliers = [1.0] * 8 + [0.5] * 4  # it hears the first epoch, a bad second one, and then the third
    for (left, right), row, multiplier in zip(first["seen"], expected, multipliers, strict=True):
        assert [left[0], *left[1:]] == pytest.approx([row[0][0] * multiplier, *row[0][1:]], rel=1e-15)
        assert right[2] == 0.0
    assert first["state"] == second["state"]
    assert first["state"]["feedback"]["calls"] == 3


def saved(tmp_path, *callbacks, configure=tiny.two_groups):
    """A checkpoint after the first epoch of three."""
    path = tmp_path / "first.ckpt"
    with pytest.raises(CrashError):
        trainer_of(*callbacks, Crash(path, 4)).fit(module(configure=configure), loader())
    return path


def test_saved_and_reloaded(tmp_path):
    """The state of the callback is plain, and another policy, horizon, feedback or number of policies is refused."""
    path = saved(tmp_path, PolicyCallback(POLICY))
    state = torch.load(path, weights_only=True)["callbacks"]["PolicyCallback"]
    assert [each["step"] for each in state["drivers"]] == [4]
    for other, epochs, said in (
        (PolicyCallback(cosine(0.1)), EPOCHS, "another policy, horizon or feedback"),
        (PolicyCallback(POLICY, steps=STEPS + 1), EPOCHS, "another policy, horizon or feedback"),
        (
            PolicyCallback(POLICY, feedback=Plateau(), monitor="train_loss"),
            EPOCHS,
            "another policy, horizon or feedback",
        ),
        (PolicyCallback(POLICY), EPOCHS + 1, "another horizon: 12 updates then, and 16 now"),
        (PolicyCallback([POLICY, POLICY]), EPOCHS, "saved with 1 policies, and there are 2 now"),
    ):
        with pytest.raises(DriveError, match=said):
            trainer_of(other, max_epochs=epochs).fit(module(), loader(), ckpt_path=path)


def test_another_horizon_goes_on_on_purpose(tmp_path):
    """One epoch of three, and then on to four of them: the policy over 16 updates, from its fifth."""
    line = Policy(lr=Linear(1.0, 0.0))
    path, made = saved(tmp_path, PolicyCallback(line)), module()
    trainer_of(PolicyCallback(line, rebind=True), max_epochs=EPOCHS + 1).fit(made, loader(), ckpt_path=path)
    assert [row[0][0] for row in made.seen] == [Linear(1.0, 0.0, 16)(step) for step in range(4, 16)]
    brought = module(configure=lambda net: with_scheduler(tiny.two_groups(net), "cosine", STEPS + 4, rebind=True))
    path = saved(tmp_path, configure=ways_of("scheduler")[0])
    trainer_of(max_epochs=EPOCHS + 1).fit(brought, loader(), ckpt_path=path)
    assert len(brought.seen) == 12


@pytest.mark.parametrize(
    "policy", ["cosine", {"lr": {"kind": "Cosine", "start": 1.0, "end": 0.0}}], ids=["name", "spec"]
)
def test_a_policy_by_name_or_as_a_spec(policy, tmp_path):
    """By its name it peaks at the rate that the module gave its optimizer, after a checkpoint too."""
    made, again = module(), module()
    rate = tiny.two_groups(tiny.model()).defaults["lr"] if policy == "cosine" else 1.0
    expected = [cosine(rate).over(STEPS)["lr"](step) for step in range(STEPS)]
    trainer_of(PolicyCallback(policy)).fit(made, loader())
    assert [row[0][0] for row in made.seen] == expected
    trainer_of(PolicyCallback(policy)).fit(again, loader(), ckpt_path=saved(tmp_path, PolicyCallback(policy)))
    assert [row[0][0] for row in again.seen] == expected[4:]


def test_a_scheduler_of_another_policy_is_refused(tmp_path):
    path = saved(tmp_path, configure=ways_of("scheduler")[0])
    for policy, steps in ((cosine(0.1), STEPS), (POLICY, STEPS + 1)):
        made = module(configure=lambda net, p=policy, s=steps: with_scheduler(tiny.two_groups(net), p, s))
        with pytest.raises(DriveError, match="another policy or horizon"):
            trainer_of().fit(made, loader(), ckpt_path=path)


def test_a_checkpoint_without_the_callback_is_refused(tmp_path):
    with pytest.raises(DriveError, match="global_step=4"):
        trainer_of(PolicyCallback(POLICY)).fit(module(), loader(), ckpt_path=saved(tmp_path))


def test_a_second_fit_that_goes_on_is_refused_and_a_new_one_begins_anew(tmp_path):
    """One trainer that fits twice goes on counting; a callback in a new trainer begins at 0 with a new optimizer."""
    callback = PolicyCallback(POLICY)
    trainer = trainer_of(callback)
    trainer.fit(module(), loader())
    trainer.fit_loop.max_epochs = EPOCHS + 1
    with pytest.raises(DriveError, match="global_step=12"):
        trainer.fit(module(), loader())
    made = module()
    trainer_of(callback).fit(made, loader())
    assert made.seen == tiny.expected()


def test_a_run_without_an_end_is_refused():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from loader().dataset

    endless = torch.utils.data.DataLoader(Endless(), batch_size=8)
    for data, arguments, said in ((loader(), {"max_epochs": -1}, "inf"), (endless, {}, "-1")):
        with pytest.raises(DriveError, match=f"it says {said}.*set max_steps"):
            trainer_of(PolicyCallback(POLICY), **arguments).fit(module(), data)
    made = module()
    trainer_of(PolicyCallback(POLICY, steps=STEPS)).fit(made, endless)
    assert made.seen == tiny.expected()
    with pytest.raises(DriveError, match="it says inf"):
        with_scheduler(tiny.two_groups(tiny.model()), POLICY, float("inf"))


def test_a_second_scheduler_is_refused():
    made = module(configure=ways_of("scheduler")[0])
    with pytest.raises(DriveError, match=r"returns a scheduler \(AttachedLR\)"):
        trainer_of(PolicyCallback(POLICY)).fit(made, loader())


def gan():
    """Two optimizers in manual optimization; the second one is updated at every other batch."""

    class Gan(lightning.pytorch.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.nets = torch.nn.ModuleList([tiny.model(0), tiny.model(1)])
            self.seen = ([], [])

        def training_step(self, batch, place):
            x, y = batch
            for which, (net, optimizer) in enumerate(zip(self.nets, self.optimizers(), strict=True)):
                if which == 0 or place % 2:
                    self.seen[which].append(tiny.in_force(optimizer))
                    optimizer.zero_grad()
                    self.manual_backward(torch.nn.functional.cross_entropy(net(x), y))
                    optimizer.step()

        def configure_optimizers(self):
            return [tiny.two_groups(net) for net in self.nets]

    return Gan()


@pytest.mark.filterwarnings(
    "ignore:You're resuming from a checkpoint that ended before the epoch"
)  # two updates a batch
def test_several_optimizers_have_a_policy_each(tmp_path):
    def run(*more, checkpoint=None, log=None):
        made, slow = gan(), one_cycle(0.3)
        callback = PolicyCallback([POLICY, slow], steps=[STEPS, STEPS // 2], log=log)
        trainer_of(callback, *more).fit(made, loader(), ckpt_path=checkpoint)
        return made

    rows, slow = {}, one_cycle(0.3).over(6).table(0, 6)["lr"].tolist()
    made = run(log=lambda step, values: rows.setdefault(step, {}).update(values))
    assert made.seen[0] == tiny.expected()
    assert [row[0][0] for row in made.seen[1]] == slow
    assert rows[5]["0/lr/0"] == tiny.expected()[5][0][0]
    assert [rows[step]["1/lr/1"] for step in range(6)] == slow

    path = tmp_path / "first.ckpt"
    with pytest.raises(CrashError):
        run(Crash(path, 6))  # Lightning counts the updates of both
    resumed = run(checkpoint=path)
    assert resumed.seen[0] == tiny.expected()[4:]
    assert all(
        torch.equal(tiny.weights(one), tiny.weights(two)) for one, two in zip(made.nets, resumed.nets, strict=True)
    )


def test_policies_are_as_many_as_optimizers():
    with pytest.raises(DriveError, match="2 optimizers, and PolicyCallback has 1 policies"):
        trainer_of(PolicyCallback(POLICY)).fit(gan(), loader())
    with pytest.raises(DriveError, match="steps="):
        trainer_of(PolicyCallback([POLICY] * 2, steps=[STEPS])).fit(gan(), loader())


def test_the_monitor_logs_what_was_in_force(tmp_path):
    """LearningRateMonitor reads the values before each batch."""
    for way in ("callback", "scheduler"):
        configure, callbacks = ways_of(way)
        monitor = LearningRateMonitor("step", log_momentum=True, log_weight_decay=True)
        logger = CSVLogger(tmp_path / way, version=0)
        trainer_of(*callbacks, monitor, logger=logger, log_every_n_steps=1).fit(module(configure=configure), loader())
        rates = {name: values for name, values in monitor.lrs.items() if values}
        assert rates == {f"lr-AdamW/pg{group + 1}": [row[group][0] for row in tiny.expected()] for group in range(2)}
        assert monitor.last_weight_decay_values["lr-AdamW/pg2-weight_decay"] == 0.0
        assert monitor.last_momentum_values["lr-AdamW/pg1-momentum"] == tiny.expected()[-1][0][1]


@pytest.mark.parametrize("validated", [False, True])
def test_a_feedback_hears_each_validation_or_each_epoch(validated, tmp_path):
    """A metric that never falls halves the rate after the second and the third epoch; resumed, it goes on there."""
    monitor = "val_loss" if validated else "train_accuracy"

    class Same(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.log("train_accuracy", 1.0)

    def run(*more, checkpoint=None):
        callback = PolicyCallback(Policy(lr=0.1), feedback=Plateau(factor=0.5, patience=0), monitor=monitor)
        made = module(validated=validated)
        data = [loader(), loader(1)] if validated else [loader()]
        trainer_of(Same(), callback, *more, num_sanity_val_steps=1).fit(made, *data, ckpt_path=checkpoint)
        return [row[0][0] for row in made.seen]

    assert run() == [0.1] * 8 + [0.05] * 4
    path = tmp_path / "second.ckpt"
    with pytest.raises(CrashError):
        run(Crash(path, 8))
    assert run(checkpoint=path) == [0.05] * 4


def test_a_feedback_needs_a_metric_that_is_logged():
    for given in ({"feedback": Plateau()}, {"monitor": "val_loss"}):
        with pytest.raises(DriveError, match="together"):
            PolicyCallback(POLICY, **given)
    callback = PolicyCallback(POLICY, feedback=Plateau(), monitor="train_lose")
    with pytest.raises(DriveError, match="Did you mean 'train_loss"):
        trainer_of(callback).fit(module(), loader())


def test_the_scheduler_of_a_module_moves_with_each_update():
    """The dictionary says "step", since Lightning's default is the epoch."""
    made = module(configure=lambda net: with_scheduler(tiny.two_groups(net), Policy(lr=Cosine(0.1, 0.0)), STEPS))
    trainer = trainer_of()
    trainer.fit(made, loader())
    (config,) = trainer.lr_scheduler_configs
    assert (config.interval, config.frequency) == ("step", 1)
    assert len({row[0][0] for row in made.seen}) == STEPS


@pytest.mark.parametrize("gone", [["lightning"], ["lightning", "lightning.pytorch", "pytorch_lightning"]])
def test_one_of_the_two_packages_is_enough(gone, monkeypatch):
    for package in gone:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "stepsize.adapters.lightning")
    if len(gone) == 1:
        found = importlib.import_module("stepsize.adapters.lightning")
        assert issubclass(found.PolicyCallback, pytorch_lightning.Callback)
        return
    with pytest.raises(MissingPackageError, match=r"stepsize\[lightning\]"):
        importlib.import_module("stepsize.adapters.lightning")
