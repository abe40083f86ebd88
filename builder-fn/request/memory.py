"""Pure. The memory that a request takes beside its body, and who is asked for it before it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing_reserved(_size: int) -> None:
    """Reserve nothing, where memory has no budget."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Names whom to tell of so many bytes before they are kept; either may raise, to refuse them.

    *unpacked* is for what a compressed body unpacks to, *parsed* for what is made of an archive: entries,
    names, values. What was reserved goes back with the last reference to the two.
    """

    unpacked: Callable[[int], None] = nothing_reserved
    parsed: Callable[[int], None] = nothing_reserved


UNBOUNDED = Memory()
