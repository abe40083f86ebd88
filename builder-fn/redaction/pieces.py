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
from .words import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
# Of a form so many characters are encoded at once while its seeds are taken.
_BLOCK = 16 * 1024

# One of so many places of random text looks like a seed at first, and has to be compared.
_RARELY = 8
# Of seeds that are taken for one another, so many are compared one by one; more are kept in order.
_COMPARED = 3
# Of seeds at so many places, so many are compared in a text at once; from then on, what begins
# or ends as any of them do is taken for a piece. A large secret full of one long text is, and its output.
_MOST_COMPARED = 128
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


# How far to either side of a seed its form goes on in a text, and whether it ends there with bits.
_Around = tuple[int, int, bool, bool]
_NOWHERE: _Around = (-1, -1, False, False)
_COMMON: _Around = (-2, -2, False, False)  # at many places: left for later


class Pieces:
    """Forms of which *run* characters in a row are as good as all."""

    def __init__(self, run: int, forms: Sequence[Form]) -> None:
        many = sum(len(form.text) for form in forms) > _FEW
        self._size, between, self._step = _SEEDS["many" if many else "few"][run]
        self._run = run
        self._reach = run - self._size  # so far from a seed is the end of a run that holds it
        self._sources: list[str | Encoded] = []
        self._starts = array("I")  # of each source, as if all stood one behind the other
        # A run goes on for so much of it, to one side of a seed at least.
        far = self._size + (self._reach + 1) // 2
        self._seeds = _Seeds(self._seeds_of(forms, between), far)
        self._seeds.keep_in_order(self._read_on, self._read_back)

    def find(self, text: str) -> Iterator[Match]:
        """Yield the pieces; those that overlap or touch as one."""
        size, reach = self._size, self._reach
        maybe, mask = self._seeds.maybe, self._seeds.mask
        looked_at = range(0, len(text) - size + 1, self._step)
        known: dict[str, _Around] = {}  # much output repeats itself
        found: list[tuple[int, int, bool, bool]] = []
        common: list[int] = []
        for at in [at for at in looked_at if maybe[hash(text[at : at + size]) & mask]]:
            number = hash(text[at : at + size])
            if not maybe[number & mask] & 1 << (number >> 40 & 7):
                continue
            beside = text[at - reach if at > reach else 0 : at + size + reach]
            around = known.get(beside)
            if around is None:
                around = self._around(beside, min(reach, at))
                if len(beside) == size + 2 * reach:  # and at no end of the text
                    known[beside] = around
            if around is _COMMON:
                common.append(at)
            elif around is not _NOWHERE:
                before, after, bits_before, bits_after = around
                found.append((at - before, at + size + after, bits_before, bits_after))
        if common:
            # What is at few places is quickly compared, and what is at many is often beside it.
            left = _not_within(list(merged(found)), common, size, reach, len(text))
            found = sorted((*found, *self._common_pieces(text, left)))
        return merged(found)

    def _common_pieces(self, text: str, places: list[int]) -> Iterator[tuple[int, int, bool, bool]]:
        """Yield the pieces with seeds at *places*; of very many, what may be one."""
        size, reach = self._size, self._reach
        known: dict[str, _Around] = {}

        def around(at: int) -> _Around:
            beside = text[max(at - reach, 0) : at + size + reach]
            if len(beside) != size + 2 * reach:
                return self._around(beside, min(reach, at), postponing=False)
            if (found := known.get(beside)) is None:
                if len(known) == _MOST_COMPARED:
                    return reach, reach, False, False
                found = known[beside] = self._around(beside, reach, postponing=False)
            return found

        number = 0
        while number < len(places):
            at = places[number]
            before, after, bits_before, bits_after = around(at)
            number += 1
            if before < 0:
                continue
            yield at - before, at + size + after, bits_before, bits_after
            if before == after == reach:
                # What lies between this and another one like it, which it touches, can add nothing.
                other = bisect_right(places, at + size + 2 * reach, number) - 1
                if other > number and around(places[other])[:2] == (reach, reach):
                    number = other

    def _around(self, text: str, left: int, *, postponing: bool = True) -> _Around:
        """Return how far forms go on around the seed that stands in *text* at *left*, if it is in a run."""
        size, seeds = self._size, self._seeds
        seed = text[left : left + size]
        first, last = seeds.among(seed)
        if last - first == 1 and (whole := self._whole(seeds.on[first], text, left)):
            return whole
        if last - first <= _COMPARED:
            places = [place for place in seeds.on[first:last] if self._read(place) == seed]
            if not places:
                return _NOWHERE
            on, back = text[left:], seed + text[:left][::-1]
            after, bits_after = _farthest(map(self._read_on, places), on)
            before, bits_before = _farthest(map(self._read_back, places), back)
        else:
            on, back = text[left:], seed + text[:left][::-1]
            if postponing:
                return _COMMON if seeds.goes_far(on, back) else _NOWHERE
            after, bits_after = _farthest_in_order(seeds.on, first, last, self._read_on, on)
            before, bits_before = _farthest_in_order(seeds.back, first, last, self._read_back, back)
        if after < size or before + after - size < self._run:
            return _NOWHERE
        return before - size, after - size, bits_before, bits_after

    def _whole(self, place: int, text: str, left: int) -> _Around | None:
        """Return the same for a seed at one *place*, if all of *text* stands there, as it mostly does."""
        source, at = self._source(place)
        start, end = at - left, at - left + len(text)
        if len(text) < self._run or start < 0 or source[start:end] != text:
            return None
        bits_before = start > 0 and source[start - 1 : start] == _END
        return left, len(text) - left - self._size, bits_before, source[end : end + 1] == _END

    def _read(self, place: int) -> str:
        source, at = self._source(place)
        return source[at : at + self._size]

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

    def _seeds_of(self, forms: Sequence[Form], between: int) -> Iterator[tuple[int, str]]:
        """Lay the forms one behind the other, and yield the places of their seeds, and these."""
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
    ) -> Iterator[tuple[int, str]]:
        size, reach = self._size, self._reach
        recent: set[tuple[int, str]] = set()
        last = first + length - size
        step = _BLOCK // between * between
        for block_at in range(first, last + 1, step):
            base = max(block_at - reach - 1, 0)
            block = source[base : block_at + step + size + reach]
            for at in range(block_at - base, min(last + 1, block_at + step) - base, between):
                left = min(at, reach + 1)
                around = left, block[at - left : at + size + reach + 1]
                if around in recent:
                    continue
                if len(recent) >= _RECENT:
                    recent.clear()
                recent.add(around)
                yield start + base + at, block[at : at + size]


