"""A Lightning module and its Trainer."""

from stepsize.codegen.script import Framework

LIGHTNING = Framework(
    title="lightning",
    names=("build_optimizer",),
    adapter="from stepsize.adapters.lightning import PolicyCallback",
    model="module.model",
    optimizer="trainer.optimizers[0]",
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
        return build_optimizer(self.model, strategy)


lightning.seed_everything({seed})
loader = DataLoader(task.samples, batch_size=task.update_size, shuffle=True, drop_last=True)
module = Module()
trainer = lightning.Trainer(
    max_steps={steps},
    callbacks=[PolicyCallback(strategy.policy)],
    logger=False,
    enable_checkpointing=False,
)
trainer.fit(module, loader)
{report}
""",
)
