"""Every landscape: its published numbers, its slopes against differences, and what is said of its critical points."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from stepsize.kernel.errors import ParameterError
from stepsize.problems import landscapes
from stepsize.problems.landscapes import (
    Ackley,
    Beale,
    Booth,
    Branin,
    Bukin,
    ChebyshevRegression,
    DeepLinear,
    DoubleWell,
    Easom,
    Eggholder,
    Ellipsoid,
    GoldsteinPrice,
    Griewank,
    Himmelblau,
    Levy,
    MatrixFactorisation,
    McCormick,
    Michalewicz,
    MonkeySaddle,
    PhaseRetrieval,
    Rastrigin,
    Reddi,
    Rosenbrock,
    Saddle,
    ScalarFactorisation,
    Schwefel,
    SixHumpCamel,
    StyblinskiTang,
    ThreeHumpCamel,
)
from stepsize.problems.landscapes.base import Continuum
from stepsize.results.io import CATALOGUE
from stepsize.testing import check_value

KINDS = CATALOGUE.of(landscapes.Landscape)
MEMBERS = [
    *(kind() for kind in KINDS.values()), Rosenbrock(5), Rastrigin(5), Ackley(4), Griewank(6), Levy(3), Levy(1),
    Schwefel(3), StyblinskiTang(4), Michalewicz(5), DoubleWell(2, 3.0), DoubleWell(1, 1.0, 0.4), PhaseRetrieval(4),
    MatrixFactorisation(4, 2), MatrixFactorisation(2, 2), MatrixFactorisation(3, 2, symmetric=False),
    Ellipsoid(3), Ellipsoid(1), DeepLinear(2, 3), DeepLinear(5), ChebyshevRegression(5, 3), Reddi(1010, 10, 101),
]  # fmt: skip
members = pytest.mark.parametrize("surface", MEMBERS, ids=repr)

PUBLISHED = [
    (Rosenbrock(), (1, 1), 0, 1e-12),
    (Rosenbrock(10), (1,) * 10, 0, 1e-12),
    (Beale(), (3, 0.5), 0, 1e-12),
    (Himmelblau(), (3, 2), 0, 1e-12),
    (Himmelblau(), (-2.805118, 3.131313), 0, 1e-8),
    (Himmelblau(), (-3.77931, -3.283186), 0, 1e-8),
    (Himmelblau(), (3.584428, -1.848127), 0, 1e-8),
    (Booth(), (1, 3), 0, 1e-12),
    (SixHumpCamel(), (0.089842, -0.712656), -1.0316284535, 1e-9),
    (SixHumpCamel(), (-0.089842, 0.712656), -1.0316284535, 1e-9),
    (SixHumpCamel(), (1.703607, -0.796084), -0.215464, 1e-6),
    (SixHumpCamel(), (-1.607105, -0.568651), 2.104250, 1e-6),
    (ThreeHumpCamel(), (0, 0), 0, 1e-12),
    (ThreeHumpCamel(), (1.747552, -0.873776), 0.298638, 1e-6),
    (GoldsteinPrice(), (0, -1), 3, 1e-12),
    (GoldsteinPrice(), (-0.6, -0.4), 30, 1e-9),
    (GoldsteinPrice(), (1.8, 0.2), 84, 1e-9),
    (GoldsteinPrice(), (1.2, 0.8), 840, 1e-9),
    (Branin(), (-math.pi, 12.275), 0.3978873577, 1e-9),
    (Branin(), (math.pi, 2.275), 0.3978873577, 1e-9),
    (Branin(), (3 * math.pi, 2.475), 0.3978873577, 1e-9),
    (Ellipsoid(), (0, 0), 0, 1e-12),
    (Ellipsoid(3, 1e4), (1, 2, 3), 1 + 4e2 + 9e4, 1e-9),
    (Ellipsoid(1), (3,), 9, 1e-12),
    (Rastrigin(7), (0,) * 7, 0, 1e-12),
    (Ackley(3), (0, 0, 0), 0, 1e-12),
    (Griewank(4), (0,) * 4, 0, 1e-12),
    (Levy(4), (1,) * 4, 0, 1e-12),
    (Schwefel(), (420.968749, 420.968749), 0, 1e-8),
    (StyblinskiTang(3), (-2.903534,) * 3, -39.16616570 * 3, 1e-6),
    (StyblinskiTang(1), (2.746803,), -25.029447, 1e-6),
    (Michalewicz(2), (2.202906, 1.570796), -1.8013034101, 1e-9),
    (DoubleWell(height=2.5), (1,), 0, 1e-12),
    (DoubleWell(height=2.5), (0,), 2.5, 1e-12),
    (Easom(), (math.pi, math.pi), -1, 1e-12),
    (Eggholder(), (512, 404.231805), -959.6406627, 1e-6),
    (McCormick(), (-0.547198, -1.547198), -1.9132229550, 1e-9),
    (Bukin(), (-10, 1), 0, 1e-12),
    (MonkeySaddle(), (1, 2), 1 - 12, 1e-12),
    (Saddle(), (1, 2), 1 - 4, 1e-12),
    (ScalarFactorisation(), (4, 0.25), 0, 1e-12),
    (DeepLinear(4), (2, 0.5, 1, 1), 0, 1e-12),
    (DeepLinear(4), (0, 0, 0, 0), 0.5, 1e-12),
]


def ids(case):
    return f"{case[0]!r} at {case[1]}"


def at(surface, *rows):
    return surface.value(np.array(rows, dtype=float), np)


def hessian(surface, x):
    """Central differences of the gradient."""
    step = 1e-5
    around = [x + sign * step * unit for unit in np.eye(len(x)) for sign in (1, -1)]
    slopes = surface.gradient(np.array(around), np)
    found = (slopes[::2] - slopes[1::2]) / (2 * step)
    return (found + found.T) / 2


@pytest.mark.parametrize("case", PUBLISHED, ids=ids)
def test_a_published_value_is_the_value(case):
    surface, point, value, tolerance = case
    assert at(surface, point)[0] == pytest.approx(value, abs=tolerance)


def test_the_lowest_values_are_the_published_ones():
    assert Michalewicz(5).lowest == pytest.approx(-4.6876581791, abs=1e-9)
    assert StyblinskiTang(6).lowest == pytest.approx(-39.16616570 * 6, abs=1e-6)
    assert MonkeySaddle().lowest == -np.inf


def test_every_kind_is_a_value_that_is_json_and_code():
    for surface in MEMBERS:
        check_value(surface)


@members
def test_starts_fit_in_the_box_and_minima_lie_in_it(surface):
    assert surface.box.shape == (surface.dimensions, 2)
    assert (surface.box[:, 0] < surface.box[:, 1]).all()
    assert surface.minima.shape == (len(surface.minima), surface.dimensions)
    if not isinstance(surface, Continuum):
        assert ((surface.minima >= surface.box[:, 0]) & (surface.minima <= surface.box[:, 1])).all()


@members
@given(data=st.data())
def test_the_gradient_is_what_central_differences_say(surface, data):
    seed = data.draw(st.integers(0, 10**6))
    low, high = ([0.0, 0.0], np.full(2, 6.0)) if isinstance(surface, Easom) else surface.box.T  # elsewhere it is 0
    x = np.random.default_rng(seed).uniform(low, high)
    step = 1e-6 * np.subtract(high, low)
    values = [at(surface, x + sign * move)[0] for move in np.diag(step) for sign in (1, -1)]
    slope = (np.array(values[::2]) - np.array(values[1::2])) / (2 * step)
    found = surface.gradient(x[None], np)[0]
    if isinstance(surface, Bukin | Eggholder):  # near a kink a difference is of two branches
        kinks = (x[1] - 0.01 * x[0] ** 2,) if isinstance(surface, Bukin) else (x[1] + x[0] / 2 + 47, x[0] - x[1] - 47)
        if min(map(abs, kinks)) < 1:
            return
    size = 1e-9 * max(map(abs, values)) / step.min() + np.abs(found).max()
    np.testing.assert_allclose(found, slope, atol=2e-5 * size)


@members
def test_torch_and_numpy_agree_and_automatic_differentiation_too(surface):
    x = np.random.default_rng(0).uniform(*surface.box.T, (20, surface.dimensions))
    tensor = torch.from_numpy(x)
    np.testing.assert_allclose(surface.value(tensor, torch).numpy(), surface.value(x, np), rtol=1e-12, atol=1e-12)
    automatic = landscapes.Landscape.gradient(surface, tensor, torch).numpy()
    size = np.abs(automatic).max()
    np.testing.assert_allclose(surface.gradient(tensor, torch).numpy(), automatic, rtol=1e-10, atol=1e-12 * size)
    np.testing.assert_allclose(surface.gradient(x, np), automatic, rtol=1e-10, atol=1e-12 * size)


@members
def test_a_row_is_what_it_is_alone(surface):
    x = np.random.default_rng(1).uniform(*surface.box.T, (2, 3, surface.dimensions))
    values = surface.value(x, np)
    assert values.shape == (2, 3)
    np.testing.assert_allclose(values[1, 2], at(surface, x[1, 2])[0], rtol=1e-12)


@members
def test_minima_have_no_slope_and_bend_up(surface):
    if surface.walls or isinstance(surface, Bukin | Ackley) or not len(surface.minima):  # on a wall, or a kink
        return
    chosen = surface.minima[:12]
    scale = max(np.abs(hessian(surface, chosen[0])).max(), 1.0)
    assert np.abs(surface.gradient(chosen, np)).max() <= 1e-9 * scale
    least = [np.linalg.eigvalsh(hessian(surface, x))[0] for x in chosen]
    flat = isinstance(surface, Continuum)
    assert min(least) > (-1e-6 * scale if flat else 1e-6 * scale)


@members
def test_minima_are_listed_lowest_first(surface):
    values = surface.value(surface.minima, np)
    assert (np.diff(values) >= -1e-6).all()


@members
def test_critical_points_are_what_they_are_said_to_be(surface):
    for point in surface.critical:
        x = np.array(point.at)
        assert at(surface, x)[0] == pytest.approx(point.value, rel=1e-10, abs=1e-10)
        assert np.abs(surface.gradient(x[None], np)).max() < 1e-10
        eigenvalues = np.linalg.eigvalsh(hessian(surface, x))
        least, most = eigenvalues[[0, -1]] / max(1.0, np.abs(eigenvalues).max())
        kind = (
            "minimum" if least > 1e-6 else "maximum" if most < -1e-6 else "saddle"
        )  # flat ones bend at a higher order
        assert kind == point.kind


def test_published_curvatures():
    assert np.linalg.eigvalsh(hessian(DoubleWell(height=3.0), np.array([1.0])))[0] == pytest.approx(24, rel=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian(ScalarFactorisation(), np.zeros(2))), [-1, 1], atol=1e-6)
    np.testing.assert_allclose(np.diag(hessian(Ellipsoid(3, 1e4), np.zeros(3))), [2, 200, 20000], rtol=1e-6)
    for x in (0.5, 1.0, 3.0):  # the sharpness on the valley is x**2 + y**2
        point = np.array([x, 1 / x])
        assert np.linalg.eigvalsh(hessian(ScalarFactorisation(), point))[-1] == pytest.approx(point @ point, rel=1e-6)
    assert np.abs(hessian(MonkeySaddle(), np.zeros(2))).max() < 1e-3


SMOOTH = [
    surface for surface in MEMBERS
    if not surface.walls and not isinstance(surface, Continuum | Bukin) and len(surface.best)
]  # fmt: skip


@pytest.mark.parametrize("surface", SMOOTH, ids=repr)
def test_gradient_flow_from_the_ball_around_a_global_minimum_leads_to_it(surface):
    """Because the slope points away from it all over the ball, or else by SciPy's stiff integrator."""
    source = np.random.default_rng(3)
    for goal in surface.best[:3]:
        away = source.standard_normal((300, surface.dimensions))
        away *= surface.radius * np.cbrt(source.uniform(size=(300, 1))) / np.linalg.norm(away, axis=1, keepdims=True)
        if ((surface.gradient(goal + away, np) * away).sum(-1) > 0).all():
            continue
        time = 30 / np.linalg.eigvalsh(hessian(surface, goal))[0]
        for start in goal + away[:5]:
            flow = solve_ivp(lambda _, x: -surface.gradient(x[None], np)[0], (0, time), start, method="LSODA")
            assert np.linalg.norm(flow.y[:, -1] - goal) < 0.1 * surface.radius


