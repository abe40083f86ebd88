"""Pure. Finds one's way in a tree by its order alone, so that no index has to be made of it."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from .tree import Entry, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find(entries: Sequence[Entry], path: str) -> Entry | None:
    """Return the entry at *path*, compared as text."""
    index = _first_from(entries, sort_key(path))
    if index < len(entries) and entries[index].path == path:
        return entries[index]
    return None


def end_of(entries: Sequence[Entry], path: str, start: int = 0) -> int:
    """Return the index after the last entry at or below *path*; *start* is no later than that."""
    return _first_from(entries, sort_key(path) + b"\x01", start)


def names_in(entries: Sequence[Entry], directory: str) -> Iterator[str]:
    """Yield the names directly in *directory*; "" is the root."""
    index, end = 0, len(entries)
    prefix = ""
    if directory:
        prefix = directory + "/"
        index = _first_from(entries, sort_key(prefix))
        end = end_of(entries, directory, index)
    while index < end:
        path = entries[index].path
        yield path[len(prefix) :]
        index = end_of(entries, path, index)


def _first_from(entries: Sequence[Entry], key: bytes, start: int = 0) -> int:
    return bisect_left(entries, key, lo=start, key=_key)


def _key(entry: Entry) -> bytes:
    return sort_key(entry.path)
