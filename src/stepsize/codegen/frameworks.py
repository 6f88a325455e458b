"""The frameworks that there is a script for: its template, and what each cannot do."""

from __future__ import annotations

from dataclasses import replace

from stepsize.codegen.script import Framework
from stepsize.kernel.errors import ParameterError, brief, suggestion
from stepsize.rules import TorchRule
from stepsize.rules.twins import twin_in
from stepsize.schedules import Constant
from stepsize.strategy import Strategy

TORCH = Framework(
    title="torch",
    names=("build_optimizer", "drive"),
    builds="model",
    trained="model",
    model="model",
    own="""\
import torch

{imports}

{strategy}
task = {task}  # your model, loss and data
model = task.build(seed={seed})
optimizer = {built}
policy = {policy}
updates = task.updates(seed={seed})


def gradients(batches):
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets in batches:
        with task.casting():
            loss = task.loss(model(inputs), targets) / task.accumulate
        loss.backward()
        total += loss.detach()
    if task.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
    return total


for step in drive(optimizer, policy, steps={steps}):
    batches = next(updates)
    {step}
{report}
""",
    template="""\
{imports}

{strategy}
task = {task}  # your model, loss and data
model = task.build(seed={seed})
optimizer = {built}
batches = task.batches(seed={seed})
for step in drive(optimizer, {policy}, steps={steps}):
    inputs, targets = next(batches)
    optimizer.zero_grad()
    loss = task.loss(model(inputs), targets)
    loss.backward()
    {step}
{report}
""",
)
"""A plain PyTorch loop."""


def lightning_lacks(strategy: Strategy) -> str:
    """Return what Lightning's Trainer lacks: it knows of no weights to evaluate at."""
    averages = isinstance(strategy.rule, TorchRule) and strategy.rule.averages
    return "its Trainer does not call train() and eval() of an optimizer" if averages else ""


LIGHTNING = Framework(
    title="lightning",
    names=("build_optimizer",),
    adapter="from stepsize.adapters.lightning import PolicyCallback",
    builds="self.model",
    trained="module.model",
    model="module.model",
    optimizer="trainer.optimizers[0]",
    lacks=lightning_lacks,
    template="""\
import lightning
from torch.utils.data import DataLoader

{imports}

{strategy}
task = {task}  # your model, loss and data


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = task.build(seed={seed})

    def training_step(self, batch):
        inputs, targets = batch
        return task.loss(self.model(inputs), targets)

    def configure_optimizers(self):
        return {built}


lightning.seed_everything({seed})
loader = DataLoader(task.samples, batch_size={size}, shuffle=True, drop_last=True)
module = Module()
trainer = lightning.Trainer(
    max_steps={steps},
    limit_train_batches=task.batches_per_epoch * {accumulate},  # no update of what is left over of an epoch
    accumulate_grad_batches={accumulate},
    gradient_clip_val=task.clip_norm,
    precision="32-true" if task.autocast is None else "bf16-mixed",
    callbacks=[PolicyCallback({policy})],
    logger=False,
    enable_checkpointing=False,
)
trainer.fit(module, loader)
{report}
""",
)
"""A Lightning module and its Trainer."""


def trainer_lacks(strategy: Strategy) -> str:
    """Return what the Trainer lacks: it steps an optimizer without its loss."""
    if isinstance(strategy.rule, TorchRule) and strategy.rule.closure:
        return "its Trainer calls an optimizer without a closure"
    return "its Trainer does not tell an optimizer the loss" if strategy.rule.core.takes_loss else ""


