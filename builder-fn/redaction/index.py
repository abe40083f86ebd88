"""Pure. Finds where in a text any of many forms stands, or a long piece of one.

Short forms are looked for whole, all at once (Aho and Corasick's automaton). Of long ones, as in rsync, only
a few characters here and there are remembered, the seeds: a piece of `run` characters holds at least one
seed whole, wherever the piece was cut out. So memory is a fraction of the forms, and time is linear in the
text, whatever the forms are: a text is compared with no more than what stands right beside a seed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import ahocorasick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# The characters of the shortest form that is looked for within words.
MIN_FORM = 4

# The characters of a seed, by those of a run: with shorter ones more would have to be compared, and longer
# ones stand closer together and take more memory.
_SEEDS = {16: 12, 48: 24, 64: 56}
_HEAD = 12  # of any seed, the characters that are looked for first

# The automaton keeps other threads waiting for so many characters: about 10 ms.
_STEP = 64 * 1024

# Stands in no form and in no text, but here for the end of a form that has bits beyond it.
_END = "\n"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write something secret; *run* characters of it in a row are as good as all.

    In base64 the characters on either side of it may hold some of its bits, too: *before*, *after*.
    """

    text: str
    run: int
    before: bool = False
    after: bool = False
    # Whether a program that writes the form is taken to begin with its beginning, so that a text ending
    # there is worth waiting for what follows.
    begins: bool = False


class Match(NamedTuple):
    """text[*start*:*end*] is one; bits of it may be in the characters of base64 beside it."""

    start: int
    end: int
    before: bool
    after: bool


class Automaton:
    """Finds words in a text; what overlaps or touches is found as one."""

    def __init__(self, words: Mapping[str, tuple[bool, bool]]) -> None:
        """Take *words*, each with whether it has bits before and after it."""
        self._found = ahocorasick.Automaton()
        for word, (before, after) in _without_covered(words).items():
            self._found.add_word(word, (len(word), before, after))
        self._found.make_automaton()

    def find(self, text: str) -> Iterator[Match]:
        start, end, before, after = 0, -1, False, False
        for last, (length, bits_before, bits_after) in self._words(text):
            stop = last + 1  # they come by their ends
            begin = stop - length
            if begin > end:
                if end >= 0:
                    yield Match(start, end, before, after)
                start, before = begin, bits_before
            elif begin <= start:
                start, before = begin, bits_before or (before and begin == start)
            after = bits_after or (after and stop == end)
            end = stop
        if end >= 0:
            yield Match(start, end, before, after)

    def _words(self, text: str) -> Iterator[tuple[int, tuple[int, bool, bool]]]:
        if not len(self._found):
            return
        words = self._found.iter(text[:_STEP])
        yield from words
        for start in range(_STEP, len(text), _STEP):
            words.set(text[start : start + _STEP])  # goes on from where it was
            yield from words


class Index:
    """Forms, ready to be found."""

    def __init__(self, forms: Iterable[Form]) -> None:
        whole: dict[str, tuple[bool, bool]] = {}
        places: dict[str, _Place] = {}
        shared: defaultdict[str, list[_Place]] = defaultdict(list)
        self._beginnings: set[str] = set()
        self._longest_beginning = 0
        for form in forms:
            text = folded(form.text)
            if len(text) >= form.run:
                for seed, place in _seeds_of(text, form):
                    if (first := places.setdefault(seed, place)) is not place:
                        shared[seed] += (first, place)
            else:
                before, after = whole.get(text, (False, False))
                whole[text] = before or form.before, after or form.after
            if form.begins:
                self._add_beginnings(text[: form.run])
        self._whole = Automaton(whole)
        self._seeds = places | {seed: _SharedPlace(all_) for seed, all_ in shared.items()}
        self._heads = {seed[:_HEAD] for seed in places}
        self._sizes = {len(seed) for seed in places}

    def find(self, text: str) -> Iterator[Match]:
        """Yield where forms and pieces of forms stand, in no order, and maybe one over another."""
        written, text = text, folded(text)
        yield from self._whole.find(text)
        for match in self._find_pieces(text):
            # A dash at the end of a piece is no space.
            start = match.start + (written[match.start] == " ")
            yield match._replace(start=start, end=match.end - (written[match.end - 1] == " "))

    def beginning(self, text: str) -> int:
        """Return how many characters at the end of *text* begin a form, and are no more of it."""
        if not self._beginnings:
            return 0
        end = folded(text[-self._longest_beginning :])
        lengths = range(len(end), 0, -1)
        return next((size for size in lengths if end[-size:] in self._beginnings), 0)

    def _add_beginnings(self, text: str) -> None:
        self._beginnings.update(text[:length] for length in range(1, len(text)))
        self._longest_beginning = max(self._longest_beginning, len(text) - 1)

    def _find_pieces(self, text: str) -> Iterator[Match]:
        pieces: dict[int, _Piece] = {}  # the latest, by their run
        for at, stop, place in self._find_seeds(text):
            piece = pieces.get(place.run)
            if piece is None or at > piece.end:
                if piece:
                    yield from piece.matches(text)
                pieces[place.run] = piece = _Piece(at)
            piece.add(text, at, stop, place)
        for piece in pieces.values():
            yield from piece.matches(text)

    def _find_seeds(self, text: str) -> Iterator[tuple[int, int, _Place]]:
        heads, seeds, sizes = self._heads, self._seeds, self._sizes
        if not heads:
            return
        for at in range(len(text) - _HEAD + 1):
            if text[at : at + _HEAD] in heads:
                for size in sizes:
                    place = seeds.get(text[at : at + size])
                    if place and at + size <= len(text):
                        yield at, at + size, place


