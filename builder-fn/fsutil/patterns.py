"""Pure. Matches paths as .dockerignore and the daemon's include patterns mean them.

The rules are moby/patternmatcher v0.6.1's: "*" and "?" within a path's part, "**" for any number of parts,
"!" for exceptions, and a match of a directory holds for all below it. The daemon reads .dockerignore itself
and hands us its patterns in order.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from .filepath_match import PatternError, filepath_match
from .go_regexp import ANY_DIRECTORIES, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Hits = tuple[bool, ...]

# What strings.TrimSpace takes away; Python's strip would take the ASCII separators as well.
_GO_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)

# patternmatcher means to escape all of ".+()|{}$", but its table has room for those below "@" only.
_ESCAPED = frozenset(".+()$")
_WILDCARDS = frozenset("*[]?^\\")  # what fsutil filter.go takes for more than a plain prefix


class Pattern:
    """One line of a pattern list, cleaned. Raises PatternError."""

    def __init__(self, text: str) -> None:
        self.is_exception = text.startswith("!")
        self.text = text.removeprefix("!")
        if not self.text:
            raise PatternError('illegal exclusion pattern: "!"')
        filepath_match(self.text, ".")  # upstream's only check of the syntax before the first use
        self._matcher: Callable[[str], bool] | None = None
        prefix = self.text.removesuffix("/**").removesuffix("/*")
        # The path that everything matched lies at or below; None where wildcards leave that open.
        self.literal_prefix = None if _WILDCARDS & set(prefix) else prefix

    def matches(self, path: str) -> bool:
        """Raises PatternError if the pattern turns out to be malformed."""
        if self._matcher is None:
            self._matcher = _matcher(self.text)
        return self._matcher(path)


class PatternList:
    """An ordered list of patterns, of which the last that applies decides. Raises PatternError."""

    def __init__(self, patterns: Iterable[str]) -> None:
        stripped = (pattern.strip(_GO_SPACE) for pattern in patterns)
        self.patterns = [Pattern(clean_path(pattern)) for pattern in stripped if pattern]

    def match(self, path: str, parent: Hits) -> tuple[bool, Hits]:
        """Whether *path* matches, and which patterns it matched: *parent*, for what lies below it.

        *parent* is empty for a path at the root. Raises PatternError.
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

    def may_match_below(self, directory: str, *, exceptions: bool) -> bool:
        """Whether one that is (or is not) an exception could match anything in *directory*.

        Any could, once one of them has wildcards before its end: upstream looks no closer (filter.go, Walk).
        """
        prefixes = [p.literal_prefix for p in self.patterns if p.is_exception == exceptions]
        return None in prefixes or any(
            f"{prefix}/".startswith(f"{directory}/") for prefix in prefixes
        )


def clean_path(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Three shapes are compared as they are; all others become what upstream's compile makes of them."""
    if pattern.startswith("**") and not _is_special(pattern[2:].removeprefix("/")):
        rest = pattern[2:]
        bare = rest.removeprefix("/")
        if rest == bare:
            return lambda path: path.endswith(rest)
        return lambda path: path == bare or path.endswith(rest)
    if pattern.endswith("**") and not _is_special(pattern[:-2]):
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    if not _is_special(pattern):
        return pattern.__eq__
    return compiled(_expression(pattern)).matches


def _is_special(text: str) -> bool:
    return any(character in text for character in "*?[]\\")


def _expression(pattern: str) -> str:
    """*pattern* in Go's regexp syntax, faithful to what upstream does not escape."""
    out = ["^"]
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if pattern.startswith("**", index - 1):
            index += 1
            index += pattern.startswith("/", index)
            out.append(ANY_DIRECTORIES if index < len(pattern) else ".*")
        elif character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "\\":
            out.append(pattern[index - 1 : index + 1])
            index += 1
        elif character in _ESCAPED:
            out.append(f"\\{character}")
        else:
            out.append(character)
    return "".join((*out, "$"))
