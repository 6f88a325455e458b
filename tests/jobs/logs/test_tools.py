"""Logs as the tools themselves write them, where they are installed, and what is left of logs that were mutilated."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from stepsize.jobs import loss_curves, read_norms
from stepsize.jobs.logs.read import NormLog
from stepsize.kernel.errors import StepsizeError
from stepsize.results import LossCurve

UPDATES, APART = 40, 5

pytestmark = pytest.mark.filterwarnings("ignore")  # the trainers' own


def test_lightnings_metrics_are_read_as_they_are(tmp_path):
    """CSVLogger and LearningRateMonitor, the default pair: rate and loss of one step in two rows, epochs in one."""
    lightning = pytest.importorskip("lightning")
    logger = pytest.importorskip("lightning.pytorch.loggers").CSVLogger(tmp_path)
    monitor = lightning.pytorch.callbacks.LearningRateMonitor("step")

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, _):
            loss = self.layer(batch[0]).square().mean() + 1
            self.log("train_loss", loss)
            return loss

        def on_before_optimizer_step(self, _):
            self.log("grad_norm", sum(p.grad.square().sum() for p in self.parameters()).sqrt())

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, UPDATES)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(UPDATES // 2, 2)))
    trainer = lightning.Trainer(
        max_epochs=2, logger=logger, callbacks=[monitor], log_every_n_steps=APART, accelerator="cpu",
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Net(), loader)
    _check(Path(logger.log_dir) / "metrics.csv", 0.1 * (1 - np.arange(UPDATES) / UPDATES))


def test_transformers_state_is_read_as_it_is(tmp_path):
    transformers = pytest.importorskip("transformers")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x=None):
            return {"loss": self.layer(x).square().mean() + 1}

    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=UPDATES, logging_steps=APART, learning_rate=0.1, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no", per_device_train_batch_size=1,
    )  # fmt: skip
    trainer = transformers.Trainer(model=Net(), args=arguments, train_dataset=[{"x": torch.ones(2)}] * UPDATES)
    trainer.train()
    trainer.save_state()
    _check(tmp_path / "trainer_state.json", 0.1 * (1 - np.arange(UPDATES) / UPDATES))


def _check(file, rates):
    """Both jobs read the file, with its own names and without an option; rates are known where they were logged."""
    (curve,), notes = loss_curves(file)
    logged = np.arange(APART - 1, UPDATES, APART)
    np.testing.assert_allclose(curve.rates[logged], rates[logged], rtol=1e-6)
    assert (len(curve.rates), curve.at.tolist()) == (UPDATES, (logged + 1).tolist())
    assert f"a run of {UPDATES} updates" in notes[0]
    norms = read_norms(file)
    assert (norms.total, norms.steps.tolist()) == (UPDATES, logged.tolist())
    np.testing.assert_allclose(norms.rates.at(logged), rates[logged], rtol=1e-6)


def test_tensorboards_numbers_are_read_as_its_page_exports_them(tmp_path):
    """Of two tags, by TensorBoard's own reader, in the columns and under the names of its page."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writers = pytest.importorskip("torch.utils.tensorboard")
    with writers.SummaryWriter(tmp_path / "events") as writer:
        for step in range(20):
            writer.add_scalar("lr", 0.1 - 0.005 * step, step)
            writer.add_scalar("loss", 3 - 0.1 * step, step)
    accumulator = events.EventAccumulator(str(tmp_path / "events")).Reload()
    files = [tmp_path / f"run-mine-tag-{tag}.csv" for tag in ("lr", "loss")]
    for file, tag in zip(files, ("lr", "loss"), strict=True):
        rows = [f"{each.wall_time},{each.step},{each.value}" for each in accumulator.Scalars(tag)]
        file.write_text("\n".join(["Wall time,Step,Value", *rows]) + "\n")
    (curve,), _ = loss_curves(files)
    assert curve.name == "mine"
    np.testing.assert_allclose(curve.rates, 0.1 - 0.005 * np.arange(20), rtol=1e-5)


