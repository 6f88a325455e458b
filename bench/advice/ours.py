"""What stepsize recommends: the only file of the benchmark that knows how it is asked.

    python bench/advice/ours.py [--half dev test] [--budgets 0 1 3 5 10 30 60 120]

Writes ours.json, answer by answer; what is there is not run again, unless the code that advises has changed.
"""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from families import train
from suite import BUDGETS, HALVES, SEEDS, Problem, half, read, write
from truth import JUDGES, to_plain

from stepsize import jobs, theory
from stepsize.jobs.advise import search

FILE = Path(__file__).with_name("ours.json")

DISPLAYED = {"answer", "batch_sizes.py"}
"""Files and folders of the search that say what was found, and decide nothing."""


def asked(problem: Problem, budget: float, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return what `advise` recommends within `budget` full trainings, its cost, and its scores on the seeds that judge.

    loses, worst: what it says that the strategy loses, and at most on nine of ten such tasks.
    """
    advice = [jobs.advise(problem.task, budget=budget, seed=seed) for seed in seeds]
    scores = train(problem, [each.strategy for each in advice], JUDGES).tolist()
    return [
        {"strategy": each.strategy.name, "cost": each.cost, "scores": row, "loses": each.loses, "worst": each.worst}
        for each, row in zip(advice, scores, strict=True)
    ]


def method(budget: float) -> str:
    return f"stepsize, budget {budget:g}"


@functools.cache
def fingerprint() -> str:
    """Return a hash of what decides an answer: the search, the theory behind it, and how it is asked here."""
    folders = [Path(module.__file__).parent for module in (search, theory)]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py")) if not DISPLAYED & set(path.parts)]
    code = "".join(without_docstrings(path.read_text(encoding="utf-8")) for path in (Path(__file__), *files))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def without_docstrings(source: str) -> str:
    """Return what a source file does, as a text that comments, docstrings and line breaks do not change."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _says(each)] or [ast.Pass()]
    return ast.unparse(tree)


def _says(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def kept(found: Mapping[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return what the file holds, by task and method; a method that lacks a seed is left out."""
    return {
        name: {
            kind: [each[str(seed)] for seed in SEEDS]
            for kind, each in said["answers"].items()
            if all(str(seed) in each for seed in SEEDS)
        }
        for name, said in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--budgets", nargs="+", type=float, choices=BUDGETS, default=BUDGETS)
    options = parser.parse_args()
    for problem in [each for name in options.half for each in half(name)]:
        for budget in options.budgets:
            ask(problem, budget)


def ask(problem: Problem, budget: float, file: Path = FILE) -> None:
    """Put the answers of all seeds for one budget into a file, those that are not there or of other code."""
    found, code = read(file), fingerprint()
    said = found.setdefault(problem.name, {})
    if said.get("code") != code:
        said |= {"code": code, "answers": {}}
    answers = said["answers"].setdefault(method(budget), {})
    seeds = [seed for seed in SEEDS if str(seed) not in answers]
    if not seeds:
        return
    began = time.perf_counter()
    answers |= {str(seed): to_plain(each) for seed, each in zip(seeds, asked(problem, budget, seeds), strict=True)}
    write(file, found)
    print(f"{problem.name}, budget {budget:g}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
