"""Pure. Matches paths as .dockerignore and the daemon's include patterns mean them.

The rules are moby/patternmatcher's (vendored by moby/buildkit v0.32.2): Go's filepath.Match for a path's
parts, "**" for any number of parts, "!" for exceptions, and a match of a directory holds for all below it.
The daemon reads .dockerignore itself and hands us its patterns cleaned, in order.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WILDCARDS = frozenset("*[]?^\\")  # what fsutil filter.go takes for more than a plain prefix


class PatternError(Exception):
    """A pattern that Go's filepath.Match would not take."""


class Pattern:
    """One line of a pattern list."""

    def __init__(self, text: str) -> None:
        text = clean_path(text)
        self.is_exception = text.startswith("!")
        self.text = text.removeprefix("!")
        if not self.text:
            raise PatternError('illegal exclusion pattern: "!"')
        require_well_formed(self.text)
        self.matches = _matcher(self.text)

    @property
    def literal_prefix(self) -> str | None:
        """The path that everything matched lies at or below; None where wildcards leave that open."""
        prefix = self.text.removesuffix("/**").removesuffix("/*")
        return None if _WILDCARDS & set(prefix) else prefix


class PatternList:
    """An ordered list of patterns, of which the last that applies decides."""

    def __init__(self, patterns: Iterable[str]) -> None:
        stripped = (pattern.strip() for pattern in patterns)
        self.patterns = [Pattern(pattern) for pattern in stripped if pattern]
        self.has_exceptions = any(pattern.is_exception for pattern in self.patterns)

    def match(self, path: str, parent: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Whether *path* matches, and which patterns it matched, to be passed on as *parent* of what is below.

        *parent* is empty for a path at the root.
        """
        matched = False
        hits = []
        for index, pattern in enumerate(self.patterns):
            hit = bool(parent) and parent[index]
            # A pattern that could not change the verdict is not tried, and counts as not matched below.
            if not hit and pattern.is_exception == matched:
                hit = pattern.matches(path)
            hits.append(hit)
            if hit:
                matched = not pattern.is_exception
        return matched, tuple(hits)


def clean_path(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def require_well_formed(pattern: str) -> None:
    """Raises PatternError where Go's filepath.Match reports ErrBadPattern."""
    index = 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 1
            if index == len(pattern):
                raise PatternError(f"syntax error in pattern: {pattern}")
        elif pattern[index] == "[":
            index = _end_of_class(pattern, index)
        index += 1


def name_matcher(pattern: str) -> Callable[[str], bool]:
    """Go's filepath.Match of *pattern*, which has no "/", with a name."""
    require_well_formed(pattern)
    return _full_match(_translate(pattern, double_star=False))


def _end_of_class(pattern: str, start: int) -> int:
    """The index of the "]" that ends the class at *start*; filepath.Match, getEsc: "-" and "]" need a "\\"."""
    index = start + 1
    if pattern[index : index + 1] == "^":
        index += 1
    members = 0
    while index < len(pattern):
        if pattern[index] == "]" and members:
            return index
        index = _end_of_member(pattern, index)
        if pattern[index : index + 1] == "-":
            index = _end_of_member(pattern, index + 1)
        members += 1
    raise PatternError(f"syntax error in pattern: {pattern}")


def _end_of_member(pattern: str, index: int) -> int:
    if pattern[index : index + 1] in {"", "-", "]"}:
        raise PatternError(f"syntax error in pattern: {pattern}")
    return index + (2 if pattern[index] == "\\" else 1)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Three shapes need no regular expression, and are matched as upstream does: without reading escapes."""
    if pattern.startswith("**") and not _is_special(pattern[2:].removeprefix("/")):
        rest = pattern[2:]
        bare = rest.removeprefix("/")
        if rest == bare:
            return lambda path: path.endswith(rest)
        return lambda path: path == bare or path.endswith(rest)
    if pattern.endswith("**") and not _is_special(pattern[:-2]):
        return lambda path: path.startswith(pattern[:-2])
    if not _is_special(pattern):
        return lambda path: path == pattern
    return _full_match(_translate(pattern, double_star=True))


def _is_special(text: str) -> bool:
    return any(character in text for character in "*?[]\\")


def _full_match(expression: str) -> Callable[[str], bool]:
    try:
        compiled = re.compile(expression, re.ASCII)
    except re.error as exc:
        raise PatternError(f"syntax error in pattern: {expression}") from exc
    return lambda path: compiled.fullmatch(path) is not None


def _translate(pattern: str, *, double_star: bool) -> str:
    out = []
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if character == "*" and double_star and pattern[index : index + 1] == "*":
            index += 1
            if pattern[index : index + 1] == "/":
                index += 1
            out.append("(?:.*/)?" if index < len(pattern) else ".*")
        elif character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "\\" and index < len(pattern):
            out.append(re.escape(pattern[index]))
            index += 1
        elif character == "[":
            end = _end_of_class(pattern, index - 1)
            out.append(_translate_class(pattern[index:end]))
            index = end + 1
        else:
            out.append(re.escape(character))
    return "".join(out)


def _translate_class(members: str) -> str:
    negated = members.startswith("^")
    # Python gives "[", and the doubled "&&", "||" and "~~", a meaning of their own inside a class.
    escaped = re.sub(r"(?<!\\\\)([\\[&|~])", r"\\\1", members[negated:])
    return f"[{'^' if negated else ''}{escaped}]"
