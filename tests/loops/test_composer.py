"""Composer: the learning rate as the function of its state that Composer's schedulers are.

Composer 0.32 wants an older torch and does not install beside the one that is tested here, so the state is a stand-in
with the attributes that are read, and `train` calls a scheduler when Composer's Trainer does: once before the first
batch, and after each batch before it is counted. The values of `test_values_right_at_each_update` and
`test_the_schedule_is_stretched` were seen in the real Trainer too, and are those of Composer's own LinearScheduler.
What Composer has no hand in (accumulation, a GradScaler, processes, its checkpoint) is as it is in torch's own loop.
"""

import inspect
import pickle
from types import SimpleNamespace

import pytest
import torch

from stepsize import Policy, drive
from stepsize.adapters.composer import as_scheduler
from stepsize.kernel.errors import DriveError, LengthError
from stepsize.policies import Groups, cosine, one_cycle
from stepsize.schedules import Constant, Cosine, Linear

LINE = Policy(lr=Linear(1.0, 0.0))


def test_a_recipe_by_name_multiplies_the_optimizers_own_rate():
    named, given = as_scheduler("one_cycle"), as_scheduler(one_cycle(0.01).only(["lr"]))
    assert [named(state) for state in batches(12)] == pytest.approx([given(state) for state in batches(12)])
    with pytest.raises(DriveError, match="all parameter groups alike"):
        as_scheduler(Groups(LINE, {"all": {}}))


def batches(count):
    for batch in range(count):
        state = State()
        state.batch = batch
        yield state


class State:
    """What a scheduler may read of Composer's State."""

    def __init__(self, duration="12ba", batches=4, lr=0.01, groups=({},)):
        made = [{"params": [torch.nn.Parameter(torch.ones(1))], **group} for group in groups]
        self.optimizers = (torch.optim.AdamW(made, lr=lr),)
        self.dataloader_len = None if batches is None else SimpleNamespace(value=batches)
        self.max_duration, self.batch = duration, 0

    @property
    def max_duration(self):
        return self._duration

    @max_duration.setter
    def max_duration(self, duration):
        number, unit = int(duration.rstrip("abdceiknopstur")), duration.lstrip("0123456789")
        self._duration = SimpleNamespace(value=number, unit=SimpleNamespace(value=unit))

    @property
    def batch(self):
        return self.timestamp.batch.value

    @batch.setter
    def batch(self, batch):
        self.timestamp = SimpleNamespace(batch=SimpleNamespace(value=batch))


def train(state, scheduler, batches, ssr=1.0):
    """The rate of the first group at each update, as Composer's Trainer has a scheduler move it."""
    (optimizer,) = state.optimizers
    moved = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: scheduler(state, ssr))
    seen = []
    for batch in range(batches):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        moved.step()
        state.batch = batch + 1
    return seen


@pytest.mark.parametrize("duration", ["12ba", "3ep"])
def test_values_right_at_each_update(duration):
    """One batch late, as Composer asks; an attached driver is on time, and moves momentum too."""
    seen = train(State(duration), as_scheduler(LINE), 12)
    table = LINE.over(12).table(0, 12)["lr"].tolist()
    assert seen == pytest.approx([table[0], *table[:-1]], rel=1e-15)
    state, policy = State(duration), one_cycle(0.1)
    (optimizer,) = state.optimizers
    drive(optimizer, policy, 12).attach()
    expected, seen = policy.over(12).table(0, 12), []
    for _ in range(12):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["betas"][0]))
        optimizer.step()
    assert seen == list(zip(expected["lr"], expected["momentum"], strict=True))


def test_resume_is_bit_identical():
    """The function has no state: a trainer that is taken up at a batch has the multiplier of that batch."""
    state, scheduler = State(), as_scheduler(cosine(0.1))
    whole = []
    for state.batch in range(12):
        whole.append(scheduler(state))
    again = State()
    again.batch = 7
    assert as_scheduler(cosine(0.1))(again) == whole[7]


def test_saved_and_reloaded():
    scheduler = as_scheduler(cosine(0.1), "3ep")
    assert pickle.loads(pickle.dumps(scheduler)) == scheduler  # noqa: S301


def test_the_multiplier_is_of_the_rate_of_the_optimizer():
    state = State(lr=0.01)
    assert as_scheduler(cosine(0.1))(state) == pytest.approx(10.0)
    assert as_scheduler(cosine(0.5), base=1.0)(state) == 0.5


