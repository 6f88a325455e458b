"""A fit of Keras that finds its rate in pilot runs is then, bit by bit, one that is driven at it from the start."""

import os
import random

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from stepsize import load, rules  # noqa: E402  (once Keras has its backend)
from stepsize.adapters.keras import PolicyCallback  # noqa: E402
from stepsize.callbacks.keras import TuneCallback, rule_like  # noqa: E402
from stepsize.kernel.errors import DriveError, ParameterError, TaskError  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # how Keras on torch makes an array
    pytest.mark.filterwarnings("ignore:no pilot run did better"),
]
STEPS, EPOCHS = 48, 12
RNG = np.random.default_rng(3)
X = RNG.normal(size=(32, 3)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
BATCHES = [(X[rows], Y[rows]) for rows in np.split(np.arange(32), 4)]


def model(optimizer=None):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
    net = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    net.compile(optimizer or keras.optimizers.Adam(0.001), "mse", metrics=["mae"])
    return net


class Rates(keras.callbacks.Callback):
    """Notes the rate of each batch, after the callbacks before it have set it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def fitted(callback, net=None, **settings):
    """Everything there is after a fit: weights, the optimizer's variables, history, rates, and the generators."""
    net, rates = net or model(), Rates()
    torch.manual_seed(0)
    given = {"batch_size": 8, "epochs": EPOCHS, "verbose": 0, "validation_data": (X[:8], Y[:8]), **settings}
    history = net.fit(X, Y, callbacks=[callback, rates], **given).history
    parts = [*net.get_weights(), *(np.asarray(variable.value) for variable in net.optimizer.variables)]
    return rates.seen, [
        [each.tolist() for each in parts], history, rates.seen,
        random.random(), np.random.rand(), torch.rand(1).item(),  # noqa: S311, NPY002  (these are put back)
    ]  # fmt: skip


@pytest.mark.parametrize("accumulation", [None, 2])
def test_keras_real_run_is_bit_by_bit_that_of_a_policy_callback(accumulation):
    def made():
        return model(keras.optimizers.Adam(0.001, gradient_accumulation_steps=accumulation))

    count = accumulation or 1
    callback = TuneCallback(BATCHES)
    seen, tuned = fitted(callback, made(), epochs=EPOCHS * count)
    _, driven = fitted(PolicyCallback(callback.answer.policy), made(), epochs=EPOCHS * count)
    assert tuned == driven
    assert seen == pytest.approx(np.repeat(callback.answer.policy.over(STEPS)["lr"].table(0, STEPS), count))
    assert callback.answer.steps == STEPS
    assert callback.answer.cost <= 1
    assert len(callback.answer.runs) >= 2
    assert callback.answer.strategy.rule == rules.Adam()
    assert not callback.piloting


def test_keras_goes_on_with_a_saved_model_without_new_pilot_runs(tmp_path):
    path = tmp_path / "answer.json"
    first = TuneCallback(BATCHES, steps=STEPS, keep=path)
    whole, _ = fitted(first)
    net = model()
    fitted(TuneCallback(BATCHES, steps=STEPS, keep=path), net, epochs=6)
    net.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = TuneCallback([], steps=STEPS, keep=path)
    rest, _ = fitted(again, loaded, initial_epoch=6)
    assert rest == whole[24:]
    assert again.answer.strategy == load(path).strategy == first.answer.strategy
    other = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(DriveError, match="has made 24 updates, and nothing says what rate was found"):
        fitted(TuneCallback(BATCHES, steps=STEPS), other, initial_epoch=6)


def test_keras_without_a_share_trains_at_what_is_believed_and_says_so():
    callback = TuneCallback(BATCHES, share=0)
    with pytest.warns(UserWarning, match="no pilot run was made, so the rate"):
        seen, _ = fitted(callback)
    assert callback.answer.runs == ()
    assert max(seen) == pytest.approx(callback.answer.strategy.peak)


def test_keras_validation_scores_pilot_runs():
    net = model()
    callback = TuneCallback(BATCHES, "cosine", validate=lambda: net.evaluate(X[:8], Y[:8], verbose=0)[0])
    fitted(callback, net)
    assert callback.answer.scored == "validation loss"


def test_keras_wrong_input_is_refused():
    def schedule():
        return keras.optimizers.schedules.CosineDecay(0.1, 10)

    with pytest.raises(ParameterError, match="share= is what the pilot runs may cost"):
        TuneCallback(BATCHES, share=-1)
    callback = TuneCallback(BATCHES)
    with pytest.raises(DriveError, match="there is no answer before"):
        callback.answer  # noqa: B018  (asking is the test)
    with pytest.raises(DriveError, match="4 updates is too short to tune"):
        fitted(callback, epochs=1)
    with pytest.raises(DriveError, match="rate is a schedule"):
        fitted(callback, model(keras.optimizers.Adam(schedule())))
    with pytest.raises(TaskError, match="the loader has no batch"):
        fitted(TuneCallback([]))
    with pytest.raises(TaskError, match="no learning rate can help"):
        fitted(TuneCallback([(X, Y * np.nan)]))


def test_the_rule_of_an_optimizer_of_keras():
    known = keras.optimizers
    assert rule_like(known.SGD()) == rules.SGD()
    assert rule_like(known.SGD(momentum=0.9)) == rules.Momentum()
    assert rule_like(known.SGD(momentum=0.9, nesterov=True)) == rules.Nesterov()
    assert rule_like(known.RMSprop()) == rules.RMSProp()
    assert rule_like(known.Nadam()) == rules.NAdam()
    with pytest.warns(UserWarning, match="Ftrl is no update rule that is known here"):
        assert rule_like(known.Ftrl()) == rules.AdamW()
