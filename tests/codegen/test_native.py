"""Code without stepsize, run on the frameworks as it is: the rates that an optimizer has are the policy's table."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from stepsize import rules
from stepsize.adapters.torch import build_optimizer, drive
from stepsize.codegen import native_script
from stepsize.codegen.native.formula import JAX, KERAS, PYTHON, function
from stepsize.codegen.native.named import named
from stepsize.kernel.errors import ParameterError
from stepsize.policies import RECIPES, Policy, recipe
from stepsize.schedules import Constant, Cosine, Custom, Linear, Polynomial, PowerLaw, Product, Repeat, Stretched, Table
from stepsize.strategy import Strategy, known_rules

STEPS = 60
ODD = {
    "sum": (Linear(0.0, 0.3, 7) >> Constant(0.3)) + Cosine(0.1, 0.0),
    "product of products": Product(Linear(0.2, 0.1), Product(Cosine(1.0, 0.2), Linear(0.5, 1.0))),
    "many cycles": Repeat(Linear(0.1, 1.0, 2) >> Cosine(1.0, 0.1, 1)),
    "longer cycles": Repeat(Polynomial(1.0, 0.1, 3, power=1.5), stretch=2, scale=0.5),
    "stretched": Stretched(Repeat(Cosine(1.0, 0.1, 5), steps=30), STEPS),
    "power of a whole number": PowerLaw(0.1, exponent=1.0, timescale=1.0),
    "table": Table(tuple(np.linspace(1.0, 0.2, 40).tolist())),
    "function": Custom(lambda step: 0.1 / (1 + step)),
}
SCHEDULES = {
    **{f"{name} {key}": value for name in RECIPES for key, value in recipe(name)(0.0158).schedules},
    **ODD,
}


def run(code, **given):
    """Run a script, what is the user's being given; return its names."""
    head, mark, rest = code.partition(" = ...  # yours: ")
    if mark:
        lines = head.splitlines()
        wanted = lines[-1].split(", ")
        code = "\n".join([*lines[:-1], rest.partition("\n")[2]])
        assert set(wanted) == set(given)
    names = {"__name__": "script", **given}
    exec(compile(code, "script", "exec"), names)  # noqa: S102  (the code is ours, and running it is the test)
    return names


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_formula_in_python_is_the_schedule(name):
    schedule = SCHEDULES[name].over(STEPS)
    value = run(function("value", schedule, STEPS, PYTHON), math=math)["value"]
    wanted = schedule.table(0, STEPS)
    np.testing.assert_allclose([value(step) for step in range(STEPS)], wanted, rtol=1e-12, atol=1e-12 * wanted.max())
    assert math.isfinite(value(STEPS))  # where a scheduler stands after the last update


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_formula_in_arrays_is_the_schedule(name):
    jnp, ops = pytest.importorskip("jax.numpy"), pytest.importorskip("keras").ops
    schedule = SCHEDULES[name].over(STEPS)
    wanted = schedule.table(0, STEPS)
    for language, module in ((JAX, jnp), (KERAS, ops)):
        names = {language.prefix.rstrip("."): module}
        value = run(function("value", schedule, STEPS, language), math=math, **names)["value"]
        found = [float(value(module.array(step if language == JAX else float(step)))) for step in range(STEPS)]
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6 * wanted.max())


def test_constants_are_folded_and_what_cannot_happen_is_not_written():
    schedule = 0.5 * (Linear(0.0, 0.02, 10) >> Constant(0.02, 20) >> Cosine(0.02, 0.0))
    assert function("lr", schedule.over(100), 100, PYTHON).splitlines() == [
        "def lr(step):",
        "    if step < 10:",
        "        return 0.01 * step / 10",
        "    if step < 30:",
        "        return 0.01",
        "    return 0.005 + 0.005 * math.cos(math.pi * (step - 30) / 70)",
    ]


def rates_of(code, rule, steps=STEPS, **given):
    """The values that each update of a script in torch has, by hyperparameter."""
    seen = []

    def loss_of(outputs, targets):
        return torch.nn.functional.mse_loss(outputs, targets)

    def noted(optimizer, args, kwargs):
        group = optimizer.param_groups[0]
        momentum = group["betas"][0] if "betas" in group else group.get("momentum", math.nan)
        seen.append({"lr": float(group["lr"]), "momentum": momentum})

    batches = iter(lambda: (torch.ones(4, 3), torch.zeros(4, 1)), None)
    handle = register_optimizer_step_pre_hook(noted)
    try:
        run(code, model=torch.nn.Linear(3, 1), batches=batches, loss_of=loss_of, **given)
    finally:
        handle.remove()
    assert len(seen) == steps
    return {name: np.array([each[name] for each in seen]) for name in rule.hyperparameters if name in seen[0]}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("rule", [rules.AdamW(), rules.Momentum(), rules.Nesterov(weight_decay=0.1)], ids=str)
