"""Why, in sentences with numbers; how safe the answer is; and what to be careful of."""

from __future__ import annotations

import math
import os
import platform

from stepsize.jobs.advise.answer.baseline import USUAL
from stepsize.jobs.advise.belief.worth import full_runs
from stepsize.jobs.advise.final import Final
from stepsize.jobs.advise.locate import LIKELY
from stepsize.jobs.advise.search import Search
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.optional import versions_of
from stepsize.kernel.text import count
from stepsize.results import Baseline, Insurance
from stepsize.results.race_text import by_class
from stepsize.search_space import POLICIES, RULES
from stepsize.strategy import Strategy, describe_rule

SHORT_HORIZON = 100
"""A shorter training deserves a warning."""

NARROW = 0.25
"""The spread of the best rate, in decades, up to which pilot runs agree."""

AS_LIKELY_AS_NOT = 0.5
"""The probability from which on it is said that runs learn by heart."""

BY_HEART = (
    "It learns by heart: longer runs learn more of their samples and little more of others, so the rate was chosen to "
    "go just far enough. A shorter training at a higher rate may do as well, more samples or regularisation better."
)


def reasons(search: Search, answer: Strategy, final: Final | None) -> tuple[str, ...]:
    """Return why the answer is recommended, the most important first."""
    found = [_by_final(final) if final is not None else _by_runs(search, answer), _rate(search, answer)]
    found += [_against(search, answer), _anchored(search, answer)]
    return tuple(filter(None, found))


def _by_final(final: Final) -> str:
    race, best = final.race, final.race.standings[0]
    seeds = len(race.rungs[-1].seeds)
    first = (
        f"{best.strategy.name} has the lowest mean {race.scored}, {best.score}, of {len(race.standings)} finalists on "
        f"{count(seeds, 'fresh seed')}."
    )
    return f"{first} On {len(final.seeds)} more, which chose nothing, it reaches {t_interval(final.scores)}."


def _by_runs(search: Search, answer: Strategy) -> str:
    scored = search.task.scored
    own = [run.score for run in full_runs(search.belief) if run.strategy.name == answer.name]
    if not own and len(search.field) == 1:
        return f"Nothing has run over the full {search.horizon} steps; the rate is that of shorter whole runs."
    if not own:
        return (
            f"Nothing has run over the full {search.horizon} steps: {answer.family} is answered with, as it forgives a "
            "rate that is not the best."
        )
    families = len({run.strategy.family for run in full_runs(search.belief)})
    mean = sum(own) / len(own)
    lead = (
        f"Trained over the full {search.horizon} steps on {count(len(own), 'seed')} it reaches a {scored} of {mean:.4g}"
    )
    return f"{lead}, and leads {count(families, 'family', 'families')} by what all runs say together."


def _rate(search: Search, answer: Strategy) -> str:
    """Say where the best rate of the answer's family lies, and how many runs say so."""
    low, high = search.belief.interval(answer)
    runs = [run for run in search.belief.runs if run.steps < search.horizon]
    lengths = sorted({run.steps for run in runs})
    shown = ", ".join(f"{sum(run.steps == each for run in runs)} of {each} steps" for each in lengths)
    by = f" by {count(len(runs), 'pilot run')} ({shown})" if runs else ""
    return f"The best rate of {answer.family} lies between {low:.2g} and {high:.2g}{by}, with 90 %."


def _against(search: Search, answer: Strategy) -> str:
    """Say who is next, and by how much."""
    means: dict[str, list[float]] = {}
    for run in full_runs(search.belief):
        means.setdefault(run.strategy.name, []).append(run.score)
    others = {name: sum(each) / len(each) for name, each in means.items() if name != answer.name}
    if answer.name not in means or not others:
        return ""
    name = min(others, key=lambda each: others[each])
    own = sum(means[answer.name]) / len(means[answer.name])
    gain = search.belief.start - own
    if not math.isfinite(others[name]) or gain <= 0:
        return ""
    return f"{name}, the next, ends {others[name] - own:+.4g} from it, {(others[name] - own) / gain:.1%} of the gain."


def _anchored(search: Search, answer: Strategy) -> str:
    anchor = search.belief.anchors[search.belief.prior_of(answer).group]
    return f"The search began at {10**anchor.centre:.2g} for {search.primary.family}, by {anchor.source}."


