"""The real script of docs/how-to/function.md: run as its readers run it, interrupted, and looked into."""

import json
import re
from pathlib import Path

import forked
import pytest

pytest.importorskip("sklearn")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "function.md"
FILE = re.compile(r"^```python file=(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

TRIALS = """
import json, os
import stepsize, torch
from stepsize.engines.function import Function
from stepsize.policies import cosine
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial

made = []

class Seen(torch.optim.AdamW):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        made.append(self)

torch.optim.AdamW = Seen
import digits_script as script

steps = 2 * script.PER_EPOCH
trial = Trial(Strategy(AdamW(weight_decay=0.1), cosine(0.01)), 3)

def run(stop=None):
    updates = []

    def progress(count):
        updates.append(count)
        if len(updates) == stop:
            raise KeyboardInterrupt

    return Function().run(script.task(), [trial], steps, progress=progress)

whole, again = run(), run()
decays = [group["weight_decay"] for group in made[-1].param_groups]
try:
    run(stop=steps - 5)
except KeyboardInterrupt:
    kept = os.listdir(script.KEPT)
rest = run()
runs = [[*each.losses[:, 0].tolist(), *each.scores[:, 0].tolist()] for each in (whole, again, rest)]
stepsize.save(stepsize.jobs.advise(script.task(), policies=["one_cycle"], budget=0), "advice.json")
print(json.dumps({"runs": runs, "decays": decays, "kept": kept, "left": os.listdir(script.KEPT)}))
"""


def run(folder, script, *arguments):
    (done,) = forked.run([folder / script, *arguments], folder, {})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_script_trains_goes_on_where_it_was_interrupted_and_saves_what_was_advised(tmp_path):
    """In a process of its own, as its loader forks workers."""
    ((name, text),) = FILE.findall(PAGE.read_text(encoding="utf-8"))
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "trials.py").write_text(TRIALS, encoding="utf-8")
    found = json.loads(run(tmp_path, "trials.py"))
    whole, again, rest = found["runs"]
    assert whole == again == rest, "a trial is its seed's, and an interruption leaves no trace"
    assert whole[-2] < whole[0]
    assert found["decays"] == pytest.approx([0.1, 0.0]), "of the strategy; the group without decay stays without"
    assert (len(found["kept"]), found["left"]) == (1, [])
    assert "validation loss" in run(tmp_path, name, "advice.json")
    assert (tmp_path / "digits.pt").stat().st_size > 10_000
