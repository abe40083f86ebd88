"""Pure. A text as its readers see it: a terminal, a URL's reader, a parser of JSON or XML.

A view remembers where its characters stand in the text it was made of. That way what is secret is found in
plain text, and taken out of the text as it was written. All of this is linear in the length of the text.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from html import unescape
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Each begins with a character or a class of them, which the expression looks for quickly.
_LINE_ENDS = re.compile(r"[\r\n]+")
_LINE_ENDS_AND_INDENT = re.compile(r"[\r\n][ \t\r\n]*")
# What buildkit/text/plain_text.py takes out of one line (a test compares them); no escape sequence of one
# line hides anything of the next.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f](?:(?<=\x1b)(?:\[[0-?]*[ -/]*[@-~]?"
    r"|[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?))?"
)
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")
# Of XML and HTML.
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ENTITIES = re.compile(f"{_ENTITY}(?:{_ENTITY})*")
# A quote between a shell's single quotes.
_QUOTED = re.compile(r"'(?:\\'|\"'\")'")
# JSON, Go, Python, C and shells agree where they overlap.
_ESCAPE = re.compile(
    r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>00[01][0-9a-fA-F]{5})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<letter>[^\r\n]))"
)
_ANY_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5}|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|[^\r\n])"
_ESCAPES = re.compile(f"{_ANY_ESCAPE}(?:{_ANY_ESCAPE})*")
_LETTERS = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "e": "\x1b",
}
_LETTERS |= {"0": "\0"}  # C's

# JSON within JSON, as loggers write it; what is deeper nobody reads.
_MAX_NESTING = 2


@dataclass(slots=True)
class View:
    """Text made of another, *source*; without one it is the text that all began with.

    At *cuts* in that other what was replaced begins and ends, in turns; *places* are the same in this one.
    """

    text: str
    source: View | None = None
    cuts: Sequence[int] = ()
    places: Sequence[int] = ()
    read: bool = False  # whether all that is secret in it, on one line, has been found

    def replaced(
        self, pattern: re.Pattern[str], by: Callable[[str], str], *, margin: str = ""
    ) -> View:
        """Return the view in which each match of *pattern*, never an empty one, reads as *by* says.

        Before it, characters of *margin* go, too.
        """
        cuts, places, made = array("I"), array("I"), StringIO()
        position = size = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            kept = self.text[position:start].rstrip(margin) if margin else self.text[position:start]
            size += made.write(kept)
            places.append(size)
            size += made.write(by(match[0]))
            places.append(size)
            cuts.append(position + len(kept))
            cuts.append(end)
            position = end
        if not position:
            return self
        made.write(self.text[position:])
        return View(made.getvalue(), self, cuts, places)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return where self.text[start:end], not empty, stands in the text that all began with."""
        view = self
        while view.source:
            first, last = bisect_right(view.places, start), bisect_right(view.places, end - 1)
            # Behind an odd number of cuts is what was replaced, as a whole.
            start = view.cuts[first - 1] if first % 2 else start + view._moved(first)
            end = view.cuts[last] if last % 2 else end + view._moved(last)
            view = view.source
        return start, end

    def unread(self, line: View) -> Iterator[tuple[int, int]]:
        """Yield where *line*, which is this on one line, says more than the views that were read.

        Line ends of those stood there as well, unless this is read, too: then the spaces beside them.
        """
        if self.read:
            for place, start, end in zip(
                line.places[::2], line.cuts[::2], line.cuts[1::2], strict=True
            ):
                if self.text[start - 1 : start].isspace() or self.text[end : end + 1].isspace():
                    yield place, place
            return
        later = [] if line is self else [line]
        view = self
        while not view.read:
            if view.source is None:
                yield 0, len(line.text)
                return
            for start, end in zip(view.places[::2], view.places[1::2], strict=True):
                for one in reversed(later):
                    start, end = one.shown_at(start), one.shown_at(end)  # noqa: PLW2901
                yield start, end
            later.append(view)
            view = view.source

    def shown_at(self, at: int) -> int:
        """Return where in this view the character *at* of its source stands, or what replaced it."""
        index = bisect_right(self.cuts, at)
        return self.places[index - 1] if index % 2 else at - self._moved(index)

    def _moved(self, index: int) -> int:
        """Return by how much the text behind so many cuts stands further back in the source."""
        return self.cuts[index - 1] - self.places[index - 1] if index else 0


