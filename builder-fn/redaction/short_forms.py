"""Pure. Finds what is secret only where it stands alone: it would be found within words, or in every rule."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = 3  # the characters that tell which lengths are worth a comparison


class ShortForms:
    """Texts that count where they are no piece of a word, and not of a row of the same character."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(texts)
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for text in self._texts:
            lengths[text[:_HEAD]].add(len(text))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile(
            rf"(?<!\w)[{''.join(re.escape(head[0]) for head in lengths)}]" if lengths else "$^"
        )

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        covered = 0
        for match in self._first.finditer(text):
            start, first = match.start(), match[0]
            if text[start - 1 : start] == first:
                continue
            heads = (text[start : start + size] for size in range(_HEAD, 0, -1))
            for length in (length for head in heads for length in self._lengths.get(head, ())):
                end = start + length
                if end <= covered:
                    break
                if end > len(text):
                    continue
                if text[start:end] in self._texts and _is_end(text[end - 1], text[end : end + 1]):
                    covered = end
                    yield start, end
                    break


def _is_end(last: str, following: str) -> bool:
    return not (following.isalnum() or following in ("_", last))
