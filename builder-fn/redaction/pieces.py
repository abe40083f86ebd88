"""Pure. Finds long pieces of long forms.

As in rsync, of a form only some stretches of a few characters are remembered, the seeds, and a text is looked
at in steps: a piece of `run` characters holds at least one seed that is looked at, wherever it was cut out.
Time is linear in the text, whatever the forms are: it is compared with no more than what stands right beside
a seed.

A seed is remembered as a number, its place in the forms: some 25 bytes for each, where a string takes 200.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from .encoded import Encoded
from .in_turns import sorted_in_turns
from .sieve import HashSieve
from .words import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .sieve import Searched, Sieve
    from .words import Match

# By a run: the characters of a seed, the distance between seeds of a form, and that between the places of a
# text that are looked at. Of few forms every seed is remembered, of many not. The distances have no common
# factor, and a run is no shorter than their product and a seed, less one.
_SEEDS = {
    "few": {16: (10, 1, 7), 48: (24, 1, 25), 64: (24, 1, 41)},
    "many": {16: (10, 7, 1), 48: (14, 17, 2), 64: (14, 17, 3)},
}
_FEW = 128 * 1024  # characters of all forms

# Stands in no form and in no text, but here for the end of a form that has bits beyond it, and between two.
_END = "\n"
_BETWEEN = "\r"

# Forms of so many characters are one text together: a string more for each would take as much memory.
_SHORT = 1024
# The bit of a number from which on it says in which bucket a seed is.
_BUCKET = 36
_NO_PLACE = -1
# Of a form so many characters are encoded at once while its seeds are taken.
_BLOCK = 16 * 1024
# Of seeds that are taken for one another, so many are compared one by one; more are kept in order.
_COMPARED = 3
# So many seeds are compared in all views of a stretch of output, so many more of those that stand at many
# places, and so many together; from then on, what begins or ends as any of them do is taken for a piece. An
# output full of pieces of secrets is, or one of a large secret that is full of one long text.
_MOST_COMPARED = {"few": 1024, "many": 256}
_MOST_COMMON, _MOST_OF_ALL = 64, 1280
# Seeds with the same text around are one, if so few others were between them: rows of one character.
_RECENT = 4096


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write something secret; *run* characters of it in a row are as good as all.

    In base64 the characters on either side of it may hold some of its bits, too: *before*, *after*.
    """

    text: str | Encoded
    run: int
    before: bool = False
    after: bool = False
    # Whether a program that writes the form is taken to begin with its beginning, so that a text ending
    # there is worth waiting for what follows.
    begins: bool = False


# Where a piece begins and ends, and whether bits of it stand before and after it.
_Piece = tuple[int, int, bool, bool]
# How far to either side of a seed its form goes on in a text, whether it ends there with bits, and the place
# of the seed that goes on the farthest.
_Around = tuple[int, int, bool, bool, int]
_NOWHERE: _Around = (-1, -1, False, False, 0)
_COMMON: _Around = (-2, -2, False, False, 0)  # at many places: left for later


