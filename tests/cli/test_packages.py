"""A base install: each command says in one line, before any work, what it needs; and what needs no framework runs."""

import json
import subprocess
import sys

import pytest
import samples

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
for name in ("drive", "write_report", "advise"):
    print("$ stepsize." + name, file=sys.stderr)
    try:
        getattr(stepsize, name)
    except ImportError as error:
        print(type(error).__name__, error, file=sys.stderr)
print("$ codes", json.dumps(found), file=sys.stderr)
"""

WITHOUT = {
    "torch": {
        ("advise", "tiny.py"): "torch", ("race", "tiny.py"): "torch", ("range-test", "tiny.py"): "torch",
        ("refine", "tiny.py"): "torch", ("predict", "tiny.py"): "torch", ("landscape", "Rastrigin"): "torch",
        ("figures",): "torch", ("report", "advice.json", "--out", "a.html"): "", ("show", "policy.json"): "",
        ("show", "policy.json", "--plot", "a.svg"): "", ("list",): "",
    },
    "jinja2,matplotlib": {
        ("advise", "digits", "--report", "a.html"): "jinja2", ("race", "digits", "--report", "a.html"): "jinja2",
        ("report", "advice.json"): "jinja2", ("show", "policy.json", "--plot", "a.svg"): "matplotlib",
        ("refine", "log.csv", "--plot", "a.svg"): "matplotlib", ("predict", "log.csv", "--report", "a"): "jinja2",
        ("range-test", "digits", "--plot", "a.svg"): "matplotlib", ("figures",): "matplotlib",
        ("landscape", "Rastrigin", "--out", "pictures"): "matplotlib", ("show", "policy.json"): "",
    },
    "sklearn,ray,tensorboard": {
        ("advise", "digits"): "scikit-learn|sklearn", ("race", "tiny.py", "--executor", "ray"): "ray",
        ("race", "tiny.py", "--tensorboard", "logs"): "tensorboard",
    },
}  # fmt: skip
"""By what cannot be imported: what each line says is missing, or "" where it runs."""


@pytest.mark.parametrize("blocked", WITHOUT)
def test_without_a_package_each_command_runs_or_says_at_once_what_to_install(folder, blocked):
    save(samples.advice(), "advice.json")
    save(one_cycle(0.1), "policy.json")
    (folder / "tiny.py").write_text("raise SystemError('this file was read')\n")
    lines = WITHOUT[blocked]
    given = json.dumps([blocked.split(","), [list(line) for line in lines]])
    done = subprocess.run([sys.executable, "-c", RUN, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [part.split("\n", 1) for part in done.stderr.split("$ ")[1:]]
    *told, (codes, _) = said
    assert json.loads(codes.removeprefix("codes ")) == [2 if missing else 0 for missing in lines.values()], done.stderr
    for (line, text), missing in zip(told, lines.values(), strict=False):
        assert "Traceback" not in text, line
        assert bool(missing) == ("Install" in text), (line, text)
        assert not missing or any(name in text for name in missing.split("|")), (line, text)
        assert text.count("\n") <= 1, (line, text)
    if blocked == "torch":
        for name, text in told[len(lines) :]:
            assert text.startswith("MissingPackageError") or name == "stepsize.write_report", (name, text)
            assert "No module named" not in text
