"""I/O: asks how much memory this process may take, and tells the C library how to hand it out."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# glibc malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_ROOT = Path("/")


def memory_limit(root: Path = _ROOT) -> int:
    """Return the bytes that this process may take: its control group's limit, or all there are.

    A group is as limited as each that it is in, under version 1 of control groups and under 2. Inside a
    container the path of its group may be one that only its host knows; its own is mounted at the top.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _limit_files(root):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limits.append(int(file.read_text()))
    return min(limits)


def _limit_files(root: Path) -> Iterator[Path]:
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in ["0::/", "0:memory:/", *lines]:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        yield from (
            folder / name for folder in (group, *group.parents) if folder.is_relative_to(top)
        )


def map_large_buffers() -> None:
    """Map large buffers, so that they grow without a copy and go back when they end. Process-wide.

    Left alone, glibc learns from each freed buffer to put the next of that size (up to 32 MiB) on the
    heap, where growing may copy and little is given back. Does nothing on another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        # Smaller ones are freed all the time: not worth a system call each.
        mallopt(_M_TRIM_THRESHOLD, 4 << 20)
