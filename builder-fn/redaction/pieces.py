"""Pure. Finds long pieces of long forms.

As in rsync, of a form only some stretches of a few characters are remembered, the seeds, and a text is looked
at in steps: a piece of `run` characters holds at least one seed that is looked at, wherever it was cut out.
Time is linear in the text, whatever the forms are: it is compared with no more than what stands right beside
a seed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .words import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .words import Match

# By a run: the characters of a seed, the distance between seeds of a form, and that between the places of a
# text that are looked at. Of few forms every seed is remembered, of many not: one takes some 200 bytes. The
# distances have no common factor, and a run is no shorter than their product and a seed, less one.
_SEEDS = {
    "few": {16: (10, 1, 7), 48: (24, 1, 25), 64: (24, 1, 41)},
    "many": {16: (10, 7, 1), 48: (14, 17, 2), 64: (14, 17, 3)},
}
_FEW = 128 * 1024  # characters of all forms

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


class Pieces:
    """Forms of which *run* characters in a row are as good as all."""

    def __init__(self, run: int, forms: Sequence[Form]) -> None:
        many = sum(len(form.text) for form in forms) > _FEW
        self._size, between, self._step = _SEEDS["many" if many else "few"][run]
        self._run = run
        self._reach = run - self._size  # so far from a seed is the end of a run that holds it
        places: dict[str, _Place] = {}
        shared: defaultdict[str, list[_Place]] = defaultdict(list)
        for form in forms:
            marked = _END * form.before + form.text + _END * form.after
            for start in range(form.before, form.before + len(form.text) - self._size + 1, between):
                seed = marked[start : start + self._size]
                place = _Place(marked, start, start + self._size)
                if (first := places.setdefault(seed, place)) is not place:
                    shared[seed] += (first, place)
        for seed, of in shared.items():
            places[seed] = _SharedPlace(of, self._reach)
        self._places = places

    def find(self, text: str) -> Iterator[Match]:
        """Yield the pieces; those that overlap or touch as one."""
        return merged(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[tuple[int, int, bool, bool]]:
        places, size, reach = self._places, self._size, self._reach
        known: dict[str, tuple[int, int, bool, bool]] = {}  # much output repeats itself
        looked_at = range(0, len(text) - size + 1, self._step)
        for at in [at for at in looked_at if text[at : at + size] in places]:
            around = text[max(at - reach, 0) : at + size + reach]
            inside = len(around) == size + 2 * reach  # and at no end of the text
            found = known.get(around) if inside else None
            if not found:
                found = places[text[at : at + size]].extent(text, at, at + size, reach)
                if inside:
                    known[around] = found
            before, after, bits_before, bits_after = found
            if before + size + after >= self._run:
                yield at - before, at + size + after, bits_before, bits_after


class _Place:
    """The place of a seed: in *form* from *start* to *end*."""

    __slots__ = ("_end", "_form", "_start")

    def __init__(self, form: str, start: int, end: int) -> None:
        self._form, self._start, self._end = form, start, end

    def extent(self, text: str, start: int, end: int, reach: int) -> tuple[int, int, bool, bool]:
        """Return how far the form goes on beside text[*start*:*end*], and whether it ends there with bits."""
        before = _most(lambda size: self.follows(text[start - size : start]), min(reach, start))
        after = _most(
            lambda size: self.goes_on(text[end : end + size]), min(reach, len(text) - end)
        )
        return (
            before,
            after,
            self.follows(_END + text[start - before : start]),
            self.goes_on(text[end : end + after] + _END),
        )

    def goes_on(self, text: str) -> bool:
        """Tell whether *text* stands behind the seed."""
        return self._form.startswith(text, self._end)

    def follows(self, text: str) -> bool:
        """Tell whether *text* stands before the seed."""
        return self._form.endswith(text, 0, self._start)

    def beside(self, reach: int) -> tuple[str, str]:
        """Return what can stand before the seed, read backwards, and behind it, with the form's end."""
        before = self._form[max(self._start - reach - 1, 0) : self._start]
        return before[::-1], self._form[self._end : self._end + reach + 1]


class _SharedPlace(_Place):
    """The places of a seed that is at many: what stands at any of them."""

    __slots__ = ("_after", "_before")

    def __init__(self, places: Sequence[_Place], reach: int) -> None:
        super().__init__("", 0, 0)
        beside = {place.beside(reach) for place in places}
        self._before = sorted({before for before, _ in beside})
        self._after = sorted({after for _, after in beside})

    def goes_on(self, text: str) -> bool:
        return _has_beginning(self._after, text)

    def follows(self, text: str) -> bool:
        return _has_beginning(self._before, text[::-1])


def _most(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to *most* that fits, as all smaller ones do."""
    if fits(most):
        return most
    return bisect_left(range(1, most), True, key=lambda size: not fits(size))


def _has_beginning(texts: list[str], beginning: str) -> bool:
    at = bisect_left(texts, beginning)
    return at < len(texts) and texts[at].startswith(beginning)
