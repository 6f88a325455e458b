"""What can go wrong in a loop that is tuned: one sentence, and everything is as it was."""

import copy
import math

import pytest
import torch
from trainings import STEPS, Training, data, same

import stepsize
from stepsize.jobs.tune.pilots import RESTED
from stepsize.kernel.errors import DriveError, LengthError, ParameterError, StepsizeError, TaskError
from stepsize.policies import Policy
from stepsize.schedules import Constant, Linear


def state_of(training):
    return copy.deepcopy(
        (
            training.model.state_dict(),
            training.optimizer.state_dict(),
            training.scaler.state_dict(),
            torch.get_rng_state(),
        )
    )


def tune(training, **options):
    options.setdefault("steps", STEPS)
    return stepsize.tune(training.model, training.optimizer, training.loader, training.scaler, **options)


def as_it_was(training, before):
    return (
        same(before, state_of(training))
        and not training.optimizer.state
        and not training.optimizer._optimizer_step_post_hooks
    )


def train(training, loop, loss=None):
    """Go through a loop, and tell a loss of one's own, if any."""
    for batch in loop:
        training.turn(batch)
        if loss is not None:
            loop.tell(loss(loop) if callable(loss) else loss)


class Idle:
    """A training that makes no update."""

    def turn(self, batch):
        pass


class BodyError(Exception):
    """Of the loop's own."""


@pytest.mark.parametrize("turn", [0, 1, 5, 30])
@pytest.mark.parametrize("error", [BodyError, KeyboardInterrupt])
def test_an_error_in_a_pilot_run_passes_through_and_all_is_as_it_was(turn, error):
    training = Training()
    before = state_of(training)
    loop = tune(training)

    def fail(loop):
        assert loop.piloting
        if len(training.seen) > turn:
            raise error
        return 1.0 / len(training.seen)

    with pytest.raises(error):
        train(training, loop, fail)
    assert as_it_was(training, before)


def test_a_pilot_run_that_is_left_early_leaves_nothing_and_the_loop_goes_on_from_the_finished_ones():
    whole = Training().tune(share=0.5)
    ours = whole.state()
    training = Training()
    before, loop = state_of(training), tune(training, share=0.5)
    for stop in (0, 3, 20):
        for number, batch in enumerate(loop):
            training.turn(batch, loop.tell)
            if number == stop:
                break
        assert loop.piloting
        assert as_it_was(training, before)
        training.turns, training.seen = 0, []
    for batch in loop:
        if loop.step == 0 and not loop.piloting:
            training.seen = []
        training.turn(batch, loop.tell)
    assert loop.answer.strategy == whole.loop.answer.strategy
    assert same(training.state(), ours)


def test_a_loop_that_never_tells_its_loss_is_refused():
    training = Training()
    before, loop = state_of(training), tune(training)
    with pytest.raises(DriveError, match=r"update 0 of a pilot run was made, and its loss is not known: call tell"):
        train(training, loop)
    assert as_it_was(training, before)


def test_a_loop_that_makes_no_update_is_refused():
    training = Training()
    before, loop = state_of(training), tune(training)
    with pytest.raises(DriveError, match="1000 turns of the loop have made no update"):
        train(Idle(), loop, 1.0)
    assert as_it_was(training, before)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_first_loss_that_is_no_number_is_refused(loss):
    training = Training()
    before, loop = state_of(training), tune(training)
    with pytest.raises(TaskError, match=f"the first training loss is {loss}, before any update, so no learning rate"):
        train(training, loop, loss)
    assert as_it_was(training, before)


def test_where_every_rate_diverges_it_goes_down_a_few_times_and_then_says_so():
    training = Training()
    before, loop = state_of(training), tune(training)
    with pytest.raises(TaskError, match=r"none of \d+ pilot runs, at rates from .* kept a finite training loss"):
        train(training, loop, lambda _: math.nan if len(training.seen) > RESTED else 1.0)
    rates = [rate for (rate,) in training.seen]
    assert as_it_was(training, before)
    assert len(rates) < 30
    assert min(rate for rate in rates if rate) < 1e-2 * max(rates)


def test_a_loss_of_several_numbers_is_refused():
    training = Training()
    before, loop = state_of(training), tune(training)
    with pytest.raises(TaskError, match="one number, not an array of shape"):
        train(training, loop, torch.ones(3))
    assert as_it_was(training, before)


def test_an_empty_loader_is_refused():
    training = Training(loader=list)
    with pytest.raises(TaskError, match="the loader has no batch after 0 passes"):
        list(tune(training))


