"""Pure. Tells where in a text one of many stretches of a few characters may stand.

A stretch has a number, and a sieve lets through those places of a text whose number one of its stretches may
have, and rarely another. Here the numbers are Python's hashes; `numbered` has those for very many stretches.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_Made = TypeVar("_Made")

# One of so many places of random text looks like a stretch at first; from this bit on, its number says which
# of eight flags must be set.
_RARELY = 8
_BIT = 40


class Effort:
    """Counts what was compared with secrets so far, in all views of one stretch of output."""

    def __init__(self) -> None:
        self.spent = 0


class Searched:
    """A text in which many things are looked for, a view of what has taken some *effort* already."""

    def __init__(self, text: str, effort: Effort | None = None) -> None:
        self.text = text
        self.effort = effort or Effort()
        self._made: dict[object, object] = {}

    def once(self, make: Callable[[str], _Made]) -> _Made:
        """Return the one thing that *make* makes of the text, for all that look for something in it."""
        if make not in self._made:
            self._made[make] = make(self.text)
        return cast("_Made", self._made[make])


class Sieve(Protocol):
    """Up to *count* stretches of *size* characters.

    With *far*, they are let through only where a text goes on as one of them does: for so many characters
    that begin or end with it.
    """

    def __init__(self, count: int, size: int, far: int = 0) -> None: ...

    def add(self, text: str, places: Sequence[int]) -> array[int]:
        """Add the stretches of *text* at *places*, and return their numbers, of 64 bits with a sign."""

    def places(self, searched: Searched, step: int) -> Iterator[tuple[int, int]]:
        """Yield at which of each *step* places one of them may stand, and its number."""


class HashSieve:
    """A sieve without numpy."""

    def __init__(self, count: int, size: int, far: int = 0) -> None:
        self._size, self._far = size, far
        self._known = bytearray(1 << (count * _RARELY).bit_length())
        self._goes_far = bytearray(1 << (count * _RARELY).bit_length()) if far else bytearray()

    def add(self, text: str, places: Sequence[int]) -> array[int]:
        numbers = array("q", [hash(text[at : at + self._size]) for at in places])
        _set(self._known, numbers)
        if self._far:
            for at in places:
                _set(self._goes_far, map(hash, self._sides(text, at)))
        return numbers

    def places(self, searched: Searched, step: int) -> Iterator[tuple[int, int]]:
        text, size, maybe, mask = searched.text, self._size, self._known, len(self._known) - 1
        looked_at = range(0, len(text) - size + 1, step)
        for at in [at for at in looked_at if maybe[hash(text[at : at + size]) & mask]]:
            number = hash(text[at : at + size])
            if maybe[number & mask] & 1 << (number >> _BIT & 7) and (
                not self._far or self._may_go_far(text, at)
            ):
                yield at, number

    def _may_go_far(self, text: str, at: int) -> bool:
        flags, mask = self._goes_far, len(self._goes_far) - 1
        for side in self._sides(text, at):
            number = hash(side)
            if flags[number & mask] & 1 << (number >> _BIT & 7):
                return True
        return False

    def _sides(self, text: str, at: int) -> Iterator[str]:
        if at + self._far <= len(text):
            yield text[at : at + self._far]
        if at + self._size >= self._far:
            yield text[at + self._size - self._far : at + self._size]


def _set(flags: bytearray, numbers: Iterable[int]) -> None:
    mask = len(flags) - 1
    for number in numbers:
        flags[number & mask] |= 1 << (number >> _BIT & 7)
