"""Runs calls in a bounded number of threads, which are started when they are needed and then kept.

Unlike those of concurrent.futures they keep no process from leaving.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Threads:
    """At most *most* at a time; what is submitted beyond that waits its turn."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0

    def submit(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have *call* called; it must not raise."""
        with self._lock:
            # Those that are counted as idle may have been promised to earlier calls already.
            start = self._started < self._most and self._calls.qsize() >= self._idle
            self._started += start
        self._calls.put((call, arguments))
        if start:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            call, arguments = self._calls.get()
            with self._lock:
                self._idle -= 1
            call(*arguments)
            # What a request held must not wait for the next one.
            del call, arguments