def test_a_loader_that_ends_in_a_pilot_run_is_gone_through_again():
    class Numbered(torch.utils.data.RandomSampler):
        def set_epoch(self, epoch):
            numbers.append(epoch)

    numbers = []
    training = Training(loader=lambda: torch.utils.data.DataLoader(data(32), 16, sampler=Numbered(data(32))))
    training.tune(share=0.4)
    longest = max(run.steps for run in training.loop.answer.runs)
    assert longest > 2
    assert numbers[-STEPS // 2 :: 1][-40:] == sorted(numbers[-40:])
    assert max(numbers) == STEPS // 2 - 1
    assert numbers.count(0) == numbers[::-1].count(0) >= len(training.loop.answer.runs)


def test_an_iterator_goes_on_with_the_data_that_comes_and_says_so():
    def endless():
        number = 0
        while True:
            number += 1
            taken.append(number)
            yield data()[:16]

    taken = []
    training = Training(loader=endless)
    with pytest.warns(UserWarning, match="a generator can be gone through but once, so the real run goes on with"):
        training.tune(share=0.4)
    assert len(training.seen) == STEPS
    assert len(taken) == training.pilots + STEPS


def test_an_iterator_that_ends_is_refused():
    training = Training(loader=lambda: iter([data()[:16]] * 10))
    before = state_of(training)
    with pytest.warns(UserWarning, match="can be gone through but once"):
        loop = tune(training)
    with pytest.raises(TaskError, match="the loader has no batch any more after 1 passes"):
        train(training, loop, 1.0)
    assert as_it_was(training, before)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"policy": "one_cycel"}, ParameterError, "no policy is called 'one_cycel'. Did you mean 'one_cycle'"),
        ({"policy": 0.1}, ParameterError, "a loop is tuned with a policy, not with 0.1"),
        ({"policy": Policy(lr=Constant(1.0), beta9=1.0)}, DriveError, "AdamW has no hyperparameter 'beta9'"),
        ({"policy": Policy(lr=Linear(0.0, 1.0, 500))}, LengthError, "500"),
        ({"steps": 39}, DriveError, "a loop of 39 updates is too short to tune"),
        ({"steps": 100.0}, DriveError, "a loop of 100.0 updates"),
        ({"share": -0.1}, ParameterError, "share= is what the pilot runs may cost, as a share of the run"),
        ({"share": "half"}, ParameterError, "not 'half'"),
        ({"share": math.nan}, ParameterError, "not nan"),
        ({"rule": "AdmW"}, ParameterError, "no rule is called 'AdmW'. Did you mean 'AdamW'"),
        ({"rule": 3}, ParameterError, "rule= is an update rule, such as AdamW"),
        ({"validate": 0.5}, ParameterError, "validate= is a function that returns the held-out loss, not 0.5"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(options, kind, message):
    training = Training()
    before = state_of(training)
    with pytest.raises(kind, match=message):
        tune(training, **options)
    assert as_it_was(training, before)


def test_what_cannot_be_put_back_is_refused():
    training = Training()
    with pytest.raises(DriveError, match="this takes the module that the loop trains"):
        stepsize.tune(lambda x: x, training.optimizer, training.loader, steps=STEPS)
    with pytest.raises(DriveError, match=r"drives a torch.optim.Optimizer, not list"):
        stepsize.tune(training.model, [training.optimizer], training.loader, steps=STEPS)
    with pytest.raises(DriveError, match="a snapshot cannot put back"):
        list(stepsize.tune(training.model, training.optimizer, training.loader, object(), steps=STEPS))
    lazy = torch.nn.Sequential(torch.nn.LazyLinear(2))
    with pytest.raises(StepsizeError, match="a lazy module has no parameters yet"):
        list(stepsize.tune(lazy, training.optimizer, training.loader, steps=STEPS))
    with pytest.raises(ParameterError, match="what gives its batches, such as a DataLoader"):
        stepsize.tune(training.model, training.optimizer, 3, steps=STEPS)
    for parameter in training.model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(DriveError, match="no parameter of the optimizer needs a gradient"):
        stepsize.tune(training.model, training.optimizer, training.loader, steps=STEPS)


def test_an_answer_is_not_there_before_the_pilot_runs_are_over():
    loop = tune(Training())
    assert loop.piloting
    with pytest.raises(DriveError, match="the pilot runs are not over, so there is no answer yet"):
        _ = loop.answer


def test_a_loop_inside_of_itself_is_refused():
    loop = tune(Training())
    first = iter(loop)
    next(first)
    with pytest.raises(DriveError, match="in a pilot run already"):
        next(iter(loop))
    first.close()