class Pieces:
    """Forms of which *run* characters in a row are as good as all."""

    def __init__(self, run: int, forms: Sequence[Form]) -> None:
        characters = sum(len(form.text) for form in forms)
        many = characters > _FEW
        self._most = _MOST_COMPARED["many" if many else "few"]
        self._size, between, self._step = _SEEDS["many" if many else "few"][run]
        self._run = run
        self._reach = run - self._size  # so far from a seed is the end of a run that holds it
        self._sources: list[str | Encoded] = []
        self._starts = array("I")  # of each source, as if all stood one behind the other
        # A run goes on for so much of it, to one side of a seed at least.
        far = self._size + (self._reach + 1) // 2
        count = characters // between + len(forms)
        self._sieve = _sieve(count, self._size, far, many=many)
        places, numbers = array("I"), array("q")
        for start, offsets, block in self._seeds_of(forms, between):
            places.extend([start + offset for offset in offsets])
            numbers.extend(self._sieve.add(block, offsets))
        self._seeds = _Seeds(places, numbers)
        del places, numbers
        self._seeds.keep_in_order(self._read_on, self._read_back)

    def find(self, searched: Searched) -> Iterator[Match]:
        """Yield the pieces; those that overlap or touch as one."""
        text, size, reach = searched.text, self._size, self._reach
        numbers = dict(self._sieve.places(searched, self._step))
        around = self._compared(searched, numbers, self._most, postponing=True)
        found, common = self._pieces(text, list(numbers), around)
        if common:
            # What is at few places is quickly compared, and what is at many is often beside it.
            left = _not_within(list(merged(found)), common, size, reach, len(text))
            most = min(searched.effort.spent + _MOST_COMMON, _MOST_OF_ALL)
            around = self._compared(searched, numbers, most, postponing=False)
            found = sorted((*found, *self._pieces(text, left, around)[0]))
        return merged(found)

    def _compared(
        self, searched: Searched, numbers: Mapping[int, int], most: int, *, postponing: bool
    ) -> Callable[[int], _Around]:
        """Return what tells how far forms go on around a seed's place; after *most*, as far as may be."""
        text, effort, size, reach = searched.text, searched.effort, self._size, self._reach
        known: dict[str, _Around] = {}  # much output repeats itself

        def around(at: int) -> _Around:
            left = min(at, reach)
            beside = text[at - left : at + size + reach]
            if len(beside) != size + 2 * reach:  # at an end of the text
                return self._around(beside, left, numbers[at], postponing=postponing)
            if (found := known.get(beside)) is None:
                if effort.spent >= most:
                    return reach, reach, False, False, _NO_PLACE
                found = self._around(beside, left, numbers[at], postponing=postponing)
                effort.spent += found is not _COMMON
                known[beside] = found
            return found

        return around

    def _pieces(
        self, text: str, places: Sequence[int], around: Callable[[int], _Around]
    ) -> tuple[list[_Piece], list[int]]:
        """Return the pieces with seeds at *places*, but for those that add nothing; and the common ones."""
        size, reach = self._size, self._reach
        found: list[_Piece] = []
        common: list[int] = []
        number = start = end = 0
        while number < len(places):
            at = places[number]
            number += 1
            if start <= at - reach and at + size + reach <= end:
                # From here to the last place like this one, all lies within what was found.
                number = bisect_right(places, end - size - reach, number)
                continue
            before, after, bits_before, bits_after, place = around(at)
            if before < 0:
                if before == _COMMON[0]:
                    common.append(at)
                continue
            first, last = at - before, at + size + after
            if after == reach and place != _NO_PLACE:
                more, bits_after = self._goes_on(text, last, place + size + after)
                last += more
            found.append((first, last, bits_before, bits_after))
            start, end = (min(start, first), max(end, last)) if first <= end else (first, last)
        return found, common

    def _goes_on(self, text: str, at: int, place: int) -> tuple[int, bool]:
        """Return how far *text* reads on as the form at *place*, and whether this ends there with bits."""
        source, start = self._source(place)
        reached, block = start, self._size
        while True:
            stretch = source[reached : reached + block]
            same = _in_common(stretch, text[at : at + block])
            reached, at = reached + same, at + same
            if same < block:
                return reached - start, source[reached : reached + 1] == _END
            block = min(4 * block, _BLOCK)

    def _around(self, text: str, left: int, number: int, *, postponing: bool) -> _Around:
        """Return how far forms go on around the seed that stands in *text* at *left*, if it is in a run."""
        size, seeds = self._size, self._seeds
        first, last = seeds.among(number)
        if postponing and last - first > _COMPARED:
            return _COMMON
        on = text[left:]
        if last - first > _COMPARED:
            back = text[left : left + size] + text[:left][::-1]
            after, bits_after, place = _farthest_in_order(seeds.on[first:last], self._read_on, on)
            before, bits_before, _ = _farthest_in_order(seeds.back[first], self._read_back, back)
        else:
            before = after = place = 0
            bits_before = bits_after = False
            for one in seeds.on[first:last]:
                source, at = self._source(one)
                begin = max(at - self._reach - 1, 0)
                stretch = source[begin : at + size + self._reach + 1]
                same, bits = _read_alike(stretch[at - begin :], on)
                if same < size:
                    continue
                if same >= after:
                    bits_after = bits or (bits_after and same == after)
                    after, place = same, one
                same, bits = _read_alike(
                    stretch[: at - begin + size][::-1], text[: left + size][::-1]
                )
                if same >= before:
                    bits_before = bits or (bits_before and same == before)
                    before = same
        if after < size or before + after - size < self._run:
            return _NOWHERE
        return before - size, after - size, bits_before, bits_after, place

    def _read_on(self, place: int) -> str:
        """Return the seed at *place* with what stands behind it, as far as it matters."""
        source, at = self._source(place)
        return source[at : at + self._size + self._reach + 1]

    def _read_back(self, place: int) -> str:
        """Return the seed at *place* with what stands before it, read backwards."""
        source, at = self._source(place)
        before = source[max(at - self._reach - 1, 0) : at]
        return source[at : at + self._size] + before[::-1]

    def _source(self, place: int) -> tuple[str | Encoded, int]:
        number = bisect_right(self._starts, place) - 1
        return self._sources[number], place - self._starts[number]

    def _seeds_of(
        self, forms: Sequence[Form], between: int
    ) -> Iterator[tuple[int, Sequence[int], str]]:
        """Lay the forms one behind the other; yield where stretches begin, their seeds, and their text."""
        short = [form for form in forms if len(form.text) <= _SHORT]
        marked = [f"{_END * form.before}{form.text}{_END * form.after}{_BETWEEN}" for form in short]
        start = self._add_source("".join(marked))
        for form, text in zip(short, marked, strict=True):
            yield from self._seeds_in(text, start, form.before, len(form.text), between)
            start += len(text)
        del short, marked
        for form in forms:
            if len(form.text) > _SHORT:
                start = self._add_source(_marked(form))
                source = self._sources[-1]
                yield from self._seeds_in(source, start, form.before, len(form.text), between)

    def _add_source(self, source: str | Encoded) -> int:
        """Put *source* behind the others, and return where it begins."""
        start = self._starts[-1] + len(self._sources[-1]) if self._sources else 0
        self._starts.append(start)
        self._sources.append(source)
        return start

    def _seeds_in(
        self, source: str | Encoded, start: int, first: int, length: int, between: int
    ) -> Iterator[tuple[int, Sequence[int], str]]:
        size, reach = self._size, self._reach
        recent: set[tuple[int, str]] = set()
        last = first + length - size
        step = _BLOCK // between * between
        for block_at in range(first, last + 1, step):
            base = max(block_at - reach - 1, 0)
            block = source[base : block_at + step + size + reach]
            offsets = array("I")
            for at in range(block_at - base, min(last + 1, block_at + step) - base, between):
                left = min(at, reach + 1)
                around = left, block[at - left : at + size + reach + 1]
                if around in recent:
                    continue
                if len(recent) >= _RECENT:
                    recent.clear()
                recent.add(around)
                offsets.append(at)
            yield start + base, offsets, block


