"""Policies in the YAML of Hydra and of LightningCLI; skipped where those are not installed."""

import pytest

from stepsize import Policy, save
from stepsize.policies import RECIPES, one_cycle
from stepsize.schedules import Cosine, Linear, MultiStep

yaml = pytest.importorskip("yaml")

WHOLE = Policy(lr=Linear(0.0, 0.3, "25%") >> Cosine(0.3, 0.0), momentum=0.9)

SPEC = """
lr:
  kind: Chain
  parts:
    - {kind: Linear, start: 0.0, end: 0.3, steps: 25%}
    - {kind: Cosine, start: 0.3, end: 0.0}
momentum: 0.9
"""

FORMS = [
    ("cosine", RECIPES["cosine"]),
    (SPEC, WHOLE),
    ("{class_path: stepsize.policies.one_cycle, init_args: {peak: 0.01}}", one_cycle(0.01)),
]


def lightning_cli(name, **init_args):
    """The callback that LightningCLI makes of a configuration, which is jsonargparse's work."""
    jsonargparse = pytest.importorskip("jsonargparse")
    callback = pytest.importorskip("lightning.pytorch").Callback
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--callback", type=callback)
    given = {"class_path": f"stepsize.adapters.lightning.{name}", "init_args": init_args}
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(parser.parse_object({"callback": given})).callback


@pytest.mark.parametrize(("text", "policy"), FORMS, ids=["name", "spec", "class_path"])
def test_lightning_cli_takes_a_policy(text, policy):
    callback = lightning_cli("PolicyCallback", policy=yaml.safe_load(text), rebind=True)
    assert callback.policies == [policy]


def test_lightning_cli_takes_a_file(tmp_path):
    path = save(WHOLE, tmp_path / "policy.json")
    assert lightning_cli("PolicyCallback", policy=str(path)).policies == [WHOLE]


def test_lightning_cli_knows_the_options_of_a_range_test():
    callback = lightning_cli("RangeTestCallback", low=1e-4, points=30)
    assert (callback._options["low"], callback._options["points"]) == (1e-4, 30)
    with pytest.raises(Exception, match="'lo' is not accepted"):
        lightning_cli("RangeTestCallback", lo=1e-4)


def hydra(text):
    """What Hydra makes of a configuration, whose lists are OmegaConf's."""
    instantiate = pytest.importorskip("hydra.utils").instantiate
    return instantiate(pytest.importorskip("omegaconf").OmegaConf.create(text))


def test_hydra_takes_schedules_with_lists():
    assert hydra("{_target_: stepsize.schedules.MultiStep, start: 1.0, factor: 0.1, at: [10, 20]}") == MultiStep(
        1.0, 0.1, (10, 20)
    )


@pytest.mark.parametrize(("text", "policy"), FORMS[:2], ids=["name", "spec"])
def test_hydra_takes_a_policy(text, policy):
    pytest.importorskip("lightning.pytorch")
    given = {"_target_": "stepsize.adapters.lightning.PolicyCallback", "policy": yaml.safe_load(text)}
    assert hydra(given).policies == [policy]
