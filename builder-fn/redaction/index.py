"""Pure. Finds where in a text any of many forms stands, or a long piece of one.

As in rsync, only a few characters here and there in a form are remembered, its seeds. A piece of `run`
characters holds at least one of them whole, wherever it was cut out; from there it is followed to both
ends. So memory is a fraction of the forms, and time is linear in the text, whatever the forms are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Both alphabets of base64 are one, and so are a space and the plus sign that a form writes for it.
_FOLD = str.maketrans(" -_", "++/")

# The characters of a seed, and of a form that is looked for as a whole: the shortest there are.
_SEED = 8
_HEAD = 4
MIN_FORM = _HEAD

# A form that repeats itself has the same seed at many places; following a few of them is enough.
_MAX_PLACES = 4


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


class Index:
    """Forms, ready to be found."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._whole: dict[str, Form] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}  # of whole forms, by their heads
        self._seeds: dict[str, list[tuple[Form, int]]] = {}  # and where in the form they stand
        self._longest_run = 0
        self._beginnings: set[str] = set()
        self._longest_beginning = 0
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for form in forms:
            text = form.text.translate(_FOLD)
            folded = Form(text, form.run, form.before, form.after)
            if len(text) >= form.run >= 2 * _SEED:
                self._add_seeds(folded)
            else:
                self._whole[text] = folded
                lengths[text[:_HEAD]].add(len(text))
            if form.begins:
                self._add_beginnings(text[: form.run])
        self._lengths = {head: tuple(sorted(found)) for head, found in lengths.items()}

    def find(self, text: str) -> Iterator[Match]:
        """Where forms and pieces of forms stand, in no order, and maybe one over another."""
        text = text.translate(_FOLD)
        yield from self._find_whole(text)
        yield from self._find_pieces(text)

    def beginning(self, text: str) -> int:
        """How many characters at the end of *text* are the beginning of a form, and no more of it."""
        if not self._beginnings:
            return 0
        end = text[-self._longest_beginning :].translate(_FOLD)
        lengths = range(len(end), 0, -1)
        return next((size for size in lengths if end[-size:] in self._beginnings), 0)

    def _add_seeds(self, form: Form) -> None:
        self._longest_run = max(self._longest_run, form.run)
        places: defaultdict[str, int] = defaultdict(int)
        for offset in range(0, len(form.text) - _SEED + 1, form.run - _SEED + 1):
            seed = form.text[offset : offset + _SEED]
            places[seed] += 1
            if places[seed] <= _MAX_PLACES:
                self._seeds.setdefault(seed, []).append((form, offset))

    def _add_beginnings(self, text: str) -> None:
        self._beginnings.update(text[:length] for length in range(1, len(text)))
        self._longest_beginning = max(self._longest_beginning, len(text) - 1)

    def _find_whole(self, text: str) -> Iterator[Match]:
        if not self._lengths:
            return
        lengths_by_head, whole = self._lengths, self._whole
        heads = [
            at for at in range(len(text) - _HEAD + 1) if text[at : at + _HEAD] in lengths_by_head
        ]
        for at in heads:
            for length in lengths_by_head[text[at : at + _HEAD]]:
                if form := whole.get(text[at : at + length]):
                    yield _match(form, at, at + length, 0)

    def _find_pieces(self, text: str) -> Iterator[Match]:
        if not self._seeds:
            return
        seeds = self._seeds
        found = [at for at in range(len(text) - _SEED + 1) if text[at : at + _SEED] in seeds]
        covered = 0  # all before is dealt with
        for at in found:
            # What goes on behind the end of a piece has a seed in the last run before that end.
            if at < covered - self._longest_run:
                continue
            for form, offset in seeds[text[at : at + _SEED]]:
                end = at + _shared(text, at, form.text, offset)
                if end <= covered:
                    continue
                back = _shared_before(text, at, form, offset)
                if end - at + back >= form.run:
                    yield _match(form, at - back, end, offset - back)
                    covered = end


def _shared(text: str, at: int, form: str, offset: int) -> int:
    """How many characters text[at:] and form[offset:] begin with alike."""
    most = min(len(text) - at, len(form) - offset)
    same, size = 0, 64
    while same < most and (
        text[at + same : at + min(same + size, most)]
        == form[offset + same : offset + min(same + size, most)]
    ):
        same, size = min(same + size, most), 2 * size
    high = min(same + size, most)
    while same < high:
        middle = (same + high + 1) // 2
        if text[at + same : at + middle] == form[offset + same : offset + middle]:
            same = middle
        else:
            high = middle - 1
    return same


def _shared_before(text: str, at: int, form: Form, offset: int) -> int:
    """How many characters before *at* are those before *offset*.

    What lies further back than a run has a seed of its own.
    """
    most = min(form.run, at, offset)
    same = 0
    while same < most and text[at - same - 1] == form.text[offset - same - 1]:
        same += 1
    return same


def _match(form: Form, start: int, end: int, offset: int) -> Match:
    return Match(
        start,
        end,
        before=form.before and offset == 0,
        after=form.after and offset + end - start == len(form.text),
    )