class _Seeds:
    """The places of seeds, by the seeds' numbers."""

    def __init__(self, places: array[int], numbers: array[int]) -> None:
        self._buckets = (1 << len(places).bit_length()) - 1
        counts = array("I", bytes(4 * (self._buckets + 2)))
        for number in numbers:
            counts[(number >> _BUCKET & self._buckets) + 1] += 1
        self._firsts = array("I", accumulate(counts))
        free = array("I", self._firsts)
        self.on = array("I", bytes(4 * len(places)))
        for number, place in zip(numbers, places, strict=True):
            bucket = number >> _BUCKET & self._buckets
            self.on[free[bucket]] = place
            free[bucket] += 1
        self.back: dict[int, array[int]] = {}

    def among(self, number: int) -> tuple[int, int]:
        """Return from where to where in `on` the places of its seed are, with some others."""
        bucket = number >> _BUCKET & self._buckets
        return self._firsts[bucket], self._firsts[bucket + 1]

    def keep_in_order(self, read_on: Callable[[int], str], read_back: Callable[[int], str]) -> None:
        """Sort places that are taken for one another by what stands behind them, and in `back`, by where they
        begin in `on`, by what stands before them.
        """
        for first, last in pairwise(self._firsts):
            if last - first > _COMPARED:
                places = self.on[first:last]
                self.on[first:last] = array("I", sorted_in_turns(places, read_on))
                self.back[first] = array("I", sorted_in_turns(places, read_back))


def _sieve(count: int, size: int, far: int, *, many: bool) -> Sieve:
    if not many:
        return HashSieve(count, size, far)
    from .numbered import NumberedSieve  # noqa: PLC0415 - with numpy, which few builds need

    return NumberedSieve(count, size, far)


def _marked(form: Form) -> str | Encoded:
    if isinstance(form.text, Encoded):
        return form.text.marked(before=form.before, after=form.after)
    if not (form.before or form.after):
        return form.text
    return f"{_END * form.before}{form.text}{_END * form.after}"


def _not_within(
    found: Sequence[Match], places: Sequence[int], size: int, reach: int, length: int
) -> list[int]:
    """Return those of *places* around which there may be more of a run than is *found*."""
    ends = [match.end for match in found]
    left = []
    for at in places:
        start, end = at - reach, at + size + reach
        number = bisect_right(ends, at)
        match = found[number] if number < len(found) else None
        if not (
            match
            and (match.start < start or match.start <= 0)
            and (end < match.end or match.end >= length)
        ):
            left.append(at)
    return left


def _read_alike(one: str, text: str) -> tuple[int, bool]:
    """Return how many characters of both are alike, and whether *one* ends there with bits."""
    same = _in_common(one, text)
    return same, one.startswith(_END, same)


def _farthest_in_order(
    places: array[int], read: Callable[[int], str], text: str
) -> tuple[int, bool, int]:
    """Return the most that *text* and what is read at one of *places* begin with alike, whether a form ends
    there with bits, and that place. They are in the order of what is read there.
    """
    at = bisect_left(places, text, key=read)
    most, place = max((_in_common(read(one), text), one) for one in places[max(at - 1, 0) : at + 1])
    ended = text[:most] + _END
    at = bisect_left(places, ended, key=read)
    return most, at < len(places) and read(places[at]).startswith(ended), place


def _in_common(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    least, most = 0, min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    while least < most:  # they have `least` in common, and less than `most` + 1
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