TRANSFORMERS = Framework(
    title="transformers",
    names=("build_optimizer",),
    adapter="from stepsize.adapters.transformers import PolicyCallback",
    builds="model.net",
    trained="model.net",
    model="model.net.cpu()",
    lacks=trainer_lacks,
    template="""\
import torch
from torch.utils.data import default_collate
from transformers import Trainer, TrainingArguments

{imports}

{strategy}
task = {task}  # your model, loss and data


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = task.build(seed={seed})

    def forward(self, inputs, targets):
        with task.casting(next(self.net.parameters()).device.type):
            outputs = self.net(inputs)
            return {{"loss": task.loss(outputs, targets), "logits": outputs}}


model = Model()
optimizer = {built}
trainer = Trainer(
    model,
    TrainingArguments(
        "out",
        max_steps={steps},
        per_device_train_batch_size=task.batch_size,
        gradient_accumulation_steps=task.accumulate,
        dataloader_drop_last=True,
        max_grad_norm=task.clip_norm or 0.0,  # the Trainer would clip at 1, which the strategy was not measured with
        seed={seed},
        save_strategy="no",
        report_to="none",
    ),
    data_collator=default_collate,
    train_dataset=[{{"inputs": x, "targets": y}} for x, y in task.samples],
    optimizers=(optimizer, None),
    callbacks=[PolicyCallback({policy})],
)
trainer.train()
{report}
""",
)
"""The Trainer of transformers."""


MODELLESS = "# Left out: the groups and the autocast of the task, which are of its model; an update is one batch."
"""What a script says of a task of the user's own whose model it does not train."""


def optax_lacks(strategy: Strategy) -> str:
    """Return what `stepsize.adapters.optax.transformation` cannot make of optax's parts."""
    rule, policy = strategy.rule, strategy.policy
    if twin_in("optax", rule) is None:
        return f"optax's parts do not make {rule!r}"
    dampening = policy["dampening"] if "dampening" in policy else rule.hyperparameters.get("dampening", 0.0)
    return "" if dampening in (0.0, Constant(0.0)) else "optax has no dampening"


OPTAX = Framework(
    title="optax",
    adapter="from stepsize.adapters.optax import transformation",
    lacks=optax_lacks,
    note=MODELLESS,
    template="""\
import jax
import jax.numpy as jnp
import optax

{imports}

{strategy}
task = {task}  # your data: here as torch tensors{notes}
classes = int(task.targets.max()) + 1
sizes = (task.batch(0, seed={seed})[0][0].numel(), 128, 128, classes)  # a perceptron, where your model belongs


def predict(params, inputs):
    hidden = inputs.reshape(len(inputs), -1)
    for weight, bias in params[:-1]:
        hidden = jax.nn.relu(hidden @ weight + bias)
    weight, bias = params[-1]
    return hidden @ weight + bias


def loss_of(params, inputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(predict(params, inputs), targets).mean()


@jax.jit
def update(params, state, inputs, targets):
    grads = jax.grad(loss_of)(params, inputs, targets)
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


init = jax.nn.initializers.lecun_normal()
keys = jax.random.split(jax.random.key({seed}), len(sizes) - 1)
params = [(init(key, shape), jnp.zeros(shape[1])) for key, shape in zip(keys, zip(sizes, sizes[1:]))]
optimizer = transformation(strategy, steps={steps})
if task.clip_norm is not None:
    optimizer = optax.chain(optax.clip_by_global_norm(task.clip_norm), optimizer)
state = optimizer.init(params)
batches = task.batches(seed={seed})
for step in range({steps}):
    inputs, targets = (jnp.asarray(each.numpy()) for each in next(batches))
    params, state = update(params, state, inputs, targets)
inputs, targets = (jnp.asarray(each.numpy()) for each in task.validation)
print(f"validation loss {{loss_of(params, inputs, targets):.4f}}")
""",
)
"""A loop in JAX, with optax."""


def keras_lacks(strategy: Strategy) -> str:
    """Return what `stepsize.adapters.keras.KerasOptimizer` cannot show a rule: more than one number at a time."""
    if strategy.rule.elementwise:
        return ""
    if not strategy.rule.formula:
        return f"{strategy.rule.title} is a class of torch"
    return f"KerasOptimizer updates one variable at a time, and {strategy.rule.title} looks at the whole model"