def views_of(text: str, *, wide: bool) -> Iterator[View]:
    """Every view of *text*, line ends included.

    A byte in an escape is one of UTF-8; if *wide*, there are also views in which it is a character of its
    own, as JavaScript and Python's ascii() have it, and Latin-1.
    """
    yield (written := View(text))
    if (shown := as_shown(written)) is not written:
        yield shown
    if (unquoted := shown.replaced(_QUOTED, lambda _: "'")) is not shown:
        yield unquoted
    if (read := _decoded(shown, "&", _ENTITIES, unescape)) is not shown:
        yield read
    for codec in ("utf-8", "latin-1") if wide else ("utf-8",):
        from_percent, from_escapes = partial(_percent_decoded, codec), partial(_unescaped, codec)
        view = shown
        for _ in range(_MAX_NESTING):
            if (decoded := _decoded(view, "%", _PERCENT, from_percent)) is not view:
                yield decoded
            if (decoded := _decoded(view, "\\", _ESCAPES, from_escapes)) is view:
                break
            yield (view := decoded)
            if (read := _decoded(view, "&", _ENTITIES, unescape)) is not view:
                yield read


def read_escapes(text: str) -> str:
    """*text* as a JSON parser reads what stands between two quotes."""
    return _ESCAPES.sub(lambda match: _unescaped("utf-8", match[0]), text)


def read_entities(text: str) -> str:
    """*text* as an XML parser reads it."""
    return _ENTITIES.sub(lambda match: unescape(match[0]), text)


def as_shown(view: View) -> View:
    """Return *view* without what a terminal does not show."""
    return view.replaced(_HIDDEN, _nothing)


def on_one_line(view: View) -> View:
    """Return *view* without line ends, and without the spaces around them, which may be an indent."""
    return view.replaced(_LINE_ENDS_AND_INDENT, _nothing, margin=" \t")


def unwrapped(view: View) -> Iterator[View]:
    """Yield *view* on one line, without the spaces at line ends and, if there are any, with them."""
    yield (line := on_one_line(view))
    if line is not view:
        spaced = view.replaced(_LINE_ENDS, _nothing)
        if len(spaced.text) > len(line.text):
            yield spaced


def _decoded(view: View, mark: str, pattern: re.Pattern[str], by: Callable[[str], str]) -> View:
    if mark not in view.text:
        return view
    decoded = view.replaced(pattern, by)
    return view if decoded is view else as_shown(decoded)


def _percent_decoded(codec: str, escapes: str) -> str:
    return bytes.fromhex(escapes.replace("%", "")).decode(codec, "replace")


def _unescaped(codec: str, escapes: str) -> str:
    meant = map(_meant, _ESCAPE.finditer(escapes))
    if codec == "latin-1":
        return "".join(chr(one) if isinstance(one, int) else one for one in meant)
    data = (bytes([one]) if isinstance(one, int) else one.encode(errors="replace") for one in meant)
    return b"".join(data).decode(errors="replace")


def _meant(match: re.Match[str]) -> int | str:
    """The byte or the text that an escape stands for."""
    kind, written = match.lastgroup, match[match.lastgroup or 0]
    if kind == "hex":
        return int(written, 16)
    if kind == "octal":
        return int(written, 8)
    if kind == "low":
        return bytes.fromhex(match["high"] + written).decode("utf-16-be", "replace")
    if kind in {"four", "eight"}:
        return chr(min(int(written, 16), 0x10FFFF))
    return _LETTERS.get(written, written)


def _nothing(_match: str) -> str:
    return ""
