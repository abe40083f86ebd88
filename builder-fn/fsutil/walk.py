"""Pure. Chooses the entries of a context that one DiffCopy is to show.

The daemon states include, exclude and follow paths with each request and relies on the client to apply
them (tonistiigi/fsutil filter.go, as vendored by moby/buildkit v0.32.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tree import Entry, Kind, Tree
from .follow_paths import follow, without_nested
from .patterns import PatternError, PatternList

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PatternError", "Patterns", "walk"]


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
    return _Walk(include, exclude).select(tree)


def _include_list(tree: Tree, patterns: Patterns) -> PatternList | None:
    texts = list(patterns.include)
    if patterns.follow_paths:
        followed = follow({entry.path: entry for entry in tree.entries}, patterns.follow_paths)
        if followed:
            texts = without_nested([*texts, *followed])
    return PatternList(texts) if texts else None


@dataclass(slots=True)
class _Directory:
    entry: Entry
    prefix: str
    included: tuple[bool, ...]
    excluded: tuple[bool, ...]
    shown: bool = False


class _Walk:
    """One pass over a tree: the open directories, and what they matched."""

    def __init__(self, include: PatternList | None, exclude: PatternList | None) -> None:
        self._include = include
        self._exclude = exclude
        self._parents: list[_Directory] = []
        self._chosen: list[Entry] = []

    def select(self, tree: Tree) -> list[Entry]:
        skipped = None
        for entry in tree.entries:
            if skipped is not None and entry.path.startswith(skipped):
                continue
            skipped = None
            while self._parents and not entry.path.startswith(self._parents[-1].prefix):
                self._parents.pop()
            if not self._visit(entry):
                skipped = entry.path + "/"
        return self._chosen

    def _visit(self, entry: Entry) -> bool:
        """Choose *entry* or not; False if nothing below it can be chosen."""
        parent = self._parents[-1] if self._parents else None
        wanted = True
        included: tuple[bool, ...] = ()
        excluded: tuple[bool, ...] = ()
        is_directory = entry.kind is Kind.DIRECTORY
        if self._include is not None:
            matched, included = self._include.match(entry.path, parent.included if parent else ())
            if not matched:
                if is_directory and not _may_match_below(self._include, entry.path, exceptions=False):
                    return False
                wanted = False
        if self._exclude is not None:
            matched, excluded = self._exclude.match(entry.path, parent.excluded if parent else ())
            if matched:
                if is_directory and not _may_match_below(self._exclude, entry.path, exceptions=True):
                    return False
                wanted = False
        if wanted:
            self._choose(entry)
        if is_directory:
            self._parents.append(_Directory(entry, entry.path + "/", included, excluded, shown=wanted))
        return True

    def _choose(self, entry: Entry) -> None:
        for directory in self._parents:
            if not directory.shown:
                directory.shown = True
                self._chosen.append(directory.entry)
        self._chosen.append(entry)


def _may_match_below(patterns: PatternList, directory: str, *, exceptions: bool) -> bool:
    """Whether a pattern that is (or is not) an exception could match anything in *directory*."""
    prefixes = [p.literal_prefix for p in patterns.patterns if p.is_exception == exceptions]
    if None in prefixes:
        return True
    return any(f"{prefix}/".startswith(f"{directory}/") for prefix in prefixes)