ROWS = [(s, 1e-3 * (1 - s / 400), 2 + 5 * (s + 1) ** -0.3, 1.0, s // 100) for s in range(9, 200, 10)]
WIDE = "step,lr,loss,grad_norm,epoch\n" + "".join(f"{','.join(map(str, row))}\n" for row in ROWS)
LONG = "step,name,value\n" + "".join(f"{s},lr,{r}\n{s},loss,{y}\n{s},grad_norm,1.0\n" for s, r, y, *_ in ROWS)
LINES = "".join(f'{{"step": {s}, "learning_rate": {r}, "loss": {y}, "grad_norm": 1.0}}\n' for s, r, y, *_ in ROWS)
STATE = '{"global_step": 200, "log_history": [' + ",".join(LINES.split("\n")[:-1]) + "]}"
CURVE = "Wall time,Step,Value\n" + "".join(f"1e9,{s},{y}\n" for s, _, y, *_ in ROWS)
CHART = '"Step","a - loss","a - lr"\n' + "".join(f"{s},{y},{r}\n" for s, r, y, *_ in ROWS)
PIECES = [
    "", ",", "\n", "-1", "3000000000", "1e308", "-1e308", "nan", "inf", "9" * 400, "0", "[", "{", '"', "\0", "\ufeff",
    "null", "true", "[" * 2000, "x" * 5000, "step,lr,loss,grad_norm,epoch\n", "step", "epoch", ";", "\t",
    "1_0", "\u0663", "5e-324",
]  # fmt: skip


@st.composite
def mutilated(draw):
    """A log, some of whose pieces were replaced, taken out, or written twice."""
    text = draw(st.sampled_from([WIDE, LONG, LINES, STATE, CURVE, CHART]))
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 1, 2, 5, 20, 300])))
        text = text[:begin] + draw(st.one_of(st.sampled_from(PIECES), st.just(text[begin:end] * 2))) + text[end:]
    return text


@seed(20_240_917)
@settings(max_examples=300, deadline=None, database=None)
@given(text=mutilated(), ending=st.sampled_from(["csv", "json"]))
def test_a_mutilated_log_is_an_error_of_ours_or_a_value(text, ending, tmp_path_factory):
    """The law: one of our errors, in at most 2000 characters, or curves and norms that are what they have to be."""
    file = tmp_path_factory.getbasetemp() / f"mutilated.{ending}"
    file.write_text(text, encoding="utf-8")
    for read in (loss_curves, read_norms):
        try:
            found = read(file)
        except StepsizeError as error:
            sentences = [str(error)]
        else:
            sentences = list(_checked(found))
        assert all(len(sentence) <= 2000 for sentence in sentences)


def _checked(found):
    """What was said beside a value that is what it has to be."""
    if isinstance(found, NormLog):
        assert len(found.steps) == len(found.norms)
        assert found.steps[-1] < found.total
        return found.notes
    curves, notes = found
    assert all(isinstance(curve, LossCurve) and np.isfinite(curve.losses).all() for curve in curves)
    return notes


def test_what_is_read_takes_memory_by_its_rows_and_not_by_its_numbers(tmp_path):
    """Steps up to 2**53 in three rows; the largest resident size hardly grows."""
    file = tmp_path / "log.csv"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for last in (3_000_000_000, 10**12, 2**53):
        file.write_text(f"step,lr,loss,grad_norm\n1,1,1,1\n2,1,1,1\n{last},0.5,1,1\n")
        with pytest.raises(StepsizeError, match="updates, and a table of at most"):
            loss_curves(file)
        assert read_norms(file).total >= last - 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_a_json_value_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("stepsize.jobs.logs.files.MOST_BYTES", 1000)
    file = tmp_path / "large.json"
    file.write_text(STATE.replace("[", "[\n"))
    with pytest.raises(StepsizeError, match="is one JSON value of more than"):
        loss_curves(file)
    file.write_text(LINES)  # of which a line is small
    assert len(loss_curves(file)[0]) == 1


def test_a_file_that_is_one_line_of_gigabytes_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("stepsize.jobs.logs.files.LONGEST_LINE", 64)
    path = tmp_path / "run.csv"
    path.write_text("step,lr,loss\n" + "\0" * 200)
    with pytest.raises(StepsizeError, match=r"run\.csv is no log: it has a line of"):
        loss_curves(path)
