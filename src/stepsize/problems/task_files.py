"""The text of a task: its file, and the files beside it that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def split_source(source: str) -> tuple[str, str | None]:
    """Return the file of a task that is called `source`, "" where that is no file, and the function that it names.

    >>> split_source("a/b.py:large"), split_source("b.py"), split_source("digits")
    (('a/b.py', 'large'), ('b.py', None), ('', None))
    """
    path, _, function = source.rpartition(":")
    if path.endswith(".py"):
        return path, function
    return (source, None) if source.endswith(".py") else ("", None)


def task_texts(source: str) -> dict[str, str]:
    """Return a hash of the code of each file that a task is made of, by its path from the task's folder.

    source: as `load_task` takes it. Comments and the form of the text are no code. Files count that lie beside the
    task's, or in folders there, and that it imports by a statement, or that these import; installed packages do not.
    """
    path, _ = split_source(source)
    if not Path(path).is_file():
        return {}
    first = Path(path).resolve()
    folder, found, waiting = first.parent, dict[str, str](), [first]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(folder).as_posix()
        if name in found:
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, ValueError, SyntaxError):  # what cannot be read now was not imported from here
            continue
        found[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
        waiting += [each for module in _imported(tree, file, folder) for each in _files(module)]
    return dict(sorted(found.items()))


def _imported(tree: ast.AST, file: Path, folder: Path) -> Iterator[Path]:
    """Yield what a file imports, as paths below `folder` without an ending, whether they are there or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _below(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else folder
            if base.is_relative_to(folder):
                for alias in node.names:
                    yield from _below(base, f"{node.module}.{alias.name}" if node.module else alias.name)


def _below(folder: Path, name: str) -> Iterator[Path]:
    """Yield the paths of a module and of the packages around it: `a` and `a/b` for "a.b"."""
    for part in name.split("."):
        folder = folder / part
        yield folder


def _files(module: Path) -> list[Path]:
    """Return the files of a module, if it lies here: itself, or that of its package."""
    return [file for file in (module.with_name(f"{module.name}.py"), module / "__init__.py") if file.is_file()]
