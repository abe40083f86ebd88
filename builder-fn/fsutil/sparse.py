"""Pure. A file with holes, of which only what is between them takes memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

_ZEROS = memoryview(bytes(256 << 10))


class SparseFile:
    """Holds a file as what of it is stored, and the places where that belongs; elsewhere there are zeros."""

    __slots__ = ("_extents", "_size", "_stored")

    def __init__(self, stored: memoryview, extents: array[int], size: int) -> None:
        """Take *extents*, places and lengths by turns: ascending, apart, in *size*, as long as *stored*."""
        self._stored = stored
        self._extents = extents
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        """Return all of it, with the zeros in memory."""
        return b"".join(self.pieces(len(_ZEROS)))

    @property
    def extents(self) -> int:
        """Return how many pieces are stored."""
        return len(self._extents) // 2

    def identity(self) -> Iterator[memoryview]:
        """Yield what no other content has that is stored in the same way."""
        yield memoryview(self._extents).cast("B")
        yield self._stored

    def pieces(self, most: int) -> Iterator[memoryview]:
        """Yield all bytes in pieces of at most *most* bytes; those of holes are one and the same zeros."""
        at = taken = 0
        for offset, length in zip(self._extents[::2], self._extents[1::2], strict=True):
            yield from _zeros(offset - at, most)
            yield from _cut(self._stored[taken : taken + length], most)
            at = offset + length
            taken += length
        yield from _zeros(self._size - at, most)


def _zeros(count: int, most: int) -> Iterator[memoryview]:
    step = min(most, len(_ZEROS))
    while count > 0:
        yield _ZEROS[: min(count, step)]
        count -= step


def _cut(data: memoryview, most: int) -> Iterator[memoryview]:
    for start in range(0, len(data), most):
        yield data[start : start + most]
