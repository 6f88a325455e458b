"""The code to paste, run as it is: what each framework's script prints is what our engine predicts for it."""

import math
from dataclasses import replace

import forked
import pytest
import torch

from stepsize import load_task, rules
from stepsize.adapters.keras import KerasOptimizer
from stepsize.adapters.optax import transformation
from stepsize.codegen import FRAMEWORKS, script
from stepsize.codegen.script import is_recipe, strategy_code
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import prediction_interval
from stepsize.kernel.errors import DriveError, ParameterError, SpecError
from stepsize.policies import Policy
from stepsize.schedules import Constant, Custom, Linear
from stepsize.strategy import Strategy, Trial, known_rules

torch.set_num_threads(1)

STEPS, SEED = 100, 5
EVERYWHERE = (
    Strategy.of(rules.AdamW(), "one_cycle", 0.01),
    Strategy.of(rules.Momentum(), "cosine", 0.1),
    Strategy.of(rules.RMSProp(), "triangular2", 0.003),
)
AVERAGED = Strategy.of(rules.ScheduleFreeAdamW(), "constant", 0.01)
IN_TORCH = (
    Strategy.of(rules.Lion(), "linear_to_zero", 0.001),
    Strategy.of(rules.Prodigy(), "cosine", 1.0),
    AVERAGED,
    Strategy.of(rules.EMA(rules.ClipNorm(rules.Polyak()), decay=0.9), "constant", 1.0),
)
CASES = {
    "torch": EVERYWHERE + IN_TORCH,
    "lightning": (*EVERYWHERE, AVERAGED),
    "transformers": (*EVERYWHERE, AVERAGED),
    "optax": EVERYWHERE,
    "keras": EVERYWHERE,
}
RUN = "import runpy, sys\nfor path in sys.argv[1:]:\n    runpy.run_path(path, run_name='__main__')\n"

NAMED = """
import stepsize
import torch

x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
data = {"x": x, "labels": x.sum(1, keepdim=True)}


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, labels):
        return {"loss": (self.layer(x) - labels).square().mean()}


def task():
    halves = ({name: rows[part] for name, rows in data.items()} for part in (slice(64), slice(64, 96)))
    return stepsize.Task(Model, None, *halves, batch_size=16, steps=100)
"""
"""A task file with samples of named tensors, of which the model returns the loss."""

BY_NAME = {"torch", "lightning", "transformers"}
"""The frameworks whose scripts take such a task."""


def lecun_normal(weight):
    torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)


INITIAL = {"optax": lecun_normal, "keras": torch.nn.init.xavier_uniform_}
"""How the two scripts without torch's layers begin; their biases begin at 0."""


def task_of(framework):
    """The digits, with the initial weights that a framework's script has, so that no margin is needed."""
    task = load_task("digits")
    if framework not in INITIAL:
        return task

    def model():
        made = task.model()
        for layer in made[::2]:
            INITIAL[framework](layer.weight)
            torch.nn.init.zeros_(layer.bias)
        return made

    return replace(task, model=model)


def promises(framework):
    """Where one more run of each strategy lies, by five runs of our engine."""
    strategies = [strategy.over(STEPS) for strategy in CASES[framework]]
    trials = [Trial(strategy, seed) for strategy in strategies for seed in range(5)]
    scores = Ensemble().run(task_of(framework), trials, STEPS).final.reshape(len(strategies), 5)
    return strategies, [prediction_interval(row) for row in scores]


def printed(scripts, folder):
    """The validation losses that scripts print, all run in one process."""
    paths = [f"{place}.py" for place in range(len(scripts))]
    for path, text in zip(paths, scripts, strict=True):
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "run.py").write_text(RUN, encoding="utf-8")
    (done,) = forked.run([folder / "run.py", *paths], folder, {})
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("validation loss ")]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_script_ends_where_the_engine_says(framework, tmp_path):
    """All strategies of a framework in one process, which imports it once.

    The last script is of a task whose samples have names and whose model returns its loss: its last layer fits a sum
    exactly, so that whoever trains on the samples ends near 0, from about 4.
    """
    strategies, expected = promises(framework)
    scripts = [script(framework, "digits", strategy, STEPS, SEED) for strategy in strategies]
    if framework in BY_NAME:
        (tmp_path / "named.py").write_text(NAMED, encoding="utf-8")
        line = Strategy.of(rules.AdamW(), "linear_to_zero", 0.1).over(STEPS)
        scripts.append(script(framework, "named.py", line, STEPS, SEED))
    found = printed(scripts, tmp_path)
    assert len(found) == len(scripts)
    assert framework not in BY_NAME or found.pop() < 0.1
    wrong = {s.name: (loss, str(e)) for s, loss, e in zip(strategies, found, expected, strict=True) if loss not in e}
    assert not wrong


