"""A loop in JAX, with optax."""

from stepsize.codegen.script import Framework
from stepsize.schedules import Constant
from stepsize.strategy import Strategy


def lacks(strategy: Strategy) -> str:
    """Return what `stepsize.adapters.optax.transformation` cannot make of optax's parts."""
    rule, policy = strategy.rule, strategy.policy
    if rule.core is not rule or rule.facts.optax is None or rule.form != type(rule)().form:
        return f"optax's parts do not make {rule!r}"
    dampening = policy["dampening"] if "dampening" in policy else rule.hyperparameters.get("dampening", 0.0)
    return "" if dampening in (0.0, Constant(0.0)) else "optax has no dampening"


OPTAX = Framework(
    title="optax",
    adapter="from stepsize.adapters.optax import transformation",
    lacks=lacks,
    template="""\
import jax
import jax.numpy as jnp
import optax

{imports}

{strategy}
task = {task}  # your data: here as torch tensors
classes = int(task.train[1].max()) + 1
sizes = (task.train[0][0].numel(), 128, 128, classes)  # a perceptron, where your model belongs


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
state = optimizer.init(params)
for step in range({steps}):
    inputs, targets = (jnp.asarray(each.numpy()) for each in task.batch(step, seed={seed}))
    params, state = update(params, state, inputs, targets)
inputs, targets = (jnp.asarray(each.numpy()) for each in task.validation)
print(f"validation loss {{loss_of(params, inputs, targets):.4f}}")
""",
)
