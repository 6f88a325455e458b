"""Scheduling in real training loops: its share of a step, what a compiled step costs, and what a checkpoint holds.

    python bench/loops.py [--steps 300] [--rounds 7] [--only plain groups lightning transformers compiled checkpoint]

Each round trains the same loop with no schedule, with ours and with the peers', in turn; a figure is the median over
the rounds of the ratio to the loop without a schedule in the same round. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import statistics
import time
import warnings
from contextlib import redirect_stdout, suppress

import torch
from torch.optim import lr_scheduler

from stepsize import as_lr_scheduler, drive
from stepsize.policies import one_cycle

PEAK = 0.01


def mlp():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


def data(steps):
    return torch.randn(steps, 64, 64), torch.randint(10, (steps, 64))


def plain(_, steps):
    return range(steps)


def driven(optimizer, steps):
    return drive(optimizer, one_cycle(PEAK), steps)


def attached(optimizer, steps):
    return drive(optimizer, one_cycle(PEAK), steps).attach()


def stepped(make):
    def turns(optimizer, steps):
        scheduler = make(optimizer, steps)
        for step in range(steps):
            yield step
            scheduler.step()

    return turns


def ours(optimizer, steps):
    return as_lr_scheduler(optimizer, one_cycle(PEAK).over(steps))


def torch_one_cycle(optimizer, steps):
    return lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps + 1)


def torch_sequential(optimizer, steps):
    warm = lr_scheduler.LinearLR(optimizer, 0.01, total_iters=steps // 20)
    return lr_scheduler.SequentialLR(optimizer, [warm, lr_scheduler.CosineAnnealingLR(optimizer, steps)], [steps // 20])


def hugging_face(optimizer, steps):
    make = importlib.import_module("transformers").get_scheduler
    return make("cosine", optimizer, num_warmup_steps=steps // 20, num_training_steps=steps)


WAYS = {
    "no schedule": plain,
    "stepsize.drive": driven,
    "stepsize.drive, attached": attached,
    "stepsize.as_lr_scheduler": stepped(ours),
    "torch OneCycleLR": stepped(torch_one_cycle),
    "torch SequentialLR(warmup, cosine)": stepped(torch_sequential),
    "transformers get_scheduler(cosine)": stepped(hugging_face),
}


def small_network(turns, steps):
    """Train a small perceptron with AdamW and return the seconds."""
    net, (x, y) = mlp(), data(steps)
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK)
    began = time.perf_counter()
    for step in turns(optimizer, steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[step]), y[step]).backward()
        optimizer.step()
    return time.perf_counter() - began


def many_groups(turns, steps):
    """The group list of a model of 100 M parameters, each tensor a group of its own; the tensors are shrunk.

    12 blocks of 12 tensors and 4 more: 148 groups, as recipes with a rate for each layer have them.
    """
    tensors = [torch.nn.Parameter(torch.zeros(8, 8)) for _ in range(148)]
    for tensor in tensors:
        tensor.grad = torch.ones_like(tensor)
    optimizer = torch.optim.AdamW([{"params": [tensor]} for tensor in tensors], lr=PEAK)
    began = time.perf_counter()
    for _ in turns(optimizer, steps):
        optimizer.step()
    return time.perf_counter() - began


def ratios(train, ways, steps, rounds):
    """Print the median ratio of each way to the first one."""
    found = {name: [] for name in ways}
    first, *others = ways
    for turn in range(rounds + 1):
        base = train(ways[first], steps)
        for name in others:
            with suppress(ModuleNotFoundError):
                spent = train(ways[name], steps)
                if turn:  # the first round warms up
                    found[name].append(spent / base)
    for name in others:
        if found[name]:
            spread = f"({min(found[name]):.3f} to {max(found[name]):.3f})"
            print(f"  {name:<40}{statistics.median(found[name]):8.3f}  {spread}")


class Trainers:
    """The loops of trainers, the same network and data in each."""

    @staticmethod
    def lightning(make, steps):
        lightning = importlib.import_module("lightning")

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = mlp()

            def training_step(self, batch):
                return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

            def configure_optimizers(self):
                optimizer = torch.optim.AdamW(self.parameters(), lr=PEAK)
                if make is None:
                    return optimizer
                return {
                    "optimizer": optimizer,
                    "lr_scheduler": {"scheduler": make(optimizer, steps), "interval": "step"},
                }

        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data(steps)), batch_size=None)
        trainer = lightning.Trainer(
            max_steps=steps,
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            barebones=True,
        )
        module = Module()
        began = time.perf_counter()
        trainer.fit(module, loader)
        return time.perf_counter() - began

    @staticmethod
    def transformers(make, steps):
        transformers = importlib.import_module("transformers")
        importlib.import_module("accelerate")

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = mlp()

            def forward(self, x, labels):
                logits = self.net(x)
                return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

        x, y = data(steps)
        rows = [{"x": a, "labels": b} for a, b in zip(x.flatten(0, 1), y.flatten(), strict=True)]
        net = Net()
        optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK)
        still = lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        arguments = transformers.TrainingArguments(
            output_dir="unused",
            max_steps=steps,
            per_device_train_batch_size=64,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        )
        schedule = still if make is None else make(optimizer, steps)
        trainer = transformers.Trainer(model=net, args=arguments, train_dataset=rows, optimizers=(optimizer, schedule))
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()):
            trainer.train()
        return time.perf_counter() - began


SCHEDULERS = {
    "no schedule": None,
    "stepsize.as_lr_scheduler": ours,
    "torch OneCycleLR": torch_one_cycle,
    "torch SequentialLR(warmup, cosine)": torch_sequential,
    "transformers get_scheduler(cosine)": hugging_face,
}


def compiled(steps):
    """Print how many graphs `torch.compile` makes of `optimizer.step()` over a run."""
    for kind in ("SGD", "AdamW"):
        for tensor in (False, True):
            print(f"  {kind}, the rate a {'tensor' if tensor else 'number'}")
            for name, turns in WAYS.items():
                torch.compiler.reset()
                graphs = []
                rate = torch.tensor(PEAK) if tensor else PEAK
                optimizer = getattr(torch.optim, kind)(
                    mlp().parameters(), lr=rate, **{"momentum": 0.9} if kind == "SGD" else {}
                )

                def count(module, _, graphs=graphs):
                    graphs.append(module)
                    return module.forward

                step = torch.compile(lambda optimizer=optimizer: optimizer.step(), backend=count)
                with suppress(ModuleNotFoundError):
                    for _ in turns(optimizer, steps):
                        for parameter in optimizer.param_groups[0]["params"]:
                            parameter.grad = torch.ones_like(parameter)
                        step()
                    print(f"    {name:<40}{len(graphs):4d}")


def checkpoints(steps):
    """Print the bytes of a saved scheduler, for 1 group and for 148."""
    made = {
        "stepsize.drive": lambda o: drive(o, one_cycle(PEAK), steps),
        "stepsize.as_lr_scheduler": lambda o: ours(o, steps),
        "torch OneCycleLR": lambda o: torch_one_cycle(o, steps),
        "torch SequentialLR(warmup, cosine)": lambda o: torch_sequential(o, steps),
        "transformers get_scheduler(cosine)": lambda o: hugging_face(o, steps),
    }
    for name, make in made.items():
        sizes = []
        for groups in (1, 148):
            parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
            optimizer = torch.optim.AdamW(parameters, lr=PEAK)
            bare = size(optimizer.state_dict())
            with suppress(ModuleNotFoundError):
                scheduler = make(optimizer)
                sizes.append((size(scheduler.state_dict()), size(optimizer.state_dict()) - bare))
        cells = "".join(f"{own:>8d} + {added:<6d}" for own, added in sizes)
        print(f"  {name:<40}{cells}")


def size(state):
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.tell()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parts = ["plain", "groups", "lightning", "transformers", "compiled", "checkpoint"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)  # trainers are talkative
    torch.set_num_threads(1)
    steps, rounds = options.steps, options.rounds
    print(f"torch {torch.__version__}; {steps} updates, medians of {rounds} rounds in turn")
    loops = {
        "plain": ("a loop over a small perceptron", small_network),
        "groups": ("148 groups, the update alone", many_groups),
    }
    for part, (title, train) in loops.items():
        if part in options.only:
            print(f"\n{title}: time over that without a schedule")
            ratios(train, WAYS, steps, rounds)
    for part in ("lightning", "transformers"):
        if part in options.only:
            print(f"\n{part}'s Trainer: time over that without a schedule")
            with suppress(ModuleNotFoundError):
                ratios(getattr(Trainers, part), SCHEDULERS, steps, rounds)
    if "compiled" in options.only:
        print("\ngraphs that torch.compile makes of optimizer.step()")
        compiled(30)
    if "checkpoint" in options.only:
        print("\nbytes of a saved scheduler, and what it adds to the optimizer's: 1 group, 148 groups")
        checkpoints(steps)


if __name__ == "__main__":
    main()