def test_a_loop_in_torch_has_the_rates_of_the_table(rule, name):
    strategy = Strategy.of(rule, name, 0.0158)
    found = rates_of(native_script("torch", strategy, STEPS), rule)
    table = strategy.over(STEPS).table(0, STEPS)
    for key, values in found.items():
        np.testing.assert_allclose(values, table[key], rtol=1e-9, atol=1e-9 * table[key].max())


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        (Strategy(rules.SGD(), Policy(lr=Linear(0.0, 0.0))), 3),
        (Strategy.of("Momentum", "one_cycle", 0.1), 1),
        (Strategy(rules.Momentum(), Policy(lr=Cosine(0.1, 0.0), momentum=Cosine(0.6, 0.6))), 2),
    ],
    ids=["rate 0", "one step", "momentum that stays"],
)
def test_what_does_not_move_in_a_run_is_the_optimizers_own(strategy, steps):
    found = rates_of(native_script("torch", strategy, steps), strategy.rule, steps)
    table = strategy.over(steps).table(0, steps)
    for name in found.keys() & table.keys():
        np.testing.assert_allclose(found[name], table[name], rtol=1e-12)


def test_a_loop_in_torch_ends_where_ours_ends():
    strategy = Strategy.of("AdamW", "one_cycle", 0.05)
    torch.manual_seed(0)
    models = [torch.nn.Linear(3, 1, dtype=torch.float64) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(4, 3, dtype=torch.float64)
    optimizer = build_optimizer(models[0], strategy)
    for _ in drive(optimizer, strategy.policy, steps=STEPS):
        optimizer.zero_grad()
        models[0](x).square().mean().backward()
        optimizer.step()
    batches = iter(lambda: (x, None), None)
    code = native_script("torch", strategy, STEPS)
    run(code, model=models[1], batches=batches, loss_of=lambda outputs, _: outputs.square().mean())
    torch.testing.assert_close(models[1].weight, models[0].weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("policy", ["one_cycle", "wsd", "smith_one_cycle", "constant"])
def test_a_module_of_lightning_has_the_rates_of_the_table(policy, tmp_path, monkeypatch):
    lightning = pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    seen = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch, _):
            group = self.optimizers().param_groups[0]
            seen.append((group["lr"], group["betas"][0]))
            return self.layer(batch[0]).square().mean()

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 3)), batch_size=2)
    strategy = Strategy.of("AdamW", policy, 0.0158)
    code = native_script("lightning", strategy, STEPS)
    quiet = "logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False"
    code = code.replace(f"max_steps={STEPS}", f"max_steps={STEPS}, {quiet}")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Lightning's advice on workers, and what it calls of torch's that is deprecated
        run(code, Module=Module, loader=loader)
    table = strategy.over(STEPS).table(0, STEPS)
    np.testing.assert_allclose(seen, np.stack([table["lr"], table["momentum"]], 1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("policy", ["one_cycle", "wsd", "smith_one_cycle", "linear_to_zero", "cosine", "constant"])
def test_a_trainer_of_transformers_has_the_rates_of_the_table(policy, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    seen = []

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x):
            return {"loss": self.layer(x).square().mean()}

    strategy = Strategy.of("AdamW", policy, 0.0158)
    code = native_script("transformers", strategy, STEPS)
    quiet = 'report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,'
    code = code.replace('"out",', f'"out", {quiet}')

    def noted(optimizer, args, kwargs):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))

    handle = register_optimizer_step_pre_hook(noted)
    try:
        run(code, model=Model(), dataset=[{"x": torch.ones(3)}] * 32)
    finally:
        handle.remove()
    table = strategy.over(STEPS).table(0, STEPS)
    np.testing.assert_allclose(seen, np.stack([table["lr"], table["momentum"]], 1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("policy", ["one_cycle", "wsd", "warmup_cosine", "constant"])
def test_a_loop_in_optax_ends_where_the_rule_ends(policy):
    """The weights after a run are those of our own transformation, at float32's rounding."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    transformation = pytest.importorskip("stepsize.adapters.optax").transformation
    strategy = Strategy.of("AdamW", policy, 0.0158)
    target = jax.numpy.array([1.0, -2.0, 0.5])

    def loss_of(params, _):
        return ((params - target) ** 2).sum()

    given = {"params": jax.numpy.zeros(3), "batches": iter(lambda: None, 0), "loss_of": loss_of}
    found = run(native_script("optax", strategy, STEPS), **given)["params"]
    params, ours = jax.numpy.zeros(3), transformation(strategy, steps=STEPS)
    state = ours.init(params)
    for _ in range(STEPS):
        updates, state = ours.update(jax.grad(loss_of)(params, None), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(found, params, rtol=1e-4)


@pytest.mark.parametrize("policy", ["wsd", "warmup_cosine", "linear_to_zero", "constant"])
def test_an_optimizer_of_keras_has_the_rates_of_the_table(policy):
    keras = pytest.importorskip("keras")
    strategy = Strategy.of(rules.Momentum(), policy, 0.0158)
    seen = []

    class Noting(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    class Model(keras.Sequential):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs, callbacks=[Noting()], verbose=0)

    class Data(keras.utils.PyDataset):
        def __len__(self):
            return STEPS

        def __getitem__(self, index):
            return np.ones((4, 3)), np.zeros((4, 1))

    code = native_script("keras", strategy, STEPS)
    run(code, model=Model([keras.layers.Dense(1)]), batches=Data(), loss="mse")
    np.testing.assert_allclose(seen, strategy.over(STEPS).table(0, STEPS)["lr"], rtol=1e-5, atol=1e-7)


def test_a_framework_says_what_it_has_a_name_for():
    known = {name: named("torch", recipe(name)(0.01).over(STEPS), STEPS) for name in RECIPES}
    assert {name: each[0] for name, each in known.items() if each and name != "constant"} == {
        "cosine": "CosineAnnealingLR",
        "linear_to_zero": "LinearLR",
        "exponential_decay": "ExponentialLR",
        "one_cycle": "OneCycleLR",
    }
    assert named("transformers", recipe("cosine")(0.01).over(STEPS), STEPS)[0] == "cosine"
    assert named("optax", recipe("warmup_cosine")(0.01).over(STEPS), STEPS)[0] == "warmup_cosine_decay_schedule"
    assert named("keras", recipe("warmup_cosine")(0.01).over(STEPS), STEPS)[0] == "CosineDecay"


@pytest.mark.parametrize(
    ("framework", "rule", "policy", "said"),
    [
        ("torch", "Lion", "cosine", "torch.optim has no Lion"),
        ("lightning", "Prodigy", "constant", "torch.optim has no Prodigy"),
        ("optax", "Adagrad", "cosine", "optax's parts do not make Adagrad"),
        ("keras", "AdamW", "one_cycle", "moves its rate alone, and momentum moves here too"),
        ("keras", "NAdam", "cosine", "keras.optimizers has no NAdam"),
        ("keras", "Momentum(weight_decay=0.1)", "cosine", "Keras subtracts it from the weights"),
        ("jax", "SGD", "cosine", "there is no code for 'jax'"),
    ],
)
def test_what_a_framework_cannot_say_is_one_sentence(framework, rule, policy, said):
    with pytest.raises(ParameterError, match=said.replace("(", r"\(")) as refused:
        native_script(framework, Strategy.of(rule, policy, 0.01), STEPS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", known_rules().values(), ids=lambda kind: kind.__name__)
def test_every_rule_runs_natively_or_is_refused(kind):
    strategy = Strategy(kind(), Policy(lr=Linear(0.01, 0.0)))
    for framework in ("torch", "optax", "keras"):
        try:
            code = native_script(framework, strategy, STEPS)
        except ParameterError as error:
            assert "Leave native out" in str(error)  # noqa: PT017  (some rules are refused, and others are not)
            continue
        if framework == "torch":
            rates = rates_of(code, kind())["lr"]
            np.testing.assert_allclose(rates, strategy.over(STEPS).table(0, STEPS)["lr"], rtol=1e-9, atol=1e-12)
        assert "stepsize" not in code


def test_an_optimizer_by_its_class_is_itself():
    strategy = Strategy.of("torch.optim.NAdam(momentum_decay=0.01)", "smith_one_cycle", 0.01)
    code = native_script("torch", strategy, STEPS)
    assert "torch.optim.NAdam(model.parameters(), lr=0.01, momentum_decay=0.01)" in code
    found = rates_of(code, rules.NAdam())
    np.testing.assert_allclose(found["lr"], strategy.over(STEPS).table(0, STEPS)["lr"], rtol=1e-9)
