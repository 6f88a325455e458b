"""Optuna's TPE with Hyperband, as its users search: one training after the other, given up early when it looks bad.

A trial draws a rule, a policy and a rate, and trains over the whole horizon with its one seed. It reports its
validation loss 27 times, and Hyperband may end it at any of them, in the middle of its schedule. What it has cost until
then is counted in updates; the validations are not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from families import POLICIES, RULES, strategy
from suite import Problem
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from stepsize.engines.base import coefficients
from stepsize.strategy import Strategy, Trial

REPORTS = 27
"""How often a trial reports; three times three times three, as Hyperband cuts by three."""

FIRST_SEED = 30_000
"""The trainings of a study have the seed of the study after this one."""

RATES, FACTORS = (1e-6, 30.0), (0.1, 10.0)
"""Where the logarithm of the rate is drawn from: as wide as the truth begins; for Prodigy, whose rate is a factor."""


def training(problem: Problem, wanted: Strategy, seed: int) -> Iterator[tuple[int, float]]:
    """Train, and pause at each report: how many updates were made, and the validation loss."""
    task = problem.task
    points = set(np.linspace(0, task.steps, REPORTS + 1).round().astype(int)[1:].tolist())
    table = coefficients([Trial(wanted.over(task.steps), seed)], 0, task.steps)
    columns = {name: torch.from_numpy(np.array(each, dtype=np.float32)).unsqueeze(-1) for name, each in table.items()}
    model = task.build(seed).train()
    parameters = list(model.parameters())
    rule, row = wanted.rule, parameters_to_vector(parameters).detach().unsqueeze(0)
    slots = rule.init(row, torch)
    for step in range(task.steps):
        x, y = task.batch(step, seed)
        gradients = torch.autograd.grad(task.loss(model(x), y), parameters)
        gradient = torch.cat([each.reshape(-1) for each in gradients]).unsqueeze(0)
        now = {name: each[step] for name, each in columns.items()}
        row, slots = rule.step(row, gradient, slots, now, torch)
        if step + 1 in points:
            vector_to_parameters(rule.readout(row, slots, torch)[0], parameters)
            yield step + 1, task.score(model)
        vector_to_parameters(row[0], parameters)


def searched(problem: Problem, seed: int, budgets: tuple[float, ...]) -> dict[float, tuple[Strategy | None, float]]:
    """Return for each budget the best strategy whose training was whole within it, and the cost of the trials in it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"{problem.name} {seed}",  # Hyperband draws brackets by it
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=REPORTS, reduction_factor=3),
    )
    best: tuple[float, Strategy | None] = (np.inf, None)
    spent, found = 0, {}
    while spent < max(budgets) * problem.task.steps:
        trial = study.ask()
        wanted = drawn(trial)
        score, made, whole = tried(problem, trial, wanted, FIRST_SEED + seed)
        state = optuna.trial.TrialState
        study.tell(trial, score if whole else None, state.COMPLETE if whole else state.PRUNED)
        for budget in budgets:
            if spent <= budget * problem.task.steps < spent + made:
                found[budget] = best[1], spent / problem.task.steps
        spent += made
        if whole and score < best[0]:
            best = score, wanted
    for budget in budgets:
        found.setdefault(budget, (best[1], spent / problem.task.steps))
    return found


def drawn(trial) -> Strategy:
    """Return the strategy that the sampler proposes."""
    rule = trial.suggest_categorical("rule", list(RULES))
    policy = trial.suggest_categorical("policy", list(POLICIES))
    rate = trial.suggest_float("factor", *FACTORS, log=True) if rule == "Prodigy" else None
    return strategy(f"{rule} {policy}", trial.suggest_float("rate", *RATES, log=True) if rate is None else rate)


def tried(problem: Problem, trial, wanted: Strategy, seed: int) -> tuple[float, int, bool]:
    """Return the last validation loss of a trial, how many updates it made, and whether it is whole."""
    made, score = 0, np.inf
    for report, (made, score) in enumerate(training(problem, wanted, seed), start=1):
        if not np.isfinite(score):
            return score, made, False
        trial.report(score, report)
        if made < problem.task.steps and trial.should_prune():
            return score, made, False
    return score, made, True
