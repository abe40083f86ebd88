"""Pure. What the daemon says of itself, for who watches it: as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """What is not known is empty."""

    up: bool = False
    version: str = ""
    # What it keeps on disk, in bytes by BuildKit's kind of record ("regular", "exec.cachemount", …).
    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    # Beyond so many bytes it clears its cache of what no build uses.
    cache_limit: int = 0
