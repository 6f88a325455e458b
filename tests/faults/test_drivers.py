"""A driver killed at any moment: the next one goes on, repeats nothing finished, and ends with the same numbers."""

import json
import sys
from pathlib import Path

import forked
import pytest

DRIVERS = Path(__file__).parent / "drivers.py"
KILLS, BATCH = 20, 3


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 to survive")
def test_twenty_kills_change_no_number_and_repeat_nothing_finished(tmp_path):
    (done,) = forked.run([DRIVERS, tmp_path, KILLS, 1], tmp_path, {})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == KILLS
    assert found["races"] >= 1
    assert found["wrong"] == 0
    assert found["again"] <= KILLS * BATCH  # what was in flight, and no more
    assert len(set(found["moments"])) > 3, "all were killed at the same moment"
