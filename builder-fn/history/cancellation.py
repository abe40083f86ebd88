"""I/O: hears of builds that are to be cancelled, from whichever replica was asked.

The one who is asked leaves a record in the daemon's history; the one who runs the build listens to what
comes into it. The stream is begun anew now and then, since one whose host has vanished looks as if there
were no news; it tells from the beginning what it may have missed meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import grpc

from ..buildkit import Misconfigured
from ..pb import control_pb2 as pb
from .refs import Part, filters_of_all, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit.rpc.control import Control
    from .refs import Ref

# A daemon that is to stop waits for the streams it has; so none is long, although each begins with a search.
_STREAM_SECONDS = 5.0
_MIN_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0
# Heard of before their owner asked; a claim can be seen before its holder has it.
_MOST_REMEMBERED = 1_000

_log = logging.getLogger(__name__)


class CancelListener:
    """One daemon's requests to cancel; safe for use by many threads. Listens from the first build on."""

    def __init__(self, control: Callable[[], Control]) -> None:
        """*control* leads to the daemon, or raises Misconfigured."""
        self._control = control
        self._lock = threading.Lock()
        self._running: dict[Ref, Callable[[], None]] = {}
        self._heard: dict[Ref, None] = {}  # in their order
        self._started = False

    def add(self, ref: Ref, cancel: Callable[[], None]) -> None:
        """Have *cancel* called once, soon and from another thread or this one, when it is asked for."""
        with self._lock:
            self._running[ref] = cancel
            due = ref in self._heard
            start, self._started = not self._started, True
        if start:
            threading.Thread(target=self._listen, name="cancellation", daemon=True).start()
        if due:
            self._cancel(ref)

    def remove(self, ref: Ref) -> None:
        """Forget a build that has ended; safe to call twice."""
        with self._lock:
            self._running.pop(ref, None)

    def _listen(self) -> None:
        pause = _MIN_PAUSE_SECONDS
        while True:
            try:
                for event in self._stream():
                    pause = _MIN_PAUSE_SECONDS
                    self._take(event.record.Ref)
            except (grpc.RpcError, Misconfigured) as exc:
                if not _is_over(exc):
                    _log.debug("requests to cancel cannot be heard: %s", exc)
                    time.sleep(pause)
                    pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    def _stream(self) -> grpc.CallIterator[pb.BuildHistoryEvent]:
        request = pb.BuildHistoryRequest(Filter=filters_of_all(Part.CANCEL))
        return self._control().listen_build_history(request, timeout=_STREAM_SECONDS)

    def _take(self, name: str) -> None:
        match parsed(name):
            case (Part.CANCEL, ref):
                with self._lock:
                    self._heard[ref] = None
                    while len(self._heard) > _MOST_REMEMBERED:
                        self._heard.pop(next(iter(self._heard)))
                self._cancel(ref)

    def _cancel(self, ref: Ref) -> None:
        with self._lock:
            cancel = self._running.pop(ref, None)
        if cancel:
            cancel()


def _is_over(error: Exception) -> bool:
    """Return whether a stream ended because its time was over."""
    return isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
