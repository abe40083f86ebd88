"""Disk I/O. A function's mounted secrets, exchanged while it reads them."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class SecretMount(Protocol):
    def hold(self, files: Mapping[str, bytes]) -> None:
        """Hold these files from now on, and no others."""


class PlainFiles:
    """Each file is exchanged by itself; what goes, goes last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            written = self._folder / f".{name}.new"
            written.write_bytes(content)
            written.replace(self._folder / name)
        for path in self._folder.iterdir():
            if path.name not in files:
                path.unlink()


class KubernetesVolume:
    """All files are exchanged at once, by a link (kubernetes pkg/volume/util/atomic_writer.go, Write)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generations = itertools.count()

    def hold(self, files: Mapping[str, bytes]) -> None:
        data, new = self._folder / "..data", self._folder / "..data_tmp"
        before = data.readlink() if data.is_symlink() else None
        generation = self._folder / f"..generation-{next(self._generations)}"
        generation.mkdir()
        for name, content in files.items():
            (generation / name).write_bytes(content)
        for name in files:
            link = self._folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        new.symlink_to(generation.name)
        new.replace(data)
        for path in self._folder.iterdir():
            if not path.name.startswith("..") and path.name not in files:
                path.unlink()
        if before is not None:
            shutil.rmtree(self._folder / before)
