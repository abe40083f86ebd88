"""Reads and writes files. Whether a folder was filled to its end, or given up half-way."""

from pathlib import Path

_MARK = "complete"


def is_complete(folder: Path) -> bool:
    return (folder / _MARK).exists()


def mark_complete(folder: Path) -> None:
    (folder / _MARK).touch()
