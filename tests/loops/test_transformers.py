"""The Trainer of transformers, with the policy as a callback and as the scheduler of an optimizer of ours."""

import importlib
import json
import math
import sys

import pytest
import tinynet as tiny
import torch
from tinynet import POLICY, STEPS
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers_loop import Crash, CrashError, Note, model, trained, trainer_of

from stepsize import Policy, as_lr_scheduler
from stepsize.adapters.transformers import PolicyCallback
from stepsize.kernel.errors import DriveError, MissingPackageError
from stepsize.policies import Groups, cosine
from stepsize.schedules import Linear, Plateau

ways = pytest.mark.parametrize("way", ["callback", "scheduler"])


def test_the_logs_have_the_rate_of_each_update(tmp_path):
    trainer, note = trained("callback", tmp_path)
    trainer.train()
    assert note.logged == [row[0][0] for row in tiny.expected()]
    assert [entry["learning_rate"] for entry in trainer.state.log_history[:-1]] == note.logged


@pytest.mark.parametrize("prepared", ["callback", "scheduler"])
def test_an_optimizer_of_ours_is_logged_right(prepared, tmp_path):
    """With a callback, or with a scheduler that counts calls; one that counts updates has moved on when it is asked."""
    net, note = model(), Note()
    optimizer = tiny.two_groups(net)
    scheduler = as_lr_scheduler(optimizer, POLICY.over(STEPS)) if prepared == "scheduler" else None
    callbacks = [note] if scheduler else [note, PolicyCallback(POLICY)]
    trainer_of(tmp_path, *callbacks, net=net, optimizers=(optimizer, scheduler)).train()
    assert note.seen == tiny.expected()
    assert note.logged == [row[0][0] for row in tiny.expected()]


@ways
@pytest.mark.parametrize("fused", [False, True])
def test_skipped_steps(way, fused, tmp_path):
    """A GradScaler skips three of 15 steps; the Trainer counts those as steps, and the policy does not."""
    steps = STEPS + 3
    trainer, note = trained(way, tmp_path, steps=steps, max_steps=steps, fused=fused, max_grad_norm=0.0)
    trainer.infinite = (0, 5, 6)
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    trainer.train()
    assert trainer.state.global_step == steps
    assert note.seen == tiny.expected(steps)[:STEPS]
    if way == "callback":
        made = (0, *range(4), 4, 4, *range(4, 12))
        assert note.logged == [tiny.expected(steps)[step][0][0] for step in made]


def saved(way, folder, *callbacks, **arguments):
    trainer, _ = trained(way, folder, Crash(), *callbacks, save_strategy="steps", save_steps=5, **arguments)
    with pytest.raises(CrashError):
        trainer.train()


