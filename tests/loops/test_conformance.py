"""What holds of a policy in every training loop of a torch optimizer: frameworks times six properties, and groups.

A framework has one file here, `<framework>_loop.py`, which is found by its name. In it stands `WAYS`, in which ways a
policy comes into the loop, and `train`::

    train(way, folder, *, policy, steps, accumulation, infinite, stop, resume) -> (seen, weights)

It trains `tinynet.model()` (or a model of its own) by `tinynet.two_groups` for `steps` updates, and returns the values
of `tinynet.in_force` at each update that changed the weights, and the weights in the end. `accumulation`: batches whose
gradients make one update. `infinite`: the numbers of the batches whose loss is infinite, and whose updates a GradScaler
skips; there are so many batches more. `stop`: save the framework's own checkpoint in `folder` after that many updates,
and end; `resume`: go on from there. `STOPS` are the updates after which the framework can save and go on.

What a framework cannot do, or does in its own way, is in `EXEMPT`: by property and way, the reason. Warnings of its own
are in `WARNINGS`: what they begin with.
"""

import importlib
import importlib.util
from pathlib import Path

import processes
import pytest
import tinynet as tiny
import torch
from tinynet import STEPS

from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups, Policy, cosine
from stepsize.schedules import Linear

HERE = Path(__file__).parent
FRAMEWORKS = sorted(file.stem.removesuffix("_loop") for file in HERE.glob("*_loop.py"))


def ways_of():
    """Each framework with each of its ways; without the framework, its name alone."""
    for framework in FRAMEWORKS:
        if importlib.util.find_spec(framework) is None:
            yield pytest.param(framework, "", id=framework)
        else:
            loop = importlib.import_module(f"{framework}_loop")
            marks = [pytest.mark.filterwarnings(f"ignore:{text}") for text in getattr(loop, "WARNINGS", ())]
            for way in loop.WAYS:
                yield pytest.param(framework, way, id=f"{framework}-{way}", marks=marks)


loops = pytest.mark.parametrize(("framework", "way"), [*ways_of()])


def held(framework, way, name):
    """The loop of a framework, unless it says why this property is none of its own."""
    pytest.importorskip(framework, reason="not installed with the tests")
    loop = importlib.import_module(f"{framework}_loop")
    if reason := getattr(loop, "EXEMPT", {}).get((name, way)):
        pytest.skip(reason)
    return loop


@loops
def test_values_right_at_each_update(framework, way, tmp_path):
    """Rate, momentum and weight decay are the rows of `policy.table`; the group without weight decay stays without."""
    seen, _ = held(framework, way, "values").train(way, tmp_path)
    assert seen == tiny.expected()


@loops
def test_a_group_with_a_policy_of_its_own(framework, way, tmp_path):
    """The biases follow another rate and a constant momentum, and are stopped and taken up with the others."""
    loop = held(framework, way, "own policy")
    own = Policy(lr=Linear(0.0, 0.02), momentum=0.7, weight_decay=0.0)
    policy = Groups(tiny.POLICY, {"weights": {}, "biases": own})
    rates = own["lr"].over(STEPS).table(0, STEPS).tolist()
    expected = [[weights, (rate, 0.7, 0.0)] for (weights, _), rate in zip(tiny.expected(), rates, strict=True)]
    stop = loop.STOPS[0]
    loop.train(way, tmp_path, policy=policy, stop=stop)
    seen, _ = loop.train(way, tmp_path, policy=policy, resume=True)
    assert seen == expected[stop:]


@loops
def test_resume_is_bit_identical(framework, way, tmp_path):
    """Stopped in the middle, a run goes on from the framework's own checkpoint to the weights of one that was not."""
    loop = held(framework, way, "resume")
    _, whole = loop.train(way, tmp_path)
    for stop in loop.STOPS:
        folder = tmp_path / str(stop)
        folder.mkdir()
        loop.train(way, folder, stop=stop)
        seen, resumed = loop.train(way, folder, resume=True)
        assert seen == tiny.expected()[stop:]
        assert torch.equal(resumed, whole)


@loops
def test_accumulation(framework, way, tmp_path):
    """Batches whose gradients are added up are one update, and move the policy once."""
    seen, _ = held(framework, way, "accumulation").train(way, tmp_path, accumulation=4)
    assert seen == tiny.expected()


@loops
def test_skipped_steps(framework, way, tmp_path):
    """Of 15 batches, three have an infinite loss: a GradScaler skips their updates, and so does the policy."""
    seen, _ = held(framework, way, "skipped").train(way, tmp_path, infinite=(0, 5, 6))
    assert seen == tiny.expected()


@loops
def test_saved_and_reloaded(framework, way, tmp_path):
    """A checkpoint of another policy or horizon is refused."""
    loop = held(framework, way, "saved")
    loop.train(way, tmp_path, stop=loop.STOPS[0])
    for other in ({"policy": cosine(0.1)}, {"steps": STEPS + 1}):
        with pytest.raises(DriveError, match="another policy"):
            loop.train(way, tmp_path, resume=True, **other)


@loops
def test_two_processes(framework, way, tmp_path):
    """DistributedDataParallel over gloo: the right values at each update in both, and equal weights in the end."""
    held(framework, way, "processes")
    processes.two("one_of_two.py", tmp_path, framework, way)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["seen"] == second["seen"] == tiny.expected()
    assert torch.equal(first["weights"], second["weights"])
