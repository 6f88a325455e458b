"""One bit of a journal flips: the same numbers, the same after what cannot be believed ran again, or a refusal."""

import json
import subprocess
import sys
from pathlib import Path

FLIPS = Path(__file__).parent / "flips.py"
COUNT = 60


def test_no_flipped_bit_becomes_a_number_or_a_traceback(tmp_path):
    command = [sys.executable, str(FLIPS), str(tmp_path), str(COUNT), "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert sum(found["found"].values()) == COUNT
    assert found["found"]["again"], "no flip hit what is read"