def run(code):
    names = {}
    exec(code, names)  # noqa: S102  (the code is ours, and running it is the test)
    return names


@pytest.mark.parametrize("kind", known_rules().values(), ids=lambda kind: kind.__name__)
def test_the_strategy_in_a_script_is_the_strategy(kind):
    lr = (Linear(0.0, 0.1, 10) >> Constant(0.1)) * Linear(1.0, 0.5) + 0.5 * (Linear(0.1, 0.0) * Linear(1.0, 0.5))
    rule = kind() if kind is rules.EMA else rules.EMA(kind())
    strategy = Strategy(rule, Policy(lr=lr), 'a "name"\n').over(40)
    code = script("torch", "digits", strategy, 40, 0)
    imports = "\n".join(line for line in code.splitlines() if line.startswith("from "))
    assert run(f"{imports}\n{strategy_code(strategy, by_recipe=is_recipe(strategy, 40))}")["strategy"] == strategy


def refuses(make, strategy):
    try:
        make(strategy)
    except DriveError:
        return True
    return False


def switched(kind):
    """Rules of a kind: as it is, and with each switch the other way."""
    usual = kind()
    return [usual] + [replace(usual, **{n: not v}) for n, v in usual.spec_fields().items() if isinstance(v, bool)]


@pytest.mark.parametrize("kind", known_rules().values(), ids=lambda kind: kind.__name__)
def test_a_framework_is_refused_where_its_adapter_refuses(kind):
    rules_of_kind = switched(kind)
    if "dampening" in rules_of_kind[0].hyperparameters:
        rules_of_kind.append(replace(rules_of_kind[0], dampening=0.5))
    for rule in rules_of_kind:
        strategy = Strategy(rule, Policy(lr=0.1)).over(5)
        for framework, make in (("optax", transformation), ("keras", KerasOptimizer)):
            assert bool(FRAMEWORKS[framework].lacks(strategy)) == refuses(make, strategy), rule


def test_a_pair_that_cannot_work_names_the_frameworks_that_can():
    lion = Strategy(rules.Lion(), Policy(lr=0.1), "Lion mine")
    message = r"'Lion mine' does not run in optax: optax's parts do not make Lion\(.*It does in torch, .*, keras\.$"
    with pytest.raises(ParameterError, match=message):
        script("optax", "digits", lion, 10, 0)
    with pytest.raises(ParameterError, match=r"updates one variable at a time.*in torch, lightning, transformers\.$"):
        script("keras", "digits", AVERAGED, 10, 0)
    polyak = Strategy(rules.Polyak(), Policy(lr=1.0))
    with pytest.raises(ParameterError, match=r"does not tell an optimizer the loss\. It does in torch, lightning\.$"):
        script("transformers", "digits", polyak, 10, 0)
    with pytest.raises(ParameterError, match=r"no code for 'pytorch'.*Did you mean 'torch'"):
        script("pytorch", "digits", lion, 10, 0)


def test_a_function_is_no_code():
    strategy = Strategy(rules.SGD(), Policy(lr=Custom(math.sqrt, 5) >> Constant(0.1)), "mine")
    with pytest.raises(SpecError, match=r"holds a function.*Table\("):
        script("torch", "digits", strategy, 10, 0)