def test_rastrigin_lists_its_121_minima_and_only_the_best_where_they_are_too_many():
    assert len(Rastrigin().minima) == 121
    assert np.abs(Rastrigin().minima - np.round(Rastrigin().minima)).max() < 0.03
    assert Rastrigin(4).minima.tolist() == [[pytest.approx(0, abs=1e-12)] * 4]


def test_a_tilt_picks_a_side():
    left, right = DoubleWell(tilt=0.3), DoubleWell(tilt=-0.3)
    assert left.best[0, 0] == pytest.approx(-right.best[0, 0])
    assert left.best[0, 0] < -1
    assert len(DoubleWell(tilt=2.0).minima) == 1


def test_ackley_has_a_slope_of_zero_at_its_cusp():
    assert Ackley().gradient(np.zeros((1, 2)), np).tolist() == [[0, 0]]
    assert Ackley().gradient(torch.zeros(1, 2, dtype=torch.float64), torch).tolist() == [[0, 0]]


def test_outside_of_its_box_schwefel_falls_below_its_minimum():
    assert at(Schwefel(), (-900.0, -900.0))[0] < -500


def test_the_factors_of_a_matrix_can_be_turned():
    surface = MatrixFactorisation(4, 2)
    turned = surface.minima.reshape(4, 2) @ np.array([[0.6, -0.8], [0.8, 0.6]])
    assert at(surface, turned.ravel())[0] == pytest.approx(0, abs=1e-20)
    assert surface.arrived(turned.reshape(1, -1), np).all()


