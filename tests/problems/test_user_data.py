"""Tasks as users have them: arrays, samples with names, models with a loss of their own, a metric; and bad data."""

import dataclasses
import pickle

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from stepsize import FunctionTask, Task
from stepsize.engines import Ensemble, Loop
from stepsize.engines.vectorised.refusal import refusal
from stepsize.execution.task_fingerprint import difference
from stepsize.jobs import Journal, Runner
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant
from stepsize.problems import Columns, data_warnings, load_task
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

CROSS = torch.nn.functional.cross_entropy
NOISE = np.random.default_rng(0)
X, Y = NOISE.standard_normal((40, 3)).astype(np.float32), np.arange(40) % 4
XV, YV = NOISE.standard_normal((20, 3)).astype(np.float32), np.arange(20) % 4
TX, TY, TXV, TYV = map(torch.from_numpy, (X, Y, XV, YV))
TRIALS = [Trial(Strategy(SGD(), constant(rate)), seed) for rate in (0.1, 0.3) for seed in (0, 1)]


def linear(inputs=3, outputs=4):
    return lambda: torch.nn.Linear(inputs, outputs)


def task_of(train=(X, Y), validation=(XV, YV), model=None, loss=CROSS, **fields):
    return Task(model or linear(), loss, train, validation, **{"batch_size": 8, "steps": 20, **fields})


PLAIN = task_of((TX, TY), (TXV, TYV))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8"])
@pytest.mark.parametrize("labels", ["int8", "int32", "uint8", ">i4"])
def test_arrays_become_what_layers_and_losses_take(dtype, labels):
    task = task_of((X.astype(dtype), Y.astype(labels)))
    assert [part.dtype for part in task.train] == [torch.float32, torch.int64]
    assert torch.allclose(task.train[0], TX, atol=1e-2)
    assert torch.equal(task.train[1], TY)
    task.check()


def test_arrays_in_any_order_in_memory_are_copied():
    x = X.copy()
    task = task_of((x[::-1], Y[::-1]))
    x[:] = 0
    assert torch.equal(task.train[0], TX.flip(0))


class Named(torch.nn.Module):
    """Takes two inputs by name, one of them words; computes its own loss if it is given labels."""

    def __init__(self):
        super().__init__()
        self.words, self.head = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 4)

    def both(self, x, words):
        return self.head(x + self.words(words))

    def forward(self, batch):
        return self.both(batch["x"], batch["words"])


class Owns(Named):
    def forward(self, x, words, labels=None):
        outputs = self.both(x, words)
        return {"loss": None if labels is None else CROSS(outputs, labels), "logits": outputs}


