"""A policy as people have it: by the name of a recipe, as a file, as a spec, or inside of a strategy."""

import pytest
import torch

from stepsize import Policy, Strategy, as_lr_scheduler, drive, save
from stepsize.adapters.given_policy import read_policy
from stepsize.kernel.errors import DriveError, FormatError, ParameterError, SpecError
from stepsize.policies import Groups, cosine, one_cycle
from stepsize.rules import AdamW
from stepsize.schedules import Constant, Cosine, Linear, Plateau

WHOLE = Policy(lr=Linear(0.0, 0.3, "25%") >> Cosine(0.3, 0.0), momentum=0.9)
AS_SPEC = {
    "lr": {
        "kind": "Chain",
        "parts": [
            {"kind": "Linear", "start": 0.0, "end": 0.3, "steps": "25%"},
            {"kind": "Cosine", "start": 0.3, "end": 0.0},
        ],
    },
    "momentum": 0.9,
}


def optimizer_of(lr=0.1, groups=({},)):
    made = [{"params": [torch.nn.Parameter(torch.ones(1))], **group} for group in groups]
    return torch.optim.SGD(made, lr=lr, momentum=0.5)


def rates(optimizer, policy, steps=8):
    return [[group["lr"] for group in optimizer.param_groups] for _ in drive(optimizer, policy, steps)]


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        (WHOLE, WHOLE),
        (Strategy(AdamW(), WHOLE), WHOLE),
        (Cosine(0.1, 0.0), cosine(0.1)),
        (Groups(WHOLE, {"all": {"lr": 0.5}}), Groups(WHOLE, {"all": {"lr": 0.5}})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_and_its_file_are_a_policy(value, policy, tmp_path):
    assert read_policy(value) == policy
    path = save(value, tmp_path / "value.json")
    assert read_policy(path) == policy
    assert read_policy(str(path)) == policy


def test_a_spec_is_a_policy_where_it_says_no_kind():
    assert read_policy(AS_SPEC) == WHOLE
    assert read_policy({"kind": "Policy", **AS_SPEC}) == WHOLE
    assert read_policy({"stepsize": 1, "value": AS_SPEC | {"kind": "Policy"}}) == WHOLE
    assert read_policy(AS_SPEC["lr"]) == WHOLE.only(["lr"])


def test_a_recipe_peaks_at_the_optimizers_own_rate():
    own = ({}, {"lr": 0.02})
    assert rates(optimizer_of(groups=own), "one_cycle") == rates(optimizer_of(groups=own), one_cycle(0.1))
    agreed = ({"lr": 0.02}, {"lr": 0.02})
    assert rates(optimizer_of(groups=agreed), cosine) == rates(optimizer_of(groups=agreed), cosine(0.02))
    named, given = (as_lr_scheduler(optimizer_of(), policy, steps=8) for policy in ("cosine", cosine(0.1)))
    assert named.state_dict() == given.state_dict()


def test_a_recipe_finds_the_rate_again_after_a_run_and_in_a_checkpoint():
    optimizer = optimizer_of()
    first = rates(optimizer, "cosine")
    assert rates(optimizer, "cosine") == first
    again = optimizer_of()
    again.load_state_dict(optimizer.state_dict())
    assert rates(again, "cosine") == first
    resumed = drive(again, "cosine", 8, start=4)
    next(iter(resumed))
    assert again.param_groups[0]["lr"] == first[4][0]


def test_a_rate_that_was_moved_is_no_peak():
    optimizer = optimizer_of()
    rates(optimizer, cosine(0.3))
    with pytest.raises(DriveError, match=r"this one has been moved, to 0\.0114181\. Give the recipe its peak"):
        drive(optimizer, "cosine", 8)
    with pytest.raises(DriveError, match="own rate, which is 0"):
        drive(optimizer_of(lr=0.0), "cosine", 8)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("cosin", ParameterError, "'cosin'. Did you mean 'cosine'. Or give the path of a file"),
        ("nowhere.json", FormatError, r"cannot read nowhere\.json: No such file"),
        (3, DriveError, "a policy is wanted, not 3"),
        (Plateau(), DriveError, r"a policy is wanted, not Plateau.*or the name of a recipe, such as 'cosine'"),
        (Constant, DriveError, "a policy is wanted, not .*Constant"),
        ({"kind": "Polcy"}, SpecError, "Did you mean 'Policy'"),
        ({"lr": {"kind": "Cosin"}}, SpecError, r"at \$\.lr: no schedule is called 'Cosin'"),
    ],
)
def test_what_is_no_policy_is_refused_in_a_sentence(given, error, said):
    with pytest.raises(error, match=said):
        read_policy(given)


def test_a_file_without_a_policy_is_refused(tmp_path):
    path = save(AdamW(), tmp_path / "rule.json")
    with pytest.raises(DriveError, match=r"a policy is wanted, not the rule in .*rule\.json"):
        drive(optimizer_of(), path, 8)


def test_a_part_that_is_lost_in_a_short_run_is_said_when_it_is_driven():
    """Half a percent of fifty steps is no step: the warmup is not there."""
    warm = Policy(lr=Linear(0.0, 1.0, "0.5%") >> Constant(1.0))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.warns(UserWarning, match="of lr is shorter than half a step in a run of 50 steps"):
        drive(optimizer, warm, steps=50)
    drive(optimizer, warm, steps=1000)  # a warning would be an error here
    assert warm.over(50).at(0) == {"lr": 1.0}  # pilot runs and short rungs bind it in silence
