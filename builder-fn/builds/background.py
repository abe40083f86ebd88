"""Runs what no request waits for: detached builds, and verdicts on a lost daemon. Threads of this replica."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Background:
    """Work in the background; `idle` once there is none."""

    def __init__(self) -> None:
        self._running = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        with self._lock:
            return self._running == 0

    def start(self, work: Callable[[], object], *, name: str) -> None:
        """Run *work* in a thread of its own; it must end by itself when the replica stops."""
        with self._lock:
            self._running += 1
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._running -= 1