class Steps(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Named()

    def training_step(self, batch, batch_idx):
        (batch, y) = batch
        loss = CROSS(self.net(batch), y)
        self.log("loss", loss)
        self.log_dict({"again": loss})
        return {"loss": loss} if batch_idx is None else loss

    def configure_optimizers(self):
        raise AssertionError("it is not asked")


WORDS, WORDS_V = np.arange(40) % 5, np.arange(20) % 5
SAMPLES, SAMPLES_V = (
    [{"x": x[i], "words": int(words[i]), "labels": y[i]} for i in range(len(x))]
    for x, words, y in ((X, WORDS, Y), (XV, WORDS_V, YV))
)


def pairs(validation=False):
    x, words, y = (XV, WORDS_V, YV) if validation else (X, WORDS, Y)
    return {"x": x, "words": words}, y


@pytest.fixture
def by_pairs():
    return task_of(pairs(), pairs(validation=True), Named)


FORMS = {
    "samples with names": lambda: task_of(SAMPLES, SAMPLES_V, Owns, None),
    "a table": lambda: task_of(
        {"x": X, "words": WORDS.tolist(), "labels": Y}, {"x": XV, "words": WORDS_V, "labels": YV}, Owns, None
    ),
    "a DataLoader": lambda: task_of(DataLoader(SAMPLES, batch_size=8), DataLoader(SAMPLES_V), Owns, None),
    "a LightningModule": lambda: task_of(pairs(), pairs(validation=True), Steps, None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", [Loop(), Ensemble(device="cpu"), Loop(torch.float64)], ids=lambda each: each.label)
def test_each_form_trains_as_a_pair_does_in_each_engine(form, engine, by_pairs):
    task = FORMS[form]()
    assert refusal(task) is None
    found, expected = (engine.run(each, TRIALS, 20, score_every=7) for each in (task, by_pairs))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_task_that_is_changed_or_sent_is_still_itself(form):
    task = FORMS[form]()
    for other in (dataclasses.replace(task, steps=7), pickle.loads(pickle.dumps(task))):  # noqa: S301  (our own)
        assert other.fingerprint_parts() == task.fingerprint_parts()
    longer = dataclasses.replace(task, train=tuple(part[:32] for part in task.train))
    assert difference(task.fingerprint_parts(), longer.fingerprint_parts()) == "training data"


def test_samples_in_order_go_to_the_model_in_order():
    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 4)

        def forward(self, x, y):
            return CROSS(self.layer(x), y)

    task = task_of(TensorDataset(TX, TY), TensorDataset(TXV, TYV), Loss, None)
    expected = Loop().run(PLAIN, TRIALS, 20).scores
    np.testing.assert_array_equal(Loop().run(task, TRIALS, 20).scores, expected)


class ByHand(Steps):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            lambda: task_of([{**s, "text": "a"} for s in SAMPLES], SAMPLES_V, Owns, None),
            r"\['text'\] must be .*numbers",
        ),
        (lambda: task_of(SAMPLES), r"pairs, one tensor each, not \{'labels'.*Task\(loss=None\)"),
        (lambda: task_of([{"x": [1.0] * (i + 1)} for i in range(9)], loss=None), "of one shape.*Pad"),
        (lambda: task_of({"x": [[1.0], [1.0, 2.0]]}, loss=None), "rows of several lengths.*Pad"),
        (lambda: task_of({"x": X, "labels": Y[:9]}, loss=None), r"as many of both"),
        (lambda: task_of({}, loss=None), "empty"),
        (lambda: task_of(model=torch.nn.Linear(3, 4)), "not the Linear itself"),
        (lambda: task_of(metric=3), "Task.metric must be a function"),
        (lambda: task_of(mode="max"), "there is no Task.metric, and a loss is minimised"),
        (lambda: task_of(metric=CROSS, mode="largest"), 'must be "min" or "max", not \'largest\''),
        (lambda: task_of((X[:0], Y[:0])), r"Task.train is empty: inputs of shape \(0, 3\); .* at least one sample"),
        (lambda: task_of(validation=(X[:0], Y[:0])), "Task.validation is empty"),
    ],
)
def test_what_cannot_be_a_task_is_refused_at_once(task, message):
    with pytest.raises(TaskError, match=message):
        task()


def changed(values, row, value):
    found = values.copy()
    found[row] = value
    return found


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            lambda: task_of((X, changed(Y, 33, 7))),
            r"IndexError: Target 7 is out of bounds.*from \d to 7; the model has 4 outputs, for labels from 0 to 3",
        ),
        (lambda: task_of((X, Y + 1)), "Target 4 is out of bounds.*for labels from 0 to 3"),
        (
            lambda: task_of(validation=(XV, changed(YV, 19, -1))),
            "first validation batch of 'task' fails: IndexError: Target -1 .*targets from -1 to 3",
        ),
        (
            lambda: task_of(({"x": X, "words": changed(WORDS, 39, 50)}, Y), pairs(validation=True), Named),
            r"IndexError: index out of range.*inputs\['words'\] from \d to 50",
        ),
        (
            lambda: task_of((changed(X, (39, 1), np.nan), Y)),
            "sample 39 of Task.train has the loss nan: 1 of 40 samples have NaN or infinite inputs, the first is 39",
        ),
        (lambda: task_of(validation=(changed(XV, 5, np.inf), YV)), "sample 5 of Task.validation has the loss nan"),
        (lambda: task_of((np.arange(120).reshape(40, 3), Y)), r"Its inputs are torch\.int64; .*inputs\.float\(\)"),
        (
            lambda: task_of((X, X[:, 0]), (XV, XV[:, 0]), linear(3, 1), torch.nn.functional.mse_loss),
            r"Using a target size \(torch.Size\(\[8\]\)\) that is different to the input size",
        ),
        (lambda: task_of(metric=lambda o, y: o), "the metric of 'task' must be one number"),
        (lambda: task_of(metric=lambda o, y: o.no), "the metric of 'task' must be one number: AttributeError"),
        (lambda: task_of(SAMPLES, SAMPLES_V, ByHand, None), "optimises by hand"),
        (
            lambda: task_of({"x": X, "words": WORDS}, SAMPLES_V, Owns, None),
            "the model returns no loss.*need 'labels'",
        ),
    ],
)
def test_check_says_which_data_do_not_fit(task, message):
    with pytest.raises(TaskError, match=message):
        task().check()


