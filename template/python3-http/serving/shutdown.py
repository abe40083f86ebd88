"""Everything between SIGTERM and the exit. Traps signals; reads the clock."""

from __future__ import annotations

import queue
import signal
import threading
import time
from typing import TYPE_CHECKING

from . import lock_file
from .hooks import hook

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from .server import Server
    from .settings import ServerSettings

_LAST_ANSWERS_SECONDS = 3.0
_POLL_SECONDS = 0.02


class ServerDied(Exception):
    """The thread that serves has ended, which it never should."""


class Signals:
    """SIGTERM and SIGINT, as something to wait for."""

    def __init__(self, earlier: list[int]) -> None:
        """Begin with the *earlier* signals, which came before there was anybody to wait."""
        # Unlike an Event's set(), put() may interrupt get() in the same thread, as signal handlers
        # do.
        self._received: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._received.put(received))
        for received in earlier:
            self._received.put(received)

    def wait(self, seconds: float | None = None) -> signal.Signals | None:
        """Return the next signal, or None when none came in time. Raises ServerDied."""
        try:
            received = self._received.get(timeout=seconds)
        except queue.Empty:
            return None
        if received is None:
            raise ServerDied
        return signal.Signals(received)

    def server_died(self) -> None:
        self._received.put(None)


def shut_down(
    server: Server,
    handler: ModuleType,
    settings: ServerSettings,
    signals: Signals,
    *,
    say: Callable[[str], None],
) -> None:
    """Wait for a signal, then for the running requests, as long as the settings allow."""
    received = signals.wait()
    began = time.monotonic()
    if settings.suppress_lock:
        lock_file.remove()
    server.drain()
    say(f"{received.name if received else 'Signal'}: refusing new requests, finishing running ones")
    _call(hook(handler, "drain"))
    # Even when idle, long enough for the server to read what has already arrived.
    stay = max(settings.shutdown_delay, _POLL_SECONDS)
    idle = _idle(server, hook(handler, "idle"))
    if not _finished(idle, settings.shutdown_grace, signals, at_least=stay):
        say("Stopping the requests that still run")
        _call(hook(handler, "stop"))
        _finished(idle, _LAST_ANSWERS_SECONDS, signals)
    say(f"Leaving after {time.monotonic() - began:.1f} s")


def _idle(server: Server, handler_is_idle: Callable[[], object] | None) -> Callable[[], bool]:
    return lambda: server.idle and (handler_is_idle is None or bool(handler_is_idle()))


def _finished(
    idle: Callable[[], bool], seconds: float, signals: Signals, *, at_least: float = 0.0
) -> bool:
    """Wait until all is idle, or time is up, or another signal says to hurry."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if waited >= at_least and idle():
            return True
        if signals.wait(_POLL_SECONDS):
            break
    return idle()


def _call(found: Callable[[], object] | None) -> None:
    """Call a hook in a thread of its own: one that fails or hangs must not keep the process."""
    if found:
        threading.Thread(target=found, name="hook", daemon=True).start()
