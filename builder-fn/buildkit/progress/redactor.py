"""Pure. The interface of what takes secrets out of a build's words; without one, nothing is secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class RedactedLines(Protocol):
    """Lines of one stream in, lines without secrets out; a line may be held back until the next one comes."""

    def feed(self, lines: Iterable[str]) -> list[str]: ...

    def finish(self) -> list[str]: ...


class Redactor(Protocol):
    """Knows what must not be read. False if that is nothing."""

    def __bool__(self) -> bool: ...

    def text(self, text: str) -> str:
        """Return *text* without what must not be read."""

    def lines(self) -> RedactedLines:
        """Return the same for the lines of one stream, which come one after another."""


class _Unchanged:
    def feed(self, lines: Iterable[str]) -> list[str]:
        return list(lines)

    def finish(self) -> list[str]:
        return []


class _NothingSecret:
    def __bool__(self) -> bool:
        return False

    def text(self, text: str) -> str:
        return text

    def lines(self) -> RedactedLines:
        return _Unchanged()


NOTHING_SECRET: Redactor = _NothingSecret()
