"""Pure. A text as its readers see it: a terminal, a URL's reader, a parser of JSON or XML.

A view remembers where its characters stand in the text it was made of. That way what is secret is found in
plain text, and taken out of the text as it was written. All of this is linear in the length of the text.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from html import unescape
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Each is one group, so that `split` keeps what it matches, and begins with a character or a class of them,
# which the expression looks for quickly.
_LINE_ENDS = re.compile(r"([\r\n]+)")
_LINE_ENDS_AND_INDENT = re.compile(r"([\r\n][ \t\r\n]*)")
_LINE_END_AND_INDENT = re.compile(r"[\r\n][ \t\r\n]*")
# What buildkit/text/plain_text.py takes out of one line (a test compares them); no escape sequence of one
# line hides anything of the next.
_HIDDEN = re.compile(
    r"([\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f](?:(?<=\x1b)(?:\[[0-?]*[ -/]*[@-~]?"
    r"|[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?))?)"
)
# Of a URL; of XML and HTML; and a quote between a shell's single quotes.
_PERCENT = "%[0-9A-Fa-f]{2}"
_ENTITY = "&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_REFERENCES = re.compile(rf"""({_PERCENT}|{_ENTITY}|'(?:\\'|"'")')""")
_PERCENTS, _ENTITIES = re.compile(_PERCENT), re.compile(_ENTITY)
# JSON, Go, Python, C and shells agree where they overlap.
_ESCAPES = re.compile(
    r"(\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5}|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|[^\r\n]))"
)
_LETTERS = dict(zip("nrtbfvae0", "\n\r\t\b\f\v\a\x1b\0", strict=True))  # 0 is C's


@dataclass(slots=True)
class View:
    """Text made of another, *source*; without one it is the text that all began with.

    At *cuts* in that other what was replaced begins and ends, in turns; *places* are the same in this one.
    """

    text: str
    source: View | None = None
    cuts: Sequence[int] = ()
    places: Sequence[int] = ()
    decoded: bool = False

    def replaced(
        self, pattern: re.Pattern[str], by: Callable[[str], str], *, margin: str = ""
    ) -> View:
        """Return the view in which each match of *pattern*, never an empty one, reads as *by* says.

        Before it, characters of *margin* go, too.
        """
        pieces = pattern.split(self.text)
        if len(pieces) == 1:
            return self
        cuts = array("I", accumulate(map(len, pieces[:-1])))
        pieces[1::2] = map(by, pieces[1::2])
        if margin:
            for index in range(0, len(cuts), 2):
                kept = pieces[index].rstrip(margin)
                cuts[index] -= len(pieces[index]) - len(kept)
                pieces[index] = kept
        places = array("I", accumulate(map(len, pieces[:-1])))
        return View("".join(pieces), self, cuts, places)

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

    def _moved(self, index: int) -> int:
        """Return by how much the text behind so many cuts stands further back in the source."""
        return self.cuts[index - 1] - self.places[index - 1] if index else 0


def views_of(text: str) -> Iterator[View]:
    """Yield every view of *text*, line ends included.

    A byte in an escape reads as the character of that number: as JavaScript and Python's ascii() have it.
    Of UTF-8 it may be a part; see `as_views_have`.
    """
    yield (written := View(text))
    if (shown := as_shown(written)) is not written:
        yield shown
    if (read := _read(shown, _REFERENCES, _reference)) is not shown:
        yield read
    if (unescaped := _read(shown, _ESCAPES, _unescaped)) is not shown:
        yield unescaped
        if (read := _read(unescaped, _REFERENCES, _reference)) is not unescaped:
            yield read
        # JSON within JSON, as loggers write it; what is deeper nobody reads.
        if (twice := _read(unescaped, _ESCAPES, _unescaped)) is not unescaped:
            yield twice


def as_views_have(text: str, *, is_utf_8: bool = True) -> Iterator[str]:
    """Yield what a view may have for *text*, which stood in an encoding of some kind.

    Each byte of UTF-8 may be a character; what looks like a reference, one that the encoding left alone.
    """
    for one in {text, text.encode(errors="replace").decode("latin-1") if is_utf_8 else text}:
        yield one
        if "%" in one or "&" in one or "'" in one:
            yield _PERCENTS.sub(lambda match: _reference(match[0]), one)
            yield _REFERENCES.sub(lambda match: _reference(match[0]), one)


def read_escapes(text: str) -> str:
    """Return *text* as a JSON parser reads what stands between two quotes."""
    return _ESCAPES.sub(lambda match: _unescaped(match[0]), text)


def read_entities(text: str) -> str:
    """Return *text* as an XML parser reads it."""
    return _ENTITIES.sub(lambda match: unescape(match[0]), text)


def shown(text: str) -> str:
    """Return *text* without what a terminal does not show."""
    return _HIDDEN.sub("", text)


def joined(text: str) -> str:
    """Return *text* without line ends, and without the spaces around them, which may be an indent."""
    *lines, last = _LINE_END_AND_INDENT.split(text)
    return "".join([*(line.rstrip(" \t") for line in lines), last])


def as_shown(view: View) -> View:
    """Return *view* without what a terminal does not show."""
    return view.replaced(_HIDDEN, _nothing)


def on_one_line(view: View) -> View:
    """Return *view* without line ends, and without the spaces around them, which may be an indent."""
    if "\n" not in view.text and "\r" not in view.text:
        return view
    return view.replaced(_LINE_ENDS_AND_INDENT, _nothing, margin=" \t")


def unwrapped(view: View) -> Iterator[View]:
    """Yield *view* on one line, without the spaces at line ends and, if it was not decoded, with them."""
    yield (line := on_one_line(view))
    if line is not view and not view.decoded:
        spaced = view.replaced(_LINE_ENDS, _nothing)
        if len(spaced.text) > len(line.text):
            yield spaced


class _Known(dict[str, str]):
    """The meaning of an escape; the next of its kind need not be read again."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read

    def __missing__(self, escape: str) -> str:
        found = self[escape] = self._read(escape)
        return found


def _read(view: View, pattern: re.Pattern[str], by: Callable[[str], str]) -> View:
    """Return *view*, which hides nothing, decoded, without what that hides then."""
    known = _Known(by)
    decoded = view.replaced(pattern, known.__getitem__)
    if decoded is not view:
        if any(map(_HIDDEN.match, known.values())):
            decoded = as_shown(decoded)
        decoded.decoded = True
    return decoded


def _reference(written: str) -> str:
    if written[0] == "%":
        return chr(int(written[1:], 16))
    return unescape(written) if written[0] == "&" else "'"


def _unescaped(written: str) -> str:
    kind, digits = written[1], written[2:]
    if len(written) == 2:
        return _LETTERS.get(kind, kind)
    if len(written) == len(r"\ud83d\ude00"):
        return bytes.fromhex(written[2:6] + written[8:]).decode("utf-16-be")
    if kind in "uUx":
        return chr(min(int(digits, 16), 0x10FFFF))
    return chr(int(written[1:], 8))


def _nothing(_match: str) -> str:
    return ""
