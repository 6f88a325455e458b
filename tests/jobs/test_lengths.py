"""Lengths in the words of a task: epochs of its own data."""

import dataclasses

import pytest
import torch
from click.testing import CliRunner
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from stepsize import FunctionTask, Task, load_task, race
from stepsize.cli.main import cli
from stepsize.jobs import Entrants, advise, range_test
from stepsize.jobs.lengths import in_task_updates, updates_of
from stepsize.jobs.range_test.rate_grid import rate_grid
from stepsize.kernel.errors import LengthError, TaskError
from stepsize.policies import warmup_cosine, wsd
from stepsize.rules import AdamW
from stepsize.strategy import Strategy

X = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


class Counted(Stream):
    def __len__(self):
        return len(X)


def task_of(train=(X, Y), **fields):
    model = lambda: torch.nn.Linear(4, 2)  # noqa: E731
    return Task(model, torch.nn.functional.cross_entropy, train, (X, Y), **{"batch_size": 16, **fields})


SAMPLED = DataLoader(TensorDataset(X, Y), 16, sampler=torch.utils.data.WeightedRandomSampler(torch.ones(100), 100))


@pytest.mark.parametrize(
    ("task", "length", "updates"),
    [
        (task_of(), "3 epochs", 18),  # 6 whole batches an epoch
        (task_of(), "0.5epochs", 3),
        (task_of(accumulate=2), "3 epochs", 9),
        (task_of(), "1600 samples", 100),
        (task_of(), 7, 7),
        (task_of(SAMPLED), "2 epochs", 14),  # with the last, small one
        (task_of(Counted()), "1 epoch", 7),
        (task_of(Stream()), "320 samples", 20),
    ],
)
def test_a_length_is_counted_by_the_data_of_the_task(task, length, updates):
    assert updates_of(task, length) == updates
    assert dataclasses.replace(task, steps=length).steps == updates


def test_what_has_no_epochs_says_so():
    with pytest.raises(TaskError, match=r"a stream without a length, so it has no epochs.*count in updates"):
        task_of(Stream(), steps="3 epochs")
    with pytest.raises(LengthError, match=r"a training function, which does not say how long an epoch is"):
        updates_of(FunctionTask(print), "3 epochs")
    for length in ("30%", "rest", "1M tokens", 0.3, "three"):
        with pytest.raises(TaskError, match=r"Task\.steps must be a whole number.*'3 epochs'"):
            task_of(steps=length)


def test_parts_of_a_policy_are_counted_too_and_a_share_stays():
    policy = warmup_cosine(0.01, warmup="1 epoch")
    bound = in_task_updates(policy, task_of()).over(60)
    assert bound == warmup_cosine(0.01, warmup=6).over(60)
    share = warmup_cosine(0.01, warmup="5%")
    assert in_task_updates(share, task_of()) is share
    strategy = Strategy(AdamW(), policy)
    assert strategy.peak == pytest.approx(0.01, rel=0.02)
    assert in_task_updates(strategy, task_of()).policy == warmup_cosine(0.01, warmup=6)
    by_samples = warmup_cosine(0.01, warmup="160 samples")
    assert in_task_updates(by_samples, task_of(Stream())) == warmup_cosine(0.01, warmup=10)
    with pytest.raises(TaskError, match="has no epochs"):
        in_task_updates(policy, task_of(Stream()))
    with pytest.raises(LengthError, match="a training function"):
        in_task_updates(policy, FunctionTask(print))


def test_jobs_take_epochs():
    task = task_of()
    strategies = [Strategy(AdamW(), warmup_cosine(rate, warmup="1 epoch")) for rate in (0.01, 0.03)]
    record = race(task, strategies, steps="4 epochs", seeds=2)
    assert record.rungs[-1].steps == 24
    plain = [Strategy(AdamW(), warmup_cosine(rate, warmup=6)) for rate in (0.01, 0.03)]
    expected = race(task, plain, steps=24, seeds=2)
    assert [each.score for each in record.standings] == [each.score for each in expected.standings]
    assert range_test(task, steps="10 epochs", widen=False, curvature=False).steps == 60
    assert rate_grid(task, rates=[0.01], steps="5 epochs").steps == 30
    answer = advise(task, steps="10 epochs", rules=[AdamW()], policies=[wsd(0.01, warmup="1 epoch")], budget=0)
    assert answer.steps == 60
    assert race(task, Entrants(rules=["SGD"], policies=["cosine"], rates=[0.1, 0.2]), steps="4 epochs").steps == 24


def test_the_command_line_takes_epochs(tmp_path):
    done = CliRunner().invoke(
        cli, ["race", "digits", "--strategies", "SGD cosine 0.1 0.2", "--steps", "1epoch", "--seeds", "1", "--json"]
    )
    assert done.exit_code == 0, done.output
    steps = load_task("digits").batches_per_epoch
    assert f'"steps":{steps}' in done.output.replace(" ", "")
    for given, said in {"0": "at least 1 step", "30%": "3epochs", "soon": "not 'soon'"}.items():
        done = CliRunner().invoke(cli, ["advise", "digits", "--steps", given, "--budget", "0"])
        assert done.exit_code == 2
        assert said in done.output
