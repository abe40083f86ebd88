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
_LENGTH = re.compile(rb"([0-9]{1,20}) ")
_START = re.compile(rb"([0-9]{1,20}) ([^=]*)=")
_NEWLINE = ord("\n")


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keywords and values; an empty value takes back what was said before. Raises ArchiveError."""
    start, length = 0, len(data)
    while start < length:
        found = _START.match(data, start)
        if found is None:
            raise _malformed("record" if _LENGTH.match(data, start) else "record length")
        end = start + int(found[1])
        value = found.end()
        # This also ends a keyword without its "=", which is looked for in all that follows.
        if not value < end <= length or data[end - 1] != _NEWLINE:
            raise _malformed("record")
        yield found[2], data[value : end - 1]
        start = end


def size(value: bytes) -> int:
    """Return how many bytes *value* says. Raises ArchiveError."""
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise _malformed("size")
    return int(value)


def nanoseconds(value: bytes) -> int:
    """Return a time in decimal seconds, cut to nanoseconds towards zero. Raises ArchiveError."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise _malformed("mtime")
    sign, seconds, fraction = match.groups(default=b"")
    time = int(seconds) * _SECOND + int(fraction[:9].ljust(9, b"0"))
    return -time if sign else time


def _malformed(what: str) -> ArchiveError:
    return ArchiveError(f"The archive is damaged: a PAX header in it has a malformed {what}.")
