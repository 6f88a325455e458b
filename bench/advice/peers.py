"""What people train with when they do not search, and what the usual search finds for the cost of ours.

    python bench/advice/peers.py [--half dev test] [--only fixed suggested list random optuna optuna-few]

Writes peers.json, method by method and task by task; what is there is not run again. Optuna is left out, with a line,
where it is not installed. Every strategy is judged on the seeds of truth.py, by this library's engine and rules.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from families import POLICIES, RULES, strategy, train
from suite import BUDGETS, HALVES, SEEDS, SUGGESTIONS, Problem, half, read, write
from tpe import FACTORS, FIRST_SEED, RATES, searched
from truth import JUDGES, to_plain

from stepsize import rules
from stepsize.kernel import seeds
from stepsize.kernel.optional import installed
from stepsize.policies import Policy
from stepsize.schedules import Constant, Linear
from stepsize.strategy import Strategy

FILE = Path(__file__).with_name("peers.json")

LISTED = (10**-1.5, 10**-2.0, 10**-1.0, 10**-2.5, 10**-0.5)
"""Rates of AdamW with 1cycle, the one that suits most tasks of the dev half first."""

FEW = (1, 3, 5, 10)
"""How many trainings a search may cost that can pay for few."""

Found = dict[str, list[dict[str, Any]]]
"""By method what it recommends, one a seed; a single one where nothing is random."""


def judged(problem: Problem, found: list[tuple[Strategy | None, float]]) -> list[dict[str, Any]]:
    """Return strategies and the costs of finding them, with their scores on the seeds that judge."""
    known = [each for each, _ in found if each is not None]
    scores = iter(train(problem, known, JUDGES).tolist() if known else [])
    return [
        {
            "strategy": "" if each is None else each.name,
            "cost": spent,
            "scores": [] if each is None else next(scores),
        }
        for each, spent in found
    ]


def schedule_free(steps: int) -> Strategy:
    """Schedule-Free AdamW at its default rate with a warmup of 5 %, which is linear as in its own code."""
    rule = rules.ScheduleFreeAdamW()
    warmup = max(2, round(0.05 * steps))
    policy = Policy(lr=Linear(rule.lr / warmup, rule.lr, warmup - 1) >> Constant(rule.lr))
    return Strategy(rule, policy, f"ScheduleFreeAdamW warmup {rule.lr:g}")


def fixed(problem: Problem) -> Found:
    """What needs no search."""
    wanted = {
        "AdamW 1e-3, cosine": strategy("AdamW cosine", 1e-3),
        "SGD 0.1 with momentum 0.9, step decay": strategy("Momentum step_decay", 0.1),
        "Prodigy 1, cosine": strategy("Prodigy cosine", 1.0),
        "Schedule-Free AdamW 2.5e-3, warmup": schedule_free(problem.task.steps),
    }
    found = judged(problem, [(each, 0.0) for each in wanted.values()])
    return {method: [each] for method, each in zip(wanted, found, strict=True)}


def suggested(problem: Problem) -> Found:
    """1cycle with the rule of the task in bench/range_test, at the rate that torch-lr-finder suggested there."""
    record = read(SUGGESTIONS)["suggestions"][problem.name]["torch-lr-finder"]
    found = [
        (None if rate is None else one_cycle(problem.rule, rate), updates / problem.task.steps)
        for rate, updates in zip(record["rates"], record["updates"], strict=True)
    ]
    return {"1cycle at torch-lr-finder's rate": judged(problem, found)}


def one_cycle(rule: rules.Rule, rate: float) -> Strategy:
    return Strategy.of(rule, "one_cycle", rate, name=f"{type(rule).__name__} one_cycle {rate:.4g}")


def best_of_list(problem: Problem) -> Found:
    """AdamW with 1cycle at well chosen rates, the first of them, the first three, all five: the best on one seed."""
    listed = [strategy("AdamW one_cycle", rate) for rate in LISTED]
    scores = train(problem, listed, [FIRST_SEED + seed for seed in SEEDS])
    return {
        f"the best of {count} fixed AdamW 1cycle rates": judged(
            problem, [(listed[int(scores[:count, seed].argmin())], float(count)) for seed in SEEDS]
        )
        for count in (1, 3, 5)
    }


def random_search(problem: Problem) -> Found:
    """Rule, policy and rate drawn as Optuna draws its first ones, each trained once: the best of the first so many."""
    drawn = [[at_random(seeds.generator(seed, "random search", number)) for number in range(FEW[-1])] for seed in SEEDS]
    scores = [train(problem, each, [FIRST_SEED + seed])[:, 0] for seed, each in zip(SEEDS, drawn, strict=True)]
    return {
        f"random search, budget {count}": judged(
            problem,
            [(own[int(each[:count].argmin())], float(count)) for own, each in zip(drawn, scores, strict=True)],
        )
        for count in FEW
    }


def at_random(source: np.random.Generator) -> Strategy:
    """Return a strategy drawn from the space that Optuna searches."""
    rule, policy = source.choice(list(RULES)), source.choice(POLICIES)
    low, high = np.log10(FACTORS if rule == "Prodigy" else RATES)
    return strategy(f"{rule} {policy}", float(10 ** source.uniform(low, high)))


def optuna(problem: Problem, budgets: Sequence[float] = tuple(each for each in BUDGETS if each > FEW[-1])) -> Found:
    """TPE with Hyperband within each budget; a smaller budget is the beginning of a larger one."""
    found = [searched(problem, seed, tuple(budgets)) for seed in SEEDS]
    return {
        f"Optuna, TPE and Hyperband, budget {budget:g}": judged(problem, [each[budget] for each in found])
        for budget in budgets
    }


def optuna_for_few(problem: Problem) -> Found:
    """TPE with Hyperband within few trainings."""
    return optuna(problem, tuple(map(float, FEW)))


PEERS: dict[str, Callable[[Problem], Found]] = {
    "fixed": fixed, "suggested": suggested, "list": best_of_list, "random": random_search, "optuna": optuna,
    "optuna-few": optuna_for_few,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    for peer in options.only:
        if peer.startswith("optuna") and not installed("optuna"):
            print("optuna is left out: it is not installed")
            continue
        for problem in [each for name in options.half for each in half(name)]:
            found = read(FILE)
            run = found.setdefault("run", {}).setdefault(problem.name, [])
            if peer in run:
                continue
            began = time.perf_counter()
            found.setdefault("problems", {}).setdefault(problem.name, {}).update(to_plain(PEERS[peer](problem)))
            run.append(peer)
            if peer.startswith("optuna"):
                found.setdefault("versions", {})["optuna"] = version("optuna")
            write(FILE, found)
            print(f"{peer}: {problem.name}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
