"""A descent is a plain loop of torch.optim, trajectory by trajectory, and one bad start spoils no other."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stepsize.engines.landscape.default_strategies import curvature, usual
from stepsize.engines.landscape.descend import descend
from stepsize.engines.landscape.gradient_flow import basins
from stepsize.kernel.errors import ParameterError
from stepsize.policies import Policy, constant
from stepsize.problems.landscapes import (
    Booth,
    Easom,
    Eggholder,
    Himmelblau,
    Landscape,
    MatrixFactorisation,
    MonkeySaddle,
    Rastrigin,
    Reddi,
    Rosenbrock,
    Saddle,
    SixHumpCamel,
)
from stepsize.problems.landscapes.base import cube, points
from stepsize.problems.noise import Gaussian, Multiplicative, StudentT
from stepsize.results.landscape import ELSEWHERE, UNKNOWN
from stepsize.rules import (
    SGD,
    Adam,
    AdamW,
    AMSGrad,
    DAdaptSGD,
    DecoupledDecay,
    GradientNoise,
    Lion,
    Momentum,
    Nesterov,
    RMSProp,
    Rule,
)
from stepsize.schedules import PowerLaw
from stepsize.strategy import Strategy, known_rules

torch.set_num_threads(1)

PEERS = {
    "SGD": (SGD(weight_decay=0.01), lambda p: torch.optim.SGD(p, 1, weight_decay=0.01)),
    "Momentum": (Momentum(), lambda p: torch.optim.SGD(p, 1, momentum=0.9)),
    "Nesterov": (Nesterov(), lambda p: torch.optim.SGD(p, 1, momentum=0.9, nesterov=True)),
    "RMSProp": (RMSProp(), lambda p: torch.optim.RMSprop(p, 1)),
    "Adam": (Adam(), torch.optim.Adam),
    "AdamW": (AdamW(), torch.optim.AdamW),
}


def strategy(rule, policy="constant", rate=0.01):
    return Strategy.of(rule, policy, rate)


@pytest.mark.parametrize("policy", ["cosine", "one_cycle"])
@pytest.mark.parametrize("name", PEERS)
def test_every_trajectory_is_that_of_a_loop_of_torch_optim(name, policy):
    rule, make = PEERS[name]
    chosen = strategy(rule, policy, 0.002)
    found = descend(Himmelblau(), [chosen], starts=5, steps=150)
    table = chosen.over(150).policy.table(0, 150)
    for row, start in enumerate(found.starts):
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = make([p])
        (group,) = optimizer.param_groups
        for step in range(150):
            group["lr"] = float(table["lr"][step])
            if "momentum" in table and "betas" in group:
                group["betas"] = (float(table["momentum"][step]), 0.999)
            elif "momentum" in table:
                group["momentum"] = float(table["momentum"][step])
            optimizer.zero_grad()
            Himmelblau().value(p, torch).backward()
            optimizer.step()
        np.testing.assert_allclose(found.last[0, row], p.detach().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("surface", [Rastrigin(), Rosenbrock(3), MatrixFactorisation(), Reddi()], ids=repr)
@pytest.mark.parametrize("noise", [None, Gaussian(0.3), StudentT(0.3), Multiplicative(0.3)], ids=repr)
def test_the_outcome_does_not_depend_on_the_block(surface, noise):
    chosen = [strategy(Adam(), "cosine", 0.05)]
    whole, pieces = (
        descend(surface, chosen, starts=101, steps=60, noise=noise, block=block, watched=13) for block in (1 << 15, 24)
    )
    for name in ("last", "paths"):
        np.testing.assert_allclose(getattr(whole, name), getattr(pieces, name), rtol=1e-9, atol=1e-9)
    assert (whole.entered == pieces.entered).all()


def test_the_same_seed_is_the_same_descent_and_starts_are_shared():
    first, again, other = (
        descend(Rastrigin(), [strategy(SGD(), rate=0.01)] * 2, starts=50, steps=30, seed=seed, noise=Gaussian(1.0))
        for seed in (1, 1, 2)
    )
    assert (first.last == again.last).all()
    assert (first.last[0] == first.last[1]).all()
    assert (first.starts != other.starts).all()


def test_fewer_starts_are_the_first_of_more():
    few, many = (descend(Booth(), [strategy(SGD())], starts=n, steps=3).last[0] for n in (7, 70))
    np.testing.assert_allclose(few, many[:7], rtol=1e-12)


def test_paths_begin_at_the_starts_and_end_at_the_ends():
    found = descend(Booth(), [strategy(SGD())], starts=30, steps=40, watched=5)
    assert found.path_steps[[0, -1]].tolist() == [0, 40]
    assert (found.paths[0, 0] == found.starts[:5]).all()
    assert (found.paths[0, -1] == found.last[0, :5]).all()


def test_a_path_is_where_a_shorter_run_ends():
    long = descend(Himmelblau(), [strategy(Momentum(), rate=0.001)], starts=5, steps=400)
    place = int(np.searchsorted(long.path_steps, 100))
    short = descend(Himmelblau(), [strategy(Momentum(), rate=0.001)], starts=5, steps=int(long.path_steps[place]))
    np.testing.assert_allclose(long.paths[0, place], short.last[0], rtol=1e-12)


def test_a_start_has_entered_when_it_first_comes_near():
    found = descend(Booth(), [strategy(SGD(), rate=0.01)], starts=40, steps=500, watched=40)
    near = Booth().arrived(found.paths[0].reshape(-1, 2), np).reshape(found.paths[0].shape[:2])
    for row, step in enumerate(found.entered[0]):
        first = int(near[:, row].argmax())
        assert found.path_steps[max(first - 1, 0)] <= step <= found.path_steps[first]
    inside = Booth().arrived(found.starts, np)
    assert (found.entered[0][inside] == 0).all()


def test_where_a_trajectory_diverged_no_distance_overflows():
    """With warnings as errors: a last finite point of 1e200 has a square beyond all numbers."""
    far = descend(Himmelblau(), [strategy(SGD(), rate=0.5)], starts=np.array([[4.0, 4.0]]), steps=20)
    assert (np.abs(far.last) > 1e154).any()
    assert far.basins.tolist() == [[UNKNOWN]]


def test_every_recorded_step_is_asked_for_by_points():
    few, all_ = (descend(Booth(), [strategy(SGD())], starts=2, steps=300, points=points) for points in (11, 601))
    assert len(few.path_steps) == 11
    assert all_.path_steps.tolist() == list(range(301))
    assert (all_.paths[:, few.path_steps] == few.paths).all()


@dataclass(frozen=True)
class Cubic(MonkeySaddle):
    """It falls without bound, and leaving the saddle is no end."""

    saddle = False
    arrived = Landscape.arrived


def test_a_diverged_trajectory_is_frozen_and_spoils_no_other():
    starts = np.array([[0.001, 0.0], [-1.9, 0.3], [0.0, 0.001]])
    together = descend(Cubic(), [strategy(SGD(), rate=0.1)], starts=starts, steps=40)
    alone = descend(Cubic(), [strategy(SGD(), rate=0.1)], starts=starts[:1], steps=40)
    assert together.died_at[0, 1] > 0
    assert (together.died_at[0, [0, 2]] == -1).all()
    assert (together.last[0, 0] == alone.last[0, 0]).all()
    assert np.isfinite(together.last).all()
    assert together.basins[0, 1] == UNKNOWN
    until = descend(Cubic(), [strategy(SGD(), rate=0.1)], starts=starts, steps=int(together.died_at[0, 1]))
    assert (until.last[0, 1] == together.last[0, 1]).all()
    assert until.died_at[0, 1] == -1


def test_a_run_ends_where_it_leaves_a_saddle_and_says_after_how_many_steps():
    """On `x**2 - y**2` plain descent multiplies y by 1 + 2 lr: from 0.001 it is beyond 1 after 73 steps of lr 0.05."""
    starts = np.array([[0.0, 0.001], [0.5, -0.001], [0.5, 0.0]])
    found = descend(Saddle(), [strategy(SGD(), rate=0.05)], starts=starts, steps=200)
    assert found.entered.tolist() == [[73, 73, -1]]
    assert found.last[0, 0] == pytest.approx([0.0, 0.001 * 1.1**73], rel=1e-12)
    assert (found.outcomes[0].share.mean, found.outcomes[0].time.mean, found.outcomes[0].diverged) == (2 / 3, 73, 0)
    assert found.outcomes[0].escape is None
    np.testing.assert_array_equal(found.reached, [[True, True, False]])


@pytest.mark.parametrize("surface", [Saddle(), MonkeySaddle()], ids=repr)
def test_on_a_saddle_rules_are_compared_from_starts_near_it(surface):
    found = descend(surface, usual(surface), starts=20, steps=60)
    names = ["SGD", "Momentum", "Nesterov", "Adagrad", "RMSProp", "Adam", "Adadelta"]
    assert [s.rule.title for s in found.strategies] == names
    low, high = surface.start_box.T
    assert ((found.starts >= low) & (found.starts <= high) & (np.abs(found.starts) < np.abs(surface.box[:, 0]))).all()
    left = surface.value(found.last.reshape(-1, 2), np).reshape(len(names), -1) < -1
    np.testing.assert_array_equal(left, found.entered >= 0)
    times = {name: outcome.time.mean for name, outcome in zip(names, found.outcomes, strict=True)}
    assert times["RMSProp"] < times["Adam"] < times["SGD"]


def test_walls_hold():
    found = descend(Eggholder(), [strategy(SGD(), rate=5.0)], starts=200, steps=50, watched=200)
    assert np.abs(found.paths).max() == 512


def test_adam_goes_to_the_worst_point_of_reddis_example():
    """Published: for C = 3 Adam ends near +1 (0.9998 after 20 000 steps), though -1 is the best."""
    adam = Strategy(Adam(momentum=0.0, beta2=0.1), Policy(lr=PowerLaw(0.1, 0.5, 1.0)))
    sgd = Strategy(SGD(), Policy(lr=PowerLaw(0.1, 0.5, 1.0)))
    found = descend(Reddi(), [adam, sgd], starts=np.array([[-0.9], [0.0], [0.9]]), steps=20_000)
    assert (found.last[0] > 0.99).all()
    assert (found.last[1] < -0.99).all()
    assert found.reached.tolist() == [[True] * 3] * 2  # the mean slope leads every place to -1


def test_points_outside_of_the_box_are_refused():
    with pytest.raises(ParameterError, match=r"1 of 2 starts lie outside of the box of Booth \(-10 to 10, -10 to 10\)"):
        descend(Booth(), [strategy(SGD())], starts=np.array([[0.0, 0.0], [11.0, 0.0]]))
    with pytest.raises(ParameterError, match="1 of 1 starts lie outside"):
        descend(Booth(), [strategy(SGD())], starts=np.array([[np.nan, 0.0]]))
    with pytest.raises(ParameterError, match=r"the shape \(starts, 2\), not \(1, 3\)"):
        descend(Booth(), [strategy(SGD())], starts=np.zeros((1, 3)))
    with pytest.raises(ParameterError, match="at least one start, not 0"):
        descend(Booth(), [strategy(SGD())], starts=0)
    with pytest.raises(ParameterError, match="at least one strategy"):
        descend(Booth(), [])


@dataclass(frozen=True)
class Cusp(Landscape):
    """A root, without a slope at 0."""

    radius = 0.1

    @property
    def box(self):
        return cube(-1, 1)

    @property
    def minima(self):
        return points((0, 0))

    def value(self, x, xp):
        return xp.sqrt((x * x).sum(-1))


def test_a_gradient_that_is_not_finite_is_said():
    with pytest.raises(
        ParameterError, match=r"gradient of Cusp is not finite at 1 of 2 starts, the first at \[0.0, 0.0\]"
    ):
        descend(Cusp(), [strategy(SGD())], starts=np.array([[0.5, 0.5], [0.0, 0.0]]))


def test_progress_is_told_of_every_step_of_every_start():
    told = []
    descend(Booth(), [strategy(SGD()), strategy(Adam())], starts=30, steps=300, progress=told.append)
    assert sum(told) == 2 * 30 * 300


def test_gradient_flow_finds_the_basins_of_rastrigin():
    """Separable: the basin of each coordinate is between the tops of the waves, near the halves."""
    surface = Rastrigin()
    x = np.random.default_rng(0).uniform(-4.4, 4.4, (500, 2))
    x = x[(np.abs(np.abs(x - np.floor(x)) - 0.5) > 0.06).all(axis=1)]
    assert (np.round(surface.minima[basins(surface, x)]) == np.round(x)).all()


def test_gradient_flow_agrees_with_an_integrator():
    solve_ivp = pytest.importorskip("scipy.integrate").solve_ivp
    for surface in (Himmelblau(), SixHumpCamel()):
        x = np.random.default_rng(1).uniform(*surface.box.T, (25, 2))
        found = basins(surface, x)
        for start, basin in zip(x, found, strict=True):
            end = solve_ivp(lambda _, y, f=surface: -f.gradient(y[None], np)[0], (0, 50), start, method="LSODA").y[
                :, -1
            ]
            assert basin == surface.nearest(end[None])[0]


def test_gradient_flow_follows_a_slope_that_underflows_and_stops_where_there_is_none():
    x = np.array([[5.0, 5.5], [-90.0, 40.0], [np.nan, 0.0]])
    assert basins(Easom(), x)[1:].tolist() == [ELSEWHERE, UNKNOWN]
    assert basins(Cubic(), np.array([[1.0, 1.5], [0.0, 0.0]])).tolist() == [UNKNOWN, ELSEWHERE]
    assert basins(MonkeySaddle(), np.array([[1.0, 1.5], [0.0, 0.0]])).tolist() == [UNKNOWN, UNKNOWN]


def test_the_curvature_is_that_of_a_quadratic():
    assert curvature(Booth()) == pytest.approx(18, rel=1e-6)
    assert curvature(Rastrigin()) == pytest.approx(2 + 40 * np.pi**2, rel=0.05)


@pytest.mark.parametrize("surface", [Rastrigin(), Easom(), Reddi(), Cubic(), MatrixFactorisation()], ids=repr)
def test_the_usual_strategies_exist_for_every_landscape(surface):
    found = usual(surface)
    assert [s.name.split()[:2] for s in found] == [
        ["SGD", "constant"], ["SGD", "one_cycle"], ["Adam", "constant"], ["Adam", "cosine"],
    ]  # fmt: skip
    assert all(1e-9 < s.peak < 1e4 for s in found)


def test_a_large_rate_that_cools_down_escapes_where_a_small_one_cannot():
    found = descend(Rastrigin(), usual(Rastrigin())[:2], starts=300, steps=1000)
    small, large = found.outcomes
    assert small.escape.mean == 0
    assert large.escape.low > 0.4


SMALL = {"DoG": 1e-2, "DAdaptSGD": 1.0, "DAdaptAdam": 1.0, "Prodigy": 1.0, "DoWG": 1.0, "Adadelta": 1.0}


def made(kind):
    """A rule as it is by default, without the noise that each place has of its own."""
    return kind(noise_variance=0.0) if kind is GradientNoise else kind()


@pytest.mark.parametrize("kind", [*known_rules().values()], ids=lambda kind: kind.__name__)
def test_every_rule_descends_row_by_row(kind):
    """Whatever its state is, a start's way does not depend on the others, and goes down."""
    rule, surface = made(kind), Booth()
    plan = Strategy(rule, constant(SMALL.get(kind.__name__, 1e-3)))
    x = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    found = descend(surface, [plan], starts=x, steps=60, watched=12)
    alone = descend(surface, [plan], starts=x[7:8], steps=60)
    np.testing.assert_allclose(found.last[0, 7], alone.last[0, 0], rtol=1e-12, atol=1e-13)
    assert (surface.value(found.last[0], np) < surface.value(x, np)).mean() > 0.5