class _Seeds:
    """The places of seeds, by the seeds' hashes."""

    def __init__(self, seeds: Iterator[tuple[int, str]], far: int) -> None:
        self._far = far
        places, hashes = array("I"), array("q")
        for place, seed in seeds:
            places.append(place)
            hashes.append(hash(seed))
        self.maybe = _flags(
            len(places)
        )  # by its hash, and then by eight more bits, if a text may be a seed
        self.mask = len(self.maybe) - 1
        self._buckets = (1 << len(places).bit_length()) - 1
        counts = array("I", bytes(4 * (self._buckets + 2)))
        for number in hashes:
            self.maybe[number & self.mask] |= 1 << (number >> 40 & 7)
            counts[(number & self._buckets) + 1] += 1
        self._firsts = array("I", accumulate(counts))
        free = array("I", self._firsts)
        self.on = array("I", bytes(4 * len(places)))
        for number, place in zip(hashes, places, strict=True):
            bucket = number & self._buckets
            self.on[free[bucket]] = place
            free[bucket] += 1
        self.back = self.on
        self._goes_far = _flags(0)

    def among(self, seed: str) -> tuple[int, int]:
        """Return from where to where in `on` and `back` the places of *seed* are, with some others."""
        bucket = hash(seed) & self._buckets
        return self._firsts[bucket], self._firsts[bucket + 1]

    def goes_far(self, on: str, back: str) -> bool:
        """Tell whether a seed that is at many places may go on as in *on*, or as in *back*, far enough."""
        flags, mask = self._goes_far, len(self._goes_far) - 1
        return bool(flags[hash(on[: self._far]) & mask] or flags[hash(back[: self._far]) & mask])

    def keep_in_order(self, read_on: Callable[[int], str], read_back: Callable[[int], str]) -> None:
        """Sort places that are taken for one another by what stands behind and before them."""
        buckets = [pair for pair in pairwise(self._firsts) if pair[1] - pair[0] > _COMPARED]
        self._goes_far = _flags(2 * sum(last - first for first, last in buckets))
        mask = len(self._goes_far) - 1
        self.back = array("I", self.on) if buckets else self.on
        for first, last in buckets:
            places = self.on[first:last]
            for order, read in ((self.on, read_on), (self.back, read_back)):
                order[first:last] = array("I", sorted_in_turns(places, read))
                for place in places:
                    self._goes_far[hash(read(place)[: self._far]) & mask] = 1


def _flags(count: int) -> bytearray:
    """Return room for a flag for each of *count* hashes, and so much that few others share one."""
    return bytearray(1 << (count * _RARELY).bit_length())


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


def _farthest(found: Iterator[str], text: str) -> tuple[int, bool]:
    """Return how much of the beginning of *text* one of *found* begins with, and whether one ends there."""
    most, ends = 0, False
    for one in found:
        size = _in_common(one, text)
        if size >= most:
            ends = one.startswith(_END, size) or (ends and size == most)
            most = size
    return most, ends


def _farthest_in_order(
    places: array[int], first: int, last: int, read: Callable[[int], str], text: str
) -> tuple[int, bool]:
    """Do the same for *places*, from *first* to *last*, that are in the order of what is read there."""
    at = bisect_left(places, text, first, last, key=read)
    most = max(_in_common(read(places[one]), text) for one in (at - 1, at) if first <= one < last)
    ended = text[:most] + _END
    at = bisect_left(places, ended, first, last, key=read)
    return most, at < last and read(places[at]).startswith(ended)


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
