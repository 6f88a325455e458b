"""Cost of one step of scheduling, for rate and momentum where the peer does both, against a bare Python write.

    python bench/step.py [--groups 1 10 100 1000] [--rounds 9]

The floor is `group["lr"] = ...; group["momentum"] = ...` for each parameter group. Every round runs the floor, ours
and the peers in turn, and a figure is the median over the rounds of the ratio to the floor of that round. Peers that
are not installed are left out. Only ratios are evidence, and of the processor's time, as machines are noisy.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import statistics
import time
import warnings

import torch
from torch.optim import lr_scheduler

from stepsize import as_lr_scheduler, drive
from stepsize.policies import one_cycle, warmup_cosine

PEAK, HORIZON = 0.1, 1_000_000
MOMENTA = (0.85, 0.95)


def optimizer_of(groups: int, *, tensor: bool, kind: str = "SGD") -> torch.optim.Optimizer:
    rate = (lambda: torch.tensor(PEAK)) if tensor else (lambda: PEAK)
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate()} for _ in range(groups)]
    if kind == "AdamW":
        return torch.optim.AdamW(parameters, lr=rate(), foreach=False if tensor else None)
    return torch.optim.SGD(parameters, lr=rate(), momentum=0.9)


def bare(optimizer):
    """The floor: two writes in every group."""
    for step in itertools.count():
        rate = 1e-9 * step
        for group in optimizer.param_groups:
            group["lr"] = rate
            group["momentum"] = 0.9
        yield


def bare_betas(optimizer):
    """The floor of the Adam family, which keeps its momentum in a pair."""
    for step in itertools.count():
        rate = 1e-9 * step
        for group in optimizer.param_groups:
            group["lr"] = rate
            group["betas"] = (0.9, group["betas"][1])
        yield


def bare_fill(optimizer):
    """The same for a tensor: nothing cheaper leaves the tensor where it is."""
    for step in itertools.count():
        rate = 1e-9 * step
        for group in optimizer.param_groups:
            group["lr"].fill_(rate)
            group["momentum"] = 0.9
        yield


def driven(optimizer):
    return drive(optimizer, one_cycle(PEAK), HORIZON)


def stepped(scheduler):
    while True:
        yield
        scheduler.step()


def ours(optimizer):
    return stepped(as_lr_scheduler(optimizer, one_cycle(PEAK).over(HORIZON)))


def ours_rate_only(optimizer):
    return drive(optimizer, warmup_cosine(PEAK), HORIZON)


def torch_one_cycle(optimizer):
    return stepped(lr_scheduler.OneCycleLR(optimizer, PEAK, HORIZON, base_momentum=MOMENTA[0]))


def torch_cyclic(optimizer):
    return stepped(lr_scheduler.CyclicLR(optimizer, PEAK / 4, PEAK, step_size_up=10_000, cycle_momentum=True))


def torch_sequential(optimizer):
    warm = lr_scheduler.LinearLR(optimizer, 0.01, total_iters=HORIZON // 20)
    down = lr_scheduler.CosineAnnealingLR(optimizer, HORIZON)
    return stepped(lr_scheduler.SequentialLR(optimizer, [warm, down], [HORIZON // 20]))


def torch_cosine(optimizer):
    return stepped(lr_scheduler.CosineAnnealingLR(optimizer, HORIZON))


def hugging_face(optimizer):
    make = importlib.import_module("transformers").get_scheduler
    return stepped(make("cosine", optimizer, num_warmup_steps=HORIZON // 20, num_training_steps=HORIZON))


def ignite(optimizer):
    make = importlib.import_module("ignite.handlers").CosineAnnealingScheduler
    scheduler = make(optimizer, "lr", PEAK, 0.0, HORIZON)
    return (scheduler(None) for _ in itertools.count())


FLOATS = {
    "stepsize.drive (rate and momentum)": driven,
    "stepsize.drive (warmup + cosine, rate)": ours_rate_only,
    "stepsize.as_lr_scheduler": ours,
    "torch OneCycleLR": torch_one_cycle,
    "torch CyclicLR": torch_cyclic,
    "torch SequentialLR(warmup, cosine)": torch_sequential,
    "transformers get_scheduler(cosine)": hugging_face,
    "ignite CosineAnnealing (rate)": ignite,
}
TENSORS = {
    "a bare fill_": bare_fill,
    "stepsize.drive": driven,
    "stepsize.as_lr_scheduler": ours,
    "torch CosineAnnealingLR": torch_cosine,
    "torch OneCycleLR": torch_one_cycle,
}


def seconds(turns, count: int) -> float:
    """Return the time of one turn; the loop around it is the same for all."""
    began = time.process_time()
    for _ in zip(range(count), turns, strict=False):
        pass
    return (time.process_time() - began) / count


def started(make, groups: int, *, tensor: bool, kind: str):
    """Return the scheduler's turns over an optimizer of its own, or None where it is not installed."""
    optimizer = optimizer_of(groups, tensor=tensor, kind=kind)
    try:
        turns = iter(make(optimizer))
    except ModuleNotFoundError:
        return None
    for _ in range(3):
        next(turns)
    optimizer.step()
    return turns


def measure(peers: dict, groups: int, rounds: int, *, tensor: bool, kind: str) -> dict[str, float]:
    """Return the median ratio to the floor of each peer."""
    floor_turns = started(bare_betas if kind == "AdamW" else bare, groups, tensor=False, kind=kind)
    running = {name: started(make, groups, tensor=tensor, kind=kind) for name, make in peers.items()}
    count = max(8, 4000 // groups)
    ratios: dict[str, list[float]] = {name: [] for name, turns in running.items() if turns is not None}
    for _ in range(rounds):
        floor = seconds(floor_turns, count)
        for name, found in ratios.items():
            found.append(seconds(running[name], count if tensor is False else max(8, count // 4)) / floor)
    return {name: statistics.median(found) for name, found in ratios.items()}


def table(title: str, peers: dict, groups: list[int], rounds: int, *, tensor: bool = False, kind: str = "SGD") -> None:
    columns = [measure(peers, count, rounds, tensor=tensor, kind=kind) for count in groups]
    print(f"\n{title}\n{'groups':<40}" + "".join(f"{count:>8}" for count in groups))
    for name in columns[0]:
        print(f"{name:<40}" + "".join(f"{column[name]:8.1f}" for column in columns))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # a scheduler that is stepped without its optimizer says so
    print(f"torch {torch.__version__}; time of a step over a bare write, medians of {options.rounds} rounds in turn")
    table("SGD, rates that are numbers", FLOATS, options.groups, options.rounds)
    adam = {name: FLOATS[name] for name in list(FLOATS)[:4]}
    table("AdamW, whose momentum is betas[0]", adam, options.groups, options.rounds, kind="AdamW")
    table("SGD, rates that are tensors", TENSORS, options.groups, options.rounds, tensor=True)


if __name__ == "__main__":
    main()