def test_the_data_of_a_learned_landscape_follow_from_its_seed():
    assert (PhaseRetrieval(3, seed=1).minima == PhaseRetrieval(3, seed=1).minima).all()
    assert (PhaseRetrieval(3, seed=1).minima != PhaseRetrieval(3, seed=2).minima).all()


def test_chebyshev_targets_are_the_polynomial():
    t = np.linspace(-1, 1, 20)
    np.testing.assert_allclose(ChebyshevRegression(4)._targets, 8 * t**4 - 8 * t**2 + 1, atol=1e-12)


def test_reddi_shows_the_rare_slope_once_a_period():
    x = np.zeros((1, 1))
    seen = [Reddi().observed(x, np, step, 0)[0, 0] for step in range(6)]
    assert seen == [3, -1, -1, 3, -1, -1]
    drawn = [Reddi(1010, 10, 101, 0.01).observed(x, np, step, 5)[0, 0] for step in range(2000)]
    assert drawn.count(1010) == pytest.approx(20, abs=15)
    assert drawn == [Reddi(1010, 10, 101, 0.01).observed(x, np, step, 5)[0, 0] for step in range(2000)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rosenbrock(1), "whole number from 2 to 1000, not 1"),
        (lambda: Rastrigin(0), "whole number from 1 to 1000, not 0"),
        (lambda: Rastrigin(2.5), "must be a whole number"),
        (lambda: Michalewicz(101), "whole number from 1 to 100, not 101"),
        (lambda: Reddi(large=2), "make large greater than 2"),
        (lambda: Ellipsoid(2, 0.5), "a number from 1 to 1e12, not 0.5"),
        (lambda: DoubleWell(height=0.0), "number above 0"),
    ],
)
def test_what_a_landscape_is_not_is_said(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_landscape_says_what_to_watch_out_for(kind):
    assert "Watch out:" in kind.__doc__
