"""Disk I/O. Contexts as folders, for the contender that reads one."""

import os
from collections.abc import Iterator
from pathlib import Path

from . import requests
from .contexts import Context


def read(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file below the folder, bytecode aside."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def write(context: Context, folder: Path) -> None:
    """Make the folder hold the context. What it has, by size and time, stays."""
    below = requests.folders(context)
    for name in ("", *below):
        (folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    for file in context:
        path = folder / file.path
        if _holds(path, len(file.content), file.modified):
            continue
        path.write_bytes(file.content)
        path.chmod(file.mode)
        os.utime(path, (file.modified, file.modified))
    oldest = min(file.modified for file in context)
    for name in ("", *below):
        os.utime(folder / name, (oldest, oldest))


def _holds(path: Path, size: int, modified: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime) == (size, modified)
