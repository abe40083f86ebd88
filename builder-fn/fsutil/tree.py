"""Pure. A build context as values: what the archive hands to the file sync.

Nothing here touches a disk. File contents are views into the request body, so a tree is valid as long as
that body is, and costs no second copy of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """One path below the context's root.

    *path* is relative, "/"-separated, without ".", ".." or empty parts. *mode* holds the twelve unix
    permission bits (0o7777) and no file type. *mtime* is in nanoseconds since 1970 and may be negative.
    *data* is empty for all but files; *linkname* is a symlink's target, verbatim and never followed.
    Files that are hard links of one another share a non-zero *inode*; for all others it is 0. *xattrs* are
    extended attributes, names and values.
    """

    path: str
    kind: Kind
    mode: int
    mtime: int
    data: memoryview = _NOTHING
    linkname: str = ""
    inode: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def sort_key(path: str) -> str:
    """The order in which fsutil sends paths: by component, so that "/" sorts lowest (fsutil validator.go)."""
    return path.replace("/", "\0")


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole context: *entries* in `sort_key` order, each path once, every parent before its children."""

    entries: tuple[Entry, ...]
