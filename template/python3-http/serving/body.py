"""Holds the body of one request, once, in memory that it has a share for.

A body begins in a small buffer that grows, and soon moves into a mapping of its whole length, of which only
what has been written to is memory: the socket is read right into it. Its first pages are small ones, so that
many senders of little take little; the others are huge, so that a body of 200 MiB is six hundred page faults
and not fifty thousand.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .budget import Share

# How much is reserved ahead of what has come: what one read may bring, doubled with each.
_FIRST_STEP = 8 << 10
_LARGEST_STEP = 128 << 10

# Where a body moves into a mapping.
_UNMAPPED_BYTES = 64 << 10

# A huge page, and how much of a mapping comes before the first.
_HUGE_PAGE = 2 << 20

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
        """Make a body of *limit* bytes, or of at most as many if it is chunked."""
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
        reserved = self.size + self._room
        step = self._step
        if reserved >= _HUGE_PAGE:
            step = _HUGE_PAGE
        elif reserved + step > _HUGE_PAGE:
            step = _HUGE_PAGE - reserved
        step = min(step, self.limit - reserved)
        if self._room >= _FIRST_STEP or step <= 0:
            return True
        if not self._share.grow(step):
            return self._room > 0
        self._room += step
        self._step = min(2 * self._step, _LARGEST_STEP)
        if reserved + step > _UNMAPPED_BYTES and self._mapped is None:
            self._map()
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
        if self.limit > _HUGE_PAGE:
            mapping.madvise(mmap.MADV_NOHUGEPAGE, 0, _HUGE_PAGE)
            mapping.madvise(mmap.MADV_HUGEPAGE, _HUGE_PAGE)
        self._mapped = memoryview(mapping)
        self._mapped[: self.size] = self._small
        self._small = _Array()