def test_groups_keep_their_ratio_to_the_default():
    state = State(lr=0.1, groups=({"lr": 0.01}, {}))
    train(state, as_scheduler(LINE), 6)
    driven = State(lr=0.1, groups=({"lr": 0.01}, {}))
    drive(driven.optimizers[0], LINE, 12).set(5)
    rates = [[group["lr"] for group in each.optimizers[0].param_groups] for each in (state, driven)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-15)


def test_groups_that_agree_follow_the_policy_itself():
    state = State(lr=0.1, groups=({"lr": 0.3}, {"lr": 0.3}))
    assert train(state, as_scheduler(LINE), 1) == [1.0]


@pytest.mark.parametrize("steps", [None, 12, "12ba", "3ep", "3 ep"])
@pytest.mark.parametrize("ssr", [0.5, 1.0, 2.0])
def test_the_schedule_is_stretched(steps, ssr):
    """`alpha(t / ssr)`; Composer has multiplied its max_duration by then."""
    state, scheduler = State(), as_scheduler(Policy(lr=Linear(0.0, 1.0, "50%") >> Linear(1.0, 0.0)), steps, base=1.0)
    state.max_duration = f"{int(12 * ssr)}ba"
    plain = as_scheduler(Policy(lr=Linear(0.0, 1.0, "50%") >> Linear(1.0, 0.0)), 12, base=1.0)
    for step in range(13):
        state.batch = int(step * ssr)
        stretched = scheduler(state, ssr)
        state.batch = step
        if step * ssr == int(step * ssr):
            assert stretched == pytest.approx(plain(state), abs=1e-15)


def test_lengths_in_steps_are_stretched_too():
    """A warmup of 4 batches takes 8 at a ratio of 2, as one of Composer's with `t_warmup="4ba"` does."""
    warm = Policy(lr=Linear(0.0, 1.0, 4) >> Constant(1.0))
    for policy, steps in ((warm, "12ba"), (warm.over(12), None)):
        state, scheduler = State("24ba"), as_scheduler(policy, steps, base=1.0)
        seen = []
        for state.batch in range(10):
            seen.append(scheduler(state, 2.0))
        assert seen == [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.0]


def test_epochs_inside_of_a_policy_are_those_of_the_trainer():
    state = State("3ep", batches=4)
    scheduler = as_scheduler(Policy(lr=Linear(0.0, 1.0, "1 epoch") >> Cosine(1.0, 0.0)), base=1.0)
    state.batch = 4
    assert scheduler(state) == 1.0
    state.batch = 2
    assert scheduler(state) == 0.5


def test_it_has_the_two_parameters_that_composer_looks_for():
    assert list(inspect.signature(as_scheduler(LINE)).parameters) == ["state", "ssr"]


def test_behind_the_end_the_last_value_holds():
    state = State()
    state.batch = 1000
    assert as_scheduler(LINE)(state) == 0.0


@pytest.mark.parametrize("duration", ["1000tok", "1000sp", "60sec", "2iter"])
def test_a_run_in_other_units_needs_a_horizon(duration):
    with pytest.raises(DriveError, match=r"neither in batches nor in epochs.*'10000ba'"):
        as_scheduler(LINE)(State(duration))
    assert as_scheduler(LINE, "12ba", base=1.0)(State(duration)) == 1.0


@pytest.mark.parametrize("steps", ["1000tok", "0.5dur", "60sec", "30%", "", "12", 0, 2.5, -1, "0ba"])
def test_a_horizon_in_other_units_is_refused(steps):
    with pytest.raises(LengthError, match=r"batches or epochs|length"):
        as_scheduler(LINE, steps)


def test_epochs_of_an_unknown_length_are_refused():
    for scheduler in (as_scheduler(LINE), as_scheduler(LINE, "3ep")):
        with pytest.raises(LengthError, match="does not know batches_per_epoch"):
            scheduler(State("3ep", batches=None))


def test_a_policy_of_more_than_the_rate_is_refused():
    with pytest.raises(DriveError, match=r"learning rate alone.*momentum.*attach\(\).*only"):
        as_scheduler(one_cycle(0.1))
    assert as_scheduler(one_cycle(0.1).only({"lr"}))(State()) > 0


@pytest.mark.parametrize("base", [0.0, -1.0, float("nan")])
def test_a_base_of_nothing_is_refused(base):
    with pytest.raises(DriveError, match="base cannot be"):
        as_scheduler(LINE, base=base)


def test_an_optimizer_with_a_rate_of_zero_is_refused():
    with pytest.raises(DriveError, match="rate is 0, which no multiplier moves"):
        as_scheduler(LINE)(State(lr=0.0))
