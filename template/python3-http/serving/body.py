"""Holds the body of one request, once, in memory that it has a share for.

A body begins in a small buffer that grows. One of more than SMALL_BYTES moves into a mapping of its whole
length, of which only what has been written to is memory: the socket is read right into it, and huge pages
make a body of 200 MiB a hundred page faults instead of fifty thousand.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from .budget import SMALL_BYTES

if TYPE_CHECKING:
    from .budget import Share

# How much is reserved ahead of what has come: of a small body what one read brings, and of a mapping
# one huge page.
_FIRST_STEP = 8 << 10
_LARGEST_STEP = 128 << 10
_PAGE_STEP = 2 << 20

# mmap.MAP_NORESERVE, which Python has from 3.13 on: a mapping for the longest chunked body is no promise.
_MAP_NORESERVE = 0x4000


class _Array(bytearray):
    """A buffer that keeps its share for as long as anybody reads it."""

    share: Share


class _Mapping(mmap.mmap):
    """A mapping that keeps its share for as long as anybody reads it."""

    share: Share


class Body:
    """Bytes that arrive: reserve() before they are read, then write() or advance()."""

    __slots__ = ("_mapped", "_room", "_share", "_small", "_step", "limit", "size")

    def __init__(self, share: Share, *, limit: int) -> None:
        """*limit* is its length, or the most that a chunked one may have."""
        self.limit = limit
        self.size = 0
        self._share = share
        self._room = 0
        self._step = _FIRST_STEP
        self._small = _Array()
        self._small.share = share
        self._mapped: memoryview | None = None

    @property
    def room(self) -> int:
        """Say how many bytes may come before the next reserve()."""
        return self._room

    @property
    def is_mapped(self) -> bool:
        """Say whether to read right into window()."""
        return self._mapped is not None

    @property
    def share_size(self) -> int:
        return self._share.size

    def reserve(self) -> bool:
        """Make room for what may come next; False when the budget has none now."""
        step = min(self._step, self.limit - self.size - self._room)
        if self._room >= _FIRST_STEP or step <= 0:
            return True
        if not self._share.grow(step):
            return self._room > 0
        self._room += step
        if self.size + self._room > SMALL_BYTES and self._mapped is None:
            self._map()
        self._step = _PAGE_STEP if self._mapped else min(2 * self._step, _LARGEST_STEP)
        return True

    def write(self, data: bytes | memoryview) -> None:
        """Append *data*, of no more bytes than there is room for."""
        if self._mapped is None:
            self._small += data
        else:
            self._mapped[self.size : self.size + len(data)] = data
        self.advance(len(data))

    def window(self) -> memoryview:
        """Return where the next bytes go, for advance() to count."""
        assert self._mapped is not None  # noqa: S101 - is_mapped says so
        return self._mapped[self.size : self.size + self._room]

    def advance(self, count: int) -> None:
        self.size += count
        self._room -= count

    def view(self) -> memoryview:
        """Return what has come so far, for reading. A small body must have come wholly by then."""
        if self._mapped is not None:
            return self._mapped[: self.size].toreadonly()
        return memoryview(self._small).toreadonly()

    def _map(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        mapping = _Mapping(-1, self.limit, flags=flags)
        mapping.share = self._share
        if self.limit >= _PAGE_STEP:
            mapping.madvise(mmap.MADV_HUGEPAGE)
        self._mapped = memoryview(mapping)
        self._mapped[: self.size] = self._small
        self._small = _Array()
