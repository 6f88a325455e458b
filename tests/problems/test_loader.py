"""Data that a DataLoader reads: a function of the seed and the step, never frozen, never kept."""

import gc
import pickle
import random
import weakref
from dataclasses import replace
from itertools import islice
from pathlib import Path

import forked
import lightning
import numpy as np
import pytest
import streaming
import torch
from patience import HUNG
from streaming import Augmented, Stream, X, Y, augmented, augmented_by_numpy, stream, task_of
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from stepsize import Task, race
from stepsize.engines import Ensemble, Loop
from stepsize.engines.vectorised.refusal import refusal
from stepsize.jobs import Journal, Runner
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.policies import constant
from stepsize.problems import Loader, data_warnings
from stepsize.problems.data import digest
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

FILE = Path(streaming.__file__)
TRIALS = [Trial(Strategy(SGD(), constant(rate)), seed) for rate in (0.05, 0.1, 0.2, 0.4) for seed in (0, 1)]
FORMS = {
    "augmented": augmented, "by NumPy": augmented_by_numpy, "a stream": stream,
}  # fmt: skip


def seen(task, seed, steps, start=0):
    return [digest(part for piece in pieces for part in piece) for pieces in islice(task.updates(seed, start), steps)]


@pytest.mark.parametrize("form", FORMS)
def test_trials_of_one_seed_see_the_same_batches_and_any_step_can_be_asked_for(form):
    task, again = FORMS[form](), FORMS[form]()
    batches = seen(task, 3, 8)
    assert batches == seen(again, 3, 8)
    assert len(set(batches)) == 8
    assert batches[7] == digest(again.batch(7, 3)) == seen(task, 3, 1, start=7)[0]
    assert [digest(batch) for batch in islice(again.batches(3), 8)] == batches
    assert seen(task, 4, 1) != batches[:1]


@pytest.mark.parametrize("form", FORMS)
def test_other_draws_and_other_trials_in_between_change_no_batch_and_are_left_alone(form):
    task = FORMS[form]()
    alone = {seed: seen(task, seed, 8) for seed in (0, 1)}
    together = {seed: task.updates(seed) for seed in (0, 1)}
    torch.manual_seed(5)
    drawn = []
    for step in range(8):
        for seed, updates in together.items():
            assert digest(part for piece in next(updates) for part in piece) == alone[seed][step]
            drawn += [float(torch.rand(())), random.random(), np.random.rand()]  # noqa: NPY002, S311
    torch.manual_seed(5)
    assert drawn[::3] == [float(torch.rand(())) for _ in range(16)]


def test_an_augmentation_is_drawn_anew_in_every_epoch_as_torch_does():
    task = augmented()
    assert task.batches_per_epoch == 6
    epochs = [sorted(row for x, _ in pieces for row in x[:, 0].tolist()) for pieces in islice(task.updates(0), 12)]
    assert not {value for each in epochs[:6] for value in each} & {value for each in epochs[6:] for value in each}
    targets = sum(int(y.sum()) for pieces in islice(task.updates(0), 6) for _, y in pieces)
    assert targets == int(Y.sum())  # each sample once an epoch


def test_a_loader_is_seeded_as_by_hand():
    loader = DataLoader(Augmented(), batch_size=8, shuffle=True)
    torch.manual_seed(seeds.child(2, "batches", 0))
    expected = [digest(batch) for batch in loader]
    assert seen(task_of(loader), 2, 6) == expected


def test_what_a_loader_has_of_its_own_is_used_and_left_as_it_was():
    generator = torch.Generator().manual_seed(7)
    state = generator.get_state()
    sampler = WeightedRandomSampler(Y.double(), 40, generator=generator)

    def doubled(samples):
        x, y = torch.utils.data.default_collate(samples)
        return 2 * x, y

    loader = DataLoader(TensorDataset(X, Y), batch_size=8, sampler=sampler, collate_fn=doubled, generator=generator)
    task = task_of(loader)
    pieces = [piece for update in islice(task.updates(0), 5) for piece in update]
    assert all(bool(y.all()) for _, y in pieces)  # samples of weight 0 are never drawn
    rows = {tuple(row) for row in (2 * X).tolist()}
    assert all(tuple(row) in rows for x, _ in pieces for row in x.tolist())
    assert torch.equal(generator.get_state(), state)
    assert seen(task, 0, 7) == seen(task_of(loader), 0, 7)
    assert task.batches_per_epoch == 5


