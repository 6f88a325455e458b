"""Who runs in the final: the best by what is known, but those last that stand at the edge of what lives."""

from types import SimpleNamespace

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.advise.final import finalists
from stepsize.strategy import Strategy


def search_after(*runs: tuple[str, float, float]) -> SimpleNamespace:
    """Return a search in which rules have run with 1cycle at rates, and what each scored; inf where it diverged."""
    anchors = {group: Anchor(-2.0, 0.5, "a test") for group in ("adaptive", "euclidean")}
    ran = [Strategy.of(rule, "one_cycle", rate) for rule, rate, _ in runs]
    done = [Run(each, 400, 100, score, score) for each, (_, _, score) in zip(ran, runs, strict=True)]
    account = SimpleNamespace(trainings=30.0, spent=16.5)
    return SimpleNamespace(belief=Belief(400, 1.0, anchors, done), horizon=400, account=account, ran=lambda: ran)


def names(search: SimpleNamespace) -> list[str]:
    return [f"{each.rule.core.known.kind} {each.peak:g}" for each in finalists(search)]


def test_momentum_at_its_highest_rate_that_lived_comes_last():
    """Its steps are as long as the gradients, and may diverge on one seed in twenty."""
    edge, below = ("Momentum", 0.3, 0.10), ("Momentum", 0.1, 0.12)
    assert names(search_after(edge, below, ("AdamW", 0.01, 0.14)))[-1] == "Momentum 0.3"
    dead = ("Momentum", 1.0, float("inf"))
    assert names(search_after(edge, below, dead, ("AdamW", 0.01, 0.14)))[-1] == "Momentum 0.3"


def test_a_higher_rate_that_lived_is_enough_and_adam_needs_none():
    tried = ("Momentum", 0.3, 0.10), ("Momentum", 0.6, 0.13), ("AdamW", 0.01, 0.14)
    assert names(search_after(*tried))[0] == "Momentum 0.3"
    assert names(search_after(("AdamW", 0.01, 0.1), ("Momentum", 0.1, 0.2), ("Momentum", 0.03, 0.3)))[0] == "AdamW 0.01"
