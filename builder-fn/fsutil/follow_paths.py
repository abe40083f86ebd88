"""Pure. Turns the daemon's follow-paths into include patterns, through the context's own symlinks.

A follow-path names what a COPY needs. Where a part of it is a symlink, both the link and what it leads to
are needed (tonistiigi/fsutil followlinks.go, as vendored by moby/buildkit v0.32.2). Targets are resolved
inside the context: an absolute one starts at its root, and ".." stops there.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ..tree import Entry, Kind
from .patterns import PatternError, clean_path, name_matcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def follow(entries: Mapping[str, Entry], paths: Iterable[str]) -> list[str]:
    """The sorted patterns that *paths* come to; none if one of them is the whole context."""
    resolver = _Resolver(entries)
    for path in paths:
        resolver.add(path)
    return without_nested(sorted(resolver.resolved))


def without_nested(patterns: Iterable[str]) -> list[str]:
    """*patterns*, which are sorted, without those below their predecessor; none if "." is among them."""
    kept: list[str] = []
    for pattern in patterns:
        if pattern == ".":
            return []
        if not (kept and pattern.startswith(kept[-1] + "/")):
            kept.append(pattern)
    return kept


class _Resolver:
    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self.resolved: set[str] = set()

    def add(self, path: str) -> None:
        # A work list instead of recursion: a chain of links may be as long as the context.
        pending = [path]
        while pending:
            pending.extend(reversed(self._step(pending.pop())))

    def _step(self, path: str) -> list[str]:
        """Walk down *path* to its end or its first link; what the link leads to."""
        rest = clean_path("./" + path.lstrip("/"))
        while rest == ".." or rest.startswith("../"):
            rest = clean_path(rest[3:] or ".")
        current = ""
        while True:
            part, _, rest = rest.partition("/")
            current = posixpath.join(current, part)
            targets = self._targets(current)
            if (not rest or targets is not None) and current in self.resolved:
                return []
            if targets is not None:
                self.resolved.add(current)
                return [posixpath.join(target, rest) for target in targets]
            if not rest:
                self.resolved.add(current)
                return []

    def _targets(self, path: str) -> list[str] | None:
        folder, name = posixpath.split(path)
        if not _has_wildcard(name):
            target = self._target(path)
            return None if target is None else [target]
        try:
            matches = name_matcher(name)
        except PatternError:
            return None
        found = [
            target
            for candidate in self._names(folder)
            if matches(candidate) and (target := self._target(posixpath.join(folder, candidate))) is not None
        ]
        return found or None

    def _target(self, path: str) -> str | None:
        entry = self._entries.get(path)
        if entry is None or entry.kind is not Kind.SYMLINK:
            return None
        return posixpath.normpath(posixpath.join("/", posixpath.dirname(path), entry.linkname))

    def _names(self, folder: str) -> list[str]:
        prefix = folder + "/" if folder else ""
        return [
            path[len(prefix) :]
            for path in self._entries
            if path.startswith(prefix) and "/" not in path[len(prefix) :]
        ]


def _has_wildcard(name: str) -> bool:
    index = 0
    while index < len(name):
        if name[index] == "\\":
            index += 1
        elif name[index] in "*?[":
            return True
        index += 1
    return False
