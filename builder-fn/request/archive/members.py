"""Pure. The members of a tar, in one pass over its bytes and without copying their data.

Reads what tar programs and libraries write: V7, ustar with prefix, GNU with long names and base-256
numbers, PAX, and sparse files of all four kinds. Which members are welcome is judged elsewhere. `tarfile`
knows the dialects too, but takes ten times as long for thousands of small members.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ArchiveError
from ...quoting import quoted
from . import sparse
from .extended_headers import EXTENDED_HEADERS, ExtendedHeaders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...fsutil.tree import Content

BLOCK = sparse.BLOCK
_ZERO_BLOCK = bytes(BLOCK)

# POSIX.1-2024 pax, "ustar Interchange Format":
# name, mode, size, mtime, chksum, typeflag, linkname, magic, prefix.
_FIELDS = struct.Struct("100s8s16x12s12s8sc100s6s82x155s12x")
_USTAR = b"ustar\0"  # GNU's magic differs, and has other fields in place of the prefix

FILE = b"0"
HARD_LINK = b"1"
SYMLINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
_CONTIGUOUS = b"7"
_GNU_SPARSE = b"S"
_GNU_DUMPED_DIRECTORY = b"D"  # of tar -g: its data are the names that were in it
_OLD_FILE = b"\0"

_FILES = frozenset({FILE, _OLD_FILE, _CONTIGUOUS})
# What they come to, once it is known where their data end.
_SAME = {_GNU_SPARSE: FILE, _GNU_DUMPED_DIRECTORY: DIRECTORY}
_WITHOUT_DATA = frozenset({HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO})

_SECOND = 1_000_000_000


class Member(NamedTuple):
    """One member as the archive states it; *mtime* is in nanoseconds since 1970."""

    name: bytes
    type: bytes
    mode: int
    mtime: int
    link: bytes
    data: Content
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def members(body: memoryview) -> Iterator[Member]:
    """Yield the members of *body*.

    Raises ArchiveError if that is no tar, is damaged or cut short, or says more than any tar would.
    """
    said = ExtendedHeaders()
    start = count = 0
    while not _ends_at(body, start):
        fields = _FIELDS.unpack_from(body, start)
        name, mode, size, mtime, checksum, kind, link, magic, prefix = fields
        if not _has_checksum(body[start : start + BLOCK], checksum):
            raise _no_header(start)
        name = name.split(b"\0", 1)[0]
        if kind in EXTENDED_HEADERS:
            data = _data(body, start + BLOCK, _number(size), name)
            said.extend(kind, data, count)
            start += BLOCK + len(data) + -len(data) % BLOCK
            continue
        if magic == _USTAR and prefix[0]:
            name = prefix.split(b"\0", 1)[0] + b"/" + name
        link = link.split(b"\0", 1)[0]
        length, time = _number(size), _common_number(mtime) * _SECOND
        count += 1
        if not said.silent:
            name, link, length, time = said.overrule(name, link, length, time)
        if kind in _FILES:
            kind = DIRECTORY if name.endswith(b"/") else FILE
        content: Content
        if kind == _GNU_SPARSE:
            header = start
            content, start = _old_sparse(body, start, length, name)
            said.count_map(start - header - length)
        else:
            start += BLOCK
            content = data = _data(body, start, 0 if kind in _WITHOUT_DATA else length, name)
            start += len(data) + -len(data) % BLOCK
            if said.sparse and kind == FILE:
                content = said.sparse.content(data, name)
                said.count_map(said.sparse.map_bytes)
        kind = _SAME.get(kind, kind)
        xattrs = () if said.silent else said.take_xattrs()
        yield Member(name, kind, _common_number(mode), time, link, content, xattrs)
    if said.are_for_next:
        raise ArchiveError("The archive is cut short: a header in it has no member after it.")


def _old_sparse(body: memoryview, start: int, length: int, name: bytes) -> tuple[Content, int]:
    """Return the file whose header is at *start*, and where the next header is."""
    taken, numbers, size = sparse.old_gnu(body, start, _number, name)
    start += taken
    data = _data(body, start, length, name)
    content = sparse.content(data, numbers, size, name)
    return content, start + length + -length % BLOCK


def _ends_at(body: memoryview, start: int) -> bool:
    """Return whether the archive ends: at the end of the bytes, or at the two zero blocks that mark it."""
    if len(body) - start < BLOCK:
        # Some writers leave out the end, and with it the padding of the last member.
        if any(body[start:]):
            raise _no_header(start)
        return True
    if body[start] or body[start : start + BLOCK] != _ZERO_BLOCK:
        return False
    if any(body[start + BLOCK : start + 2 * BLOCK]):
        raise ArchiveError(
            "The archive is damaged: it goes on after one block of zeros, where it should end."
        )
    return True


def _no_header(start: int) -> ArchiveError:
    if start == 0:
        return ArchiveError(
            "The body is not a tar archive, nor one compressed by gzip or zstd; "
            "send one with com.openfaas.docker.config and context/ in it."
        )
    return ArchiveError(
        f"The archive is damaged or cut short: there is no tar header at byte {start}."
    )


def _has_checksum(block: memoryview, field: bytes) -> bool:
    """Return whether the bytes of a header, its checksum *field* taken as spaces, add up to that field."""
    try:
        stated = _number(field)
    except ArchiveError:
        return False
    # Adler-32's low half is 1 plus the sum, modulo 65521: the fastest sum that Python has.
    others = (zlib.adler32(block) & 0xFFFF) - (zlib.adler32(field) & 0xFFFF)
    if (others + len(field) * ord(" ") - stated) % 65521 == 0:
        return True
    # Some old programs added the bytes as signed characters.
    others = sum(block.cast("b")) - sum(memoryview(field).cast("b"))
    return others + len(field) * ord(" ") == stated


def _number(field: bytes) -> int:
    """Read octal digits among spaces and NULs, or base-256: GNU's way to state what those cannot."""
    digits = field.strip(b"\0 ")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError as exc:
            raise _not_octal() from exc
    if not digits:
        return 0
    if not field[0] & 0x80:
        raise _not_octal()
    # Two's complement, but for the first bit, which marks the base: the second is the sign.
    number = int.from_bytes(field, "big") - (1 << 8 * len(field) - 1)
    return number - (1 << 8 * len(field) - 1) if field[0] & 0x40 else number


# Most members of an archive have one of a few modes, and of a few times.
_common_number = lru_cache(maxsize=256)(_number)


def _data(body: memoryview, start: int, length: int, name: bytes) -> memoryview:
    if length < 0:
        raise ArchiveError(f"The archive is damaged: {quoted(name)} has a negative size.")
    data = body[start : start + length]
    if len(data) < length:
        raise ArchiveError(
            f"The archive is cut short: {quoted(name)} should have {length} bytes, "
            f"but {len(data)} are there."
        )
    return data


def _not_octal() -> ArchiveError:
    return ArchiveError("The archive is damaged: a number in one of its headers is not octal.")
