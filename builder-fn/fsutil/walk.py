"""Pure. Chooses the entries of a context that one DiffCopy is to show.

The daemon states include, exclude and follow paths with each request and relies on the client to apply
them (tonistiigi/fsutil filter.go, as vendored by moby/buildkit v0.32.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tree import Entry, Kind, Tree
from .follow_paths import follow, without_nested
from .order import end_of
from .patterns import Hits, PatternList

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Patterns:
    """What a DiffCopy request asks for; everything, if all are empty."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_paths: tuple[str, ...] = ()


def walk(tree: Tree, patterns: Patterns) -> Sequence[Entry]:
    """The chosen entries in the order of *tree*, each after its parents. Raises PatternError."""
    include = _include_list(tree, patterns)
    exclude = PatternList(patterns.exclude) if patterns.exclude else None
    if include is None and exclude is None:
        return tree.entries
    return _Walk(include, exclude).select(tree.entries)


def _include_list(tree: Tree, patterns: Patterns) -> PatternList | None:
    texts = list(patterns.include)
    if patterns.follow_paths and (followed := follow(tree.entries, patterns.follow_paths)):
        texts = without_nested([*texts, *followed])
    return PatternList(texts) if texts else None


@dataclass(slots=True)
class _Directory:
    entry: Entry
    prefix: str
    included: Hits
    excluded: Hits
    shown: bool


class _Walk:
    """One pass over a tree: the open directories, and what they matched."""

    def __init__(self, include: PatternList | None, exclude: PatternList | None) -> None:
        self._include = include
        self._exclude = exclude
        self._parents: list[_Directory] = []
        self._chosen: list[Entry] = []

    def select(self, entries: Sequence[Entry]) -> list[Entry]:
        index = 0
        while index < len(entries):
            entry = entries[index]
            while self._parents and not entry.path.startswith(self._parents[-1].prefix):
                self._parents.pop()
            index = index + 1 if self._visit(entry) else end_of(entries, entry.path, index)
        return self._chosen

    def _visit(self, entry: Entry) -> bool:
        """Choose *entry* or not; False if nothing below it can be chosen."""
        parent = self._parents[-1] if self._parents else None
        is_directory = entry.kind is Kind.DIRECTORY
        wanted = True
        included: Hits = ()
        excluded: Hits = ()
        if self._include is not None:
            matched, included = self._include.match(entry.path, parent.included if parent else ())
            if not matched:
                if is_directory and not self._include.may_match_below(entry.path, exceptions=False):
                    return False
                wanted = False
        if self._exclude is not None:
            matched, excluded = self._exclude.match(entry.path, parent.excluded if parent else ())
            if matched:
                if is_directory and not self._exclude.may_match_below(entry.path, exceptions=True):
                    return False
                wanted = False
        if wanted:
            self._choose(entry)
        if is_directory:
            self._parents.append(_Directory(entry, entry.path + "/", included, excluded, wanted))
        return True

    def _choose(self, entry: Entry) -> None:
        for directory in self._parents:
            if not directory.shown:
                directory.shown = True
                self._chosen.append(directory.entry)
        self._chosen.append(entry)
