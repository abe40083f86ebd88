"""Pure. The members of a tar that leave out the holes of a file: GNU's old form, and PAX' 0.0, 0.1 and 1.0.

GNU tar, "Storing Sparse Files", describes all four. bsdtar writes 1.0 of itself for a file with a hole.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING

from ...errors import ArchiveError
from ...fsutil.sparse import SparseFile
from ...quoting import quoted
from . import pax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...fsutil.tree import Content

BLOCK = 512

_PREFIX = b"GNU.sparse."
_NAME = b"GNU.sparse.name"
_MAP = b"GNU.sparse.map"
_OFFSET = b"GNU.sparse.offset"  # this one and the next by turns make up the map of 0.0
_LENGTH = b"GNU.sparse.numbytes"
_SIZES = (b"GNU.sparse.realsize", b"GNU.sparse.size")
_MAJOR = b"GNU.sparse.major"

# As in Go's archive/tar. A file of more pieces than that comes to is not stored like this by anybody.
_MAX_MAP_BYTES = 1 << 20

_MOST_BYTES = (1 << 63) - 1  # of a file in Linux
_DIGITS = re.compile(rb"[0-9]{1,19}")

# GNU's header: four places and lengths, whether more follow in a block of their own, and the file's size.
_IN_HEADER = range(386, 482, 24)
_IS_EXTENDED = 482
_REAL_SIZE = slice(483, 495)
_IN_BLOCK = range(0, 504, 24)
_BLOCK_IS_EXTENDED = 504


class Records:
    """Collects what a PAX header says of a sparse file; the pieces of a map that is split are joined."""

    __slots__ = ("_pieces", "_values", "map_bytes")

    def __init__(self) -> None:
        self.map_bytes = 0
        self._values: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []

    def add(self, keyword: bytes, value: bytes) -> None:
        """Keep a record whose *keyword* begins as those of sparse files do."""
        self.map_bytes += len(value)
        if keyword in (_OFFSET, _LENGTH):
            self._pieces.append(value)
        else:
            self._values[keyword] = value

    @property
    def name(self) -> bytes:
        """Return the file's own, for its header may have another."""
        return self._values.get(_NAME, b"")

    def content(self, stored: memoryview, name: bytes) -> Content:
        """Return the file of which *stored* is in the archive. Raises ArchiveError."""
        said = self._values
        size = next((pax.size(said[key]) for key in _SIZES if key in said), None)
        numbers: Iterable[int]
        if said.get(_MAJOR) == b"1":
            numbers, taken = _leading_map(stored, name)
            self.map_bytes += taken
            stored = stored[taken + -taken % BLOCK :]
        else:
            text = said.get(_MAP) or b",".join(self._pieces)
            numbers = (_number(each, name) for each in _split(text))
        if size is None:
            raise _damaged(name)
        return content(stored, numbers, size, name)


def is_sparse(keyword: bytes) -> bool:
    return keyword.startswith(_PREFIX)


def old_gnu(
    body: memoryview, start: int, read: Callable[[bytes], int], name: bytes
) -> tuple[int, list[int], int]:
    """Return how many bytes the header at *start* and its map take, the map, and the file's size.

    *read* reads a header's number. Raises ArchiveError.
    """
    block = bytes(body[start : start + BLOCK])
    size = read(block[_REAL_SIZE])
    numbers = list(_pairs(block, _IN_HEADER, read))
    taken, more = BLOCK, block[_IS_EXTENDED]
    while more:
        block = bytes(body[start + taken : start + taken + BLOCK])
        if len(block) < BLOCK or taken > _MAX_MAP_BYTES:
            raise _damaged(name)
        numbers += _pairs(block, _IN_BLOCK, read)
        taken, more = taken + BLOCK, block[_BLOCK_IS_EXTENDED]
    return taken, numbers, size


def _pairs(block: bytes, places: range, read: Callable[[bytes], int]) -> Iterator[int]:
    for at in places:
        if not block[at]:
            return
        yield read(block[at : at + 12])
        yield read(block[at + 12 : at + 24])


def _split(text: bytes) -> Iterator[bytes]:
    """Yield what commas part, one after the other: as a list it would take thirty times the memory."""
    at = 0
    while text and at <= len(text):
        end = text.find(b",", at)
        if end < 0:
            end = len(text)
        yield text[at:end]
        at = end + 1


def _leading_map(stored: memoryview, name: bytes) -> tuple[array[int], int]:
    """Return the map that *stored* begins with in 1.0, and its length; data begin with the next block."""
    text = bytes(stored[: _MAX_MAP_BYTES + BLOCK])
    count, newline, _ = text[:22].partition(b"\n")
    most = 2 * _number(count, name) if newline else _MAX_MAP_BYTES
    if most >= _MAX_MAP_BYTES:
        raise _damaged(name)
    numbers = array("q")
    taken = len(count) + 1
    for _ in range(most):
        end = text.find(b"\n", taken)
        if end < 0:
            raise _damaged(name)
        numbers.append(_number(text[taken:end], name))
        taken = end + 1
    return numbers, taken


def content(stored: memoryview, numbers: Iterable[int], size: int, name: bytes) -> Content:
    """Return the file of *size* bytes that has *stored* where *numbers* say, places and lengths by turns.

    Raises ArchiveError.
    """
    extents = array("q")
    end = total = 0
    rest = iter(numbers)
    for offset in rest:
        length = next(rest, -1)
        if length < 0 or not end <= offset <= offset + length <= size <= _MOST_BYTES:
            raise _damaged(name)
        if length:
            extents.extend((offset, length))
        end = offset + length
        total += length
    if total != len(stored) or not 0 <= size <= _MOST_BYTES:
        raise _damaged(name)
    return stored if total == size else SparseFile(stored, extents, size)


def _number(digits: bytes, name: bytes) -> int:
    if not _DIGITS.fullmatch(digits):
        raise _damaged(name)
    if (number := int(digits)) > _MOST_BYTES:
        raise _damaged(name)
    return number


def _damaged(name: bytes) -> ArchiveError:
    return ArchiveError(
        f"The archive is damaged: {quoted(name)} is a sparse file, and what says where its data belong "
        "contradicts itself."
    )