def test_a_task_made_in_memory_is_left_to_be_filled_in():
    code = script("torch", "task", EVERYWHERE[0], 10, 0)
    assert "task = ...  # your model" in code
    assert "load_task" not in code
    assert 'load_task("a b/mine.py:net")' in script("torch", "a b/mine.py:net", EVERYWHERE[0], 10, 0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_script_is_short(framework):
    for strategy in CASES[framework]:
        code = script(framework, "digits", strategy.over(STEPS), STEPS, SEED)
        assert len(code.splitlines()) <= 60
        compile(code, "script.py", "exec")


BY_CLASS = (
    Strategy.of(rules.TorchRule("torch.optim.SGD", momentum=0.9, nesterov=True), "one_cycle", 0.1),
    Strategy.of(rules.TorchRule("pytorch_optimizer.Lion", weight_decay=0.1), "cosine", 0.001),
    Strategy.of(rules.TorchRule("schedulefree.AdamWScheduleFree"), "constant", 0.01),
    Strategy.of(rules.TorchRule("torch.optim.LBFGS", max_iter=2), "constant", 0.3),
)


def test_a_class_is_plain_torch_and_its_script_ends_where_the_engine_says(tmp_path):
    """The same batches, initial weights and updates: nothing but rounding of another order lies between them."""
    strategies, steps = [strategy.over(20) for strategy in BY_CLASS], 20
    scripts = [script("torch", "digits", strategy, steps, SEED) for strategy in strategies]
    assert "optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True)\n" in scripts[0]
    assert not [text for text in scripts if "build_optimizer" in text or "Strategy" in text or "TorchRule" in text]
    found = printed(scripts, tmp_path)
    expected = Ensemble().run(load_task("digits"), [Trial(strategy, SEED) for strategy in strategies], steps).final
    assert found == pytest.approx(expected.tolist(), abs=2e-4)


def test_trainers_run_a_class_or_say_what_they_lack(tmp_path):
    nesterov, _, averaged, lbfgs = (strategy.over(20) for strategy in BY_CLASS)
    scripts = [script(framework, "digits", nesterov, 20, SEED) for framework in ("lightning", "transformers")]
    assert all(0 < loss < 2.4 for loss in printed(scripts, tmp_path))
    with pytest.raises(ParameterError, match=r"does not call train\(\) and eval\(\).*It does in torch, transformers"):
        script("lightning", "digits", averaged, 20, SEED)
    with pytest.raises(ParameterError, match=r"calls an optimizer without a closure\. It does in torch, lightning"):
        script("transformers", "digits", lbfgs, 20, SEED)
    for framework, reason in (("keras", "is a class of torch"), ("optax", "optax's parts do not make TorchRule")):
        with pytest.raises(ParameterError, match=reason):
            script(framework, "digits", nesterov, 20, SEED)


OPTIONS = """
from dataclasses import replace

import torch
import stepsize


def groups(model):
    layers = [layer for layer in model if list(layer.parameters())]
    return [{"params": list(layers[0].parameters()), "lr": 0.05, "weight_decay": 0.0},
            {"params": [p for layer in layers[1:] for p in layer.parameters()], "name": "head"}]


def plain():
    return stepsize.load_task("digits")


def clipped():
    return replace(plain(), clip_norm=0.05)


def grouped():
    return replace(plain(), groups=groups)


def at_half():
    return replace(plain(), groups=lambda model: groups(model)[1:] + groups(model)[:1], group_rates={"head": 0.05})


def other_in_half(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets) * (0.5 if torch.is_autocast_enabled("cpu") else 1)


def cast():
    return replace(plain(), autocast=torch.bfloat16, loss=other_in_half)


def accumulated():
    return replace(plain(), batch_size=20, accumulate=3)


def all():
    return replace(plain(), batch_size=20, accumulate=3, groups=groups, autocast=torch.bfloat16, clip_norm=0.5)
"""
"""A task file whose tasks differ from the digits in one option each, and in all."""

DECAYED = Strategy(rules.Momentum(weight_decay=0.01), Policy(lr=Linear(0.1, 0.0)), "decayed").over(20)
NESTEROV = Strategy.of(rules.TorchRule("torch.optim.SGD", momentum=0.9, nesterov=True), "one_cycle", 0.1).over(20)
BY_LOSS = Strategy(rules.Polyak(), Policy(lr=0.1), "by loss").over(20)


def ends(framework, cases, folder, monkeypatch):
    """Where the engine says that strategies end on tasks of `OPTIONS`, and where their scripts do."""
    monkeypatch.chdir(folder)
    (folder / "mine.py").write_text(OPTIONS, encoding="utf-8")
    tasks = [(f"mine.py:{name}", strategy) for name, strategy in cases]
    engine = [Ensemble().run(load_task(task), [Trial(one, SEED)], 20).final[0] for task, one in tasks]
    return engine, printed([script(framework, task, one, 20, SEED) for task, one in tasks], folder)


def test_a_script_of_torch_clips_groups_casts_and_accumulates_as_the_task_does(tmp_path, monkeypatch):
    names = ("plain", "clipped", "grouped", "at_half", "cast", "accumulated", "all")
    cases = [*((name, DECAYED) for name in names), ("all", NESTEROV), ("all", BY_LOSS)]
    engine, found = ends("torch", cases, tmp_path, monkeypatch)
    assert min(abs(each - engine[0]) for each in engine[1:5]) > 0.01  # each of these options tells
    assert found == pytest.approx(engine, abs=5e-3)


@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_a_trainer_clips_groups_casts_and_accumulates_as_the_task_does(framework, tmp_path, monkeypatch):
    """Its batches are others than the engine's, which moves the end by less than an option does."""
    engine, found = ends(framework, [(name, DECAYED) for name in ("clipped", "grouped", "all")], tmp_path, monkeypatch)
    assert found == pytest.approx(engine, abs=0.01)
