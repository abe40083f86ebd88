"""Hands a large body to the handler while it arrives, piece by piece, in a thread beside the server's.

So that what takes a pass over the whole body, such as a signature, is nearly done when the body has come.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .body import Body
    from .head import Head
    from .threads import Threads

# Fewer bytes are not worth waking a thread.
_PIECE = 4 << 20

_log = logging.getLogger("serving")


class Arrived(Protocol):
    """A value that a handler's hook `arriving` returns."""

    def update(self, piece: memoryview, /) -> object: ...


class Arrival:
    """One body's way to the handler. The server's thread calls advanced(), the request's finish()."""

    def __init__(
        self, hook: Callable[[Head], Arrived | None], head: Head, body: Body, threads: Threads
    ) -> None:
        self._hook = hook
        self._head = head
        self._body = body
        self._threads = threads
        self._lock = threading.Lock()  # held by the one thread that hands over
        self._given = 0
        self._begun = False
        self._receiver: Arrived | None = None

    def advanced(self, size: int) -> None:
        """Hand over the *size* bytes that have come, if enough are new and no thread does so already."""
        if size - self._given >= _PIECE and self._lock.acquire(blocking=False):
            self._threads.submit(self._hand_over_and_release, self._body.view())

    def finish(self) -> Any:
        """Hand over the rest, and return what the hook had returned; None if that, or if it failed."""
        with self._lock:
            self._hand_over(self._body.view())
        return self._receiver

    def _hand_over_and_release(self, view: memoryview) -> None:
        try:
            self._hand_over(view)
        finally:
            self._lock.release()

    def _hand_over(self, view: memoryview) -> None:
        try:
            if not self._begun:
                self._begun = True
                self._receiver = self._hook(self._head)
            if self._receiver is not None:
                self._receiver.update(view[self._given :])
            self._given = len(view)
        except Exception:
            # The handler sees None and does its pass over the body itself.
            self._receiver = None
            _log.exception("The hook `arriving` failed")