def test_a_model_that_knows_what_to_do_with_nan_and_padding_passes():
    def model():
        return torch.nn.Sequential(Filling(), torch.nn.Linear(3, 4))

    task_of((changed(X, 7, np.nan), changed(Y, 3, -100)), model=model).check()  # -100 is what cross_entropy leaves out


class Filling(torch.nn.Module):
    def forward(self, x):
        return x.nan_to_num()


def accuracy(outputs, targets):
    return (outputs.argmax(1) == targets).float().mean()


def counted(outputs, targets):
    return accuracy(outputs, targets).item()


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
@pytest.mark.parametrize("metric", [accuracy, counted])
def test_a_metric_is_the_score_and_its_negative_where_it_is_to_be_large(metric, mode, sign):
    task = task_of(metric=metric, mode=mode)
    assert (refusal(task) is None) == (metric is accuracy)  # a Python number cannot be vectorised
    engine = Ensemble(device="cpu") if metric is accuracy else Loop()
    curves, plain = engine.run(task, TRIALS, 20), engine.run(PLAIN, TRIALS, 20)
    np.testing.assert_array_equal(curves.losses, plain.losses)  # training minimises the loss
    model = task.build(0)
    expected = np.mean((model(TXV).argmax(1) == TYV).numpy())
    assert task.score(model) == pytest.approx(sign * expected)
    right = curves.final * sign * len(TYV)
    np.testing.assert_allclose(right, right.round(), atol=1e-4)
    assert (right >= 0).all()
    assert (right <= len(TYV)).all()
    assert right.any()


def test_a_score_has_the_name_of_its_metric():
    def top_two(outputs, targets):
        return (outputs.topk(2).indices == targets[:, None]).any(1).float().mean()

    assert PLAIN.scored == "validation loss"
    assert task_of(metric=accuracy).scored == "validation accuracy"
    assert task_of(metric=top_two, mode="max").scored == "negative validation top two"
    assert task_of(metric=lambda outputs, _: outputs.mean()).scored == "validation metric"


def test_another_metric_is_another_task_to_a_journal():
    one, other = task_of(metric=accuracy), task_of(metric=accuracy, mode="max")
    assert difference(one.fingerprint_parts(), other.fingerprint_parts()) == "metric"
    assert difference(one.fingerprint_parts(), PLAIN.fingerprint_parts()) == "metric"


def test_shared_samples_and_few_are_doubts():
    assert data_warnings(PLAIN) == ()
    (same,) = data_warnings(task_of((TX, TY), (TX, TY)))
    assert same.startswith("40 of 40 validation samples (100%) are training samples too")
    (some,) = data_warnings(task_of(validation=(np.concatenate([XV, X[5:10]]), np.concatenate([YV, Y[5:10]]))))
    assert some.startswith("5 of 25 validation samples (20%)")
    assert data_warnings(task_of(validation=(X[:20], (Y[:20] + 1) % 4))) == ()  # the same inputs with other targets
    assert data_warnings(task_of(SAMPLES, SAMPLES_V, Owns, None)) == ()
    assert "40 of 40" in data_warnings(task_of(SAMPLES, SAMPLES, Owns, None))[0]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.bool])
