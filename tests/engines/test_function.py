"""The user's own training function: it is driven as a task is, and what it does wrong is told before the race."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stepsize import FunctionTask, Strategy, Task, advise, load, load_task, race, ramp, range_test, save
from stepsize.engines import Function, Loop, choose
from stepsize.engines.function import FunctionTrial
from stepsize.jobs import Journal, Runner, advise_batches, compare_batch_sizes, rate_grid, sweep_hyperparameter
from stepsize.kernel import seeds
from stepsize.kernel.errors import JournalError, ParameterError, TaskError
from stepsize.policies import Policy, constant, cosine, one_cycle
from stepsize.problems import Trainable
from stepsize.rules import SGD, AdamW, Lion, Momentum
from stepsize.strategy import Trial

STEPS = 30
NOISE = seeds.generator(0, "function")
X = torch.from_numpy(NOISE.standard_normal((48, 4))).float()
Y = X.sum(1, keepdim=True)


def torch_loop(trial):
    """A loop as people write it; a batch is `reference`'s, so that an engine can be held against it."""
    model = REFERENCE.build(trial.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.123, momentum=0.9)
    for step in trial:
        trial.apply(optimizer)
        inputs, targets = REFERENCE.batch(step, trial.seed)
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trial.report(loss, score=lambda: REFERENCE.score(model))


REFERENCE = Task(lambda: nn.Linear(4, 1), nn.functional.mse_loss, (X[:32], Y[:32]), (X[32:], Y[32:]), 8, name="fine")


def plain(trial):
    """Gradient descent on half the square, in plain Python, with noise of the global generators."""
    weight = 1.0 + 0.01 * random.random() + 0.01 * np.random.rand() + 0.01 * float(torch.rand(()))  # noqa: NPY002, S311  (the global ones)
    for _ in trial:
        loss = weight**2 / 2
        weight -= trial.lr * weight
        trial.report(loss)


def task(train=plain, rule=SGD(), **options):  # noqa: B008  (a frozen value)
    return FunctionTask(train, rule=rule, steps=STEPS, **options)


def field(*rates, rule=SGD()):  # noqa: B008  (the same)
    return [Strategy(rule, constant(rate)) for rate in rates]


def test_a_torch_loop_has_the_numbers_of_our_engine():
    strategies = [Strategy(Momentum(), policy) for policy in (constant(0.02), cosine(0.05), one_cycle(0.04))]
    trials = [Trial(strategy, seed) for strategy in strategies for seed in (0, 1)]
    ours = Loop().run(REFERENCE, trials, STEPS, score_every=10)
    theirs = Function().run(task(torch_loop, Momentum()), trials, STEPS, score_every=10)
    np.testing.assert_allclose(theirs.losses, ours.losses, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-5, atol=1e-7)
    assert list(theirs.score_steps) == list(ours.score_steps) == [10, 20, 30]


def test_plain_python_is_gradient_descent_in_closed_form():
    curves = task().run(Strategy(SGD(), constant(0.1)), seed=3)
    np.testing.assert_allclose(curves.losses[:, 0], curves.losses[0, 0] * 0.9 ** (2 * np.arange(STEPS)))
    np.testing.assert_allclose(curves.scores[-1], curves.losses[-1])
    assert curves.final[0] == task().run(Strategy(SGD(), constant(0.1)), seed=3).final[0]
    assert curves.final[0] != task().run(Strategy(SGD(), constant(0.1)), seed=4).final[0]


def test_a_race_ranks_it_and_a_rate_that_is_too_large_diverges(tmp_path):
    record = race(task(), field(0.01, 0.3, 1e200), seeds=(0, 1))
    assert [s.strategy.peak for s in record.standings] == [0.3, 0.01, 1e200]
    assert record.standings[-1].diverged == 2
    assert record.engine == Function.label
    save(record, tmp_path / "race.json")
    assert load(tmp_path / "race.json").standings == record.standings


def test_jobs_that_could_use_a_model_do_without():
    fine = task(torch_loop, Momentum())
    sweep = range_test(fine, Momentum(), seeds=(0,))
    assert sweep.limits is None
    found = rate_grid(fine, Momentum(), [0.01, 0.02, 0.04], steps=10)
    assert found.before is None
    assert np.isfinite(found.held_out).all()


