"""Pure. The parts of a secret that are secret even when they stand alone: lines, tokens, passwords.

The words of a .npmrc, pip.conf, .netrc, settings.xml or auth.json are not all alike: `registry`, `https` and
hosts are in every log, and the token must be in none. What a file itself calls a password or token is taken
at its word; other words must look random.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from .detection import has_secret_shape, looks_secret
from .views import joined, read_entities, read_escapes, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# The shortest password most services let one choose; `[global]`, `</server>` and all smaller brackets of a
# structure are no longer.
_MIN_LINE = 8
# A shorter password in a file is left readable where it stands alone: it would be found inside of words.
_MIN_NAMED = 6
# 16 characters of hexadecimal are 64 bits.
_MIN_RANDOM = 16
# A longer one is found by its middle if an escape sequence hides its beginning.
_LONG = 8 * 1024

_LINES = re.compile(r"[\r\n]+")
# name = value, "name": "value", name: Bearer value, <name>value</name>; of a name only its end matters.
_NAMED = re.compile(
    r"(?<![\w.-])(?:[\w.-]*:)?(?P<name>[\w.-]{1,100})(?:>(?P<element>[^<>]++)</"
    r"|[\"']?[ \t]*[=:>][ \t]*(?:(?i:bearer|basic|token)[ \t]+)?"
    r"(?:\"(?P<double>[^\"\\\r\n]*+(?:\\.[^\"\\\r\n]*+)*+)\""
    r"|'(?P<single>[^'\r\n]*+(?:''[^'\r\n]*+)*+)'"
    r"|(?P<bare>[^\s\"'<>]+)))"
)
# What NuGet.config has: <add key="name" value="value" />.
_ADDED = re.compile(r"key=\"([\w.-]{1,100})\"[ \t]+value=\"([^\"\r\n]*)\"")
# An attribute whose value ends in what would be an escape elsewhere.
_ATTRIBUTE = re.compile(r"(?<![\w.-])([\w.-]{1,100})=\"([^\"\r\n]*\\)\"")
_NETRC = re.compile(r"(?<!\S)(?:password|account)\s+(\S+)")
_USERINFO = re.compile(r"://([^\s/@\"'<>:]{0,256})(?::([^\s/@\"'<>]{0,1024}))?@")
_TOKEN = re.compile(r"[A-Za-z0-9+/_~.-]+=*")
_CANDIDATE = re.compile(rf"[A-Za-z0-9+/_~-]{{{_MIN_RANDOM},}}")

# How often random characters change between letters and digits, or from a small to a capital letter: 45 of
# 100 in base62 and in hexadecimal, 30 in base32, and fewer than 15 in names and paths.
_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]")
_SEPARATORS = re.compile(r"[+/_~-]")
_CHANGES_OF_RANDOM = 0.2


class Part(NamedTuple):
    """*opaque* if it says nothing in a language, so that a piece of it stands for nothing else.

    *verbatim* if the secret holds it as it is, and not by what its file writes for it.
    """

    text: str
    opaque: bool
    verbatim: bool = True


def parts_of(text: str) -> Iterator[Part]:
    """Yield the parts of a secret, the whole first; maybe one twice, and one within another."""
    whole = cleaned(text)
    yield Part(whole, _is_opaque(whole))
    if len(text) <= _LONG and (written := _stripped(joined(text))) != whole:
        yield Part(written, opaque=False)  # where an escape sequence hides its beginning
    yield from _lines_of(text, verbatim=True)
    for word in (*_named(text), *_passwords_of_urls(text)):
        yield from _word(word, verbatim=True)
        for meant in _meanings(word):
            yield from _word(meant, verbatim=False)
    for candidate in _CANDIDATE.findall(text):
        if _is_random(candidate):
            yield Part(candidate, opaque=True)
        else:
            yield from (
                Part(word, opaque=True)
                for word in candidate.split("/")
                if len(word) >= _MIN_RANDOM and _is_random(word)
            )


def _lines_of(text: str, *, verbatim: bool) -> Iterator[Part]:
    lines = _LINES.split(text)
    if len(lines) > 1:
        for line in map(cleaned, lines):
            if len(line) >= _MIN_LINE and any(map(str.isalnum, line)):
                yield Part(line, _is_opaque(line), verbatim)


def _word(word: str, *, verbatim: bool) -> Iterator[Part]:
    """Yield a password or token, and what it is the base64 of."""
    yield from _lines_of(word, verbatim=verbatim)
    word = cleaned(word)
    if len(word) >= _MIN_NAMED:
        yield Part(word, opaque=True, verbatim=verbatim)
        decoded = _decoded(word)
        _user, _colon, password = decoded.partition(":")
        for text in (decoded, password):
            if len(text) >= _MIN_NAMED:
                yield Part(text, opaque=False, verbatim=False)


def _meanings(word: str) -> set[str]:
    """Return what a reader of JSON, XML, YAML, a URL may take *word* for, if not for itself."""
    read = {word, read_escapes(word), read_entities(word), word.replace("''", "'")}
    return {*read, *(unquote(text, errors="replace") for text in read)} - {word}


def cleaned(text: str) -> str:
    """Return *text* as a view has it."""
    return _stripped(joined(shown(text)))


def _stripped(text: str) -> str:
    """Return *text* without what its neighbours may change: half a character, white space."""
    return text.strip(" \t\r\n\ufffd")


def _is_opaque(text: str) -> bool:
    if len(text) < _MIN_RANDOM or not _TOKEN.fullmatch(text):
        return False
    return has_secret_shape(text) or _is_random(text)


def _is_random(word: str) -> bool:
    letters = _SEPARATORS.sub("", word)
    return len(_CHANGE.findall(letters)) > _CHANGES_OF_RANDOM * len(letters)


def _named(text: str) -> Iterator[str]:
    position = 0
    while match := _NAMED.search(text, position):
        kind = match.lastgroup or ""
        value = match[kind].strip()
        if looks_secret(match["name"], value) and "://" not in value:
            yield value
        # What is in quotes or an element may be a file of its own.
        position = match.end() if kind == "bare" else match.start(kind)
    for match in (*_ADDED.finditer(text), *_ATTRIBUTE.finditer(text)):
        if looks_secret(match[1], match[2]):
            yield match[2]
    for match in _NETRC.finditer(text):
        yield match[1]


def _passwords_of_urls(text: str) -> Iterator[str]:
    """Yield the password of https://user:password@host and the token of https://token@host."""
    for match in _USERINFO.finditer(text):
        yield match[2] if match[2] is not None else match[1]


def _decoded(word: str) -> str:
    """Return what *word* is the base64 of, as in `auth` of a Docker config.json; "" if it is none."""
    try:
        text = base64.b64decode(word, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return text if text.isprintable() else ""
