"""What installed learning-rate finders suggest, with their defaults, as their users run them on a plain torch loop.

    python bench/range_test/peers.py [--only torch-lr-finder lightning ignite fastai]

The model, the data, the batch size and the update rule are those of the problem; the optimizer is torch's own, or
lion-pytorch's Lion. Everything that was suggested goes into suggestions.json, problem by problem; what is there is not
run again. A peer that is not installed is left out, with a line. Where one names no rate, or raises, null stands.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from files import read, write
from tasks import PROBLEMS, SEEDS, Problem
from torch.utils.data import DataLoader, TensorDataset

from stepsize.adapters.torch import build_optimizer
from stepsize.kernel.optional import installed
from stepsize.rules import Lion

FILE = Path(__file__).with_name("suggestions.json")

LENGTHS = (50, 100, 200, 500, 1000)
"""Ramp lengths whose answers are compared, beside the default."""

LENGTH_SEEDS = (0,)

LOW = 1e-7
"""Where torch-lr-finder and ignite begin: the optimizer's own rate, which torch-lr-finder's README sets to this."""

Answer = dict[str, float | None]
"""By method the suggested rate, and under "updates" how many the peer made."""


def loader(problem: Problem) -> DataLoader:
    return DataLoader(TensorDataset(*problem.task.train), problem.task.batch_size, shuffle=True, drop_last=True)


def optimizer(problem: Problem, parameters, rate: float) -> torch.optim.Optimizer:
    """Return torch's optimizer of the problem's rule, at `rate`."""
    if isinstance(problem.rule, Lion):
        from lion_pytorch import Lion as Theirs

        return Theirs(parameters, lr=rate, betas=(problem.rule.momentum, problem.rule.beta2))
    found = build_optimizer(parameters, problem.rule)
    for group in found.param_groups:
        group["lr"] = rate
    return found


def torch_lr_finder(problem: Problem, seed: int, length: int | None) -> Answer:
    """`range_test(loader)` and the rate that `plot` suggests: 100 iterations up to 10."""
    from torch_lr_finder import LRFinder

    model = problem.task.build(seed)
    peer = LRFinder(model, optimizer(problem, model.parameters(), LOW), problem.task.loss)
    peer.range_test(loader(problem), **({} if length is None else {"num_iter": length}))
    found = {"updates": len(peer.history["lr"])}
    with named(found, "torch-lr-finder"):
        found["torch-lr-finder"] = float(peer.plot(ax=axes(), suggest_lr=True)[1])
    return found


def lightning(problem: Problem, seed: int, length: int | None) -> Answer:
    """`Tuner(trainer).lr_find(model)` and its `suggestion()`: 100 steps, 1e-8 to 1."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = problem.task.build(seed), 1e-3

        def training_step(self, batch, _):
            return problem.task.loss(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return optimizer(problem, self.parameters(), self.lr)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu", max_epochs=1000, logger=False, enable_checkpointing=False, default_root_dir=folder,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        more = {} if length is None else {"num_training": length}
        peer = Tuner(trainer).lr_find(Module(), train_dataloaders=loader(problem), **more)
    found = {"updates": len(peer.results["lr"])}
    with named(found, "lightning"):
        found["lightning"] = float(peer.suggestion())
    return found


def ignite(problem: Problem, seed: int, length: int | None) -> Answer:
    """`FastaiLRFinder().attach(trainer)` and its `lr_suggestion()`: by default as long as the training, up to 10."""
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    model, data = problem.task.build(seed), loader(problem)
    tuned = optimizer(problem, model.parameters(), LOW)
    trainer, peer = create_supervised_trainer(model, tuned, problem.task.loss), FastaiLRFinder()
    epochs = -(-(length or problem.task.steps) // len(data)) + (length is not None)
    with peer.attach(trainer, {"model": model, "optimizer": tuned}, num_iter=length) as ramped:
        ramped.run(data, max_epochs=max(1, epochs))
    found = {"updates": len(peer.get_results()["lr"])}
    with named(found, "ignite"):
        found["ignite"] = float(peer.lr_suggestion())
    return found


def fastai(problem: Problem, seed: int, length: int | None) -> Answer:
    """`Learner.lr_find` and all four of its rules: 100 iterations, 1e-7 to 10."""
    from fastai.callback.schedule import SuggestionMethod
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader as Loader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    task = problem.task
    pairs = [[(x, y) for x, y in zip(*part, strict=True)] for part in (task.train, task.validation)]
    train = Loader(pairs[0], bs=task.batch_size, shuffle=True, drop_last=True)
    make = partial(OptimWrapper, opt=lambda parameters, lr: optimizer(problem, parameters, lr))
    rules = [SuggestionMethod.Valley, SuggestionMethod.Slide, SuggestionMethod.Minimum, SuggestionMethod.Steep]
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(
            DataLoaders(train, Loader(pairs[1], bs=512), device=torch.device("cpu")), task.build(seed),
            loss_func=task.loss, opt_func=make, path=Path(folder),
        )  # fmt: skip
        found: Answer = {}
        more = {} if length is None else {"num_it": length}
        for each in rules:  # the curve is recorded once, and each rule is asked by itself, for one may raise
            method = f"fastai {each.__name__}"
            if not found:
                with learner.no_bar():
                    learner.lr_find(show_plot=False, suggest_funcs=None, **more)
                found["updates"] = len(learner.recorder.lrs)
            with named(found, method):
                found[method] = float(asked(learner, each, length or 100))
    return found


def asked(learner, rule, length: int):
    """Return what a rule of fastai makes of the recorded curve, cut as `lr_find` cuts it."""
    recorder = learner.recorder
    rates, losses = (torch.tensor(part[length // 10 : -5]) for part in (recorder.lrs, recorder.losses))
    bad = torch.nonzero(torch.isnan(losses.view(-1)))
    end = int(bad.min()) if len(bad) else len(losses)
    return rule(rates[:end], losses[:end], length)[0]


@contextlib.contextmanager
def named(found: Answer, method: str):
    """Leave None under `method` when its peer raises, or names what is no rate."""
    try:
        yield
    except Exception:  # noqa: BLE001  (whatever a peer raises, its user has no rate)
        found[method] = None
    rate = found.get(method)
    if rate is None or not (math.isfinite(rate) and rate > 0):
        found[method] = None


def axes():
    import matplotlib.pyplot as plt

    plt.close("all")
    return plt.subplots()[1]


PEERS: dict[str, tuple[str, str, tuple[str, ...], Callable[..., Answer]]] = {
    "torch-lr-finder": ("torch_lr_finder", "torch-lr-finder", ("torch-lr-finder",), torch_lr_finder),
    "lightning": ("lightning", "lightning", ("lightning",), lightning),
    "ignite": ("ignite", "pytorch-ignite", ("ignite",), ignite),
    "fastai": ("fastai", "fastai", tuple(f"fastai {rule}" for rule in ("valley", "slide", "minimum", "steep")), fastai),
}
"""By name: the module, the distribution, the methods, and the function that runs it."""


def answer(peer: str, problem: Problem, seed: int, length: int | None) -> Answer:
    """Return what a peer says, with nothing on the screen; None for all its methods when its ramp raises."""
    _, _, methods, run = PEERS[peer]
    torch.manual_seed(seed)
    random.seed(seed)  # fastai shuffles with it
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return run(problem, seed, length)
    except Exception as error:  # noqa: BLE001  (a peer that raises has no answer; the table counts it)
        print(f"  {peer} raises on {problem.name}, seed {seed}: {type(error).__name__}: {str(error)[:120]}")
        return dict.fromkeys(methods) | {"updates": 0}


def suggestions(peer: str, problem: Problem) -> dict[str, dict]:
    """Return by method the rates of the default, (seeds,), those of every length, and the updates of the default."""
    default = [answer(peer, problem, seed, None) for seed in SEEDS]
    longer = {length: [answer(peer, problem, seed, length) for seed in LENGTH_SEEDS] for length in LENGTHS}
    return {
        method: {
            "rates": [short(each[method]) for each in default],
            "updates": [each["updates"] for each in default],
            "lengths": {str(length): [short(each[method]) for each in found] for length, found in longer.items()},
        }
        for method in PEERS[peer][2]
    }


def short(rate: float | None) -> float | None:
    return None if rate is None else float(f"{rate:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    quiet()
    for peer in options.only:
        if not installed(PEERS[peer][0]):
            print(f"{peer} is left out: it is not installed")
            continue
        for problem in PROBLEMS.values():
            found = read(FILE)
            mine = found.setdefault("suggestions", {}).setdefault(problem.name, {})
            if set(PEERS[peer][2]) <= set(mine):
                continue
            began = time.perf_counter()
            mine.update(suggestions(peer, problem))
            found.setdefault("versions", {})[PEERS[peer][1]] = version(PEERS[peer][1])
            write(FILE, found)
            print(f"{peer}: {problem.name}, {time.perf_counter() - began:.0f} s", flush=True)


def quiet() -> None:
    """Keep the peers' progress, hints and warnings off the screen."""
    os.environ["MPLBACKEND"] = "agg"
    warnings.filterwarnings("ignore")
    for name in ("lightning", "lightning.pytorch", "ignite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


if __name__ == "__main__":
    main()