def test_advice_follows_its_rule_and_its_code_runs():
    answer = advise(task(torch_loop, Momentum()), steps=60, budget=22, policies=["constant", "cosine"])
    assert isinstance(answer.strategy.rule, Momentum)
    code = answer.code().replace("task = ...", "task = given")
    printed = []
    exec(code, {"given": task(torch_loop, Momentum()), "print": printed.append})  # noqa: S102  (it is to be pasted)
    assert float(printed[0].split()[-1]) == pytest.approx(answer.best_score, rel=1.0)


def test_the_generators_of_others_stay_as_they_were():
    random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    task().run(Strategy(SGD(), constant(0.1)))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (np.random.get_state()[1] == before[2]).all()  # noqa: NPY002


def loop(body, *, rate=True):
    """A function whose loop does `body(trial, step)`, and reads the rate."""

    def train(trial):
        for step in trial:
            if rate:
                trial.values  # noqa: B018  (reading is the point)
            body(trial, step)

    return train


def early(trial):
    for step in trial:
        trial.report(trial.lr)
        if step == 1:
            return


def breaks(trial):
    for _ in trial:
        trial.report(trial.lr)
        break


def twice_through(trial):
    for _ in range(2):
        for _ in trial:
            trial.report(trial.lr)


def returns(trial):
    for _ in trial:
        trial.report(trial.lr)
    return 0.5


def only_before(trial):
    trial.lr  # noqa: B018  (reading is the point)
    for _ in trial:
        trial.report(1.0)


def exits(trial):
    raise SystemExit("bye")


WRONG = {
    "never loops": (lambda trial: None, "never went through its trial"),
    "never reports": (loop(lambda trial, step: None), "the loss of update 0 was not reported"),
    "reports once": (loop(lambda trial, step: step or trial.report(1.0)), "the loss of update 1 was not reported"),
    "reports twice": (loop(lambda trial, step: trial.report(1.0) or trial.report(1.0)), "update 0 was reported twice"),
    "reports before": (lambda trial: trial.report(1.0), r"before the loop"),
    "vector": (loop(lambda trial, step: trial.report(np.ones(3))), r"not an array of shape \(3,\).*take its mean"),
    "tensor": (loop(lambda trial, step: trial.report(torch.ones(2, 2))), r"not an array of shape \(2, 2\)"),
    "text": (loop(lambda trial, step: trial.report("0.5")), "a loss is one number, not '0.5'"),
    "nothing": (loop(lambda trial, step: trial.report(None)), "a loss is one number, not None"),
    "bad score": (
        loop(lambda trial, step: trial.report(1.0, score=lambda: "good")),
        "a score is one number, not 'good'",
    ),
    "forgets a score": (loop(lambda trial, step: trial.report(1.0, None if step else 1.0)), "no score was given after"),
    "nan at once": (
        loop(lambda trial, step: trial.report(float("nan"))),
        r"is nan at the first step, before any update",
    ),
    "returns early": (early, "stopped after 2 of 3 updates.*without break or return"),
    "breaks": (breaks, "stopped after 1 of 3 updates"),
    "goes again": (twice_through, "gone through already"),
    "returns a number": (returns, r"returned 0\.5, which nobody reads; report a score"),
    "no rate": (loop(lambda trial, step: trial.report(1.0), rate=False), "reads no rate in step 2"),
    "one rate": (only_before, "reads no rate in step 2"),
    "raises": (loop(lambda trial, step: trial.report(1 / (1 - step))), "fails at update 1: ZeroDivisionError: "),
    "raises before": (lambda trial: 1 / 0, "fails before its first update: ZeroDivisionError"),
    "exits": (exits, "fails before its first update: SystemExit: bye"),
    "not torch": (loop(lambda trial, step: trial.apply(object())), "takes a torch optimizer, not object"),
}


