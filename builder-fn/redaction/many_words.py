"""Pure. Finds where in a text any of very many words stands, in little memory.

The automaton of `words` takes some 80 bytes for each character. Here a word is a string and a few numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import groupby, islice
from typing import TYPE_CHECKING

import numpy as np

from .in_turns import sorted_in_turns
from .numbered import Maybe, Numbered
from .words import merged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .sieve import Searched
    from .words import Match

# Words are known by so many of their characters, the most that they have, before they are read.
_SIZES = (4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48)
# So many places that look like words are read in all views of a stretch of output; from then on, the longest
# is taken to stand at each.
_MOST_READ = 512
# Characters of words; to number a text takes 32 bytes for each of its own.
_NUMBERED_AT_ONCE = 32 * 1024
_NONE = -1
_BEFORE, _AFTER = 1, 2


class ManyWords:
    """Words of at least *least* characters, each with whether it has bits before and after it."""

    def __init__(self, words: Mapping[str, tuple[bool, bool]], least: int) -> None:
        self._least = least
        self._beginnings = _beginnings(words, least)
        by_size = groupby(sorted(words, key=len), key=lambda word: _size(len(word), least))
        self._by_size = [(size, _beginnings(list(of), size)) for size, of in by_size]
        self._words = sorted_in_turns(words, str)
        # The longest word that one begins with, and the bits of one with those of all that it begins with.
        self._shorter = array("i")
        self._bits = bytearray()
        for number, word in enumerate(self._words):
            shorter = number - 1
            while shorter != _NONE and not word.startswith(self._words[shorter]):
                shorter = self._shorter[shorter]
            before, after = words[word]
            own = _BEFORE * before | _AFTER * after
            inherited = 0 if shorter == _NONE else self._bits[shorter] & _BEFORE
            self._shorter.append(shorter)
            self._bits.append(own | inherited)
        self._longest = max(map(len, self._words), default=0)

    def __len__(self) -> int:
        return len(self._words)

    def find(self, searched: Searched) -> Iterator[Match]:
        """Yield where words stand; those that overlap or touch as one."""
        return merged(self._places(searched)) if self._words else iter(())

    def _places(self, searched: Searched) -> Iterator[tuple[int, int, bool, bool]]:
        """Yield the longest word at each place; what stands within it needs no mark of its own."""
        text = searched.text
        places = self._may_be_at(searched.once(Numbered))
        most = max(_MOST_READ - searched.effort.spent, 0)
        searched.effort.spent += min(len(places), most)
        for at in places[:most]:
            around = text[at : at + self._longest]
            number = bisect_right(self._words, around) - 1
            while number != _NONE and not around.startswith(self._words[number]):
                number = self._shorter[number]
            if number != _NONE:
                bits = self._bits[number]
                end = at + len(self._words[number])
                yield at, end, bool(bits & _BEFORE), bool(bits & _AFTER)
        for at in places[most:]:
            yield at, min(at + self._longest, len(text)), False, False

    def _may_be_at(self, numbered: Numbered) -> list[int]:
        """Return the places that look like the beginning of a word, most of it at least."""
        places = self._beginnings.among(numbered.every(self._least))
        looks = np.zeros(len(places), np.bool_)
        for size, beginnings in self._by_size:
            looks[numbered.begins_any(places, size, beginnings)] = True
        at: list[int] = places[looks].tolist()
        return at


def _size(length: int, least: int) -> int:
    return max((size for size in _SIZES if size <= length), default=least)


def _beginnings(words: Collection[str], size: int) -> Maybe:
    """Return what words begin with, *size* characters of each, which all have them."""
    maybe = Maybe(len(words))
    left = iter(words)
    while some := [word[:size] for word in islice(left, _NUMBERED_AT_ONCE // size)]:
        text = Numbered("".join(some))
        maybe.add(text.at(np.arange(0, len(text), size), size))
    return maybe
