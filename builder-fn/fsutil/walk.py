"""Pure. Chooses the entries of a context that one DiffCopy is to show.

The daemon states include, exclude and follow paths with each request and relies on the client to apply
them (tonistiigi/fsutil filter.go, as vendored by moby/buildkit v0.32.2).

Where fsutil contradicts itself we do not follow: opening a file, it judges the path again and more
strictly, and so sends some that its walk has shown empty ("a", "!a/f" and "a" again, for a/f).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .follow_paths import follow, without_nested
from .order import end_of
from .patterns import KnownLists
from .tree import Entry, Kind, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from .patterns import PatternList, Places


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of a DiffCopy request, which asks for everything if all are empty."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_paths: tuple[str, ...] = ()


_known = KnownLists()


def walk(tree: Tree, patterns: Patterns) -> Sequence[Entry]:
    """Return the chosen entries in the order of *tree*, each after its parents. Raises PatternError."""
    included = _included(tree, patterns)
    if not (included or patterns.exclude):
        return tree.entries
    with _list_of(included) as include, _list_of(patterns.exclude) as exclude:
        return _Walk(include, exclude).select(tree.entries)


def _included(tree: Tree, patterns: Patterns) -> tuple[str, ...]:
    texts = patterns.include
    if patterns.follow_paths and (followed := follow(tree.entries, patterns.follow_paths)):
        return tuple(without_nested([*texts, *followed]))
    return texts


def _list_of(patterns: tuple[str, ...]) -> AbstractContextManager[PatternList | None]:
    return _known.using(patterns) if patterns else nullcontext()


@dataclass(slots=True)
class _Directory:
    """An open one; the root has no entry, and is always shown."""

    entry: Entry | None
    prefix: str
    included: Places
    excluded: Places
    shown: bool


class _Walk:
    """One pass over a tree: the open directories, and what they matched."""

    def __init__(self, include: PatternList | None, exclude: PatternList | None) -> None:
        self._include = include
        self._exclude = exclude
        root = _Directory(
            None, "", include.root if include else (), exclude.root if exclude else (), shown=True
        )
        self._open = [root]
        self._chosen: list[Entry] = []

    def select(self, entries: Sequence[Entry]) -> list[Entry]:
        index = 0
        while index < len(entries):
            entry = entries[index]
            path = entry.path
            while not path.startswith(self._open[-1].prefix):
                self._open.pop()
            if entry.kind is not Kind.DIRECTORY:
                self._visit(entry)
            elif not self._enter(entry):
                index = end_of(entries, path, index)
                continue
            index += 1
        return self._chosen

    def _visit(self, entry: Entry) -> None:
        directory = self._open[-1]
        name = entry.path[len(directory.prefix) :]
        wanted = self._include is None or self._include.match(name, directory.included)
        if self._exclude is not None and self._exclude.match(name, directory.excluded):
            return
        if wanted:
            self._choose(entry)

    def _enter(self, entry: Entry) -> bool:
        """Choose a directory or not; False if nothing below it can be chosen."""
        directory = self._open[-1]
        name = entry.path[len(directory.prefix) :]
        wanted = True
        included: Places = ()
        excluded: Places = ()
        if self._include is not None:
            wanted, included = self._include.enter(name, directory.included)
            if not wanted and not self._include.may_match_below(entry.path, exceptions=False):
                return False
        if self._exclude is not None:
            unwanted, excluded = self._exclude.enter(name, directory.excluded)
            if unwanted and not self._exclude.may_match_below(entry.path, exceptions=True):
                return False
            wanted = wanted and not unwanted
        if wanted:
            self._choose(entry)
        self._open.append(_Directory(entry, entry.path + "/", included, excluded, wanted))
        return True

    def _choose(self, entry: Entry) -> None:
        if not self._open[-1].shown:
            for directory in self._open:
                if not directory.shown and directory.entry:
                    directory.shown = True
                    self._chosen.append(directory.entry)
        self._chosen.append(entry)