def test_batches_of_a_batch_sampler_and_a_last_small_one_are_trained_on():
    task = task_of(DataLoader(Augmented(), batch_sampler=BatchSampler(RandomSampler(X), 20, drop_last=False)))
    assert [len(pieces[0][1]) for pieces in islice(task.updates(0), 6)] == [20, 20, 8] * 2
    assert task.batch_size == 20
    with pytest.raises(TaskError, match=r"batch_size is 8, but the batches of Task\.train are made by.*leave"):
        task_of(task.train.loader, batch_size=8)


def test_another_batch_size_is_the_loaders_too_and_an_update_may_take_several():
    task = task_of(DataLoader(Augmented(), batch_size=8, shuffle=True), batch_size=5, accumulate=2)
    assert task.batches_per_epoch == 5
    first, second = next(task.updates(0))
    assert [len(first[1]), len(second[1])] == [5, 5]
    inputs, targets = task.batch(0, 0)
    assert torch.equal(inputs, torch.cat([first[0], second[0]]))
    assert len(targets) == task.update_size
    assert len({digest(piece) for pieces in islice(task.updates(0), 5) for piece in pieces}) == 10


def collated(samples):
    return torch.utils.data.default_collate(samples)


class Fixed(Augmented):
    def __getitem__(self, i):
        return X[i] / 2, int(Y[i])


