"""Lightning: a policy, and a range test, as callbacks of its Trainer.

::

    Trainer(max_epochs=10, callbacks=[PolicyCallback(one_cycle(1e-3))])     drives the optimizers of any module
    Trainer(max_epochs=10, callbacks=[RangeTestCallback()])                 a range test before the first update
"""

from stepsize.adapters.lightning.policy import PolicyCallback as PolicyCallback
from stepsize.adapters.lightning.policy import with_scheduler as with_scheduler
from stepsize.adapters.lightning.range_test import RangeTestCallback as RangeTestCallback
