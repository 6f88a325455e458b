"""A loop finds its own rate in pilot runs; the real run that follows is, bit by bit, the one that `drive` makes."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from trainings import CASES, STEPS, Clocked, Training, data, groups, same

import stepsize
from stepsize.jobs.tune.pilots import RESTED
from stepsize.policies import Policy, cosine
from stepsize.rules import SGD, AdamW, Lion, TorchRule
from stepsize.schedules import Constant, Cosine, Linear

pytestmark = pytest.mark.filterwarnings("ignore:os.fork.. was called")  # JAX, where another test has loaded it


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_the_real_run_is_bit_by_bit_the_one_that_drive_makes(make):
    tuned = make().tune(share=0.5)
    ours = tuned.state()  # before the other one seeds the generators again
    driven = make().drive(tuned.loop.answer.policy)
    assert tuned.pilots > STEPS // 4
    assert len(driven.seen) >= STEPS
    assert same(ours, driven.state())


def test_pilot_runs_cost_what_the_answer_says_and_no_more_than_their_share():
    tuned = Training().tune(share=0.5)
    answer = tuned.loop.answer
    assert sum(run.steps for run in answer.runs) + RESTED == tuned.pilots
    assert tuned.pilots / STEPS == pytest.approx(answer.cost)
    assert answer.cost <= 0.5 + 1e-9
    assert len(tuned.seen) == STEPS
    assert {run.steps < STEPS for run in answer.runs} == {True}


def test_each_pilot_run_is_a_whole_schedule_from_the_same_start():
    """The first rates of each run are those of its own policy over its own length."""
    training = Training()
    rates, losses = [], []
    loop = stepsize.tune(training.model, training.optimizer, training.loader, policy="cosine", steps=STEPS, share=0.5)
    for batch in loop:
        if not loop.piloting:
            break
        rates.append(training.optimizer.param_groups[0]["lr"])
        training.turn(batch, lambda loss: (losses.append(loss.item()), loop.tell(loss)))
    at = RESTED
    for run in loop.answer.runs:
        assert rates[at : at + run.steps] == pytest.approx(run.strategy.over(run.steps).table(0, run.steps)["lr"])
        assert losses[at] == losses[0]
        at += run.steps
    assert at == len(rates)


def test_its_rate_trains_as_well_as_the_best_of_a_list():
    def final(training):
        training.model.eval()
        x, y = data(512)[96:]
        return cross_entropy(training.model(x), y).item()

    tuned = Training().tune(steps=300)
    rates = np.geomspace(1e-4, 1.0, 9)
    start = final(Training())
    losses = [final(Training().drive(stepsize.policies.one_cycle(rate), 300)) for rate in rates]
    assert final(tuned) - min(losses) < 0.15 * (start - min(losses))
    assert tuned.loop.answer.learned


def test_parameter_groups_keep_their_ratios():
    tuned = Training(groups).tune(share=0.4)
    ratios = {round(first / second, 6) for first, second in tuned.seen}
    assert ratios == {0.1}
    assert max(second for _, second in tuned.seen) == pytest.approx(tuned.loop.answer.strategy.peak, rel=0.02)
    assert tuned.optimizer.param_groups[1]["weight_decay"] == 0.0


def test_a_scheduler_that_was_left_in_the_loop_does_not_set_the_rate():
    training = Training()
    scheduler = torch.optim.lr_scheduler.StepLR(training.optimizer, 1, gamma=0.5)
    loop = stepsize.tune(training.model, training.optimizer, training.loader, scheduler, steps=STEPS, share=0.4)
    for batch in loop:
        training.turn(batch, loop.tell)
        scheduler.step()
    policy = loop.answer.policy
    assert [rate for (rate,) in training.seen[-STEPS:]] == pytest.approx(policy.table(0, STEPS)["lr"])


def test_a_validation_scores_the_pilot_runs_and_leaves_the_modes_alone():
    training, calls = Training(), []
    held_out = data(160)[96:]

    def validate():
        assert not torch.is_grad_enabled()
        training.model.eval()
        calls.append(cross_entropy(training.model(held_out[0]), held_out[1]).item())
        return calls[-1]

    loop = training.tune(share=0.5, validate=validate).loop
    assert training.model.training
    assert loop.answer.start == calls[0]
    assert [run.score for run in loop.answer.runs] == calls[-len(loop.answer.runs) :]
    assert loop.answer.scored == "validation loss"


@pytest.mark.parametrize("disturbed", [(1.15, 1.0, 0.85), (1.0, 1.15), (30.0, 1.0, 1.0, 1.0), (0.95, 1.1, 1.02, 4.0)])
def test_a_clock_that_is_disturbed_plans_the_same_runs(monkeypatch, disturbed):
    def planned(*disturbed):
        training = Clocked(monkeypatch, disturbed)
        answer = training.tune(share=1.0, validate=training.validate).loop.answer
        return [(run.strategy.peak, run.steps) for run in answer.runs]

    assert planned(*disturbed) == planned(1.0) != []


def test_a_validation_that_takes_a_blink_does_not_count(monkeypatch):
    training = Clocked(monkeypatch, (0.001,))
    answer = training.tune(share=0.5, validate=training.validate).loop.answer
    assert answer.cost == pytest.approx((RESTED + sum(run.steps for run in answer.runs)) / STEPS)


def test_without_a_share_it_trains_at_the_rate_of_the_prior_and_says_so():
    with pytest.warns(UserWarning, match="no pilot run was made, so the rate .* is what other tasks"):
        tuned = Training().tune(share=0)
    assert tuned.loop.answer.runs == ()
    assert tuned.pilots == RESTED
    assert len(tuned.seen) == STEPS


def test_what_pilot_runs_may_cost_falls_with_the_length_of_the_run():
    training = Training()
    shares = {
        steps: stepsize.tune(training.model, training.optimizer, training.loader, steps=steps).share
        for steps in (100, 4999, 5000, 20_000)
    }
    assert shares == {100: 1.0, 4999: 1.0, 5000: 0.35, 20_000: 0.35}


@pytest.mark.parametrize(
    "policy",
    [
        "cosine",
        cosine,
        Cosine(3.0, 0.0),
        Policy(lr=Constant(1.0) >> Linear(1.0, 0.0, "30%"), momentum=0.8),
        lambda peak: cosine(peak).replace(weight_decay=0.1),
        Policy(lr=Linear(0.0, 1.0, 30) >> Cosine(1.0, 0.0)),
    ],
    ids=["name", "recipe", "schedule", "policy", "function", "lengths in steps"],
)
def test_a_policy_of_any_kind_keeps_its_shape(policy):
    tuned = Training().tune(share=0.3, policy=policy)
    rates = tuned.loop.answer.policy.table(0, STEPS)
    shape = Policy(lr=policy) if isinstance(policy, Cosine) else policy
    shape = stepsize.policies.recipe(shape)(1.0) if isinstance(shape, str) else shape
    shape = (shape(1.0) if not isinstance(shape, Policy) else shape).over(STEPS).table(0, STEPS)
    np.testing.assert_allclose(rates["lr"] / rates["lr"].max(), shape["lr"] / shape["lr"].max(), rtol=1e-9, atol=1e-15)
    assert rates.keys() == shape.keys()
    assert [rate for (rate,) in tuned.seen] == pytest.approx(rates["lr"])


def test_the_answer_is_a_result_like_every_other(tmp_path):
    answer = Training().tune(share=0.5).loop.answer
    stepsize.save(answer, tmp_path / "answer.json")
    again = stepsize.load(tmp_path / "answer.json")
    assert again.policy == answer.policy
    assert [run.score for run in again.runs] == [run.score for run in answer.runs]
    stepsize.write_report(tmp_path / "report.html", answer)
    assert answer.strategy.name in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert answer.plot() is not None


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, while it compiles
def test_a_compiled_update_that_divides_by_the_rate_is_tuned():
    """At the rate 0 torch's Adam with a rate that is a tensor makes NaN of weights without a gradient."""

    def capturable(model):
        model[0].weight.register_hook(lambda gradient: 0 * gradient)
        return torch.optim.Adam(model.parameters(), lr=torch.tensor(1e-3), foreach=False)

    training = Training(capturable)
    training.optimizer.step = torch.compile(training.optimizer.step, backend="eager")
    loop = training.tune(policy="cosine", share=0.4).loop
    assert loop.answer.learned
    assert torch.isfinite(training.model[0].weight).all()


