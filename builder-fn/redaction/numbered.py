"""Pure. Numbers all stretches of a text at once, by numpy, which takes 20 MiB and a fifth of a second.

A stretch's number is what a polynomial of its characters is at a point that only this process knows: equal
stretches have one number, and others next to never the same. Of a text whose sums are known, that of any
stretch is a subtraction and a product, whatever its length.
"""

from __future__ import annotations

import os
import secrets
from array import array
from typing import TYPE_CHECKING

# Nothing is used for which numpy's library for matrices would start threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .sieve import Searched

    Numbers = NDArray[np.uint64]
    Places = NDArray[np.int64]

_BITS = 64
_POINT = secrets.randbits(_BITS) | 1
_FIRST = secrets.randbits(_BITS) | 1
# Of a number the upper half is as good as random, whatever the text; this makes another of it, as good.
_OTHER = np.uint64(secrets.randbits(_BITS) | 1)
_ONE = np.uint64(1)
_FLAGS = np.left_shift(1, np.arange(8)).astype(np.uint8)
_HALF, _FLAG, _EIGHT = np.uint64(32), np.uint64(29), np.uint64(7)
# Bytes for each number of a set: with two flags for each, one of 300 others seems to be in it. Where others
# were left out before, one of 40 may.
ROOM, _ROOM_BESIDE = 4, 2


class _Powers:
    """The point's powers, and their inverses; as many as the longest text so far has characters."""

    def __init__(self) -> None:
        self._known = self._of(1 << 15)

    def of(self, size: int) -> tuple[Numbers, Numbers]:
        known = self._known
        if len(known[0]) < size:
            self._known = known = self._of(1 << size.bit_length())
        return known

    @staticmethod
    def _of(size: int) -> tuple[Numbers, Numbers]:
        powers = np.full(size, _POINT, np.uint64)
        inverses = np.full(size, pow(_POINT, -1, 1 << _BITS), np.uint64)
        powers[0], inverses[0] = 1, _FIRST
        return np.cumprod(powers), np.cumprod(inverses)


_powers = _Powers()


class Numbered:
    """A text whose stretches have numbers."""

    def __init__(self, text: str) -> None:
        characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        powers, self._inverses = _powers.of(len(characters))
        self._sums = np.zeros(len(characters) + 1, np.uint64)
        terms = characters.astype(np.uint64)
        terms += _ONE  # a zero would add nothing
        terms *= powers[: len(terms)]
        np.cumsum(terms, out=self._sums[1:])

    def __len__(self) -> int:
        return len(self._sums) - 1

    def every(self, size: int, step: int = 1) -> Numbers:
        """Return the numbers of the stretches of *size* characters, of each *step* places the first."""
        sums = self._sums
        numbers: Numbers = sums[size::step] - sums[: max(len(sums) - size, 0) : step]
        numbers *= self._inverses[: len(sums) - 1 : step][: len(numbers)]
        return numbers

    def at(self, places: Places, size: int) -> Numbers:
        """Return the numbers of the stretches of *size* characters at *places*, all within the text."""
        numbers: Numbers = self._sums[places + size] - self._sums[places]
        numbers *= self._inverses[places]
        return numbers

    def within(self, places: Places, size: int) -> Places:
        """Return which of *places* begin a stretch of so many characters."""
        within: Places = ((places >= 0) & (places + size <= len(self))).nonzero()[0]
        return within

    def begins_any(self, places: Places, size: int, known: Maybe) -> Places:
        """Return which of *places* begin a stretch of so many characters that may be in *known*."""
        within = self.within(places, size)
        return within[known.among(self.at(places[within], size))]


class Maybe:
    """A set of numbers, and of some others: quick to ask for many at once."""

    def __init__(self, count: int, room: int = ROOM) -> None:
        self._flags = np.zeros(count * room + 1, np.uint8)
        self._room = np.uint64(len(self._flags))

    def add(self, numbers: Numbers) -> None:
        for each in (numbers, numbers * _OTHER):
            np.bitwise_or.at(self._flags, self._slots(each), self._flag(each))

    def among(self, numbers: Numbers) -> Places:
        """Return which of *numbers* may be in it."""
        known = self._flags.take(self._slots(numbers)).nonzero()[0]
        known = known[self._has(numbers[known])]
        return known[self._has(numbers[known] * _OTHER)]

    def _has(self, numbers: Numbers) -> NDArray[np.bool_]:
        has: NDArray[np.bool_] = (self._flags[self._slots(numbers)] & self._flag(numbers)) != 0
        return has

    def _slots(self, numbers: Numbers) -> Places:
        slots: Places = ((numbers >> _HALF) * self._room >> _HALF).view(np.int64)
        return slots

    @staticmethod
    def _flag(numbers: Numbers) -> NDArray[np.uint8]:
        return _FLAGS.take((numbers >> _FLAG & _EIGHT).view(np.int64))


class NumberedSieve:
    """A sieve for very many stretches, for which a text is looked at everywhere."""

    def __init__(self, count: int, size: int, far: int = 0) -> None:
        self._known = Maybe(count)
        self._size = size
        # From a stretch, how far away what goes on begins, and what is known to go on there.
        beside = (0, size - far) if far else ()
        self._sides = [(moved, Maybe(count, _ROOM_BESIDE)) for moved in beside]
        self._far = far

    def add(self, text: str, places: Sequence[int]) -> array[int]:
        numbered, at = Numbered(text), np.asarray(places, np.int64)
        numbers = numbered.at(at, self._size)
        self._known.add(numbers)
        for moved, known in self._sides:
            starts = at + moved
            known.add(numbered.at(starts[numbered.within(starts, self._far)], self._far))
        return array("q", numbers.tobytes())

    def places(self, searched: Searched, step: int) -> Iterator[tuple[int, int]]:
        numbered = searched.once(Numbered)
        numbers = numbered.every(self._size, step)
        found = self._known.among(numbers)
        if self._sides:
            found = found[self._goes_far(numbered, found * step)]
        return zip((found * step).tolist(), numbers[found].view(np.int64).tolist(), strict=True)

    def _goes_far(self, numbered: Numbered, at: Places) -> NDArray[np.bool_]:
        goes = np.zeros(len(at), np.bool_)
        for moved, known in self._sides:
            goes[numbered.begins_any(at + moved, self._far, known)] = True
        return goes
