"""Pure. A build context as values: what the archive hands to the file sync.

Nothing here touches a disk. File contents are views into the request body, so a tree is valid as long as
that body is, and costs no second copy of it.

Names are bytes, as in Linux. They are kept as text in which a byte that is no UTF-8 stands as a lone
surrogate (PEP 383, surrogateescape); `encoded` gives the bytes back.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .sparse import SparseFile

    Content = memoryview | SparseFile


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    PIPE = "named pipe"
    DEVICE = "device"  # and whatever else no context can hold


_NOTHING = memoryview(b"")


class Entry(NamedTuple):
    """One path below the context's root. A frozen dataclass would take three times as long to make.

    *path* is relative, "/"-separated, without ".", ".." or empty parts. *mode* holds the twelve unix
    permission bits (0o7777) and no file type. *mtime* is in nanoseconds since 1970 and may be negative.
    *data* is empty for all but files; *linkname* is a symlink's target, verbatim and never followed.
    Files that are hard links of one another share a non-zero *inode*; for all others it is 0. *xattrs* are
    extended attributes, names and values. One that cannot be sent has a sentence that says why in *unfit*.
    """

    path: str
    kind: Kind
    mode: int
    mtime: int
    data: Content = _NOTHING
    linkname: str = ""
    inode: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    unfit: str = ""


def decoded(name: bytes) -> str:
    # Without a handler of errors it takes a third of the time.
    return name.decode() if name.isascii() else name.decode("utf-8", "surrogateescape")


def encoded(name: str) -> bytes:
    return name.encode() if name.isascii() else name.encode("utf-8", "surrogateescape")


def sort_key(path: str) -> bytes:
    """Return the key by which fsutil orders paths: by component, "/" lowest (fsutil validator.go)."""
    return encoded(path).replace(b"/", b"\0")


def pieces(data: Content, most: int) -> Iterator[memoryview]:
    """Yield *data* in pieces of at most *most* bytes."""
    if not isinstance(data, memoryview):
        yield from data.pieces(most)
        return
    for start in range(0, len(data), most):
        yield data[start : start + most]


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole context: *entries* in `sort_key` order, each path once, every parent before its children."""

    entries: tuple[Entry, ...]