def test_the_code_to_paste_drives_the_loop():
    answer = Training().tune(share=0.3).loop.answer
    other = Training()
    here = {"optimizer": other.optimizer}
    before, after = answer.code().split("    ...  # forward, backward\n")
    exec(f"{before}    rates.append(optimizer.param_groups[0]['lr'])\n{after}", here | {"rates": (rates := [])})  # noqa: S102
    assert rates == pytest.approx(answer.policy.table(0, STEPS)["lr"].tolist(), rel=1e-12, abs=0)


@pytest.mark.filterwarnings("ignore:no pilot run was made")
def test_the_first_gradient_is_read_without_the_scale_of_a_scaler():
    sources = {name: CASES[name]().tune(share=0).loop.answer for name in ("float16 with a scaler", "float16, fused")}
    plain, fused = sources.values()
    assert plain.belief.source == fused.belief.source == "the first gradient and the widths of the layers"
    assert fused.strategy.peak == pytest.approx(plain.strategy.peak, rel=0.1)
    assert fused.strategy.peak == pytest.approx(Training().tune(share=0).loop.answer.strategy.peak, rel=0.1)


def test_momentum_is_left_out_where_there_is_none():
    with pytest.warns(UserWarning, match="this SGD has no momentum, so the policy's momentum is left out"):
        tuned = Training(lambda model: torch.optim.SGD(model.parameters(), lr=0.1)).tune(share=0.3)
    assert list(tuned.loop.answer.policy) == ["lr"]
    assert tuned.loop.answer.strategy.rule == SGD()
    assert tuned.optimizer.param_groups[0]["momentum"] == 0


@pytest.mark.filterwarnings("ignore:no pilot run was made")
def test_an_optimizer_of_a_package_is_its_class_and_its_rate_is_looked_for_wider():
    lion = pytest.importorskip("pytorch_optimizer").Lion
    adopt = pytest.importorskip("pytorch_optimizer").ADOPT
    assert Training(lambda model: lion(model.parameters())).tune(share=0).loop.answer.strategy.rule == Lion()
    unknown = Training(lambda model: adopt(model.parameters())).tune(share=0).loop.answer
    known = Training().tune(share=0).loop.answer
    assert unknown.strategy.rule == TorchRule(adopt)
    assert unknown.belief.high / unknown.belief.low > 3 * known.belief.high / known.belief.low


def test_an_optimizer_that_is_unknown_begins_where_the_most_like_it_would():
    class Homemade(torch.optim.AdamW):
        pass

    with pytest.warns(UserWarning, match="Homemade is no update rule that is known here, so .* where AdamW would"):
        loop = Training(lambda model: Homemade(model.parameters())).tune(share=0.3).loop
    assert loop.answer.strategy.rule == AdamW()