class Twice(Fixed):
    """As fixed as it looks, until it is read again."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __getitem__(self, i):
        return X[i] + self.generator.random(), Y[i]


class Curriculum(Fixed):
    def set_epoch(self, epoch):
        self.epoch = epoch


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (Fixed(), True),
        (Subset(TensorDataset(X, Y), range(30)), True),
        (DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True), True),
        (DataLoader(Fixed(), batch_size=8), True),
        ([(X[i], Y[i]) for i in range(len(X))], True),
        (Augmented(), False),
        (Augmented(chance=0.02), False),  # the first samples read alike, and so do most
        (Twice(), False),
        (Curriculum(), False),
        (Stream(100), False),
        (DataLoader(TensorDataset(X, Y), batch_size=8, collate_fn=collated), False),
        (DataLoader(TensorDataset(X, Y), batch_size=8, sampler=RandomSampler(X, num_samples=20)), False),
    ],
)  # fmt: skip
def test_what_reads_the_same_twice_is_held_and_nothing_else(data, held):
    assert isinstance(task_of(data, batch_size=8).train, Loader) != held


def test_a_large_dataset_is_not_held(monkeypatch):
    monkeypatch.setattr("stepsize.problems.sources.HELD", 24 * len(X))
    assert isinstance(task_of(Fixed(), batch_size=8).train, Loader)


def test_a_dataset_by_itself_is_shuffled_in_batches_of_the_task():
    first, _ = task_of(Augmented(), batch_size=12).batch(0, 0)
    assert len(first) == 12
    plain, _ = task_of(Twice(), batch_size=12).batch(0, 0)
    assert not torch.allclose(plain[:, 0] - plain[0, 0], X[:12, 0] - X[0, 0], atol=1.0)


@pytest.mark.parametrize("engine", [Loop(), Ensemble(device="cpu")], ids=lambda each: each.label)
def test_a_loader_trains_alike_in_every_engine(engine):
    task = augmented()
    assert refusal(task) is None
    found = engine.run(task, TRIALS, 20, score_every=7)
    expected = Loop(torch.float64).run(task, TRIALS, 20, score_every=7)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3, atol=1e-5)


def test_the_loop_does_what_a_plain_loop_of_torch_does():
    task = augmented()
    net = task.build(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for pieces in islice(task.updates(1), 15):
        ((x, y),) = pieces
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found = Loop().run(task, [Trial(Strategy(SGD(), constant(0.1)), 1)], 15)
    np.testing.assert_allclose(found.losses[:, 0], losses, rtol=1e-5)


def test_a_stream_runs_in_the_loop_and_says_why():
    assert "need not have one shape" in refusal(stream())


class Once(IterableDataset):
    def __init__(self):
        self.rest = iter([(x, y) for x, y in zip(X, Y, strict=True)])

    def __iter__(self):
        return self.rest


class Hidden(Augmented):
    def __init__(self):
        self.rng = [np.random.default_rng()]  # in a list, where no seed finds it
        super().__init__(self.rng[0].standard_normal)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Hidden(), "another first batch each time that it is read with one seed.*global generators"),
        (Once(), "another first batch each time|begin anew each time that it is iterated over"),
    ],
)
def test_data_that_no_seed_repeats_is_refused(data, message):
    with pytest.raises(TaskError, match=message):
        task_of(data, batch_size=8).check()


class Numbers(IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter([3.0] * self.samples)


class Yields:
    def __iter__(self):
        return iter([(X, Y)])


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Numbers(9), r"pairs, one tensor each.*FunctionTask: docs/how-to/function\.md"),
        (Numbers(0), "Task.train is empty: its DataLoader gives no batch"),
        (Yields(), r"a Dataset, or a DataLoader over one, not Yields.*FunctionTask: docs/how-to/function\.md"),
        (DataLoader(Augmented(), batch_size=8, collate_fn=sum), "fails at the first batch: TypeError"),
        (None, "not NoneType"),
    ],
)
def test_what_no_loader_can_make_a_batch_of_is_refused_at_once(train, message):
    with pytest.raises(TaskError, match=message):
        task_of(train)


def test_a_stream_without_a_length_has_no_epochs():
    task = stream()
    for ask in (lambda: task.batches_per_epoch, lambda: len(task)):
        with pytest.raises(TaskError, match=r"a stream without a length, so it has no epochs.*__len__"):
            ask()
    assert task.samples_per_epoch is None


def test_an_epoch_too_short_for_an_update_is_refused():
    with pytest.raises(TaskError, match=r"Task\.accumulate is 9"):
        task_of(DataLoader(Augmented(), batch_size=8), accumulate=9)
    with pytest.raises(TaskError, match=r"epoch 0 of Task\.train has 2 batches, and an update takes 3"):
        task_of(Stream(16), batch_size=8, accumulate=3).check()


def test_the_score_of_a_loader_is_the_same_each_time_and_its_batches_are_read_once_where_they_fit(monkeypatch):
    validation = DataLoader(Augmented(), batch_size=20, shuffle=True)
    task = Task(streaming.model, torch.nn.functional.cross_entropy, (X, Y), validation, 8)
    net = task.build(0)
    assert task.validation_samples == len(X)
    first = task.score(net)
    with torch.no_grad():
        pieces = [(net(x), y) for x, y in task.validation_batches()]
    whole = torch.nn.functional.cross_entropy(torch.cat([o for o, _ in pieces]), torch.cat([y for _, y in pieces]))
    assert first == pytest.approx(whole.item(), rel=1e-5)
    assert isinstance(task.validation_batches(), list)
    monkeypatch.setattr("stepsize.problems.loader.KEPT", 100)
    large = Task(streaming.model, torch.nn.functional.cross_entropy, (X, Y), validation, 8)
    assert [large.score(net), large.score(net)] == [first, first]
    assert not isinstance(large.validation_batches(), list)


def test_a_validation_stream_has_to_end(monkeypatch):
    monkeypatch.setattr("stepsize.problems.loader.ENDLESS", 100)
    task = Task(streaming.model, torch.nn.functional.cross_entropy, (X, Y), Stream(10**9), batch_size=8)
    with pytest.raises(TaskError, match=r"more than 100 samples and no length.*FunctionTask"):
        task.score(task.build(0))


def test_a_journal_tells_one_loader_from_another():
    parts = augmented().fingerprint_parts()
    assert augmented().fingerprint_parts() == parts
    assert pickle.loads(pickle.dumps(augmented())).fingerprint_parts() == parts  # noqa: S301  (our own)
    for other in (augmented_by_numpy(), task_of(DataLoader(Augmented(chance=0.5), batch_size=8, shuffle=True))):
        assert other.fingerprint_parts()["training data"] != parts["training data"]
    assert data_warnings(augmented()) == ()


@pytest.mark.parametrize("form", ["augmented", "a stream"])
def test_a_race_that_was_ended_in_the_middle_goes_on_to_the_same_bits(form, tmp_path):
    whole, calls = Runner(FORMS[form](), engine=Loop()).run("all", TRIALS, 20), []

    def ended(outputs, targets):
        calls.append(None)
        if len(calls) > 90:
            raise KeyboardInterrupt
        return torch.nn.functional.cross_entropy(outputs, targets)

    with Journal(tmp_path / "kept.db") as journal, pytest.raises(KeyboardInterrupt):
        Runner(replace(FORMS[form](), loss=ended), engine=Loop(), journal=journal).run("all", TRIALS, 20)
    with Journal(tmp_path / "kept.db") as journal:
        assert 0 < len(journal) < len(TRIALS)
        found = Runner(FORMS[form](), engine=Loop(), journal=journal).run("all", TRIALS, 20)
    np.testing.assert_array_equal(found.losses, whole.losses)
    np.testing.assert_array_equal(found.scores, whole.scores)


WITH_WORKERS = """
import sys
from itertools import islice

