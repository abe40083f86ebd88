"""Pure. Tells whether .dockerignore leaves a path out: the rules of moby/patternmatcher v0.6.1.

"*" and "?" stay within a part of a path, "**" spans any number of parts, "!" makes an exception, the last
line that applies decides, and a match of a folder holds for all below it. The builder has the last word:
where a line is not understood here, nothing is left out, and the builder judges it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SPECIAL: Final = frozenset("*?[]\\")
_WILDCARDS: Final = frozenset("*[]?^\\")  # in front of which a pattern's plain folder ends
# Upstream hands these to Go's regular expressions unescaped, as it does not mean to.
_QUIRKS: Final = frozenset("|{}^")
# What Go's strings.TrimSpace takes away; Python's strip would take the ASCII separators as well.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)

Matched = tuple[bool, ...]  # for each pattern, whether it matched a folder or one above it


class _NotUnderstoodError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Pattern:
    expression: re.Pattern[str]
    is_exception: bool
    folder: str | None  # that everything matched is in; None where wildcards leave it open


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The lines of an ignore file. *kept* are paths that travel all the same: the builder reads them."""

    patterns: tuple[_Pattern, ...] = ()
    kept: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: bytes, kept: frozenset[str]) -> Self:
        """Read *text*; ignore nothing if a line of it is not understood."""
        try:
            return cls(tuple(_patterns(text)), kept)
        except _NotUnderstoodError:
            return cls((), kept)

    @property
    def root(self) -> Matched:
        """Return what holds for the context's root, to begin with."""
        return (False,) * len(self.patterns)

    def judge(self, path: str, folder: Matched) -> tuple[bool, Matched]:
        """Tell whether *path*, of a folder for which *folder* holds, is ignored, and what holds below it."""
        ignored, matched = False, []
        for pattern, above in zip(self.patterns, folder, strict=True):
            # Upstream does not try a pattern that could not change the verdict, and holds it for unmatched.
            could_change = pattern.is_exception == ignored
            hit = above or (could_change and pattern.expression.search(path) is not None)
            matched.append(hit)
            if hit:
                ignored = not pattern.is_exception
        return ignored and path not in self.kept, tuple(matched)

    def may_keep_below(self, path: str) -> bool:
        """Tell whether anything in the ignored folder *path* could travel all the same."""
        exceptions = (pattern.folder for pattern in self.patterns if pattern.is_exception)
        return any(name.startswith(f"{path}/") for name in self.kept) or any(
            folder is None
            or f"{folder}/".startswith(f"{path}/")
            or f"{path}/".startswith(f"{folder}/")
            for folder in exceptions
        )


def _patterns(text: bytes) -> Iterator[_Pattern]:
    decoded = text.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    for line in decoded.split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip(_SPACE)
        is_exception = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip(_SPACE)
        if not pattern:
            if is_exception:
                raise _NotUnderstoodError
            continue
        pattern = posixpath.normpath(pattern)
        pattern = pattern.lstrip("/") or "/"
        if pattern.startswith("!") and not is_exception:
            raise _NotUnderstoodError  # "/!a": upstream loses the slash, and then sees an exception
        prefix = pattern.removesuffix("/**").removesuffix("/*")
        yield _Pattern(
            _compiled(pattern), is_exception, None if _WILDCARDS & set(prefix) else prefix
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_expression(pattern), re.DOTALL)
    except re.error as exc:
        raise _NotUnderstoodError from exc


def _expression(pattern: str) -> str:
    """Translate *pattern*. Three shapes upstream compares as they are, whatever else is in them."""
    if pattern.startswith("**") and not _SPECIAL & set(rest := pattern[2:].removeprefix("/")):
        within = rf"(?:\A|/){re.escape(rest)}\Z"
        return within if pattern.startswith("**/") else rf"{re.escape(rest)}\Z"
    if pattern.endswith("**") and not _SPECIAL & set(pattern[:-2]):
        return rf"\A{re.escape(pattern[:-2])}"
    return rf"\A{''.join(_translated(pattern))}\Z"


def _translated(pattern: str) -> Iterator[str]:
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            yield "(?:.*/)?" if at < len(pattern) else ".*"
            continue
        character = pattern[at]
        at += 1
        if character == "*":
            yield "[^/]*"
        elif character == "?":
            yield "[^/]"
        elif character == "\\":
            if at == len(pattern) or (pattern[at].isascii() and pattern[at].isalnum()):
                raise _NotUnderstoodError  # a class of Go's regular expressions, or no pattern at all
            yield re.escape(pattern[at])
            at += 1
        elif character == "[":
            end = _class_end(pattern, at)
            yield _class(pattern[at:end])
            at = end + 1
        elif character in _QUIRKS:
            raise _NotUnderstoodError
        else:
            yield re.escape(character)


def _class_end(pattern: str, start: int) -> int:
    end = pattern.find("]", start)
    if end <= start or pattern[start:end] == "^":
        raise _NotUnderstoodError
    return end


def _class(members: str) -> str:
    # Upstream translates the wildcards in a class as well, into what it does not mean.
    if any(character in members for character in "[\\*?"):
        raise _NotUnderstoodError
    negated, members = members.startswith("^"), members.removeprefix("^")
    # A "-" keeps its meaning; the other characters that Python gives one in a class are escaped.
    plain = "".join(
        character if character == "-" else re.escape(character) for character in members
    )
    if "--" in plain:
        raise _NotUnderstoodError
    return f"[{'^' if negated else ''}{plain}]"
