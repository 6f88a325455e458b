"""The Trainer of transformers."""

from stepsize.codegen.script import Framework
from stepsize.strategy import Strategy


def lacks(strategy: Strategy) -> str:
    """Return what the Trainer lacks: it steps an optimizer without its loss."""
    return "its Trainer does not tell an optimizer the loss" if strategy.rule.core.takes_loss else ""


TRANSFORMERS = Framework(
    title="transformers",
    names=("build_optimizer",),
    adapter="from stepsize.adapters.transformers import PolicyCallback",
    model="model.net.cpu()",
    lacks=lacks,
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
        outputs = self.net(inputs)
        return {{"loss": task.loss(outputs, targets), "logits": outputs}}


model = Model()
optimizer = build_optimizer(model, strategy)
trainer = Trainer(
    model,
    TrainingArguments(
        "out",
        max_steps={steps},
        per_device_train_batch_size=task.update_size,
        dataloader_drop_last=True,
        max_grad_norm=0.0,  # the Trainer would clip at 1, which the strategy was not measured with
        seed={seed},
        save_strategy="no",
        report_to="none",
    ),
    data_collator=default_collate,
    train_dataset=[{{"inputs": x, "targets": y}} for x, y in task.samples],
    optimizers=(optimizer, None),
    callbacks=[PolicyCallback(strategy.policy)],
)
trainer.train()
{report}
""",
)
