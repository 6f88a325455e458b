"""`stepsize landscape`: what it prints, what it writes, and what it refuses."""

import json

import pytest

from stepsize import load
from stepsize.policies import cosine
from stepsize.problems.landscapes import Booth, DoubleWell, Rastrigin
from stepsize.problems.noise import StudentT
from stepsize.results import Descent
from stepsize.results.io import loads, save
from stepsize.rules import Adam
from stepsize.strategy import Strategy

SMALL = ("--starts", 60, "--steps", 40)
TWO = ("--strategy", "SGD constant 0.001", "--strategy", "Adam cosine 0.5")


def test_it_prints_shares_with_intervals(stepsize, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    done = stepsize("landscape", "Rastrigin", *SMALL, *TWO)
    assert done.code == 0
    for words in ("Rastrigin in 2 dimensions", "SGD constant 0.001", "Adam cosine 0.5", "95 % intervals", "over 40"):
        assert words in done.out
    assert "100%  descending" in done.err


def test_it_writes_pictures_an_animation_and_the_result(stepsize, folder):
    done = stepsize("landscape", "SixHumpCamel", *SMALL, *TWO, "--noise", "Gaussian 0.1", "--out", "here")
    assert done.code == 0
    names = {path.name for path in (folder / "here").iterdir()}
    assert names == {"result.json", "paths.png", "basins.png", "rates.png", "arrivals.png", "paths.gif"}
    assert all(f"here/{name}" in done.out for name in names)
    assert isinstance(load("here/result.json"), Descent)


def test_it_saves_and_reports_what_it_found(stepsize, folder):
    done = stepsize("landscape", "Booth", *SMALL, *TWO, "--save", "new/descent.json", "--report", "page.html")
    assert done.code == 0
    assert "Wrote new/descent.json" in done.out
    assert "Wrote page.html" in done.out
    assert load("new/descent.json").landscape == Booth()
    assert stepsize("report", "new/descent.json", "--out", "again.html").code == 0
    assert (folder / "again.html").read_bytes() == (folder / "page.html").read_bytes()


def test_of_many_dimensions_there_is_no_map(stepsize, folder):
    stepsize("landscape", "Rastrigin", "--dimensions", 4, *SMALL, *TWO, "--out", "here")
    assert not (folder / "here" / "basins.png").exists()
    assert load("here/result.json").landscape == Rastrigin(4)


def test_json_is_the_result_with_fields_noise_and_seed(stepsize):
    done = stepsize(
        "landscape",
        "DoubleWell",
        "tilt=0.3",
        "height=2",
        *SMALL,
        "--noise",
        "StudentT 0.2 freedom=3",
        "--seed",
        5,
        "--json",
    )
    found = loads(done.out)
    assert (found.landscape, found.noise, found.seed) == (DoubleWell(1, 2.0, 0.3), StudentT(0.2, 3.0), 5)
    assert [strategy.rule for strategy in found.strategies].count(Adam()) == 2


def test_the_same_seed_is_the_same_answer(stepsize):
    first, again = (json.loads(stepsize("landscape", "Ackley", *SMALL, *TWO, "--json").out) for _ in range(2))
    assert first["value"].pop("seconds") != again["value"].pop("seconds") or first == again
    assert first == again


def test_a_saved_strategy_can_be_named(stepsize):
    save(Strategy(Adam(), cosine(0.2), "mine"), "mine.json")
    found = loads(stepsize("landscape", "Booth", *SMALL, "--strategy", "mine.json", "--json").out)
    assert [strategy.name for strategy in found.strategies] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Rastrign",), "no landscape is called 'Rastrign'. Did you mean 'Rastrigin'?"),
        (("Himmelblau", "--dimensions", 3), "Himmelblau has 2 dimensions and no other number of them, not 3"),
        (("Rastrigin", "--dimensions", 0), "Rastrigin.dimensions must be a whole number from 1 to 1000, not 0"),
        (("Rosenbrock", "--dimensions", 1), "Rosenbrock.dimensions must be a whole number from 2 to 1000, not 1"),
        (("Rastrigin", "steep=3"), "Rastrigin has no field 'steep'. Allowed: dimensions."),
        (("Rastrigin", "3"), "'3' is no field; a field is written name=value"),
        (("Booth", "--noise", "loud"), "noise is a kind and its scale"),
        (("Booth", "--noise", "Gauss 1"), "no noise is called 'Gauss'. Did you mean 'Gaussian'?"),
        (("Booth", "--noise", "Gaussian -1"), "Gaussian.scale must be a number of at least 0"),
        (("Booth", "--strategy", "Adam 0.1"), "a strategy is a rule, a policy and a peak rate"),
        (("Booth", "--strategy", "Adem cosine 0.1"), "no rule is called 'Adem'. Did you mean 'Adam'?"),
        (("Booth", "--strategy", "Adam cosin 0.1"), "no policy is called 'cosin'"),
        (("Booth", "--strategy", "Adam cosine fast"), "a learning rate is a number above 0, not 'fast'"),
        (("Booth", "--strategy", "none.json"), "cannot read none.json"),
        (("Booth", "--save", "/proc/no/descent.json"), "cannot write /proc/no/descent.json"),
    ],
)
def test_bad_input_is_said_in_one_line(refused, arguments, message):
    assert message in refused("landscape", *arguments)


def test_a_file_without_a_strategy_is_refused(refused):
    save(cosine(0.1), "policy.json")
    assert "policy.json holds a policy, and no strategy" in refused("landscape", "Booth", "--strategy", "policy.json")


def test_the_list_names_landscapes_and_noise(stepsize):
    found = json.loads(stepsize("list", "--json").out)
    assert {"Rastrigin", "Reddi", "MatrixFactorisation"} <= set(found["landscapes"])
    assert set(found["noise"]) == {"Gaussian", "Multiplicative", "StudentT"}
