"""Pure. What builds may use, as the operator's file says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .reading import members

if TYPE_CHECKING:
    from .reading import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Restricts nothing yet."""


def parsed(document: object, where: Where) -> Policy:
    """Read the policy that stands at *where*. Raises Malformed."""
    members(document, where, ())
    return Policy()
