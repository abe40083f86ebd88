"""I/O: reads a folder as a tree, for callers whose context is on a disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from .tree import Entry, Kind, Tree, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PERMISSIONS = 0o7777


def read_folder(folder: Path) -> Tree:
    """Read all of *folder* into memory. Sockets, pipes and devices are left out. Raises OSError."""
    return Tree(tuple(sorted(_entries(folder, ""), key=lambda entry: sort_key(entry.path))))


def _entries(folder: Path, below: str) -> Iterator[Entry]:
    for name in os.listdir(folder):  # noqa: PTH208 - names, not paths
        path, found = f"{below}{name}", folder / name
        status = found.lstat()
        mode, mtime = status.st_mode & _PERMISSIONS, status.st_mtime_ns
        if stat.S_ISDIR(status.st_mode):
            yield Entry(path, Kind.DIRECTORY, mode, mtime)
            yield from _entries(found, f"{path}/")
        elif stat.S_ISLNK(status.st_mode):
            yield Entry(path, Kind.SYMLINK, mode, mtime, linkname=os.readlink(found))  # noqa: PTH115
        elif stat.S_ISREG(status.st_mode):
            yield Entry(path, Kind.FILE, mode, mtime, memoryview(found.read_bytes()))
