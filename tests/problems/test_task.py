"""Tasks: batches are functions of the step and the seed; data of every form; and errors that say what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from stepsize import Task, load_task
from stepsize.kernel.errors import TaskError
from stepsize.problems import builtin_tasks

TINY = Path(__file__).parent / "tiny.py"
X, Y = torch.arange(60.0).reshape(20, 3), torch.arange(20) % 4


def model():
    return torch.nn.Linear(3, 4)


SHARED = model()


def task_of(train=(X, Y), validation=(X, Y), **fields):
    return Task(
        **{"model": model, "loss": torch.nn.functional.cross_entropy, "batch_size": 6, **fields},
        train=train,
        validation=validation,
    )


def rows(batch):
    return batch[0][:, 0].div(3).int().tolist()


def test_a_batch_depends_on_step_and_seed_alone():
    forward, backward = task_of(), task_of()
    there = [rows(forward.batch(step, 5)) for step in range(12)]
    back = [rows(backward.batch(step, 5)) for step in reversed(range(12))]
    assert there == back[::-1]
    assert there != [rows(forward.batch(step, 6)) for step in range(12)]


def test_inputs_and_targets_stay_together():
    inputs, targets = task_of().batch(7, 1)
    assert torch.equal(Y[rows((inputs, targets))], targets)


def test_an_epoch_visits_each_sample_once():
    task = task_of(batch_size=5)
    for epoch in range(3):
        seen = [row for step in range(4 * epoch, 4 * epoch + 4) for row in rows(task.batch(step, 0))]
        assert sorted(seen) == list(range(20))
    assert task.batches_per_epoch == 4


def test_the_remainder_of_an_epoch_is_left_out_and_differs_from_epoch_to_epoch():
    task = task_of(batch_size=6)
    left = [set(range(20)) - set(task.order(epoch, 0).ravel().tolist()) for epoch in range(4)]
    assert [len(each) for each in left] == [2] * 4
    assert len({tuple(sorted(each)) for each in left}) > 1


class Pairs(Dataset):
    def __init__(self, form=tuple, samples=20):
        self.form, self.samples = form, samples

    def __len__(self):
        return self.samples

    def __getitem__(self, i):
        return self.form((X[i], int(Y[i])))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        TensorDataset(X, Y),
        Pairs(),
        Pairs(list),
        DataLoader(TensorDataset(X, Y), batch_size=6, shuffle=True),
        DataLoader(Pairs(), batch_size=6),
        [(X[i], Y[i]) for i in range(20)],
        (X.clone().requires_grad_(), Y),
    ],
    ids=["pair", "list", "TensorDataset", "Dataset", "Dataset of lists", "DataLoader", "DataLoader of a Dataset",
         "list of samples", "with a gradient"],
)  # fmt: skip
def test_the_form_of_the_data_makes_no_difference(data):
    task, plain = task_of(data, data), task_of()
    for step in (0, 4):
        for given, expected in zip(task.batch(step, 3), plain.batch(step, 3), strict=True):
            assert torch.equal(given, expected)
            assert given.dtype == expected.dtype
    assert task.score(task.build(0)) == plain.score(plain.build(0))


def test_a_dataloader_brings_its_batch_size_and_its_collate_fn():
    def doubled(pairs):
        x, y = torch.utils.data.default_collate(pairs)
        return 2 * x, y

    task = task_of(DataLoader(TensorDataset(X, Y), batch_size=7, collate_fn=doubled), batch_size=0)
    assert task.batch_size == 7
    inputs, targets = task.batch(0, 0)
    assert torch.equal(inputs, 2 * X[:7])  # it does not shuffle, so neither does the task
    assert torch.equal(targets, Y[:7])


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Dictionaries(Pairs):
    def __getitem__(self, i):
        return {"input_ids": X[i], "labels": Y[i]}


class Ragged(Pairs):
    def __getitem__(self, i):
        return X[0].repeat(i + 1), Y[i]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y[:-1]), r"inputs of shape \(20, 3\) and targets of shape \(19,\)"),
        ((X[:0], Y[:0]), "at least one"),
        ((X, torch.tensor(1.0)), r"targets of shape \(\)"),
        (Pairs(samples=0), "empty"),
        ([], "empty"),
        (Stream(), "is empty: its DataLoader gives no batch"),
        (DataLoader(Stream()), "is empty: its DataLoader gives no batch"),
        (Dictionaries(), r"\(input, target\) pairs, one tensor each, not \{'input_ids'"),
        (Dictionaries(samples=2), r"\(input, target\) pairs"),
        (TensorDataset(X), "pairs, one tensor each"),
        (TensorDataset(X, X, Y), "pairs, one tensor each"),
        (X[:2], "pairs, one tensor each"),
        (Ragged(), "of one shape"),
        ((X.numpy(), np.array(list("abcd") * 5)), r"arrays of numbers, not array.*numpy\.unique"),
        ((X.numpy(), X.numpy()[:7]), r"inputs of shape \(20, 3\) and targets of shape \(7, 3\)"),
        (None, "not NoneType"),
        (3, "not int"),
    ],
)
def test_data_of_another_form_is_refused_in_words(data, message):
    for part, fields in (("train", {"train": data}), ("validation", {"validation": data})):
        with pytest.raises(TaskError, match=rf"(?s)Task\.{part}.*({message})"):
            task_of(**fields)


@pytest.mark.parametrize("size", [21, -1, 2.5, "8"])
def test_a_batch_size_that_does_not_fit_is_refused(size):
    with pytest.raises(TaskError, match=r"Task\.batch_size"):
        task_of(batch_size=size)


@pytest.mark.parametrize("steps", [0, -1, 2.5, "30%"])
def test_steps_are_a_whole_number_above_zero(steps):
    with pytest.raises(TaskError, match=r"Task\.steps must be a whole number of at least 1"):
        task_of(steps=steps)


@pytest.mark.parametrize("part", ["model", "loss"])
def test_model_and_loss_are_functions(part):
    with pytest.raises(TaskError, match=rf"Task\.{part} must be a function, not 3"):
        task_of(**{part: 3})


def test_a_model_is_a_function_of_the_seed_and_the_global_generator_is_left_alone():
    task, before = task_of(), torch.get_rng_state()
    weights = [task.build(seed).weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_score_is_the_mean_over_samples_in_evaluation_mode():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5))
    x, y = torch.randn(1100, 3, generator=torch.Generator().manual_seed(0)), torch.arange(1100) % 4
    task = task_of((x, y), (x, y), model=lambda: net)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(net[0](x), y).item()
    assert task.score(net) == pytest.approx(expected, rel=1e-5)
    assert net.training


def bad(loss):
    return task_of(loss=loss)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda: task_of(model=lambda: 3), "must return a torch.nn.Module, not int"),
        (lambda: task_of(model=torch.nn.ReLU), "no parameter to train"),
        (lambda: task_of(model=lambda: model().requires_grad_(requires_grad=False)), "no parameter to train"),
        (lambda: task_of(model=lambda: torch.nn.LazyLinear(4)), "parameters without a shape"),
        (lambda: task_of(model=lambda: SHARED), "returns the same parameters each time"),
        (
            lambda: task_of(model=lambda: torch.nn.Sequential(SHARED, torch.nn.Linear(4, 4))),
            "returns the same parameters each time",
        ),
        (lambda: task_of(validation=(X, Y + 4)), "first validation batch of 'task' fails: IndexError"),
        (lambda: task_of(model=lambda: torch.nn.Linear(5, 4)), "first batch of 'task' fails: RuntimeError.*shape"),
        (lambda: task_of((X, Y + 4)), "first batch of 'task' fails: IndexError"),
        (lambda: task_of((X.double(), Y)), "first batch of 'task' fails.*dtype"),
        (lambda: bad(lambda outputs, targets: outputs.sum(1)), "must be one floating-point number"),
        (lambda: bad(lambda outputs, targets: 1.0), "must be one floating-point number, not 1.0"),
        (lambda: bad(lambda outputs, targets: targets.sum()), "must be one floating-point number"),
        (lambda: bad(lambda outputs, targets: outputs.sum() * float("nan")), "nan at the first step.*no learning rate"),
        (
            lambda: task_of((X * float("inf"), Y)),
            r"sample \d+ of Task.train has the loss nan: 20 of 20 samples have NaN or infinite inputs, the first is 0",
        ),
        (
            lambda: task_of(
                model=lambda: torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)), batch_size=1
            ),
            "first batch of 'task' fails: ValueError: Expected more than 1 value per channel",
        ),
    ],
)
def test_check_says_what_does_not_fit(task, message):
    with pytest.raises(TaskError, match=message):
        task().check()


def test_check_trains_nothing_and_passes_what_fits():
    task = load_task(f"{TINY}:dropout")
    before = torch.get_rng_state()
    task.check()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("found", [True, False])
def test_the_digits_are_those_of_scikit_learn(found, monkeypatch):
    if not found:
        monkeypatch.setattr(builtin_tasks, "find_spec", lambda name: None)
    data = load_digits()
    np.testing.assert_array_equal(builtin_tasks._digits(), np.column_stack([data.data, data.target]))


@pytest.mark.parametrize(("name", "inputs"), [("digits", (1347, 64)), ("digits-cnn", (1347, 1, 8, 8))])
def test_the_digits_are_split_once_and_for_all(name, inputs):
    task = load_task(name)
    assert tuple(task.train[0].shape) == inputs
    assert len(task.validation[0]) == 450
    assert 0 <= float(task.train[0].min()) < float(task.train[0].max()) <= 1
    assert set(task.train[1].tolist()) == set(range(10))
    assert np.array_equal(task.train[0].numpy(), load_task(name).train[0].numpy())
    task.check()


def test_the_text_is_predicted_one_character_ahead():
    task = load_task("stdlib-text")
    inputs, targets = task.batch(0, 0)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert inputs.shape == (16, 64)
    assert int(inputs.max()) < 97
    task.check()
