"""A plain PyTorch loop."""

from stepsize.codegen.script import Framework

TORCH = Framework(
    title="torch",
    names=("build_optimizer", "drive"),
    model="model",
    template="""\
{imports}

{strategy}
task = {task}  # your model, loss and data
model = task.build(seed={seed})
optimizer = build_optimizer(model, strategy)
for step in drive(optimizer, strategy.policy, steps={steps}):
    inputs, targets = task.batch(step, seed={seed})
    optimizer.zero_grad()
    loss = task.loss(model(inputs), targets)
    loss.backward()
    {step}
{report}
""",
)
