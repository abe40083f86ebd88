"""Pure. Turns the daemon's follow-paths into include patterns, through the context's own symlinks.

A follow-path names what a COPY needs. Where a part of it is a symlink, both the link and what it leads to
are needed (tonistiigi/fsutil followlinks.go, as vendored by moby/buildkit v0.32.2). Targets are resolved
inside the context: an absolute one starts at its root, and ".." stops there.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from .filepath_match import PatternError, filepath_match
from .order import find, names_in
from .patterns import clean_path
from .tree import Entry, Kind, encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_PATH_BYTES = 4095  # PATH_MAX less its final NUL (linux/limits.h)


def follow(entries: Sequence[Entry], paths: Iterable[str]) -> list[str]:
    """Return the sorted patterns that *paths* come to; none if one of them is the whole context.

    Raises PatternError if links lead to a path that is too long to be one.
    """
    resolver = _Resolver(entries)
    for path in paths:
        resolver.add(path)
    return without_nested(sorted(resolver.resolved, key=encoded))


def without_nested(patterns: Iterable[str]) -> list[str]:
    """Return *patterns*, which are sorted, without those below others; nothing if "." is among them."""
    kept: list[str] = []
    for pattern in patterns:
        if pattern == ".":
            return []
        if not pattern.startswith((kept[-1] if kept else "") + "/"):
            kept.append(pattern)
    return kept


class _Resolver:
    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self.resolved: set[str] = set()

    def add(self, path: str) -> None:
        # A work list instead of recursion: a chain of links may be as long as the context.
        pending = [path]
        while pending:
            pending.extend(reversed(self._step(pending.pop())))

    def _step(self, path: str) -> list[str]:
        """Walk down *path* to its end or its first link; what the link leads to."""
        rest = clean_path(f"./{path}")
        if len(encoded(rest)) > _MAX_PATH_BYTES:
            raise PatternError(f"file name too long: {rest[:100]}")
        current = ""
        while True:
            part, _, rest = rest.partition("/")
            current = posixpath.join(current, part)
            targets = self._targets(current)
            if targets or not rest:
                if current in self.resolved:
                    return []
                self.resolved.add(current)
                return [posixpath.join(target, rest) for target in targets]

    def _targets(self, path: str) -> list[str]:
        """Return the target of a link at *path*, and those of links that *path* has a wildcard for."""
        folder, name = posixpath.split(path)
        if not _has_wildcard(name):
            return self._target(path)
        return [
            target
            for candidate in names_in(self._entries, folder)
            if _matches(name, candidate)
            for target in self._target(posixpath.join(folder, candidate))
        ]

    def _target(self, path: str) -> list[str]:
        entry = find(self._entries, path)
        if entry is None or entry.kind is not Kind.SYMLINK:
            return []
        return [posixpath.normpath(posixpath.join("/", posixpath.dirname(path), entry.linkname))]


def _matches(pattern: str, name: str) -> bool:
    try:
        return filepath_match(pattern, name)
    except PatternError:
        return False  # fsutil followlinks.go, readSymlink, passes over errors as well


def _has_wildcard(name: str) -> bool:
    index = 0
    while index < len(name):
        if name[index] == "\\":
            index += 1
        elif name[index] in "*?[":
            return True
        index += 1
    return False
