"""The optional packages that a command line needs, all of them looked for before any work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stepsize.kernel.optional import need_all

Given = Mapping[str, Any]

TORCH = ("torch", "scipy")

OF_COMMAND: dict[str, tuple[str, ...]] = {
    "advise": TORCH, "race": TORCH, "range-test": TORCH, "refine": TORCH, "predict": TORCH, "landscape": TORCH,
    "figures": (*TORCH, "matplotlib"), "report": ("jinja2", "matplotlib"), "transfer": TORCH,
}  # fmt: skip
"""What a command needs, whatever its options."""

OF_OPTION: dict[str, tuple[str, ...]] = {
    "report": ("jinja2", "matplotlib"), "plot": ("matplotlib",), "tensorboard": ("tensorboard",),
}  # fmt: skip
"""What a file needs that an option asks for."""

OF_USE: tuple[tuple[Callable[[Given], bool], tuple[str, ...]], ...] = (
    (lambda given: given.get("executor") == "ray", ("ray",)),
    (lambda given: str(given.get("task")).startswith("digits"), ("sklearn",)),
    (lambda given: "starts" in given and given.get("out") is not None, ("matplotlib", "PIL")),
)
"""What a value of an option or argument needs."""


def check_packages(command: str, given: Given) -> None:
    """Raise MissingPackageError that names all that a command line needs and that is not installed."""
    wanted = [*OF_COMMAND.get(command, ())]
    wanted += [name for option, names in OF_OPTION.items() if given.get(option) is not None for name in names]
    wanted += [name for where, names in OF_USE if where(given) for name in names]
    need_all(dict.fromkeys(wanted))
