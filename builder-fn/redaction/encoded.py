"""Pure. A long value in base64 or hexadecimal, of which only what is asked for is ever written out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Encoded:
    """The characters from *first* to *end* of what *data* is encoded as; slices are text, as a string's are.

    A line end is put *before* them, and *after*, where a form has bits beyond its ends.
    """

    data: bytes
    first: int
    end: int
    shift: int | None = None  # bytes of others before it, in base64; None for hexadecimal
    upper: bool = False
    before: int = 0
    after: int = 0

    def marked(self, *, before: bool, after: bool) -> Encoded:
        return replace(self, before=int(before), after=int(after))

    def __len__(self) -> int:
        return self.before + self.end - self.first + self.after

    def __str__(self) -> str:
        return self[: len(self)]

    def __getitem__(self, part: slice) -> str:
        start, stop, _ = part.indices(len(self))
        size = self.end - self.first
        begin, finish = max(start - self.before, 0), min(stop - self.before, size)
        text = self._text(self.first + begin, self.first + finish) if begin < finish else ""
        if self.before and start == 0 < stop:
            text = "\n" + text
        if self.after and start < stop == len(self):
            text += "\n"
        return text

    def _text(self, start: int, stop: int) -> str:
        if self.shift is None:
            begin = start // 2
            text = self.data[begin : -(-stop // 2)].hex()
            text = text[start - 2 * begin : stop - 2 * begin]
            return text.upper() if self.upper else text
        group = start // 4
        begin, finish = 3 * group - self.shift, 3 * -(-stop // 4) - self.shift
        data = bytes(max(-begin, 0)) + self.data[max(begin, 0) : finish]
        return base64.b64encode(data)[start - 4 * group : stop - 4 * group].decode()


def hexadecimal(data: bytes, *, upper: bool) -> Encoded:
    return Encoded(data, 0, 2 * len(data), upper=upper)


def base64_at(data: bytes, shift: int) -> Encoded:
    """Return the characters that hold nothing but *data*, of which *shift* bytes of a group come before."""
    return Encoded(data, -(-8 * shift // 6), 8 * (shift + len(data)) // 6, shift)
