"""A loop that is interrupted, in a pilot run or in the real one, goes on in another process to the same end."""

import itertools

import pytest
import torch
from trainings import CASES, STEPS, Clocked, Training, same

import stepsize
from stepsize.jobs.tune.pilots import RESTED
from stepsize.kernel.errors import DriveError

pytestmark = pytest.mark.filterwarnings("ignore:os.fork.. was called")  # JAX, where another test has loaded it

SHARE = 0.7


def tune(training, **options):
    settings = {"steps": STEPS, "share": SHARE, **options}
    return stepsize.tune(training.model, training.optimizer, training.loader, training.scaler, **settings)


def saved(training, loop, path):
    parts = {"model": training.model, "optimizer": training.optimizer, "scaler": training.scaler, "loop": loop}
    torch.save({name: part.state_dict() for name, part in parts.items()}, path)


def loaded(training, loop, path, first):
    state = torch.load(path, weights_only=True)
    parts = {"model": training.model, "optimizer": training.optimizer, "scaler": training.scaler}
    if first:
        loop.load_state_dict(state["loop"])
    for name, part in parts.items():
        part.load_state_dict(state[name])
    if not first:
        loop.load_state_dict(state["loop"])


def go(training, loop, until=None):
    """Go through a loop, up to a turn that is counted from the start of all of them."""
    for batch in loop:
        if loop.step == 0 and not loop.piloting:
            training.turns, training.seen = 0, []
        training.turn(batch, loop.tell)
        if until is not None and until():
            return


def turns(number):
    """Whether so many turns have been made, those of pilot runs too."""
    made = []

    def over():
        made.append(1)
        return len(made) == number

    return over


NAMES = (
    "dropout, batch norm, shuffled",
    "augmented in this process",
    "a generator of its own",
    "float16 with a scaler",
)


@pytest.mark.parametrize(
    ("name", "stop"), [*itertools.product(NAMES, (1, 30, 100)), ("two workers", 70), (NAMES[0], 9), (NAMES[0], 70)]
)
def test_an_interrupted_loop_goes_on_to_the_same_end(name, stop, tmp_path):
    whole = CASES[name]()
    go(whole, tune(whole))
    ours = whole.state()

    first = CASES[name]()
    loop = tune(first)
    for batch in loop:
        first.turn(batch, loop.tell)
        if first.turns == stop:
            saved(first, loop, tmp_path / "checkpoint.pt")
            before = [rate for (rate,) in first.seen[-loop.step :]] if not loop.piloting else []
            break
    again = CASES[name]()
    torch.manual_seed(99)
    loop = tune(again)
    loaded(again, loop, tmp_path / "checkpoint.pt", first=stop % 2 == 0)
    assert loop.step == len(before)
    go(again, loop)
    again.seen = [*([rate] for rate in before), *again.seen]
    assert same(again.state(), ours)


def test_a_checkpoint_of_a_pilot_run_changes_nothing_in_it():
    first, second = Training(), Training()
    plain = tune(first)
    go(first, plain)
    ours = first.state()
    second = Training()
    loop = tune(second)
    for batch in loop:
        if loop.step == 0 and not loop.piloting:
            second.turns, second.seen = 0, []
        second.turn(batch, loop.tell)
        loop.state_dict()
    assert same(second.state(), ours)


def test_finished_pilot_runs_are_not_made_again():
    first = Training()
    loop = tune(first)
    go(first, loop, until=turns(RESTED + 2 * 16 + 3))  # two pilot runs, and a part of the third
    state = loop.state_dict()
    done = [run["rate"] for run in state["finished"]]
    go(first, loop)
    again = Training()
    resumed = tune(again)
    resumed.load_state_dict(state)
    batches = iter(resumed)
    next(batches)
    assert len(done) == 2
    assert again.optimizer.param_groups[0]["lr"] not in done
    batches.close()
    go(again, resumed)
    assert [run.strategy.peak for run in resumed.answer.runs][:2] == done
    assert [run.score for run in resumed.answer.runs] == [run.score for run in loop.answer.runs]


def test_a_validation_is_not_timed_anew_after_an_interruption(monkeypatch):
    first = Clocked(monkeypatch)
    loop = tune(first, share=1.0, validate=first.validate)
    go(first, loop, until=turns(RESTED + 3))
    state = loop.state_dict()
    go(first, loop)
    slower = Clocked(monkeypatch, (9.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    again = tune(slower, share=1.0, validate=slower.validate)
    again.load_state_dict(state)
    go(slower, again)
    assert [run.steps for run in again.answer.runs] == [run.steps for run in loop.answer.runs] != []


@pytest.mark.parametrize("other", [{"policy": "cosine"}, {"steps": STEPS + 1}, {"share": 0.5}])
def test_a_checkpoint_of_another_loop_is_refused(other):
    first = Training()
    loop = tune(first)
    go(first, loop, until=turns(20))
    with pytest.raises(DriveError, match="this checkpoint is of a loop that was tuned otherwise"):
        tune(Training(), **other).load_state_dict(loop.state_dict())


def test_what_a_checkpoint_cannot_keep_is_named():
    training = Training()
    loop = stepsize.tune(training.model, training.optimizer, training.loader, [torch.zeros(1)], steps=STEPS)
    next(iter(batches := iter(loop)))
    with pytest.warns(UserWarning, match="a checkpoint of a pilot run cannot keep a list, which has no state_dict"):
        loop.state_dict()
    batches.close()
