"""What this machine has to give: processor cores, and memory that is free; and how much of it a process uses."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers by which mallopt of glibc knows two of its settings."""

KEPT = 1 << 25
"""Bytes of an array that is freed for the next one: as many as glibc allows."""


def cores() -> int:
    """How many processor cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


@cache
def keep_memory() -> None:
    """Have arrays that are freed and made again in every step stay with this process, where its allocator is glibc's.

    It gives memory back to the system, and takes it again page by page, which is up to a third of a step of a
    convolution net; it stops by itself once it has happened to free an array of 32 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT)
        mallopt(TRIM_THRESHOLD, 2 * KEPT)


def available() -> float:
    """Bytes of RAM that are available, within the limit of a container where there is one; infinity if unreadable."""
    limits = [float("inf")]
    tokens = _tokens("/proc/meminfo")
    if "MemAvailable:" in tokens:  # with what the system only caches; in kB
        limits.append(1024.0 * int(tokens[tokens.index("MemAvailable:") + 1]))
    limit, used = (_tokens(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit and used and limit[0].isdigit():
        limits.append(max(0.0, float(limit[0]) - float(used[0])))
    return min(limits)


def resident(pid: int | str = "self") -> int:
    """Bytes of RAM that a process uses, 0 where they cannot be read."""
    pages = _tokens(f"/proc/{pid}/statm")
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _tokens(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").split()
    except OSError:
        return []
