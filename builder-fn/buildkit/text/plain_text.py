"""Pure. Text that a build wrote, made fit for an error: without control characters, and short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from .display_strings import CACHE_KEY, CANCELED, CHECKSUM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

# ECMA-48: control sequences (colours), then strings up to their terminator (titles, links), then the rest.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline

_CUT = " … "

# The daemon's messages quote a step's whole command; what happened to it comes last. In characters.
MAX_CAUSE = 2_000

# The first and the last are what clients and the cache put in front; they need not be there.
_NOISE = re.compile(rf"^(?:failed to solve: |{CACHE_KEY.pattern.pattern}|failed to prepare: )+")
# Absolute paths below the daemon's own folders; a path in the user's context or image is not one.
_DAEMON_PATH = re.compile(r"/[^\s\"':]*(?:/buildkit[^\s\"':]*|/runc-[a-z]+/|/snapshots/)[^\s\"':]*")


def plain(text: str) -> str:
    """Return *text* without escape sequences and control characters, tabs and newlines excepted."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def start_of(text: str, most: int) -> str:
    """Cut *text* to at most *most* characters; its end goes."""
    return text if len(text) <= most else text[: most - 1] + "…"


def ends_of(text: str, most: int) -> str:
    """Cut *text* to at most *most* characters; its middle goes."""
    if len(text) <= most:
        return text
    head = (most - len(_CUT)) // 2
    tail = most - len(_CUT) - head
    return f"{text[:head]}{_CUT}{text[-tail:]}"


def fitting(entries: Iterable[T], most: int, size: Callable[[T], int]) -> list[T]:
    """Return as many of *entries*, from the first on, as have a *size* of at most *most* together."""
    found: list[T] = []
    for entry in entries:
        most -= size(entry)
        if most < 0:
            break
        found.append(entry)
    return found


def clean_message(message: str) -> str:
    """Return *message* without the daemon's own paths and the words that only say that it failed."""
    # Shortened first: a path is searched for in quadratic time.
    message = ends_of(plain(_NOISE.sub("", message)), MAX_CAUSE)
    message = _DAEMON_PATH.sub("(a path of the daemon)", CHECKSUM.pattern.sub("", message))
    return ends_of(message.strip(), MAX_CAUSE)


def is_cancelled(vertex_error: str) -> bool:
    """Return whether a step was given up because another one failed, or its caller left."""
    return CANCELED.search(vertex_error) is not None