def test_samples_are_read_whatever_their_strides(kind):
    """`y[:, None]` of NumPy has a last axis of one element and stride 0."""
    column = torch.arange(20).to(kind).as_strided((20, 1), (1, 0))
    inputs = torch.randn(40, 20).T[:, ::2].double()
    task = task_of((inputs, column), (inputs[3:8], column[3:8]), linear(20, 1), None)
    assert data_warnings(task)[0].startswith("5 of 5 validation samples (100%)")


def test_a_training_function_shows_no_data_to_doubt():
    assert data_warnings(FunctionTask(print)) == ()


def test_a_share_below_a_hundredth_is_chance():
    x = np.concatenate([X[:1], NOISE.standard_normal((199, 3))])
    assert data_warnings(task_of(validation=(x, np.arange(200) % 4))) == ()


@pytest.mark.parametrize(("count", "said"), [(1, "1 validation sample,"), (9, "9 validation samples,")])
def test_a_score_on_a_few_samples_is_a_doubt(count, said):
    (sentence,) = data_warnings(task_of(validation=(XV[:count], YV[:count])))
    assert f"The score rests on {said}" in sentence


@pytest.mark.parametrize("name", ["digits", "digits-cnn", "stdlib-text"])
def test_nothing_is_doubtful_in_a_built_in_task(name):
    assert data_warnings(load_task(name)) == ()


def full(after, error):
    """A loss whose memory is full where a rate is enormous."""

    def loss(outputs, targets):
        if outputs.detach().abs().max() > after:
            raise error
        return CROSS(outputs, targets)

    return task_of((TX, TY), (TXV, TYV), loss=loss)


SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError("no more"),
]


@pytest.mark.parametrize("error", SHORT, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_is_told_with_what_helps_and_a_journal_keeps_the_rest(error, tmp_path):
    task, enormous = full(100.0, error), [Trial(Strategy(SGD(), constant(1e4)), seed) for seed in (2, 3)]
    with pytest.raises(TaskError, match=r"at update \d+: out of memory \(.*Make Task\.batch_size smaller.*journal"):
        Loop().run(task, enormous, 20)
    with pytest.raises(TaskError, match="first batch of 'task' fails: out of memory"):
        full(0.0, error).check()
    with Journal(tmp_path / "kept.db") as journal:
        with pytest.raises(TaskError, match="out of memory"):
            Runner(task, engine=Loop(), journal=journal).run("bad", enormous, 20)
        found = Runner(task, engine=Loop(), journal=journal).run("both", [*TRIALS, *enormous], 20)
        assert np.isfinite(found.final).tolist() == [True] * 4 + [False] * 2
        assert len(journal) == len(TRIALS)


def test_a_tensor_too_large_for_the_machine_is_out_of_memory():
    task = task_of((TX, TY), loss=lambda outputs, targets: torch.empty(1 << 50).sum())
    with pytest.raises(TaskError, match="first batch of 'task' fails: out of memory"):
        task.check()


def test_columns_are_cut_as_tensors_are():
    columns = Columns({"x": TX, "words": torch.from_numpy(WORDS)})
    assert [len(piece) for piece in columns.split(16)] == [16, 16, 8]
    assert torch.equal(torch.split(columns, 16)[1]["x"], TX[16:32])
    assert len(columns.unbind()) == 40
    assert torch.equal(columns.unbind()[3]["x"], TX[3])
    assert torch.equal(columns[torch.tensor([3, 1])]["words"], torch.tensor([3, 1]))
    assert {name: value.dtype for name, value in columns.to(torch.float64).items()} == {
        "x": torch.float64,
        "words": torch.int64,
    }
    assert "x" in columns
    assert [*columns] == ["x", "words"]
    assert columns.shape == {"x": (40, 3), "words": (40,)}
    assert repr(columns) == "Columns(x (40, 3), words (40,))"