@pytest.mark.parametrize(("train", "said"), WRONG.values(), ids=list(WRONG))
def test_bad_use_is_told_before_anything_runs(train, said):
    told = []
    with pytest.raises((TaskError, ParameterError), match=said) as caught:
        race(task(train), field(0.01, 0.02), progress=lambda stage, done: told.append(done))
    assert told == []
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("train", "options", "said"),
    [
        (3, {}, "train must be a function of a trial, not 3"),
        (plain, {"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        (plain, {"rule": "AdamW"}, r"rule must be an update rule, such as AdamW\(\), not 'AdamW'"),
    ],
)
def test_a_wrong_task_is_refused(train, options, said):
    with pytest.raises(TaskError, match=said):
        FunctionTask(train, **options)


def test_a_function_of_any_rule_has_to_look_at_it():
    with pytest.raises(TaskError, match=r"never looks at the update rule.*FunctionTask\(train, rule=AdamW\(\)\)"):
        Runner(task(rule=None))


def any_rule(trial):
    model = REFERENCE.build(trial.seed)
    optimizer = trial.optimizer(model)
    for step in trial:
        trial.apply(optimizer)
        inputs, targets = REFERENCE.batch(step, trial.seed)
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trial.report(loss)


def test_a_function_that_builds_the_rules_optimizer_runs_any():
    trials = [Trial(Strategy(rule, constant(0.01)), 0) for rule in (SGD(), AdamW(), Momentum(momentum=0.5), Lion())]
    ours = Loop().run(REFERENCE, trials, STEPS)
    theirs = Runner(task(any_rule, None)).run("stage", trials, STEPS)
    np.testing.assert_allclose(theirs.losses, ours.losses, rtol=1e-5, atol=1e-7)


def test_another_rule_than_its_own_is_refused_at_once():
    with pytest.raises(ParameterError, match=r"follows SGD, so a strategy of AdamW cannot be run .* race SGD alone"):
        race(task(), [*field(0.01), *field(0.01, rule=AdamW())])


def test_apply_sets_what_the_rule_has_otherwise_than_the_tasks_own():
    seen = []

    def train(trial):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.7)
        for _ in trial:
            trial.apply(optimizer)
            seen.append(optimizer.param_groups[0]["momentum"])
            trial.report(1.0)

    own = task(train, Momentum(momentum=0.9))
    own.run(Strategy(Momentum(momentum=0.9), constant(0.1)), steps=1)
    own.run(Strategy(Momentum(momentum=0.95), constant(0.1)), steps=1)
    own.run(Strategy(Momentum(momentum=0.95), Policy(lr=0.1, momentum=0.8)), steps=1)
    assert seen == [0.7, 0.95, 0.8]


def test_a_test_of_values_reaches_the_optimizer_and_one_of_batch_sizes_is_refused():
    fine = task(torch_loop, Momentum())
    sweep = sweep_hyperparameter(fine, "momentum", [0.0, 0.9], policy=constant(0.02), rule=Momentum(), seeds=(0,))
    assert sweep.held_out[0, 0] != sweep.held_out[1, 0]
    with pytest.raises(ParameterError, match="its training function's own affair"):
        compare_batch_sizes(fine, [8, 16], policy=constant(0.02), rule=Momentum())


def test_a_bad_trial_is_left_out_and_the_others_go_on():
    def train(trial):
        for step in trial:
            if trial.lr == 0.02 and step == 5:
                raise ArithmeticError("far out")
            trial.report(1 / (1 + trial.lr * step))

    runner = Runner(task(train))
    record = race(runner.task, field(0.01, 0.02, 0.03), seeds=(0, 1), runner=runner)
    assert [s.strategy.peak for s in record.standings] == [0.03, 0.01, 0.02]
    assert set(runner.failures.values()) == {"'train' fails at update 5: ArithmeticError: far out"}
    assert len(runner.failures) == 2


def test_a_loss_that_is_no_number_ends_the_trial():
    steps = []

    def train(trial):
        for step in trial:
            steps.append(step)
            trial.report(float("inf") if step == 4 and trial.lr == 0.5 else trial.lr, score=1.0)

    curves = Function().run(task(train), [Trial(field(0.5)[0], 0)], 10, score_every=2)
    assert steps == [0, 1, 2, 3, 4]
    assert curves.died_at[0] == 4
    assert curves.final[0] == np.inf
    np.testing.assert_array_equal(curves.scores[:, 0], [1.0, 1.0, np.nan, np.nan, np.nan])


def test_a_score_is_asked_for_only_when_it_is_due():
    asked = []

    def train(trial):
        for step in trial:
            trial.report(trial.lr, score=lambda: asked.append(step) or step)  # noqa: B023  (called at once)

    curves = Function().run(task(train), [Trial(field(0.5)[0], 0)], 10, score_every=4)
    assert asked == [3, 7, 9]
    assert list(curves.scores[:, 0]) == [3.0, 7.0, 9.0]


@pytest.mark.parametrize("loss", [None, "1.0", [1.0], {}, 1j, np.ones(3), torch.ones(2, 2)])
def test_a_trial_and_a_range_test_refuse_a_loss_in_the_same_words(loss):
    """Both take what `as_number` takes."""

    def report():
        Function().run(task(loop(lambda trial, step: trial.report(loss))), [Trial(field(0.5)[0], 0)], 2)

    errors = []
    for attempt in (lambda: ramp(lambda _: loss), report):
        with pytest.raises(TaskError, match="a loss is one number, not") as refused:
            attempt()
        errors.append(str(refused.value))
    assert errors[0] in errors[1]