def test_saved_and_reloaded(tmp_path):
    """The state is in trainer_state.json, and another policy, horizon or feedback is refused."""
    saved("callback", tmp_path)
    state = json.loads((tmp_path / "checkpoint-5" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["stepsize"]["drivers"][0]["step"] == 5
    for callback, steps in (
        (PolicyCallback(cosine(0.1)), STEPS),
        (PolicyCallback(POLICY), STEPS + 1),
        (PolicyCallback(POLICY), 3),
        (PolicyCallback(POLICY, feedback=Plateau()), STEPS),
    ):
        with pytest.raises(DriveError, match="another policy, horizon or feedback"):
            trainer_of(tmp_path, callback, max_steps=steps).train(resume_from_checkpoint=True)


def test_another_horizon_goes_on_on_purpose_by_the_name_of_a_recipe(tmp_path):
    """The peak is the learning_rate of the TrainingArguments, also where the optimizer comes from a checkpoint."""
    with pytest.raises(CrashError):
        trainer_of(tmp_path, Crash(), PolicyCallback("cosine"), save_strategy="steps", save_steps=5).train()
    note = Note()
    trainer = trainer_of(tmp_path, note, PolicyCallback("cosine", rebind=True), max_steps=STEPS + 4)
    trainer.train(resume_from_checkpoint=True)
    expected = cosine(trainer.args.learning_rate).over(STEPS + 4)["lr"]
    assert [row[0][0] for row in note.seen] == [expected(step) for step in range(5, STEPS + 4)]


def test_a_scheduler_of_another_policy_is_refused(tmp_path):
    """scheduler.pt is loaded with weights_only=True."""
    saved("scheduler", tmp_path)
    net = model()
    optimizer = tiny.two_groups(net)
    scheduler = as_lr_scheduler(optimizer, cosine(0.1).over(STEPS), counts="updates")
    with pytest.raises(DriveError, match="another policy or horizon"):
        trainer_of(tmp_path, net=net, optimizers=(optimizer, scheduler)).train(resume_from_checkpoint=True)


def test_a_checkpoint_without_the_callback_is_refused(tmp_path):
    with pytest.raises(CrashError):
        trainer_of(tmp_path, Crash(), save_strategy="steps", save_steps=5).train()
    with pytest.raises(DriveError, match="at step 5 that was saved without PolicyCallback"):
        trainer_of(tmp_path, PolicyCallback(POLICY)).train(resume_from_checkpoint=True)


def test_other_callbacks_are_made_anew_from_a_checkpoint(tmp_path):
    """The Trainer makes a callback anew from JSON; ours, with its policy and its log, it leaves as it is."""
    stop = {"eval_strategy": "steps", "eval_steps": 5, "metric_for_best_model": "eval_loss"}
    saved("callback", tmp_path, EarlyStoppingCallback(7), **stop)
    note, early = Note(), EarlyStoppingCallback(1)
    arguments = {**stop, "restore_callback_states_from_checkpoint": True}
    trainer = trainer_of(tmp_path, note, PolicyCallback(POLICY), early, **arguments)
    trainer.train(resume_from_checkpoint=True)
    (found,) = [each for each in trainer.callback_handler.callbacks if isinstance(each, EarlyStoppingCallback)]
    assert found.early_stopping_patience == 7
    assert note.seen == tiny.expected()[5:]


def test_a_second_training_begins_anew(tmp_path):
    """The Trainer keeps its optimizer; the policy begins at its first value again."""
    trainer, note = trained("callback", tmp_path)
    trainer.train()
    note.seen.clear()
    trainer.callback_handler.remove_callback(note)
    trainer.train()
    assert note.seen == tiny.expected()


@pytest.mark.parametrize("kind", ["cosine", "constant_with_warmup", "inverse_sqrt"])
def test_the_scheduler_of_the_trainer_has_no_say(kind, tmp_path):
    trainer, note = trained("callback", tmp_path, lr_scheduler_type=kind, warmup_steps=3, learning_rate=7.0)
    trainer.train()
    assert note.seen == tiny.expected()
    assert note.logged == [row[0][0] for row in tiny.expected()]


@pytest.mark.parametrize("kind", ["reduce_lr_on_plateau", "greedy"])
def test_a_scheduler_that_listens_is_refused(kind, tmp_path):
    arguments = {"eval_strategy": "steps", "metric_for_best_model": "eval_loss", "lr_scheduler_type": kind}
    trainer, _ = trained("callback", tmp_path, **arguments)
    with pytest.raises(DriveError, match="changes the rate after an evaluation"):
        trainer.train()


def test_two_of_ours_are_refused(tmp_path):
    trainer, _ = trained("scheduler", tmp_path, PolicyCallback(POLICY))
    with pytest.raises(DriveError, match="keep one of the two"):
        trainer.train()


def test_groups_without_decay_need_one_with(tmp_path):
    """TrainingArguments.weight_decay is 0 by default, and then no group says that it is to stay without."""
    with pytest.raises(DriveError, match="weight_decay above 0"):
        trainer_of(tmp_path, PolicyCallback(POLICY), weight_decay=0.0).train()
    plain, groups = Policy(lr=Linear(0.1, 0.0)), {"decay": {}, "no_decay": {"weight_decay": 0.0}}
    for policy, last in (
        (plain, (0.0, 0.0)),
        (plain.replace(weight_decay=0.0), (0.0, 0.0)),
        (Groups(plain.replace(weight_decay=0.3), groups), (0.3, 0.0)),
    ):
        note = Note()
        trainer_of(tmp_path, note, PolicyCallback(policy), weight_decay=0.0).train()
        assert tuple(group[2] for group in note.seen[-1]) == last


def test_a_feedback_hears_each_evaluation(tmp_path):
    """A loss that never falls halves the rate at the second and the third one; resumed, it goes on there."""

    class Same(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics=None, **kwargs):
            metrics["eval_same"] = 1.0

    def run(*more, resume=None):
        note = Note()
        callback = PolicyCallback(Policy(lr=0.1), feedback=Plateau(factor=0.5, patience=0), monitor="eval_same")
        arguments = {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 6}
        trainer = trainer_of(tmp_path, note, Same(), callback, *more, **arguments)
        try:
            trainer.train(resume_from_checkpoint=resume)
        except CrashError:
            return None
        trainer.evaluate()
        return [row[0][0] for row in note.seen]

    run(Crash())
    assert run(resume=True) == [0.05] * 3 + [0.025] * 3
    assert run() == [0.1] * 6 + [0.05] * 3 + [0.025] * 3


def test_a_metric_that_no_evaluation_has_is_refused(tmp_path):
    callback = PolicyCallback(POLICY, feedback=Plateau(), monitor="eval_los")
    with pytest.raises(DriveError, match="Did you mean 'eval_loss'"):
        trainer_of(tmp_path, callback, eval_strategy="steps", eval_steps=2).train()


def test_one_of_several_evaluations_has_the_metric(tmp_path):
    callback, heard = PolicyCallback(POLICY, feedback=Plateau(), monitor="eval_b_loss"), []

    class Heard(TrainerCallback):
        def on_train_end(self, args, state, control, **kwargs):
            heard.append(state.stateful_callbacks["stepsize"]["drivers"][0]["feedback"]["calls"])

    trainer = trainer_of(tmp_path, callback, Heard(), eval_strategy="steps", eval_steps=3)
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    trainer.train()
    assert heard == [4]


def test_the_log_has_each_value_once(tmp_path):
    rows = {}
    trainer_of(
        tmp_path, PolicyCallback(POLICY, log=lambda step, values: rows.setdefault(step, []).append(values))
    ).train()
    assert [len(rows[step]) for step in range(STEPS)] == [1] * STEPS
    assert math.isclose(rows[3][0]["lr/1"], tiny.expected()[3][1][0])


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "stepsize.adapters.transformers")
    with pytest.raises(MissingPackageError, match=r"stepsize\[transformers\]"):
        importlib.import_module("stepsize.adapters.transformers")


def test_two_callbacks_are_told_so(tmp_path):
    with pytest.raises(DriveError, match="two callbacks of this Trainer drive its optimizer"):
        trainer_of(tmp_path, PolicyCallback(POLICY), PolicyCallback(cosine(0.1))).train()