def insurances(search: Search, answer: Strategy) -> tuple[Insurance, ...]:
    """Return what makes the answer safe, and whether it was bought."""
    own = [run for run in full_runs(search.belief) if run.strategy.name == answer.name]
    family = search.belief.of(answer, search.horizon)
    seeds = {run.seed for run in own}
    higher = [run.strategy.peak for run in family if run.strategy.peak > answer.peak * 1.01]
    _, spread = search.belief.centre(answer)
    return (
        Insurance(
            name="trained to its end at this rate", holds=bool(own) and all(math.isfinite(run.score) for run in own),
            because=f"{count(len(own), 'run')} over all {search.horizon} steps." if own else "Only shorter ones ran.",
        ),
        Insurance(
            name="a higher rate ran", holds=bool(higher),
            because=f"{max(higher):.3g} was tried over all steps." if higher else "No higher rate ran over all steps.",
        ),
        Insurance(
            name="a second seed", holds=len(seeds) > 1, because=f"It ran on {count(len(seeds), 'seed')} over all steps."
        ),
        Insurance(
            name="pilot runs agree", holds=None if not search.belief.runs else spread <= NARROW,
            because=f"They leave a spread of {spread:.2f} decades of the best rate.",
        ),
        _overfitting(search),
    )  # fmt: skip


def _overfitting(search: Search) -> Insurance:
    name = "training and validation agree"
    if not search.belief.runs:
        return Insurance(name=name, holds=None, because="Nothing has run.")
    if not any(math.isfinite(run.training) for run in search.belief.runs):
        return Insurance(name=name, holds=None, because="One of the two losses is not known.")
    if search.belief.by_heart > AS_LIKELY_AS_NOT:
        return Insurance(name=name, holds=False, because=BY_HEART)
    if search.belief.overfits:
        return Insurance(
            name=name, holds=False, because="The validation loss is far above the training loss: it overfits."
        )
    return Insurance(name=name, holds=True, because="The validation loss is close to the training loss.")


def warnings(search: Search, answer: Strategy) -> tuple[str, ...]:
    """Return what to be careful of."""
    found = []
    if search.horizon < SHORT_HORIZON:
        found.append(
            f"{search.horizon} steps are a short training: what is best in it is not what is best in a long one."
        )
    diverged = [run for run in search.belief.runs if not math.isfinite(run.score)]
    near = [run for run in diverged if run.strategy.family == answer.family and run.x - math.log10(answer.peak) < 0.5]
    if near:
        lowest = min(run.strategy.peak for run in near)
        found.append(f"At {lowest:.3g} this family diverged: do not raise the rate of {answer.peak:.3g} much.")
    found += by_class(each.rule for each in search.field)
    edge = _edge(search, answer)
    return tuple(found + ([edge] if edge else []))


def _edge(search: Search, answer: Strategy) -> str:
    """Say where the answer's rate is the lowest or the highest of all that have run."""
    tried = [run.strategy.peak for run in search.belief.of(answer)]
    if len(set(tried)) < 2:
        return ""
    p = search.belief.posterior(answer).sum(axis=0)
    x = 10 ** search.belief.centres(search.belief.prior_of(answer).group)
    if p[x < min(tried)].sum() > LIKELY:
        return f"The best rate of {answer.family} may lie below the lowest that ran, {min(tried):.3g}."
    if p[x > max(tried)].sum() > LIKELY:
        return f"The best rate of {answer.family} may lie above the highest that ran, {max(tried):.3g}."
    return ""


def baseline_warnings(baseline: Baseline | None) -> tuple[str, ...]:
    """Return what to be careful of in the comparison with what the user has."""
    if baseline is None or all(map(math.isfinite, baseline.scores)):
        return ()
    return (f"The baseline, {baseline.strategy.name}, diverged, so no difference to it can be given.",)


def nothing_learned(search: Search) -> tuple[str, ...]:
    """Return what to try where no run has learned anything."""
    rates = [run.strategy.peak for run in search.belief.runs]
    span = f", at rates from {min(rates):.2g} to {max(rates):.2g}" if rates else ""
    return (
        f"No run is better than what needs no model{span}.",
        "Look at whether inputs and targets belong together: train on ten samples until the loss is near 0.",
        "Look at the loss: whether it takes what the model returns, and whether its gradient is not 0.",
        "Train for longer: some tasks show nothing for a while. Raise the steps.",
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Return what the advice was measured with."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return (
        ("python", platform.python_version()),
        *versions_of("stepsize", "numpy", "torch").items(),
        ("machine", machine),
    )


def untried_rules(search: Search) -> tuple[str, ...]:
    """Return the names of the default rules of which nothing ran."""
    ran = {describe_rule(run.strategy.rule) for run in search.belief.runs if run.strategy.name != USUAL.name}
    return tuple(name for name in map(describe_rule, RULES) if name not in ran)


def untried_policies(search: Search) -> tuple[str, ...]:
    """Return the names of the default policies of which nothing ran."""
    ran = {run.strategy.recipe for run in search.belief.runs}
    return tuple(name for name in POLICIES if name not in ran)
