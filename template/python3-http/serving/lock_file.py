"""I/O: the lock that of-watchdog takes for "this function is healthy", kept by the function itself.

of-watchdog writes it when its own port is open, which is before the function can answer. With
suppress_lock it leaves that to the function, yet looks for it all the same (pkg/watchdog.go, 0.11.6).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def path() -> Path:
    """Return where of-watchdog looks: Go's os.TempDir()."""
    return Path(os.environ.get("TMPDIR") or "/tmp", ".lock")  # noqa: S108 - the watchdog's own choice


def write() -> None:
    """Say that the function answers. Raises OSError."""
    path().write_bytes(b"")


def remove() -> None:
    """Say that it does not, or not any more; the watchdog may have said so already."""
    with suppress(OSError):
        path().unlink()
