"""One bit of a journal flips: the same numbers, the same after what cannot be believed ran again, or a refusal."""

import json
from pathlib import Path

import forked

FLIPS = Path(__file__).parent / "flips.py"
COUNT = 60


def test_no_flipped_bit_becomes_a_number_or_a_traceback(tmp_path):
    (done,) = forked.run([FLIPS, tmp_path, COUNT, 1], tmp_path, {})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert sum(found["found"].values()) == COUNT
    assert found["found"]["again"], "no flip hit what is read"