KERAS = Framework(
    title="keras",
    adapter="from stepsize.adapters.keras import KerasOptimizer",
    lacks=keras_lacks,
    note=MODELLESS,
    template="""\
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or jax

import keras

{imports}

{strategy}
task = {task}  # your data: here as torch tensors{notes}
classes = int(task.targets.max()) + 1

keras.utils.set_random_seed({seed})
model = keras.Sequential(  # a perceptron, where your model belongs
    [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(classes),
    ]
)
optimizer = KerasOptimizer(strategy, steps={steps}, global_clipnorm=task.clip_norm)
model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
batches = (tuple(each.numpy() for each in batch) for batch, _ in zip(task.batches(seed={seed}), range({steps})))
model.fit(batches, steps_per_epoch={steps}, verbose=0)
inputs, targets = (each.numpy() for each in task.validation)
print(f"validation loss {{model.evaluate(inputs, targets, verbose=0):.4f}}")
""",
)
"""Keras 3: `compile` and `fit`."""

FUNCTION = Framework(
    title="your training function",
    template="""\
{imports}

{strategy}
task = {task}  # your training function
record = task.run(strategy, steps={steps}, seed={seed})
print(f"score {{record.final[0]:.4f}}")
""",
)
"""A training function of the user's own, in whatever framework it is written."""

LOOP = Framework(
    title="your training loop",
    template="""\
{imports}

{strategy}
for step in drive(optimizer, {policy}, steps={steps}):  # your own optimizer
    ...  # forward, backward
    {step}
""",
    names=("drive",),
)
"""A loop of the user's own around a torch optimizer."""

CALLBACK = """\
{imports}

{strategy}
callback = PolicyCallback({policy}, steps={steps})  # among the callbacks of your own training
"""
"""What a trainer that owns the loop takes beside the model and the data of the user's own."""

LOOPS = {
    "lightning": replace(LOOP, template=CALLBACK, names=(), adapter=LIGHTNING.adapter),
    "transformers": replace(
        LOOP, template=CALLBACK.replace(", steps={steps}", ""), names=(), adapter=TRANSFORMERS.adapter
    ),
    "keras": replace(
        LOOP, template=CALLBACK, names=(), adapter=KERAS.adapter.replace("KerasOptimizer", "PolicyCallback")
    ),
}
"""A loop of the user's own that a trainer owns, by the trainer's name."""

FRAMEWORKS = {each.title: each for each in (TORCH, LIGHTNING, TRANSFORMERS, OPTAX, KERAS)}
"""By name, the plainest first."""


def script(framework: str, task: str, strategy: Strategy, steps: int, seed: int, *, batch_size: int = 0) -> str:
    """Return a script in `framework` that trains `task` with `strategy`, and prints its validation loss.

    task: its name as `load_task` takes it; one that was made in memory is left to be filled in. steps: optimizer
    updates. seed: of the initial weights and the batches. batch_size: where it is not the task's own; 0 where it is.

    Raises ParameterError for an unknown framework, and for one that has no equal of the strategy's rule; SpecError for
    a schedule that is a function.
    """
    if framework not in FRAMEWORKS:
        raise ParameterError(f"there is no code for {brief(framework)}. {suggestion(str(framework), FRAMEWORKS)}")
    missing = FRAMEWORKS[framework].lacks(strategy)
    if missing:
        able = ", ".join(name for name, each in FRAMEWORKS.items() if not each.lacks(strategy))
        raise ParameterError(f"{strategy.name!r} does not run in {framework}: {missing}. It does in {able}.")
    return FRAMEWORKS[framework].script(task, strategy, steps, seed, batch_size)


def function_script(task: str, strategy: Strategy, steps: int, seed: int) -> str:
    """Return the script that runs a training function, `task`, with `strategy`."""
    return FUNCTION.script(task, strategy, steps, seed)


def loop_script(strategy: Strategy, steps: int, framework: str = "torch") -> str:
    """Return the script that drives an optimizer of the user's own with `strategy`.

    framework: a trainer that takes a callback, "lightning", "transformers" or "keras"; else it is a loop of torch.
    """
    return LOOPS.get(framework, LOOP).script("", strategy, steps, 0)
