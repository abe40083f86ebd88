"""Pure. Finds where in a text any of many forms stands, or a long piece of one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from .pieces import Form, Pieces
from .words import Match, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The characters of the shortest form that is looked for within words.
MIN_FORM = 4


class Index:
    """Forms, ready to be found."""

    def __init__(self, forms: Iterable[Form]) -> None:
        whole: dict[str, tuple[bool, bool]] = {}
        long: defaultdict[int, list[Form]] = defaultdict(list)
        self._beginnings: set[str] = set()
        self._longest_beginning = 0
        for written in forms:
            form = replace(written, text=folded(written.text))
            if len(form.text) >= form.run:
                long[form.run].append(form)
            else:
                before, after = whole.get(form.text, (False, False))
                whole[form.text] = before or form.before, after or form.after
            if form.begins:
                self._add_beginnings(form.text[: form.run])
        self._whole = Words(whole)
        self._pieces = [Pieces(run, of) for run, of in long.items()]

    def find(self, text: str) -> Iterator[Match]:
        """Yield where forms and pieces of forms stand, in no order, and maybe one over another."""
        written, text = text, folded(text)
        yield from self._whole.find(text)
        for match in chain.from_iterable(pieces.find(text) for pieces in self._pieces):
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


def folded(text: str) -> str:
    """Return *text* with both alphabets of base64 as one, and a space as a URL's form writes it."""
    return text.replace(" ", "+").replace("-", "+").replace("_", "/")
