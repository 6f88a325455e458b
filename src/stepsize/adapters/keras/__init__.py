"""Keras 3: schedules, whole strategies, a callback for the optimizers that Keras has, and a range test.

::

    keras.optimizers.Adam(KerasSchedule(schedule))                     the learning rate, in the compiled step
    KerasOptimizer(Strategy(AdamW(), one_cycle(0.01)), steps=10_000)   every hyperparameter, in the compiled step
    model.fit(..., callbacks=[PolicyCallback(policy)])                 an optimizer of Keras, from outside
    climb(model, batches)                                              a range test of the compiled model
"""

from stepsize.adapters.keras.policy import KerasOptimizer as KerasOptimizer
from stepsize.adapters.keras.policy import KerasSchedule as KerasSchedule
from stepsize.adapters.keras.policy import PolicyCallback as PolicyCallback
from stepsize.adapters.keras.range_test import climb as climb
