"""Pure. Finds where in a text any of many forms stands, or a long piece of one."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from .in_turns import sorted_in_turns
from .pieces import Form, Pieces
from .sieve import Searched
from .words import Match, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .encoded import Encoded
    from .many_words import ManyWords
    from .sieve import Effort

# The characters of the shortest form that is looked for within words.
MIN_FORM = 4

# Encoded forms of so many characters are strings, which are read faster.
_WRITTEN_OUT = 1024
# Characters of all words for which the automaton takes a few MiB.
_FEW = 32 * 1024
# At each character of a text the automaton looks through so many, with which words begin.
_FEW_BEGINNINGS = 64
# Of many words, those of so many characters and more are looked for by themselves.
_LONGER = 8
# A text that has no beginning of a beginning of so many characters needs no search.
_HEAD = 2


class Index:
    """Forms, ready to be found."""

    def __init__(self, forms: Iterable[Form]) -> None:
        whole: dict[str, tuple[bool, bool]] = {}
        long: defaultdict[int, dict[str | Encoded, Form]] = defaultdict(dict)
        self._beginnings = _Beginnings()
        for written in forms:
            form = written
            if isinstance(form.text, str):
                form = replace(form, text=folded(form.text))
            elif len(form.text) <= _WRITTEN_OUT:
                form = replace(form, text=str(form.text))
            if len(form.text) >= form.run:
                long[form.run].setdefault(form.text, form)
            else:
                before, after = whole.get(str(form.text), (False, False))
                whole[str(form.text)] = before or form.before, after or form.after
            if form.begins:
                self._beginnings.add(form.text[: form.run])
        self._beginnings.all_known()
        self._whole = _words(whole)
        del whole
        self._pieces = [Pieces(run, list(of.values())) for run, of in long.items()]

    def find(self, text: str, effort: Effort | None = None) -> Iterator[Match]:
        """Yield where forms and pieces of forms stand, in no order, and maybe one over another."""
        searched = Searched(folded(text), effort)
        yield from chain.from_iterable(words.find(searched) for words in self._whole)
        for match in chain.from_iterable(pieces.find(searched) for pieces in self._pieces):
            # A dash at the end of a piece is no space.
            start = match.start + (text[match.start] == " ")
            yield match._replace(start=start, end=match.end - (text[match.end - 1] == " "))

    def beginning(self, text: str) -> int:
        """Return how many characters at the end of *text* begin a form, and are no more of it."""
        return self._beginnings.at_end_of(text)


class _Beginnings:
    """The beginnings of forms, in order: those that go on in one way stand side by side."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._in_order: list[str] = []
        self._heads: set[str] = set()
        self._longest = 0

    def add(self, text: str) -> None:
        self._known.add(text)
        self._heads.update((text[:1], text[:_HEAD]))
        self._longest = max(self._longest, len(text) - 1)

    def all_known(self) -> None:
        self._in_order = sorted_in_turns(self._known, str)
        self._known = set()

    def at_end_of(self, text: str) -> int:
        """Return how many characters at the end of *text* are a beginning, but for what is missing."""
        if not self._in_order:
            return 0
        end = folded(text[-self._longest :]) if self._longest else ""
        for start in range(len(end)):
            if end[start : start + _HEAD] in self._heads and self._goes_on(end[start:]):
                return len(end) - start
        return 0

    def _goes_on(self, text: str) -> bool:
        """Tell whether one of them begins with *text*, and has more."""
        at = bisect_right(self._in_order, text)
        return at < len(self._in_order) and self._in_order[at].startswith(text)


def _words(whole: dict[str, tuple[bool, bool]]) -> Sequence[Words | ManyWords]:
    if sum(map(len, whole)) <= _FEW and len({word[0] for word in whole}) <= _FEW_BEGINNINGS:
        return (Words(whole),)
    from .many_words import ManyWords  # noqa: PLC0415 - with numpy, which few builds need

    # Of beginnings as short as the shortest words' a text may be full.
    lengths = (MIN_FORM, _LONGER), (_LONGER, inf)
    return [
        ManyWords({word: whole[word] for word in whole if least <= len(word) < most}, least)
        for least, most in lengths
    ]


def folded(text: str) -> str:
    """Return *text* with both alphabets of base64 as one, and a space as a URL's form writes it."""
    return text.replace(" ", "+").replace("-", "+").replace("_", "/")