class _Piece:
    """Seeds that overlap or touch, and as much on either side as stands beside them in a form."""

    __slots__ = ("_first", "_last", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._last: deque[tuple[int, _Place]] = deque()  # that may reach beyond the end

    def add(self, text: str, at: int, stop: int, place: _Place) -> None:
        """Take the seed at text[*at*:*stop*]; of what is out of its reach there is another."""
        reach = place.reach
        self.end = stop
        self._last.append((stop, place))
        while self._last[0][0] + reach <= stop:
            self._last.popleft()
        if at == self.start:
            self._first = at, place
        least = max(at - reach, 0)
        while self.start > least and place.follows(text[self.start - 1 : at]):
            self.start -= 1
            self._first = at, place

    def matches(self, text: str) -> Iterator[Match]:
        """Yield what was found, if it is long enough."""
        end, (stop, last) = self.end, self._last[-1]
        for edge, place in self._last:
            most = min(edge + place.reach, len(text))
            while end < most and place.goes_on(text[edge : end + 1]):
                end += 1
                stop, last = edge, place
        at, first = self._first
        if end - self.start >= first.run:
            before = first.follows(_END + text[self.start : at])
            after = last.goes_on(text[stop:end] + _END)
            yield Match(self.start, end, before, after)


class _Place:
    """Where a seed stands: in *form* from *start* to *end*; the next is so far that a *run* holds one."""

    __slots__ = ("_end", "_form", "_start", "reach", "run")

    def __init__(self, form: str, start: int, end: int, run: int) -> None:
        self._form, self._start, self._end, self.run = form, start, end, run
        self.reach = run - _SEEDS[run]

    def goes_on(self, text: str) -> bool:
        """Tell whether *text* stands behind the seed."""
        return self._form.startswith(text, self._end)

    def follows(self, text: str) -> bool:
        """Tell whether *text* stands before the seed."""
        return self._form.endswith(text, 0, self._start)

    @property
    def before(self) -> str:
        """What can stand before the seed, read backwards, with the mark of the form's end."""
        return self._form[max(self._start - self.reach - 1, 0) : self._start][::-1]

    @property
    def after(self) -> str:
        return self._form[self._end : self._end + self.reach + 1]


class _SharedPlace(_Place):
    """Where a seed stands that is at many places: what stands at any of them."""

    __slots__ = ("_after", "_before")

    def __init__(self, places: Sequence[_Place]) -> None:
        super().__init__("", 0, 0, places[0].run)
        self._before = sorted({place.before for place in places})
        self._after = sorted({place.after for place in places})

    def goes_on(self, text: str) -> bool:
        return _has_beginning(self._after, text)

    def follows(self, text: str) -> bool:
        return _has_beginning(self._before, text[::-1])


def folded(text: str) -> str:
    """Return *text* with both alphabets of base64 as one, and a space as a URL's form writes it."""
    return text.replace(" ", "+").replace("-", "+").replace("_", "/")


def _seeds_of(text: str, form: Form) -> Iterator[tuple[str, _Place]]:
    size = _SEEDS[form.run]
    marked = _END * form.before + text + _END * form.after
    for offset in range(0, len(text) - size + 1, form.run - size + 1):
        start = offset + form.before
        yield text[offset : offset + size], _Place(marked, start, start + size, form.run)


def _has_beginning(texts: list[str], beginning: str) -> bool:
    at = bisect_left(texts, beginning)
    return at < len(texts) and texts[at].startswith(beginning)


def _without_covered(words: Mapping[str, tuple[bool, bool]]) -> dict[str, tuple[bool, bool]]:
    """Return *words* without those that shorter ones cover: `aaaaa`, if there is `aaaa`.

    Without them, few words end at one place; with them, a text of one letter is found sixty times.
    """
    needed = dict(words)
    lengths = sorted({len(word) for word in words})
    for word in sorted(words, key=len, reverse=True):
        shorter = lengths[: bisect_left(lengths, len(word))][::-1]
        head = next((size for size in shorter if word[:size] in words), 0)
        tail = next((size for size in shorter if word[-size:] in words), 0)
        if head + tail >= len(word):
            before, after = needed.pop(word)
            # Its bits are then those of the words at its ends, which come later here.
            needed[word[:head]] = needed[word[:head]][0] or before, needed[word[:head]][1]
            needed[word[-tail:]] = needed[word[-tail:]][0], needed[word[-tail:]][1] or after
    return needed
