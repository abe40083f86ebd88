"""Reads files. A build context: which file on disk provides which path. Nothing is copied.

A path of a context is its bytes, decoded as UTF-8; a byte that is none is kept as a surrogate, as
`os.fsdecode` does. So every name there can be on Linux travels as it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A context. *sources* maps each path, "/"-separated, to the file, folder or link behind it.

    With *follows_links* a link stands for what it leads to; without, for itself. *notices* are
    sentences about what does not travel as its owner may expect.
    """

    root: Path
    sources: Mapping[str, Path]
    follows_links: bool
    notices: tuple[str, ...] = ()

    @property
    def file_count(self) -> int:
        return sum(self.is_link(path) or not path.is_dir() for path in self.sources.values())

    def is_link(self, source: Path) -> bool:
        """Tell whether *source* travels as a link."""
        return not self.follows_links and source.is_symlink()

    def text_of(self, path: str) -> str:
        """Return the lines of *path* for quoting; empty if the context has no such file."""
        source = self.sources.get(path)
        try:
            if source is None or not source.is_file():
                return ""
            return source.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def largest(self) -> str:
        """Return the path of the largest file; empty if there is none."""
        sizes = {
            path: source.stat().st_size
            for path, source in self.sources.items()
            if not self.is_link(source) and source.is_file()
        }
        return max(sizes, key=lambda path: sizes[path], default="")


def path_text(name: str) -> str:
    """Return a name that the file system gave as it stands in a context's paths, whatever the locale."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")
