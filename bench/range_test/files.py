"""JSON files that grow problem by problem: read, and written as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """Return what the file holds, or nothing where there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the file, so that it is the old one or the new one at any moment."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    part.replace(path)
