"""A base install: each command says in one line, before any work, what it needs; and what needs no framework runs."""

import json
import subprocess
import sys

import pytest

from stepsize.policies import one_cycle
from stepsize.results.io import save

RUN = """
import json, sys
blocked, lines = json.loads(sys.argv[1])

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from stepsize.cli.main import main
found = []
for line in lines:
    sys.argv = ["stepsize", *line]
    print("$", *line, file=sys.stderr)
    try:
        main()
        code = 0
    except SystemExit as done:
        code = done.code or 0
    found.append(code)
import stepsize
stepsize.write_report("names.html", stepsize.load("policy.json")) if "jinja2" not in blocked else None
for name in ("drive", "RangeTest", "tune") if "torch" in blocked else ():
    print("$ stepsize." + name, file=sys.stderr)
    try:
        getattr(stepsize, name)
    except ImportError as error:
        print(error, file=sys.stderr)
print("$ codes", json.dumps(found), sep="\\n", file=sys.stderr)
"""

FRAMEWORKS = "torch,jax,optax,keras,tensorflow,lightning,transformers,accelerate,ray,sklearn,tensorboard"

LINE = "SGD constant 0.03 0.1"

WITHOUT = {
    FRAMEWORKS: {
        ("advise", "digits"): "torch", ("race", "digits-cnn"): "torch", ("range-test", "stdlib-text"): "torch",
        ("refine", "digits"): "torch", ("predict", "digits"): "torch", ("race", "of_torch.py"): "torch",
        ("landscape", "Rastrigin"): "torch", ("figures",): "torch",
        ("figures", "--only", "decays"): "torch", ("race", "plain.py", "--tensorboard", "logs"): "torch",
        ("list",): "", ("show", "policy.json"): "", ("show", "policy.json", "--plot", "a.svg"): "",
        ("transfer", "AdamW one_cycle 0.01", "--from", "400", "--to", "6400"): "",
        ("refine", "log.csv", "--report", "b.html", "--plot", "b.svg", "--save", "refined.json"): "",
        ("predict", "log.csv", "falling.csv", "--schedules", "cosine", "--save", "prediction.json"): "",
        ("race", "plain.py", "--strategies", LINE, "--journal", "kept", "--save", "race.json"): "",
        ("advise", "plain.py", "--budget", "0.5", "--save", "advice.json"): "",
        ("range-test", "plain.py", "--rule", "SGD"): "", ("watch", "kept", "--once"): "",
        ("report", "advice.json", "race.json", "refined.json", "prediction.json", "--out", "e.html"): "",
    },
    "jinja2,matplotlib": {
        ("advise", "digits", "--report", "a.html"): "jinja2", ("race", "digits", "--report", "a.html"): "jinja2",
        ("report", "advice.json"): "jinja2", ("show", "policy.json", "--plot", "a.svg"): "matplotlib",
        ("refine", "log.csv", "--plot", "a.svg"): "matplotlib", ("predict", "log.csv", "--report", "a"): "jinja2",
        ("range-test", "digits", "--plot", "a.svg"): "matplotlib", ("figures",): "matplotlib",
        ("landscape", "Rastrigin", "--out", "pictures"): "matplotlib", ("show", "policy.json"): "",
    },
    "scipy,sklearn,ray,tensorboard": {
        ("advise", "digits"): "sklearn", ("refine", "digits"): "sklearn",
        ("figures", "--only", "range_test"): "sklearn",
        ("race", "tiny.py", "--executor", "ray"): "ray", ("race", "tiny.py", "--tensorboard", "logs"): "tensorboard",
        ("race", "tiny.py"): "scipy", ("advise", "tiny.py"): "scipy", ("predict", "log.csv"): "scipy",
        ("refine", "log.csv"): "scipy", ("report", "policy.json"): "scipy",
    },
}  # fmt: skip
"""By what cannot be imported: what each line says is missing, or "" where it runs."""


TASKS = {
    "tiny.py": "raise SystemError('this file was read')",
    "of_torch.py": "import torch",
    "plain.py": """
from stepsize import FunctionTask
from stepsize.rules import SGD

def train(trial):
    x = 1.0 + trial.seed % 7
    for step in trial:
        x -= trial.lr * x
        trial.report(x * x)

def task():
    return FunctionTask(train, rule=SGD(), steps=40)
""",
}
"""By file: one that must not be read, one of torch, and a training function that needs no framework."""


@pytest.mark.parametrize("blocked", WITHOUT)
def test_without_a_package_each_command_runs_or_says_at_once_what_to_install(folder, blocked):
    save(one_cycle(0.1), "policy.json")
    for name, fall in (("log.csv", 0.0), ("falling.csv", 1.0)):
        steps = range(0, 400, 4)
        rows = (f"{k},{1e-3 * (1 - fall * k / 400)},{2 - 0.1 * fall + 3 * (k + 1) ** -0.3},1.0" for k in steps)
        (folder / name).write_text("\n".join(["step,lr,loss,grad_norm", *rows]))
    for name, text in TASKS.items():
        (folder / name).write_text(text)
    lines = WITHOUT[blocked]
    given = json.dumps([blocked.split(","), [list(line) for line in lines]])
    done = subprocess.run([sys.executable, "-c", RUN, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    *told, (_, codes) = [part.split("\n", 1) for part in done.stderr.split("$ ")[1:]]
    assert json.loads(codes) == [2 if missing else 0 for missing in lines.values()], done.stderr
    missing = [*lines.values(), *["torch"] * (len(told) - len(lines))]
    for (line, text), package in zip(told, missing, strict=True):
        assert not package or (package in text and "pip install" in text and text.count("\n") == 1), (line, text)
