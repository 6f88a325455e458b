# ruff: noqa: INP001  (a script, not a package)
"""Print the lowest version that pyproject.toml allows of each dependency, as constraints for pip.

python scripts/lower_bounds.py > constraints-lowest.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """Return `name==version` for `name>=version`; SystemExit for what is written otherwise."""
    bound = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if bound is None:
        raise SystemExit(f"{requirement!r} in pyproject.toml has no lower bound to install; write name>=version.")
    return "==".join(bound.groups())


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    print(*sorted({lowest(each) for group in groups for each in group if not each.startswith("stepsize[")}), sep="\n")  # noqa: T201  (its answer)
