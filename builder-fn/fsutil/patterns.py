"""Pure. Matches paths as .dockerignore and the daemon's include patterns mean them.

The rules are moby/patternmatcher v0.6.1's: "*" and "?" within a path's part, "**" for any number of parts,
"!" for exceptions, and a match of a directory holds for all below it. The daemon reads .dockerignore itself
and hands us its patterns in order.
"""

from __future__ import annotations

import posixpath
import threading
from collections import OrderedDict
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from .filepath_match import PatternError, filepath_match
from .go_regexp import ANY_DIRECTORIES, any_of, exactly, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .automaton import State
    from .go_regexp import Alternatives


# A list comes to 300 bytes for each of its size, and all that are kept to 5 MB at most.
_MOST_SIZE = 1_000
_MOST_LISTS = 16

# What strings.TrimSpace takes away; Python's strip would take the ASCII separators as well.
_GO_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)

# patternmatcher means to escape all of ".+()|{}$", but its table has room for those below "@" only.
_ESCAPED = frozenset(".+()$")
_WILDCARDS = frozenset("*[]?^\\")  # what fsutil filter.go takes for more than a plain prefix


class _Place(NamedTuple):
    """A directory as seen by a run of patterns: whether one matched it, and else how far they have come."""

    hit: bool
    state: State


Places = tuple[_Place, ...]  # one for each run


class Pattern:
    """One line of a pattern list, cleaned. Raises PatternError."""

    def __init__(self, text: str) -> None:
        self.is_exception = text.startswith("!")
        self.text = text.removeprefix("!")
        if not self.text:
            raise PatternError('illegal exclusion pattern: "!"')
        filepath_match(self.text, ".")  # upstream's only check of the syntax before the first use
        prefix = self.text.removesuffix("/**").removesuffix("/*")
        # The path that everything matched lies at or below; None where wildcards leave that open.
        self.literal_prefix = None if _WILDCARDS & set(prefix) else prefix


class PatternList:
    """An ordered list of patterns, of which the last that applies decides. Raises PatternError."""

    def __init__(self, patterns: Iterable[str]) -> None:
        stripped = (pattern.strip(_GO_SPACE) for pattern in patterns)
        parsed = [Pattern(clean_path(pattern)) for pattern in stripped if pattern]
        self._prefixes = {
            kind: [p.literal_prefix for p in parsed if p.is_exception == kind]
            for kind in (False, True)
        }
        self._runs = [
            _Run([pattern.text for pattern in run], are_exceptions=kind)
            for kind, run in groupby(parsed, lambda pattern: pattern.is_exception)
        ]

    @property
    def size(self) -> int:
        return sum(run.size for run in self._runs)

    @property
    def root(self) -> Places:
        return tuple(_Place(hit=False, state=run.start) for run in self._runs)

    def match(self, name: str, directory: Places) -> bool:
        """Return whether the file *name* in *directory* matches. Raises PatternError."""
        matched = False
        for run, place in zip(self._runs, directory, strict=True):
            if place.hit or (
                run.are_exceptions == matched and run.matches(place.state.after(name))
            ):
                matched = not run.are_exceptions
        return matched

    def enter(self, name: str, directory: Places) -> tuple[bool, Places]:
        """Return whether the directory *name* in *directory* matches, and the places that means below it.

        Raises PatternError.
        """
        matched = False
        below = []
        for run, place in zip(self._runs, directory, strict=True):
            state = place.state.after(name)
            # A pattern that could not change the verdict is not tried, and counts as not matched below.
            hit = place.hit or (run.are_exceptions == matched and run.matches(state))
            if hit:
                matched = not run.are_exceptions
            below.append(_Place(hit, state["/"]))
        return matched, tuple(below)

    def may_match_below(self, directory: str, *, exceptions: bool) -> bool:
        """Return whether a pattern that is (or is not) an exception could match anything in *directory*.

        Any could, once one of them has wildcards before its end: upstream looks no closer (filter.go, Walk).
        """
        prefixes = self._prefixes[exceptions]
        return None in prefixes or any(
            f"{prefix}/".startswith(f"{directory}/") for prefix in prefixes
        )


class KnownLists:
    """Lists that have been used, by their patterns; safe for use by many threads.

    Builds of one Dockerfile ask by the same patterns, and to compile them is a sixth of what a warm build
    takes. A list learns with each path, so one user has it at a time; one that has grown large is forgotten.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[tuple[str, ...], PatternList] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def using(self, patterns: tuple[str, ...]) -> Iterator[PatternList]:
        """Lend the list of *patterns*. Raises PatternError."""
        with self._lock:
            known = self._lists.pop(patterns, None)
        lent = known or PatternList(patterns)
        yield lent
        if lent.size > _MOST_SIZE:
            return
        with self._lock:
            self._lists[patterns] = lent
            if len(self._lists) > _MOST_LISTS:
                self._lists.popitem(last=False)


class _Run:
    """Patterns that follow one another and are all exceptions, or none: it is enough that one matches."""

    def __init__(self, patterns: list[str], *, are_exceptions: bool) -> None:
        self.are_exceptions = are_exceptions
        self._malformed: PatternError | None = None
        self._automaton = any_of(self._well_formed(patterns))
        self.start = self._automaton.start

    @property
    def size(self) -> int:
        return self._automaton.size

    def matches(self, state: State) -> bool:
        """Return whether a pattern matches.

        Raises PatternError if none matches before one that is malformed: upstream reads them as
        needed.
        """
        if state.is_end:
            return True
        if self._malformed:
            raise PatternError(*self._malformed.args)
        return False

    def _well_formed(self, patterns: list[str]) -> Iterator[Alternatives]:
        for pattern in patterns:
            try:
                yield _compiled(pattern)
            except PatternError as exc:
                self._malformed = exc.with_traceback(None)
                return


def clean_path(path: str) -> str:
    """Clean *path* as Go's filepath.Clean does."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _compiled(pattern: str) -> Alternatives:
    """Parse *pattern* as Go's regexp would, or as one of three shapes that upstream compares itself."""
    if pattern.startswith("**") and not _is_special(pattern[2:].removeprefix("/")):
        rest = pattern[2:]
        alone = rf"^\Q{rest[1:]}\E$|" if rest.startswith("/") else ""
        return exactly(rf"{alone}\Q{rest}\E$")
    if pattern.endswith("**") and not _is_special(pattern[:-2]):
        return exactly(rf"^\Q{pattern[:-2]}\E")
    if not _is_special(pattern):
        return exactly(rf"^\Q{pattern}\E$")
    return parse(_translated(pattern))


def _is_special(text: str) -> bool:
    return any(character in text for character in "*?[]\\")


def _translated(pattern: str) -> str:
    """Translate *pattern*, faithful to what upstream's compile does not escape."""
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
