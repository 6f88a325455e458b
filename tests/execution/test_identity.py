"""What only training sees belongs to a task: an edit of it meets no old number, and rounding is no edit."""

import sys
from decimal import Decimal

import pytest

from stepsize import load_task
from stepsize.engines import Loop
from stepsize.execution.task_fingerprint import difference
from stepsize.jobs import Journal, Runner, race
from stepsize.kernel.errors import JournalError
from stepsize.policies import constant
from stepsize.problems.first_gradients import UNSTABLE, agree
from stepsize.problems.task_files import task_texts
from stepsize.rules import SGD
from stepsize.strategy import Strategy

TASK = """
import torch
from torch import nn
from helper import cross_entropy
import stepsize


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        h = nn.functional.dropout(h, 0.1, self.training)  # edit
        return self.last(h)


def loss(outputs, targets):
    return cross_entropy(outputs, targets)


def task():
    x = torch.linspace(-1, 1, 64 * 6).sin().reshape(64, 6)
    return stepsize.Task(Net, loss, (x, torch.arange(64) % 3), (x[:16], torch.arange(16) % 3), 16, 10)
"""
HELPER = "from torch.nn.functional import cross_entropy as base\n\n\ndef cross_entropy(o, y):\n    return base(o, y)\n"

EDITS = {
    "a scale": ("  # edit", "\n        h = h * 3 if self.training else h"),
    "a rate of dropout": ("0.1, self.training", "0.3, self.training"),
    "noise": ("  # edit", "\n        h = h + 0.1 * torch.randn_like(h) if self.training else h"),
    "a sign of the gradient": ("  # edit", "\n        h = Reverse.apply(h)"),
    "a frozen part": ("  # edit", "\n        h = h.detach()"),
    "smoothing": ("return base(o, y)", "return base(o, y, label_smoothing=0.1 if o.requires_grad else 0.0)"),
}
FIELD = [Strategy(SGD(), constant(rate)) for rate in (0.01, 0.1)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A function that writes the task and its helper, edited, and loads it."""

    def write(old="", new=""):
        for name, text in (("drawn.py", TASK), ("helper.py", HELPER)):
            (tmp_path / name).write_text(text.replace(old, new) if old else text)
        monkeypatch.delitem(sys.modules, "helper", raising=False)
        monkeypatch.delitem(sys.modules, "drawn", raising=False)
        monkeypatch.setattr("sys.dont_write_bytecode", True)
        return load_task(f"{tmp_path / 'drawn.py'}")

    return write


def run(task, folder, **options):
    """Run a small race, and return how many updates were made for it."""
    made = []
    with Journal(folder, **options) as journal:
        runner = Runner(task, engine=Loop(), journal=journal, progress=lambda _, updates: made.append(updates))
        race(task, FIELD, steps=10, seeds=(0,), tune_seeds=0, runner=runner)
    return sum(updates for updates in made if updates == 1)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_that_only_training_sees_meets_no_old_number(files, tmp_path, edit):
    notes = []
    assert run(files(), tmp_path / "kept") == 20
    edited = files(*edit)
    with pytest.raises(JournalError, match=r"another (loss in training mode|gradient)"):
        run(edited, tmp_path / "kept")
    assert run(edited, tmp_path / "kept", renew=notes.append) == 20
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("old", "new", "edited"),
    [
        ("return base(o, y)", "return base(o, y) if len(o) else 0.0", "helper.py"),
        ("return self.last(h)", "return self.last(h) if self.training or True else None", "drawn.py"),
        ("  # edit", "  # a comment is no code", ""),
    ],
)
def test_an_edit_that_no_number_shows_yet_is_said_once_and_a_comment_is_not(files, tmp_path, old, new, edited):
    assert run(files(), tmp_path / "kept") == 20
    task, notes = files(old, new), []
    for _ in range(2):
        assert run(task, tmp_path / "kept", note=notes.append) == 0
    assert [note.split()[0] for note in notes] == [edited] * bool(edited)


def test_the_same_task_on_another_processor_is_the_same_task(files, tmp_path, monkeypatch):
    """Here: with weights that are rounded otherwise, by a few units of float32's last place."""
    task = files()
    assert run(task, tmp_path / "kept") == 20
    parts = task.fingerprint_parts()
    build = type(task).build

    def rounded(self, seed):
        model = build(self, seed)
        for parameter in model.parameters():
            parameter.data.mul_(1 + 4e-7)
        return model

    monkeypatch.setattr(type(task), "build", rounded)
    other = {**task.fingerprint_parts(), "model": parts["model"]}
    assert difference(parts, other) == ""
    monkeypatch.setattr(type(task), "fingerprint_parts", lambda self: {**parts, "gradient": nudged(parts["gradient"])})
    assert parts["gradient"] != task.fingerprint_parts()["gradient"]
    assert run(task, tmp_path / "kept") == 0


def nudged(text):
    """The text with one unit more in the last decimal of its first number."""
    first, *rest = text.split()
    unit = Decimal((0, (1,), Decimal(first).as_tuple().exponent))
    return " ".join([f"{Decimal(first) + unit:.4e}", *rest])


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("2.3026e+00", "2.3027e+00", True),
        ("9.9999e-01", "1.0000e+00", True),
        ("2.3026e+00", "2.3046e+00", False),
        ("1.0000e+02 1.0000e-05", "1.0000e+02 9.0000e-05", True),  # what is left of a gradient by rounding
        ("1.0000e+02 1.0000e-05", "1.0000e+02 1.0000e+00", False),
        ("min 2.3026e+00", "max 2.3026e+00", False),
        ("2.3026e+00", "2.3026e+00 1.0000e+00", False),
        ("nan", "2.3026e+00", False),
        ("AdamW(eps=1.5e-08)", "AdamW(eps=1.6e-08)", False),
        ("16", "17", False),
        ("0123456789abcdef", "0123456789abcdee", False),
    ],
)
def test_measured_numbers_agree_up_to_rounding_and_nothing_else_does(before, now, same):
    assert agree(before, now) is agree(now, before) is same


def test_a_model_that_draws_from_elsewhere_is_known_by_the_rest(files):
    task = files("  # edit", "\n        h = h * (1 + __import__('os').urandom(1)[0]) if self.training else h")
    assert task.fingerprint_parts()["gradient"] == UNSTABLE
    assert difference(task.fingerprint_parts(), task.fingerprint_parts()) == ""


def test_the_files_of_a_task_are_those_that_it_imports(tmp_path):
    (tmp_path / "pack" / "deep").mkdir(parents=True)
    texts = {
        "own.py": "import torch, one\ndef task():\n    from pack.deep.two import f\n",
        "one.py": "import own, os.path  # a circle",
        "pack/__init__.py": "",
        "pack/deep/__init__.py": "from . import three",
        "pack/deep/two.py": "from ..four import f\nfrom .... import beyond",
        "pack/deep/three.py": "",
        "pack/four.py": "f = 1",
        "not_imported.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert list(task_texts(f"{tmp_path / 'own.py'}:task")) == sorted(set(texts) - {"not_imported.py"})
    assert task_texts("digits") == task_texts("") == task_texts("nowhere.py") == {}