def test_amsgrad_goes_to_the_best_point_of_reddis_example():
    """[reddi2018convergence]: where Adam ends at the worst one."""
    policy = Policy(lr=PowerLaw(0.1, 0.5, 1.0))
    plan = Strategy(AMSGrad(momentum=0.0, beta2=0.1), policy)
    found = descend(Reddi(), [plan], starts=np.array([[0.5], [-0.5]]), steps=20_000)
    assert (found.last < -0.99).all()


def test_a_rule_that_keeps_its_points_is_refused_where_there_are_walls():
    with pytest.raises(ParameterError, match="DAdaptSGD keeps them in its own state"):
        descend(Eggholder(), [Strategy(DAdaptSGD(), constant(1.0))], starts=3, steps=3)


@dataclass(frozen=True)
class Gap(Landscape):
    """A bowl whose slope is not a number near the middle of its first coordinate."""

    radius = 1e-6

    @property
    def box(self):
        return cube(-1, 1)

    @property
    def minima(self):
        return points((0, 0))

    def value(self, x, xp):
        return 0.5 * (x * x).sum(-1)

    def gradient(self, x, xp):
        return xp.where(xp.abs(x[..., :1]) < 0.2, float("nan"), 1.0) * x


@pytest.mark.parametrize("kind", [*known_rules().values()], ids=lambda kind: kind.__name__)
def test_one_that_dies_is_frozen_and_spoils_no_other_under_any_rule(kind):
    rule = made(kind)
    plan = [Strategy(rule, constant(SMALL.get(kind.__name__, 1e-3)))]
    starts = np.array([[0.9, 0.3], [0.2 + 1e-12, 0.5], [-0.8, 0.7]])
    found = descend(Gap(), plan, starts=starts, steps=8)
    if kind is Lion:  # torch's sign of what is no number is 0, so it stands still, and is finite
        assert found.died_at[0, 1] == -1
        assert abs(found.last[0, 1, 0]) < 0.2
        return
    assert found.died_at[0, 1] > 0
    assert (found.died_at[0, [0, 2]] == -1).all()
    assert np.isfinite(found.last).all()
    sound = descend(Gap(), plan, starts=starts[[0, 2]], steps=8)
    np.testing.assert_allclose(found.last[0, [0, 2]], sound.last[0], rtol=1e-13)
    until = descend(Gap(), plan, starts=starts, steps=int(found.died_at[0, 1]))
    assert until.died_at[0, 1] == -1
    if kind.readout in {Rule.readout, DecoupledDecay.readout}:  # an average ends elsewhere
        assert (until.last[0, 1] == found.last[0, 1]).all()


def test_what_it_was_given_stays_as_it_is():
    starts = np.array([[0.3, 0.5], [-0.8, 0.7]])
    before = starts.copy()
    found = descend(Booth(), [strategy(Adam()), strategy(SGD())], starts=starts, steps=20)
    assert (starts == before).all()
    assert (found.starts == before).all()
    assert (found.paths[:, 0] == before).all()
