"""Pure. Takes what must not be read out of a text, or out of lines that come one after another."""

from __future__ import annotations

import re
from bisect import bisect_right
from io import StringIO
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from .forms import forms_of, short_forms_of
from .index import Index
from .sieve import Effort, Searched
from .views import View, as_shown, unwrapped, views_of
from .words import Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"

# The end of a line is compared with the beginnings of values from so many characters on, unless the line
# has no more: of what is wrapped right before them, two characters may be read.
_MIN_BEGINNING = 3
# More lines than the characters of the longest beginning; a step that prints nothing but line ends does not
# make us remember all of them, nor read long ones again and again.
_MAX_HELD_LINES = 100
_MAX_HELD_CHARACTERS = 4 * 1024  # of several lines: one alone may be as long as it is
# Of the lines before, for pieces that go on: the longest run, and room for escape sequences.
_CONTEXT = 256
# The end of a text is looked at for a beginning: a beginning, and more escape sequences than anybody writes.
_TAIL = 16 * 1024
# So many characters are worked on at once, with some on either side, which decide what is found in them: a
# run, each of its characters as an escape with colours around it. Memory is a few times as much, and other
# threads wait for no longer than one call into C takes for it.
_WINDOW, _MARGIN = 32 * 1024, 2 * 1024
# Of many lines that come at once, so many characters are joined.
_BATCH = 64 * 1024

_SECRET = re.compile(rb"\x01+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]")
_PADDED = re.compile(
    r"(?:[A-Za-z0-9+/_-]{0,2}(?:=|%3[Dd]|\\u003[Dd]|&#(?:61|x3[Dd]);){1,2}|[A-Za-z0-9+/_-])?"
)


class Redactor:
    """Knows the values of a build's secrets in every form; shared by all that read of one build."""

    def __init__(self, values: Iterable[bytes]) -> None:
        values = {value for value in values if value.strip()}
        self._index: Index | None = Index(forms_of(values))
        texts = {text for value in values for text in short_forms_of(value)}
        self._short = Words(dict.fromkeys(texts, (False, False)), apart=True)
        self._knows_any = bool(values)

    def let_go(self) -> None:
        """Give back the memory that the values take; from then on every text is taken for secret."""
        if self._knows_any:
            self._index = None

    def __bool__(self) -> bool:
        return self._knows_any

    def text(self, text: str) -> str:
        """Return *text* with everything secret in it replaced; over the end of a line, too."""
        if not self._knows_any:
            return text
        return _replaced(text, self.secret_in(text))

    def lines(self) -> RedactedLines:
        """Return a redactor for the lines of one stream of a step's output, which come one after another."""
        return RedactedLines(self)

    def secret_in(self, text: str) -> bytearray:
        """Return a byte for each character of *text*: 1 where something secret stands, else 0."""
        index = self._index
        if index is None:
            return bytearray(b"\1" * len(text))
        secret = bytearray(len(text))
        for start in range(0, len(text), _WINDOW):
            first, end = max(start - _MARGIN, 0), start + _WINDOW
            found = self._secret_at_once(index, text[first : end + _MARGIN])
            secret[start:end] = found[start - first : end - first]
        return secret

    def _secret_at_once(self, index: Index, text: str) -> bytearray:
        secret = bytearray(len(text))
        seen: set[str] = set()
        effort = Effort()
        for view in views_of(text):
            for line in unwrapped(view):
                if line.text not in seen:
                    seen.add(line.text)
                    for start, end in self._found(index, line, text, effort):
                        secret[start:end] = b"\1" * (end - start)
            for match in self._short.find(Searched(view.text)):
                start, end = view.origin(match.start, match.end)
                secret[start:end] = b"\1" * (end - start)
        return secret

    def beginning(self, text: str) -> tuple[int, int]:
        """Return where the end of *text* that may begin something secret starts, and its length."""
        index = self._index
        if index is None:
            return len(text), 0
        skipped = max(len(text) - _TAIL, 0)
        lines = unwrapped(
            as_shown(View(f"{text[skipped:]}\n"))
        )  # spaces at the end may be wrapping
        length, line = max(
            ((index.beginning(line.text), line) for line in lines), key=itemgetter(0)
        )
        if not length:
            return len(text), 0
        return skipped + line.origin(len(line.text) - length, len(line.text))[0], length

    @staticmethod
    def _found(index: Index, line: View, text: str, effort: Effort) -> Iterator[tuple[int, int]]:
        """Yield where in *text* something secret stands that *line* shows."""
        for match in index.find(line.text, effort):
            start, end = line.origin(match.start, match.end)
            if match.before and _BASE64.match(text, max(start - 1, 0)):
                start = max(start - 1, 0)
            if match.after and (padded := _PADDED.match(text, end)):
                end = padded.end()
            yield start, end


