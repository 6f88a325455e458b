"""Keras 3: `compile` and `fit`."""

from stepsize.codegen.script import Framework
from stepsize.strategy import Strategy


def lacks(strategy: Strategy) -> str:
    """Return what `stepsize.adapters.keras.KerasOptimizer` cannot show a rule: more than one number at a time."""
    if strategy.rule.elementwise:
        return ""
    return f"KerasOptimizer updates one variable at a time, and {strategy.rule.title} looks at the whole model"


KERAS = Framework(
    title="keras",
    adapter="from stepsize.adapters.keras import KerasOptimizer",
    lacks=lacks,
    template="""\
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or jax

import keras

{imports}

{strategy}
task = {task}  # your data: here as torch tensors
classes = int(task.train[1].max()) + 1

keras.utils.set_random_seed({seed})
model = keras.Sequential(  # a perceptron, where your model belongs
    [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(classes),
    ]
)
model.compile(KerasOptimizer(strategy, steps={steps}), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
batches = (tuple(each.numpy() for each in task.batch(step, seed={seed})) for step in range({steps}))
model.fit(batches, steps_per_epoch={steps}, verbose=0)
inputs, targets = (each.numpy() for each in task.validation)
print(f"validation loss {{model.evaluate(inputs, targets, verbose=0):.4f}}")
""",
)
