"""Pure. The records of a PAX extended header (POSIX.1-2024 pax, "pax Extended Header")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECOND = 1_000_000_000
_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]*))?")
_MAX_DIGITS = 20


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keywords and values; an empty value takes back what was said before. Raises ArchiveError."""
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _MAX_DIGITS + 1)
        end = start + _number(data[start : max(space, start)], "record length")
        keyword, equals, value = data[space + 1 : end].partition(b"=")
        if end > len(data) or not equals or value[-1:] != b"\n":
            raise _malformed("record")
        yield keyword, value[:-1]
        start = end


def size(value: bytes) -> int:
    """Bytes. Raises ArchiveError."""
    return _number(value, "size")


def nanoseconds(value: bytes) -> int:
    """A time in decimal seconds, cut to nanoseconds towards zero. Raises ArchiveError."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise _malformed("mtime")
    sign, seconds, fraction = match.groups(default=b"")
    time = int(seconds) * _SECOND + int(fraction[:9].ljust(9, b"0"))
    return -time if sign else time


def _number(digits: bytes, what: str) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise _malformed(what)
    return int(digits)


def _malformed(what: str) -> ArchiveError:
    return ArchiveError(f"The archive is damaged: a PAX header in it has a malformed {what}.")
