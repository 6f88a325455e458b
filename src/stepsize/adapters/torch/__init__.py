"""PyTorch: our policies in your training loop.

::

    for step in drive(optimizer, policy, steps=10_000):
        ...                                  # forward, backward
        optimizer.step()

`drive` sets the hyperparameters and then yields, so their order and that of `optimizer.step()` cannot be wrong.
The step is all its state: to resume, pass `start=`. Nothing is patched and nothing is added to the optimizer.
"""

from typing import TYPE_CHECKING

from stepsize.adapters.torch.driver import Driver as Driver
from stepsize.adapters.torch.driver import drive as drive
from stepsize.adapters.torch.logs import csv_log as csv_log
from stepsize.adapters.torch.logs import tensorboard_log as tensorboard_log
from stepsize.adapters.torch.scheduler import AttachedLR as AttachedLR
from stepsize.adapters.torch.scheduler import PolicyLR as PolicyLR
from stepsize.adapters.torch.scheduler import as_lr_scheduler as as_lr_scheduler
from stepsize.adapters.torch.snapshots import Snapshot as Snapshot
from stepsize.kernel.optional import lazy

if TYPE_CHECKING:
    from stepsize.adapters.torch.optimizers import build_optimizer as build_optimizer
    from stepsize.adapters.torch.optimizers import configuration as configuration
    from stepsize.adapters.torch.optimizers import torch_arguments as torch_arguments
    from stepsize.adapters.torch.range_test import RangeTest as RangeTest
    from stepsize.adapters.torch.range_test import climb as climb
    from stepsize.adapters.torch.rule_optimizer import RuleOptimizer as RuleOptimizer

_LATER = {
    "RangeTest": "range_test", "climb": "range_test", "RuleOptimizer": "rule_optimizer",
    "build_optimizer": "optimizers", "configuration": "optimizers", "torch_arguments": "optimizers",
}  # fmt: skip
"""What needs rules, or a record of results; a loop that is driven needs neither."""

__getattr__, __dir__ = lazy(__name__, _LATER)
