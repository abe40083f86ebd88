"""Pure. Takes what must not be read out of a text, or out of lines that come one after another."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from itertools import accumulate, chain, pairwise, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING

from .forms import forms_of, short_forms_of
from .index import Index
from .views import View, as_shown, unwrapped, views_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"

# The end of a line is compared with the beginnings of values from so many characters on, unless the line
# has no more: of what is wrapped right before them, two characters may be read.
_MIN_BEGINNING = 3
# More lines than the characters of the longest beginning; a step that prints nothing but line ends does not
# make us remember all of them.
_MAX_HELD_LINES = 100
# Of the lines before, for pieces that go on: the longest run, and room for escape sequences.
_CONTEXT = 256

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]")
_PADDED = re.compile(
    r"(?:[A-Za-z0-9+/_-]{0,2}(?:=|%3[Dd]|\\u003[Dd]|&#(?:61|x3[Dd]);){1,2}|[A-Za-z0-9+/_-])?"
)


class Redactor:
    """Knows the values of a build's secrets in every form; shared by all that read of one build."""

    def __init__(self, values: Iterable[bytes]) -> None:
        values = {value for value in values if value.strip()}
        forms = {form for value in values for form in forms_of(value)}
        self._index = Index(forms)
        texts = {text for value in values for text in short_forms_of(value)}
        self._wide = not all(map(str.isascii, chain(texts, (form.text for form in forms))))
        short = sorted(texts, key=len, reverse=True)
        self._short = re.compile("|".join(map(_standing_alone, short))) if short else None
        self._knows_any = bool(values)

    def __bool__(self) -> bool:
        return self._knows_any

    def text(self, text: str) -> str:
        """*text* with everything secret in it replaced; over the end of a line, too."""
        if not self._knows_any:
            return text
        return _replaced(text, self.spans(text))

    def lines(self) -> RedactedLines:
        """For the lines of one stream of a step's output, which come one after another."""
        return RedactedLines(self)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in *text* something secret stands, in order, none touching the next."""
        found: list[tuple[int, int]] = []
        for view in views_of(text, wide=self._wide):
            found += self._found(view, text)
        spans: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans

    def beginning(self, text: str) -> tuple[int, int]:
        """Where the end of *text* that may be the beginning of something secret starts.

        And how many of its characters that are.
        """
        lines = unwrapped(as_shown(View(f"{text}\n")))  # spaces at the end may be wrapping
        length, line = max(
            ((self._index.beginning(line.text), line) for line in lines), key=itemgetter(0)
        )
        if not length:
            return len(text), 0
        return line.origin(len(line.text) - length, len(line.text))[0], length

    def _found(self, view: View, text: str) -> Iterator[tuple[int, int]]:
        for line in unwrapped(view):
            for match in self._index.find(line.text):
                start, end = line.origin(match.start, match.end)
                if match.before and _BASE64.match(text, max(start - 1, 0)):
                    start = max(start - 1, 0)
                if match.after and (padded := _PADDED.match(text, end)):
                    end = padded.end()
                yield start, end
        if self._short:
            for short in self._short.finditer(view.text):
                yield view.origin(*short.span())


class RedactedLines:
    """Lines in, redacted lines out, each as soon as nothing that follows can change it.

    A value of several lines, and one that is wrapped, is found across lines. For that a line is held back if
    it ends in the beginning of a value, until the next one comes. All come out in their order.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._context = ""  # what came out, unredacted, if it may go on in the next line
        self._held: list[str] = []

    def feed(self, lines: Iterable[str]) -> list[str]:
        """The lines that can be read by now."""
        if not self._redactor:
            return list(lines)
        self._held += lines
        return self._take(finished=False) if self._held else []

    def finish(self) -> list[str]:
        """The lines still held back, when no more will come."""
        return self._take(finished=True) if self._held else []

    def _take(self, *, finished: bool) -> list[str]:
        lines = [self._context, *self._held] if self._context else self._held
        text = "\n".join(lines)
        ends = list(accumulate((len(line) + 1 for line in lines), initial=0))
        spans = self._redactor.spans(text)
        first = len(lines) - len(self._held)
        count = len(lines) if finished else max(first, self._finished(text, ends))
        shown = list(_lines(text, ends[: count + 1], spans))
        self._context = self._to_go_on(text[: ends[count]], spans)
        self._held = lines[count:]
        return shown[first:]

    def _finished(self, text: str, ends: list[int]) -> int:
        """How many of the lines can be read, whatever comes."""
        start, length = self._redactor.beginning(text)
        line = bisect_right(ends, start) - 1
        short = length < _MIN_BEGINNING and text[ends[line] : start].strip()
        if not length or short or len(ends) - line > _MAX_HELD_LINES:
            return len(ends) - 1
        return line

    def _to_go_on(self, text: str, spans: list[tuple[int, int]]) -> str:
        """The end of *text* if something secret reaches up to it, or begins there."""
        text = text.removesuffix("\n")
        reached = max((min(end, len(text)) for start, end in spans if start < len(text)), default=0)
        goes_on = reached and not as_shown(View(text[reached:])).text.strip()
        tail = text[-_CONTEXT:]
        return tail if goes_on or self._redactor.beginning(tail)[1] else ""


def _standing_alone(text: str) -> str:
    """A pattern for *text*, not as a piece of a word, and not of a row of the same character."""
    before, after = re.escape(text[0]), re.escape(text[-1])
    return rf"(?<![\w{before}]){re.escape(text)}(?![\w{after}])"


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in spans:
        pieces += (text[position:start], REDACTED)
        position = end
    return "".join((*pieces, text[position:]))


def _lines(text: str, ends: list[int], spans: list[tuple[int, int]]) -> Iterator[str]:
    """The lines of *text*, each up to one before its end, with their shares of *spans* replaced."""
    waiting = deque(spans)
    for begin, end in pairwise(ends):
        while waiting and waiting[0][1] <= begin:
            waiting.popleft()
        here = takewhile(lambda span: span[0] < end - 1, waiting)  # noqa: B023 - used up at once
        shares = [(max(a, begin) - begin, min(b, end - 1) - begin) for a, b in here]
        yield _replaced(text[begin : end - 1], [share for share in shares if share[0] < share[1]])
