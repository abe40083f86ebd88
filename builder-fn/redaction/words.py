"""Pure. Finds where in a text any of many words stands, all at once (Aho and Corasick's automaton)."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import ahocorasick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .sieve import Searched


class Match(NamedTuple):
    """text[*start*:*end*] is one; bits of it may be in the characters of base64 beside it."""

    start: int
    end: int
    before: bool
    after: bool


class Words:
    """Words, each with whether it has bits before and after it.

    If they must stand *apart*, they count where they are no piece of a word, nor of a row of one character.
    """

    def __init__(self, words: Mapping[str, tuple[bool, bool]], *, apart: bool = False) -> None:
        self._apart = apart
        self._found = ahocorasick.Automaton()
        for word, (before, after) in self._without_covered(words).items():
            self._found.add_word(word, (len(word), before, after))
        self._found.make_automaton()

    def __len__(self) -> int:
        return len(self._found)

    def find(self, searched: Searched) -> Iterator[Match]:
        """Yield where words stand; those that overlap or touch as one."""
        return merged(self._places(searched)) if len(self) else iter(())

    def _places(self, searched: Searched) -> Iterator[tuple[int, int, bool, bool]]:
        text = searched.text
        for last, (length, before, after) in self._found.iter(text):
            begin, stop = last + 1 - length, last + 1
            if not self._apart or (_begins_apart(text, begin) and _ends_apart(text, stop)):
                yield begin, stop, before, after

    def _without_covered(
        self, words: Mapping[str, tuple[bool, bool]]
    ) -> dict[str, tuple[bool, bool]]:
        """Return *words* without those that shorter ones cover: `aaaaa`, if there is `aaaa`.

        Without them, few words end at one place; with them, a text of one letter is found sixty times.
        """
        needed = dict(words)
        lengths = sorted({len(word) for word in words})
        for word in sorted(words, key=len, reverse=True):
            head = tail = 0
            for size in lengths[: bisect_left(lengths, len(word))]:
                if word[:size] in words and (not self._apart or _ends_apart(word, size)):
                    head = size
                at = len(word) - size
                if word[at:] in words and (not self._apart or _begins_apart(word, at)):
                    tail = size
            if head + tail >= len(word):
                before, after = needed.pop(word)
                # Its bits are then those of the words at its ends, which come later here.
                needed[word[:head]] = needed[word[:head]][0] or before, needed[word[:head]][1]
                needed[word[-tail:]] = needed[word[-tail:]][0], needed[word[-tail:]][1] or after
        return needed


def merged(places: Iterable[tuple[int, int, bool, bool]]) -> Iterator[Match]:
    """Yield what overlaps or touches as one; *places* come in the order of their ends, or nearly so."""
    start, end, before, after = 0, -1, False, False
    for begin, stop, bits_before, bits_after in places:
        if begin > end:
            if end >= 0:
                yield Match(start, end, before, after)
            start, end, before, after = begin, stop, bits_before, bits_after
            continue
        if begin <= start:
            start, before = begin, bits_before or (before and begin == start)
        if stop >= end:
            end, after = stop, bits_after or (after and stop == end)
    if end >= 0:
        yield Match(start, end, before, after)


def _begins_apart(text: str, at: int) -> bool:
    return _is_apart(text[at - 1 : at], text[at])


def _ends_apart(text: str, at: int) -> bool:
    return _is_apart(text[at : at + 1], text[at - 1])


def _is_apart(beside: str, own: str) -> bool:
    return not (beside.isalnum() or beside in ("_", own))
