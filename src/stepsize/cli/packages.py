"""The optional packages that a command line needs, all of them looked for before any work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stepsize.kernel.optional import need_all

Given = Mapping[str, Any]

TORCH, PAGE = ("torch", "scipy"), ("jinja2", "matplotlib")

OF_COMMAND: dict[str, tuple[str, ...]] = {
    "advise": ("scipy",), "race": ("scipy",), "range-test": ("scipy",), "refine": ("scipy",), "predict": ("scipy",),
    "four-steps": ("scipy",),
    "landscape": TORCH, "figures": (*TORCH, "matplotlib"), "report": (*PAGE, "scipy"),
}  # fmt: skip
"""What a command needs, whatever its options. The file of a task imports its own framework, and is read at once."""

OF_OPTION: dict[str, tuple[str, ...]] = {
    "report": PAGE, "plot": ("matplotlib",), "tensorboard": ("tensorboard", "torch"),
}  # fmt: skip
"""What a file needs that an option asks for."""


def _task(given: Given) -> str:
    """Return the name of a built-in task that a command line asks for, or ""."""
    from stepsize.problems import TASKS

    (source,) = (given.get("sources") or (given.get("task") or given.get("source"),))[:1]
    return source if source in TASKS else ""


def _draws_digits(given: Given) -> bool:
    """Whether the one figure of the article is asked for that trains."""
    only = [name for names in given.get("only") or () for name in names]
    return "ending" in given and (not only or "range_test" in only)


OF_USE: tuple[tuple[Callable[[Given], bool], tuple[str, ...]], ...] = (
    (lambda given: given.get("executor") == "ray", ("ray",)),
    (lambda given: bool(_task(given)), ("torch",)),
    (lambda given: _task(given).startswith("digits"), ("sklearn",)),
    (_draws_digits, ("sklearn",)),
    (lambda given: "starts" in given and given.get("out") is not None, ("matplotlib", "PIL")),
)
"""What a value of an option or argument needs."""


def check_packages(command: str, given: Given) -> None:
    """Raise MissingPackageError that names all that a command line needs and that is not installed."""
    wanted = [*OF_COMMAND.get(command, ())]
    wanted += [name for option, names in OF_OPTION.items() if given.get(option) is not None for name in names]
    wanted += [name for where, names in OF_USE if where(given) for name in names]
    need_all(dict.fromkeys(wanted))
