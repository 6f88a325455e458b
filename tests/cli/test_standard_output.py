"""Standard output is the answer's: whatever a task writes, by print or to descriptor 1, goes to standard error."""

import json
import subprocess
import sys

LOUD = """
import os, subprocess, sys
import torch
from stepsize import Task

print("while it loads")
os.write(1, b"raw while it loads\\n")
x = torch.linspace(-1, 1, 64).reshape(-1, 1)

def model():
    print("in the model")
    os.write(1, b"raw in the model\\n")
    subprocess.run([sys.executable, "-c", "print('of a child')"])
    return torch.nn.Linear(1, 1)

def task():
    return Task(model, torch.nn.functional.mse_loss, (x, 2 * x), (x, 2 * x), batch_size=16, steps=20)
"""
RUN = "import sys; sys.argv = ['stepsize', *sys.argv[1:]]; from stepsize.cli.main import main; main()"


def test_json_is_alone_on_standard_output(folder):
    (folder / "loud.py").write_text(LOUD)
    line = ("refine", "loud.py", "--strategy", "SGD cosine 0.1", "--steps", "40", "--json")
    done = subprocess.run([sys.executable, "-c", RUN, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"]["kind"] == "Refinement"
    for text in ("while it loads", "raw while it loads", "in the model", "raw in the model", "of a child"):
        assert text in done.stderr.splitlines()
