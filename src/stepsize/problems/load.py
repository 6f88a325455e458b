"""Tasks by name: a built-in one, or a function in the user's own file."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from stepsize.kernel.errors import StepsizeError, TaskError, suggestion
from stepsize.problems import checks
from stepsize.problems.base import Trainable
from stepsize.problems.builtin_tasks import TASKS
from stepsize.problems.task_files import split_source

FUNCTION = "task"
"""The function that a task file defines, unless the user names another."""

MSG_WRITE = (
    "A task file defines a function that returns a stepsize.Task:\n"
    "  def task():\n"
    "      return stepsize.Task(model=make_model, loss=loss, train=(x, y), validation=(xv, yv))\n"
    "or stepsize.FunctionTask(train), with a training function of your own (docs/how-to/function.md)."
)


def load_task(name: str) -> Trainable:
    """Return the task called `name`: "digits", "file.py" (its function `task`) or "file.py:function".

    Raises TaskError when there is no such name, file or function, or when it returns no Task.
    """
    if name in TASKS:
        return TASKS[name]()
    path, function = split_source(name)
    if not path:
        raise TaskError(
            f"no task is called {name!r}. {suggestion(name, TASKS)} Your own is a file: file.py or file.py:function."
        )
    return _task_of(_module(Path(path)), FUNCTION if function is None else function, name)


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise TaskError(
            f"there is no task file {str(path)!r}. Check the path, or use a built-in task: {', '.join(TASKS)}."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise TaskError(f"{str(path)!r} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    try:
        with _neighbours(path):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: none of the user's code may end this process
        raise TaskError(f"{path} does not import: {checks.located(error, path)}") from error
    return module


@contextmanager
def _neighbours(path: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as it can when Python runs it."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _task_of(module: ModuleType, function: str, name: str) -> Trainable:
    make = getattr(module, function, None)
    file = Path(str(module.__file__))
    if not callable(make):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise TaskError(f"{file.name} has no function {function!r}. {suggestion(function, functions)}\n{MSG_WRITE}")
    if inspect.iscoroutinefunction(make):
        raise TaskError(f"{name} is an async function, which nothing awaits; write it as a plain `def`.")
    try:
        with _neighbours(file):
            task = make()
    except (StepsizeError, KeyboardInterrupt):
        raise
    except BaseException as error:  # as above
        raise TaskError(f"{name} fails: {checks.located(error, file)}") from error
    if not isinstance(task, Trainable):
        raise TaskError(f"{name} must return a stepsize.Task, not {type(task).__name__}.\n{MSG_WRITE}")
    object.__setattr__(task, "source", name)
    return task