class RedactedLines:
    """Lines in, redacted lines out, each as soon as nothing that follows can change it.

    A value of several lines, and one that is wrapped, is found across lines. For that a line is held back if
    it ends in the beginning of a value, until the next one comes. All come out in their order.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._context = ""  # what came out, unredacted, if it may go on in the next line
        self._held: list[str] = []
        self._secret_in_held = bytearray()

    def feed(self, lines: Iterable[str]) -> list[str]:
        """Return the lines that can be read by now."""
        if not self._redactor:
            return list(lines)
        shown: list[str] = []
        size = 0
        for line in lines:
            self._held.append(line)
            size += len(line) + 1
            if size > _BATCH:
                shown += self._take()
                size = 0
        return shown + self._take() if size else shown

    def finish(self) -> list[str]:
        """Return the lines still held back, when no more will come."""
        lines, self._held = self._held, []
        ends = accumulate((len(line) + 1 for line in lines), initial=0)
        return [
            _replaced(line, self._secret_in_held[begin : begin + len(line)])
            for line, begin in zip(lines, ends, strict=False)
        ]

    def _take(self) -> list[str]:
        lines = [self._context, *self._held] if self._context else self._held
        text = "\n".join(lines)
        ends = list(accumulate((len(line) + 1 for line in lines), initial=0))
        secret = self._redactor.secret_in(text)
        first = len(lines) - len(self._held)
        count = max(first, self._finished(text, ends))
        shown = [
            _replaced(text[begin : end - 1], secret[begin : end - 1])
            for begin, end in pairwise(ends[first : count + 1])
        ]
        self._secret_in_held = secret[ends[count] :]
        size = max(ends[count] - 1, 0)
        self._context = self._to_go_on(text[:size], secret.rfind(1, 0, size) + 1)
        self._held = lines[count:]
        return shown

    def _finished(self, text: str, ends: list[int]) -> int:
        """Return how many of the lines can be read, whatever comes."""
        start, length = self._redactor.beginning(text)
        line = bisect_right(ends, start) - 1
        short = length < _MIN_BEGINNING and text[ends[line] : start].strip()
        held = len(ends) - 1 - line
        large = held > 1 and len(text) - ends[line] > _MAX_HELD_CHARACTERS
        if not length or short or large or held >= _MAX_HELD_LINES:
            return len(ends) - 1
        return line

    def _to_go_on(self, text: str, reached: int) -> str:
        """Return the end of *text* if something secret goes up to it, or begins there."""
        goes_on = reached and not as_shown(View(text[reached:])).text.strip()
        tail = text[-_CONTEXT:]
        return tail if goes_on or self._redactor.beginning(tail)[1] else ""


def _replaced(text: str, secret: bytearray) -> str:
    if 1 not in secret:
        return text
    shown = StringIO()  # a list of its pieces would take several times the text
    position = 0
    for match in _SECRET.finditer(secret):
        shown.write(text[position : match.start()])
        shown.write(REDACTED)
        position = match.end()
    shown.write(text[position:])
    return shown.getvalue()
