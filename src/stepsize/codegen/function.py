"""A training function of the user's own, in whatever framework it is written."""

from stepsize.codegen.script import Framework

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
