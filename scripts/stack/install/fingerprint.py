"""Disk I/O, reading only. Hashes of what something was made from, to know when to remake it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

LENGTH = 16


def of_text(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:LENGTH]


def of_files(files: Iterable[Path], *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode())
    for file in files:
        digest.update(f"\0{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:LENGTH]


def of_folder(folder: Path, *parts: str) -> str:
    """Return a fingerprint of names and content of every file below the folder, bytecode aside."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    names = (str(path.relative_to(folder)) for path in files)
    return of_files(files, *names, *parts)