import numpy as np

sys.path.append(sys.argv[1])
from streaming import in_workers

from stepsize import load_task
from stepsize.engines import Loop
from stepsize.jobs import Runner
from stepsize.policies import constant
from stepsize.problems.data import digest
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial


def seen(seed, steps, start=0):
    task = in_workers()
    return [digest(part for piece in pieces for part in piece) for pieces in islice(task.updates(seed, start), steps)]


if __name__ == "__main__":
    batches = seen(3, 8)
    assert len(set(batches)) == 8
    assert batches == seen(3, 8)
    assert batches[7:] == seen(3, 1, start=7)
    assert batches[:1] != seen(4, 1)
    task, trials = load_task(sys.argv[2]), [Trial(Strategy(SGD(), constant(0.1)), seed) for seed in (0, 1)]
    here = Runner(task, engine=Loop()).run("here", trials, 8)
    runner = Runner(task, engine=Loop(), time_limit=float(sys.argv[3]))
    there = runner.run("there", trials, 8)
    runner.close()
    assert not runner.failures
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-6)
    print("the same")
"""


def test_with_workers_of_its_own_a_loader_is_the_same_function_in_this_process_and_in_a_worker_process(tmp_path):
    script = tmp_path / "with_workers.py"  # by itself: what else is imported here may have threads, and workers fork
    script.write_text(WITH_WORKERS)
    (done,) = forked.run([script, FILE.parent, f"{FILE}:in_workers", HUNG], tmp_path, {})
    assert done.stdout == "the same\n", done.stderr


class Counted(Dataset):
    """Knows how many of its samples are alive."""

    def __init__(self):
        self.alive, self.most = 0, 0

    def __len__(self):
        return 4096

    def __getitem__(self, i):
        x = torch.randn(6)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(x, self.gone)
        return x, (x[0] > 0).long()

    def gone(self):
        self.alive -= 1


@pytest.mark.parametrize("engine", [Loop(), Ensemble(device="cpu")], ids=lambda each: each.label)
def test_nothing_is_kept_of_an_epoch(engine):
    data = Counted()
    task = task_of(DataLoader(data, batch_size=16, shuffle=True))
    engine.run(task, TRIALS, 60)
    gc.collect()
    assert data.most <= 3 * 16
    assert data.alive == 0


class Digits(lightning.LightningDataModule):
    def setup(self, stage):
        self.data = {"fit": TensorDataset(X, Y)}[stage]

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=8, shuffle=True)

    def val_dataloader(self):
        return [DataLoader(self.data, batch_size=16)]


def test_a_data_module_brings_both():
    cross = torch.nn.functional.cross_entropy
    task, plain = Task(streaming.model, cross, Digits()), Task(streaming.model, cross, (X, Y), (X, Y), 8)
    assert task.batch_size == 8
    assert task.fingerprint_parts() == plain.fingerprint_parts()
    other = Task(streaming.model, cross, Digits(), (X[:9], Y[:9]))
    assert other.validation_samples == 9


class Moves(Digits):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch


class Several(Digits):
    def train_dataloader(self):
        return {"a": super().train_dataloader(), "b": super().train_dataloader()}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Moves(), "Moves.on_after_batch_transfer changes batches.*FunctionTask"),
        (Several(), r"Several.train_dataloader returns no DataLoader but \{'a'.*FunctionTask"),
    ],
)
def test_a_data_module_that_does_more_is_refused(module, message):
    with pytest.raises(TaskError, match=message):
        Task(streaming.model, torch.nn.functional.cross_entropy, module)


def test_a_race_on_a_stream_has_standings():
    record = race(stream(), [trial.strategy for trial in TRIALS[::2]], steps=40)
    assert np.isfinite([standing.score.mean for standing in record.standings]).all()
