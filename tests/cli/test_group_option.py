"""`stepsize range-test --group`: what the rate of a parameter group is multiplied by."""

import pytest
from grouped import FILE

from stepsize.results.io import loads


@pytest.fixture
def tuned(folder):
    (folder / "tuned.py").write_text(FILE)
    return ("range-test", "tuned.py", "--lr", 0.01, "--steps", 10, "--seeds", 2)


def test_it_stands_for_of_and_values(stepsize, tuned, folder):
    short = stepsize(*tuned, "--group", "head=0.1,1", "--save", "short.json", "--json")
    stepsize(*tuned, "--of", "rate of head", "--values", "0.1,1", "--save", "long.json", "--json")
    one, other = (loads((folder / name).read_text()) for name in ("short.json", "long.json"))
    assert one.hyperparameter == "rate of head"
    assert one.values.tolist() == [0.1, 1.0]
    assert (one.losses == other.losses).all()
    assert loads(short.out).smooth.shape == (2, 2)


def test_what_is_no_group_is_refused(refused, tuned):
    assert "Did you mean 'rate of head'" in refused(*tuned, "--group", "haed=1,2")
    assert "--group says what is tested, and so do" in refused(*tuned, "--group", "head=1,2", "--of", "momentum")
    assert "a rate of head is a number, not 'x'" in refused(*tuned, "--group", "head=1,x")
