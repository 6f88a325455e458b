"""Smith's four steps: each begins with what those before it found."""

import pytest
from teacher import teacher

from stepsize import FunctionTask
from stepsize.engines import Loop
from stepsize.jobs import Runner, four_steps
from stepsize.jobs.rescale import rescale_exponent, rescale_to_horizon
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import one_cycle
from stepsize.results import BatchSizeSweep, HyperparameterSweep, RangeTestRecord, load, save
from stepsize.rules import SGD, Momentum


def as_long(task, rule):
    """Every update takes as long."""
    return 1.0


@pytest.fixture(scope="module")
def found():
    runner = Runner(teacher(80), engine=Loop())
    steps = four_steps(runner.task, sizes=(8, 16), seeds=(0,), seconds_of=as_long, runner=runner)
    assert runner.updates == steps.cost
    return steps


def test_the_four_are_taken_in_smiths_order(found):
    assert [part.name for part in found.parts] == ["lr", "batch_size", "momentum", "weight_decay"]
    kinds = [type(part.sweep) for part in found.parts]
    assert kinds == [RangeTestRecord, BatchSizeSweep, HyperparameterSweep, HyperparameterSweep]
    assert found.parts[0].sweep.has_gap
    assert found.parts[2].sweep.steps == found.parts[1].sweep.updates[0] == 20


def test_each_begins_with_what_was_found_and_what_is_unclear_stays(found):
    _, sizes, momentum, decay = found.parts
    row = sizes.sweep.values.tolist().index(found.batch_size)
    rate = float(sizes.sweep.rates[row])
    if sizes.found.clear:
        assert found.batch_size == sizes.found.lr.value
    else:
        assert found.batch_size == 16
        assert "the task's own, as the sizes cannot be distinguished" in sizes.kept
    assert momentum.sweep.policy.peak == decay.sweep.policy.peak == pytest.approx(rate)
    kept = Momentum().momentum if momentum.found.lr is None else momentum.found.lr.value
    assert decay.sweep.rule.momentum == found.strategy.rule.momentum == kept
    assert found.strategy.rule.weight_decay == (0.0 if decay.found.lr is None else decay.found.lr.value)


def test_the_strategy_is_for_the_whole_training(found):
    rate = found.parts[2].sweep.policy.peak
    over = rescale_to_horizon(one_cycle(1.0), 20, 80, rescale_exponent(Momentum()))
    assert found.steps == 80
    assert found.strategy.peak == pytest.approx(rate * over, rel=5e-3)
    most = found.strategy.rule.momentum
    falls = found.strategy.policy.over(80).table(0, 80)["momentum"]
    assert (falls.min(), falls[0]) == (pytest.approx(max(0.0, most - 0.1), abs=1e-2), pytest.approx(most, abs=1e-9))


def test_it_is_kept_in_a_file(found, tmp_path):
    again = load(save(found, tmp_path / "steps.json"))
    assert (again.strategy, [part.kept for part in again.parts]) == (
        found.strategy, [part.kept for part in found.parts],
    )  # fmt: skip
    assert str(again) == f"{found.strategy.name} with batches of {found.batch_size}, on teacher"


def test_a_rule_without_momentum_has_fewer_steps():
    found = four_steps(
        teacher(40), SGD(), policy="cosine", sizes=(8, 16), seeds=(0,), seconds_of=as_long, engine=Loop()
    )
    assert [part.name for part in found.parts] == ["lr", "batch_size", "weight_decay"]
    assert set(found.strategy.policy) == {"lr"}


def test_what_cannot_be_gone_through_is_refused():
    with pytest.raises(ParameterError, match="own affair"):
        four_steps(FunctionTask(lambda _: None))
    with pytest.raises(ParameterError, match="distinct"):
        four_steps(teacher(40), sizes=(8, 8))
    with pytest.raises(ParameterError, match="at least two batch sizes"):
        four_steps(teacher(40), sizes=(8,))
    with pytest.raises(BudgetError, match="runs of the steps are 8 updates or more, so a training is no shorter: 3"):
        four_steps(teacher(40), steps=3)
