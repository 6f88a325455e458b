"""A number that is none is refused by its argument's name, before anything runs, in every public job."""

import inspect

import numpy as np
import pytest
from teacher import teacher

from stepsize import Strategy, jobs
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.numeric import FORMS
from stepsize.policies import cosine
from stepsize.rules import SGD, Momentum

SGD_COSINE = Strategy.of("SGD", "cosine", 0.1)
NEEDED = {
    "task": teacher, "strategy": lambda: SGD_COSINE, "strategies": lambda: 9, "steps": lambda: 8,
    "sizes": lambda: [4, 8], "seeds": lambda: [0], "sweep": lambda: None,
    "paths": lambda: ["no.csv"], "hyperparameter": lambda: "momentum", "policy": lambda: cosine(0.1), "rule": Momentum,
    "source": lambda: 4, "target": lambda: 8, "peak": lambda: 0.1, "schedules": lambda: {"cosine": "cosine"},
    "compared": lambda: "batch_size", "values": lambda: [4, 8], "wanted": lambda: "cosine", "lr": lambda: 0.1,
    "runs": list, "norms": lambda: [1.0],
}  # fmt: skip
"""What stands for an argument without a default."""

JOBS = {name: job for name, job in vars(jobs).items() if inspect.isfunction(job)}
ARGUMENTS = [
    (name, argument, str(each.annotation))
    for name, job in JOBS.items()
    for argument, each in inspect.signature(job).parameters.items()
    if {*str(each.annotation).split(" | ")} <= {*FORMS, "None"}
]


def given(name):
    parameters = inspect.signature(JOBS[name]).parameters.values()
    needed = [each for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    return {each.name: NEEDED[each.name]() for each in needed}


@pytest.mark.parametrize(("name", "argument", "form"), ARGUMENTS, ids=lambda each: each.replace(" ", ""))
def test_what_is_no_number_is_refused_by_its_name(name, argument, form):
    wrong = ["8", {}, 1j, b"8"] + [["8"], [None]] * ("Any" not in form) + [True, [8]] * ("Sequence" not in form)
    for value in wrong:
        with pytest.raises(ParameterError, match=f"^{argument} must be .*, not "):
            JOBS[name](**{**given(name), argument: value})


def test_every_job_with_numbers_is_held_to_them():
    assert {name for name, _, _ in ARGUMENTS} >= {
        "advise_batches", "compare_batch_sizes", "compare_range_tests", "continued", "four_steps", "halving", "predict",
        "predict_task", "race", "range_test", "rate_grid", "refine", "refine_task", "screening", "search",
        "sweep_hyperparameter", "transfer",
    }  # fmt: skip


def test_arrays_of_numbers_are_as_good_as_lists():
    assert jobs.halving(9, 90, np.arange(3)) == jobs.halving(9, 90, [0, 1, 2])
    whole = jobs.rate_grid(teacher(), SGD(), np.array([0.1, 0.2]), steps=8, seeds=np.array([0]))
    assert whole.rates.tolist() == [0.1, 0.2]


def test_a_sweep_needs_a_seed():
    with pytest.raises(BudgetError, match="a sweep needs at least one seed"):
        jobs.sweep_hyperparameter(teacher(), "momentum", policy=cosine(0.1), rule=Momentum(), seeds=())


def test_what_is_missing_is_said_by_python():
    with pytest.raises(TypeError, match=r"halving\(\) missing 1 required positional argument: 'seeds'"):
        jobs.halving(9, 90)
