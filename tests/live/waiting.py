"""Reads the clock and /proc. Waits for what a test cannot be told of, and never for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Nothing here takes a second on a quiet machine; at a load of 20 some things took 20.
_SECONDS = 60.0
_POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(_POLL_SECONDS)


def commands() -> Iterator[str]:
    """Yield the command line of every process, each argument ended by a NUL (proc_pid_cmdline(5))."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield (folder / "cmdline").read_text(errors="replace")
            except OSError:
                continue  # it has ended meanwhile
