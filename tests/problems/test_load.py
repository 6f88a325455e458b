"""Tasks by name: built-in ones, and functions in files, with errors that name the file and the line."""

import sys
from pathlib import Path

import pytest

from stepsize import Task, load_task
from stepsize.kernel.errors import TaskError

TINY = Path(__file__).parent / "tiny.py"
GOOD = "import torch, stepsize\nx, y = torch.randn(8, 2), torch.randn(8, 1)\n"
MAKE = "stepsize.Task(lambda: torch.nn.Linear(2, 1), torch.nn.functional.mse_loss, (x, y), (x, y), 4)"


def write(folder, text, name="mytask.py"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_is_loaded_by_its_function_task():
    assert isinstance(load_task(str(TINY)), Task)
    assert load_task(str(TINY)).source == str(TINY)


def test_a_function_is_loaded_by_name():
    task = load_task(f"{TINY}:batchnorm")
    assert (task.name, task.source) == ("batchnorm", f"{TINY}:batchnorm")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digist", r"no task is called 'digist'. Did you mean 'digits'\?.*file\.py"),
        ("task.txt", "no task is called 'task.txt'.*file\\.py"),
        ("", "no task is called ''"),
        ("nowhere.py", "no task file 'nowhere.py'. Check the path, or use a built-in task: digits"),
        ("nowhere.py:task", "no task file 'nowhere.py'"),
        (f"{TINY}:perceptorn", r"tiny\.py has no function 'perceptorn'. Did you mean 'perceptron'\?"),
        (f"{TINY}:", "has no function ''"),
        (f"{TINY}:SAMPLES", "has no function 'SAMPLES'"),
    ],
)
def test_a_name_that_is_no_task_is_refused_with_the_near_miss(name, message):
    with pytest.raises(TaskError, match=message):
        load_task(name)


def test_a_folder_is_no_task_file(tmp_path):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(TaskError, match="no task file"):
        load_task(str(tmp_path / "folder.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def task(:\n    pass\n", r"does not import: SyntaxError: .*\(mytask.py, line 1\)$"),
        ("x = 1\nimport no_such_package\n", r"does not import: ModuleNotFoundError: .*no_such_package.*\(line 2\)$"),
        ("from stepsize import Nothing\n", r"does not import: ImportError: .*Nothing.*\(line 1\)$"),
        ("x = 1\ny = x / 0\n", r"does not import: ZeroDivisionError: division by zero \(line 2\)$"),
        ("import sys\nsys.exit(3)\n", r"does not import: SystemExit: 3 \(line 2\)$"),
        ("import json\n\n\njson.loads('{')\n", r"does not import: JSONDecodeError: .*\(line 4\)$"),
        ("raise ValueError('one\\n  two')\n", r"ValueError: one two \(line 1\)$"),
        ("", "has no function 'task'(.|\n)*def task"),
        ("def task():\n    return 3\n", r"must return a stepsize\.Task, not int(.|\n)*def task"),
        ("def task():\n    pass\n", "not NoneType"),
        ("def task():\n    x = 1\n    return x.missing\n", r"fails: AttributeError: .*missing.*\(line 3\)$"),
        ("def task(data):\n    pass\n", "fails: TypeError: .*'data'"),
        ("def task():\n    raise SystemExit('no data')\n", r"fails: SystemExit: no data \(line 2\)$"),
    ],
)
def test_a_broken_file_is_told_in_one_line_with_its_own_line(tmp_path, text, message):
    with pytest.raises(TaskError, match=message) as caught:
        load_task(write(tmp_path, text))
    assert "mytask.py" in str(caught.value)


def test_an_error_of_the_task_itself_is_passed_on(tmp_path):
    path = write(tmp_path, GOOD + "def task():\n    return " + MAKE.replace(" 4)", " 9)"))
    with pytest.raises(TaskError, match=r"^Task\.batch_size is 9, but there are 8 training samples"):
        load_task(path)


def test_a_file_is_no_text(tmp_path):
    (tmp_path / "mytask.py").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(TaskError, match="does not import"):
        load_task(str(tmp_path / "mytask.py"))


@pytest.mark.parametrize("late", [False, True])
def test_a_file_imports_what_lies_beside_it(tmp_path, late):
    neighbour = f"beside_{late}"
    (tmp_path / f"{neighbour}.py").write_text("SIZE = 4\n")
    head, inside = ("", f"    import {neighbour}\n") if late else (f"import {neighbour}\n", "")
    before = list(sys.path)
    path = write(
        tmp_path, f"{GOOD}{head}def task():\n{inside}    return {MAKE}\n".replace(" 4)", f" {neighbour}.SIZE)")
    )
    assert load_task(path).batch_size == 4
    assert sys.path == before


def test_two_files_of_one_name_are_two_tasks(tmp_path):
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, f"{GOOD}def task():\n    return {MAKE[:-1]}, name={name!r})\n")
    assert [load_task(str(tmp_path / folder / "mytask.py")).name for folder in "ab"] == ["first", "second"]


def test_a_mended_file_loads_in_the_same_process(tmp_path):
    with pytest.raises(TaskError, match="does not import"):
        load_task(write(tmp_path, "raise ValueError"))
    assert load_task(write(tmp_path, f"{GOOD}def task():\n    return {MAKE}\n")).batch_size == 4


def test_an_async_function_is_refused_and_not_called(tmp_path):
    file = tmp_path / "later.py"
    file.write_text("async def task():\n    return 3\n")
    with pytest.raises(TaskError, match="is an async function, which nothing awaits"):
        load_task(str(file))


RAISES = """
import torch
from stepsize import Task

x, y = torch.zeros(16, 3), torch.zeros(16, dtype=torch.long)

def model():
    raise ValueError("no such file:\\n  weights.pt")

def vector(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")

def task():
    return Task(model, torch.nn.functional.cross_entropy, (x, y), (x, y), batch_size=16)

def unreduced():
    return Task(lambda: torch.nn.Linear(3, 2), vector, (x, y), (x, y), batch_size=16)
"""


def test_a_model_that_cannot_be_made_is_one_line_with_its_place(tmp_path):
    file = tmp_path / "raises.py"
    file.write_text(RAISES)
    with pytest.raises(
        TaskError, match=r"Task\.model of 'task' fails: ValueError: no such file: weights\.pt \(line 8\)"
    ):
        load_task(str(file)).check()


def test_a_loss_that_is_a_vector_is_said_by_its_shape(tmp_path):
    file = tmp_path / "vector.py"
    file.write_text(RAISES)
    with pytest.raises(TaskError, match=r"not a tensor of torch\.float32 in the shape \(16,\); take the mean"):
        load_task(f"{file}:unreduced").check()