def test_a_compiled_loop_takes_the_whole_table():
    jax = pytest.importorskip("jax")

    def train(trial):
        def step(weight, lr):
            return weight * (1 - lr), weight**2 / 2

        _, losses = jax.lax.scan(step, 1.0, jax.numpy.asarray(trial.table["lr"]))
        for step in trial:
            trial.report(losses[step])

    curves = task(train).run(Strategy(SGD(), constant(0.1)))
    np.testing.assert_allclose(curves.losses[:, 0], 0.5 * 0.9 ** (2 * np.arange(STEPS)), rtol=1e-5)


def test_a_task_and_a_training_function_meet_one_protocol():
    for trainable in (task(), REFERENCE):
        assert isinstance(trainable, Trainable)
        assert trainable.scored == "validation loss"
        assert all(isinstance(part, str) for part in trainable.fingerprint_parts().values())
    assert not isinstance(task(), Task)


def test_what_needs_a_model_says_that_there_is_none():
    with pytest.raises(TaskError, match="whose model, loss and data cannot be looked at; this needs a stepsize"):
        Loop().run(task(), [Trial(field(0.1)[0], 0)], 3)
    with pytest.raises(TaskError, match="'fine' is no training function"):
        Function().run(REFERENCE, [Trial(field(0.1)[0], 0)], 3)
    with pytest.raises(ParameterError, match="its training function's own affair"):
        advise_batches(task(), [8, 16])
    assert isinstance(choose(task()).engine, Function)


FILE = """
from stepsize import FunctionTask
from stepsize.rules import SGD

STEPS = 12

def train(trial):
    weight = 1.0 + trial.seed
    for step in trial:
        loss = weight ** 2 / 2  # half the square
        weight -= trial.lr * weight
        trial.report(loss)

def task():
    return FunctionTask(train, rule=SGD(), steps=STEPS)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(FILE)
    return path


def test_a_journal_goes_on_and_knows_a_function_that_was_changed(file, tmp_path):
    def run(rates):
        with Journal(tmp_path / "j") as journal:
            updates = []
            given = load_task(str(file))
            runner = Runner(given, journal=journal, progress=lambda stage, done: updates.append(done))
            record = race(given, field(*rates), steps=12, seeds=(0, 1), runner=runner)
            return record, updates.count(1)

    first, count = run((0.01, 0.1))
    assert count == 4 * 12
    file.write_text(FILE.replace("# half the square", "# a comment").replace("STEPS = 12", "STEPS = 24"))
    with pytest.warns(UserWarning, match="own.py changed since"):
        again, count = run((0.01, 0.1, 0.2))
    assert count == 2 * 12
    assert again.standings[1].score == first.standings[0].score
    file.write_text(FILE.replace("weight -=", "weight = weight -"))
    with pytest.raises(JournalError, match=r"own\.py is not what it was .*another training function\)"):
        run((0.01, 0.1))
    file.write_text(FILE.replace("1.0 + trial", "1.1 + trial"))
    with pytest.raises(JournalError, match=r"another training function, first losses\)"):
        run((0.01, 0.1))


def test_it_runs_in_worker_processes(file):
    given = load_task(str(file))
    alone = race(given, field(0.01, 0.1), seeds=(0, 1))
    runner = Runner(given, workers=2)
    apart = race(given, field(0.01, 0.1), seeds=(0, 1), runner=runner)
    runner.close()
    assert apart.standings == alone.standings
    assert apart.executor == "in 2 worker processes"


def test_it_can_be_given_other_steps():
    assert replace(task(), steps=7).steps == 7
    assert task().name == "plain"
    assert len(FunctionTrial(Trial(field(0.1)[0], 0), 5, [5])) == 5


def test_the_key_of_a_trial_is_its_own_and_the_same_in_another_run():
    def key(rate=0.1, seed=0, steps=5, rule=SGD()):  # noqa: B008  (a frozen value)
        return FunctionTrial(Trial(field(rate, rule=rule)[0], seed), steps, [steps]).key

    keys = {key(), key(rate=0.2), key(seed=1), key(steps=6), key(rule=Lion()), key(rule=SGD(weight_decay=0.1))}
    assert len(keys) == 6
    assert key() == key()
    assert all(each.isalnum() for each in keys)
