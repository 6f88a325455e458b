"""The system's compiler of C, where there is one."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

TYPES = {torch.float32: "float", torch.float64: "double"}
"""What C calls the numbers that it is compiled for."""

FLAGS = ("-O3", "-march=native", "-std=c11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
"""Vectors as wide as the processor has them; and no product and sum as one operation, which rounds otherwise."""


def compiled(source: str, *flags: str) -> Any:
    """Return the function `step` of a source of C, some 100 ms later; None where there is no compiler, or it fails.

    flags: more of them, for the compiler. What the function takes and returns is the caller's to say.
    """
    try:
        command = shlex.split(os.environ.get("CC", "")) or ["cc"]
        with tempfile.TemporaryDirectory(prefix="stepsize-", ignore_cleanup_errors=True) as folder:
            made = Path(folder, "step.so")
            call = [*command, *FLAGS, *flags, "-shared", "-fPIC", "-x", "c", "-o", str(made), "-", "-lm"]
            subprocess.run(call, input=source.encode(), check=True, capture_output=True, timeout=60)  # noqa: S603  (the user's compiler, and our source)
            return ctypes.CDLL(str(made)).step
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError):
        return None
