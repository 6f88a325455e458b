"""Train in the loop of a framework as one of two processes, each with batches of its own: a program."""

import importlib
import sys
from pathlib import Path

import processes
import tinynet as tiny
import torch


def work(folder, framework, way):
    torch.set_num_threads(1)
    (folder / "out").mkdir(exist_ok=True)
    seen, weights = importlib.import_module(f"{framework}_loop").train(way, folder / "out")
    torch.save({"seen": seen, "weights": weights}, folder / f"{tiny.RANK}.pt")


if __name__ == "__main__":
    work(Path(sys.argv[1]), *sys.argv[2:])
    processes.leave()
