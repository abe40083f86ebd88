"""Pure. Reads values of the tenants file, each strictly, and refuses one by its place in the file.

A refusal has two wordings: the log's names the tenant that it is about, and the public one, which anybody can
read in `/ready`, gives the tenant's position instead. Neither ever quotes a value that may be secret.
"""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import go_duration
from ..quoting import json_type, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

# From the first quote to the last, since what is quoted may have some in it.
_QUOTED = re.compile(r'".*"', re.DOTALL)
_DURATION = re.compile(r"[0-9.hms]{1,20}")


@dataclass(frozen=True, slots=True)
class Where:
    """A place in the file, as the log names it, and as everybody may read it."""

    text: str = ""
    public: str = ""

    def member(self, name: str) -> Where:
        return Where(_joined(self.text, _shown(name)), _joined(self.public, _shown(name)))

    def tenant(self, name: str, position: int) -> Where:
        """Return the place of the member *name*, the *position*th, whose name only the log may have."""
        return Where(_joined(self.text, _shown(name)), f"{self.public}[{position}]")

    def item(self, position: int) -> Where:
        return Where(f"{self.text}[{position}]", f"{self.public}[{position}]")

    def __str__(self) -> str:
        return self.text or "the file"


class Malformed(Exception):
    """A value of the file that cannot be used; `str` is for the log, *public* for everybody."""

    def __init__(self, where: Where, why: str, *, public: str | None = None) -> None:
        """Say *why* the value at *where* is refused; *public* says it without a tenant's name."""
        super().__init__(f"{where} {why}")
        self.public = f"{where.public or 'the file'} {why if public is None else public}"


def unnamed(why: str) -> str:
    """Return *why* without what it quotes from the file, such as a customer's name, for everybody to read."""
    return _QUOTED.sub("…", why)


def members(value: object, where: Where, known: Collection[str]) -> dict[str, Any]:
    """Return the members of an object that may have the *known* ones only."""
    found = named(value, where)
    for name in found:
        if name not in known:
            hint = _hint(name, known)
            raise Malformed(
                where,
                f"has the unknown member {quoted(name)}{hint}",
                public=f"has an unknown member{hint}",
            )
    return found


def named(value: object, where: Where) -> dict[str, Any]:
    """Return the members of an object whose names are the operator's choice."""
    if not isinstance(value, dict):
        raise refusal(value, where, "an object")
    return value


def array(value: object, where: Where) -> list[Any]:
    if not isinstance(value, list):
        raise refusal(value, where, "an array")
    return value


def text(value: object, where: Where) -> str:
    if not isinstance(value, str):
        raise refusal(value, where, "a string (in YAML, put it in quotes)")
    if not value:
        raise Malformed(where, "is empty")
    return value


def texts(value: object, where: Where) -> tuple[str, ...]:
    return tuple(
        text(item, where.item(position)) for position, item in enumerate(array(value, where))
    )


def whole(value: object, where: Where, *, least: int = 1) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(value, where, f"a whole number from {least} on")
    if value < least:
        raise Malformed(where, f"must be a whole number from {least} on")
    return value


def duration(value: object, where: Where) -> float:
    """Read a duration as Go writes them, in seconds."""
    written = text(value, where)
    with suppress(ValueError):
        if _DURATION.fullmatch(written):
            return go_duration.seconds(written)
    raise Malformed(where, 'must be a duration such as "10m" or "90s"')


def one_of(value: object, where: Where, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        wanted = " or ".join(map(quoted, choices))
        raise Malformed(where, f"must be {wanted}")
    return value


def refusal(value: object, where: Where, wanted: str) -> Malformed:
    """Make the error for a value of another type than is *wanted*."""
    return Malformed(where, f"must be {wanted}, not {json_type(value)}")


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; it may have {', '.join(known)}" if known else ""


def _joined(before: str, name: str) -> str:
    return f"{before}.{name}" if before else name


def _shown(name: str) -> str:
    return quoted(name)[1:-1]
