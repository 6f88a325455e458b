"""transformers: a policy, and a range test, as callbacks of the Trainer.

::

    Trainer(model, args, train_dataset=..., callbacks=[PolicyCallback(one_cycle(1e-3))])    drives its optimizer
    trainer.add_callback(RangeTestCallback(trainer))                        a range test before the first update
"""

from stepsize.adapters.transformers.policy import PolicyCallback as PolicyCallback
from stepsize.adapters.transformers.range_test import RangeTestCallback as RangeTestCallback
