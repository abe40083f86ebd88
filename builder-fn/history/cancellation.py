"""I/O: hears of builds that are to be cancelled, from whichever replica was asked, and of builds that end.

The replica asked leaves a record in the daemon's history; the one that runs the build listens to what
comes into it, for as long as it has builds there that are not over in a moment, or is asked about some. The
stream is begun again at times, since one whose host has vanished looks as if there were no news. The next
one is open before the last ends, so that nothing is missed between the two, and need not search the history;
the first does, and one after a failure.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from ..buildkit import Misconfigured
from ..pb import control_pb2 as pb
from .refs import Part, filters_of_all, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit.rpc.control import Control
    from .refs import Ref

# A build that ends sooner is not listened for; one that does not finds by search what it has missed.
# To hear of each build's begin and end is an eighth of what a warm build costs (measured).
_YOUNG_SECONDS = 1.0
# Between the beginnings of two streams.
_RENEWAL_SECONDS = 5.0
# A daemon that is to stop waits for the streams it has, so none is long; but the next one must have opened
# before it ends.
_STREAM_SECONDS = 7.0
# Without a build or a question it listens on for so long: the next one may come soon, and need no search.
_LINGER_SECONDS = 60.0
_LINGER_ASKED_SECONDS = 600.0
_MIN_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0
# Heard of before their owner asked; a claim can be seen before its holder has it.
_MOST_REMEMBERED = 1_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    cancel: Callable[[], None]
    since: float


class CancelListener:
    """One daemon's requests to cancel; safe for use by many threads. Listens while it has builds to end."""

    def __init__(
        self,
        control: Callable[[], Control],
        *,
        hear: Callable[[pb.BuildHistoryEvent], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen to the daemon that *control* leads to; *control* may raise Misconfigured.

        *hear* gets all that is heard, in threads of the listener's own.
        """
        self._control = control
        self._hear = hear
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[Ref, _Running] = {}
        self._heard: dict[Ref, None] = {}  # in their order
        self._listening = False
        self._idle_since = 0.0
        self._asked_until = 0.0
        self._unbroken_since: float | None = None

    @property
    def unbroken_since(self) -> float | None:
        """The time, by the clock, since which nothing has been missed; None while it does not listen."""
        with self._lock:
            return self._unbroken_since

    def listen(self) -> None:
        """Listen from now on, for some minutes, though there is no build."""
        with self._lock:
            self._asked_until = self._clock() + _LINGER_ASKED_SECONDS
        self._start()

    def add(self, ref: Ref, cancel: Callable[[], None]) -> None:
        """Have *cancel* called once, soon and from another thread or this one, when it is asked for."""
        with self._lock:
            self._running[ref] = _Running(cancel, self._clock())
            due = ref in self._heard
        self._start()
        if due:
            self._cancel(ref)

    def remove(self, ref: Ref) -> None:
        """Forget a build that has ended; safe to call twice."""
        with self._lock:
            self._running.pop(ref, None)
            self._idle_since = self._clock()

    def _start(self) -> None:
        with self._lock:
            start, self._listening = not self._listening, True
        if start:
            threading.Thread(target=self._listen, name="cancellation", daemon=True).start()

    def _listen(self) -> None:
        if not self._is_one_old():
            return
        pause = _MIN_PAUSE_SECONDS
        stream = self._begun(search=True)
        while self._is_needed():
            if not stream.broken.wait(_RENEWAL_SECONDS):
                pause = _MIN_PAUSE_SECONDS
                # One that has brought nothing, not even its head, may never have been opened.
                stream = self._begun(search=not stream.opened_in_time)
                continue
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            # What came meanwhile is to be searched for.
            stream = self._begun(search=True)

    def _begun(self, *, search: bool) -> _Stream:
        if search:
            with self._lock:
                self._unbroken_since = None
        return _Stream(self._control, self._take, self._opened, search=search)

    def _opened(self) -> None:
        with self._lock:
            if self._listening and self._unbroken_since is None:
                self._unbroken_since = self._clock()

    def _is_one_old(self) -> bool:
        """Wait until there is a build or a question worth to listen for; False if there is none any more."""
        while True:
            with self._lock:
                if self._clock() < self._asked_until:
                    return True
                self._listening = bool(self._running)
                if not self._listening:
                    return False
                oldest = min(each.since for each in self._running.values())
            young = oldest + _YOUNG_SECONDS - self._clock()
            if young <= 0:
                return True
            time.sleep(young)

    def _is_needed(self) -> bool:
        with self._lock:
            now = self._clock()
            lingers = now - self._idle_since < _LINGER_SECONDS or now < self._asked_until
            self._listening = bool(self._running) or lingers
            if not self._listening:
                self._unbroken_since = None
            return self._listening

    def _take(self, event: pb.BuildHistoryEvent) -> None:
        if self._hear:
            self._hear(event)
        match parsed(event.record.Ref):
            case (Part.CANCEL, ref):
                with self._lock:
                    self._heard[ref] = None
                    while len(self._heard) > _MOST_REMEMBERED:
                        self._heard.pop(next(iter(self._heard)))
                self._cancel(ref)

    def _cancel(self, ref: Ref) -> None:
        with self._lock:
            running = self._running.pop(ref, None)
            self._idle_since = self._clock()
        if running:
            running.cancel()


class _Stream:
    """One stream, read by a thread of its own to its end; `broken` if that comes before its time."""

    def __init__(
        self,
        control: Callable[[], Control],
        take: Callable[[pb.BuildHistoryEvent], None],
        open_: Callable[[], None],
        *,
        search: bool,
    ) -> None:
        self._control = control
        self._take = take
        self._open = open_
        self._request = pb.BuildHistoryRequest(
            Filter=filters_of_all(Part.CANCEL), ActiveOnly=not search
        )
        self._begun_at = time.monotonic()
        self._is_open = False
        self.opened_in_time = False
        self.broken = threading.Event()
        threading.Thread(target=self._read, name="cancellation stream", daemon=True).start()

    def _read(self) -> None:
        try:
            call = self._control().listen_build_history(self._request, timeout=_STREAM_SECONDS)
            # The daemon begins with it (moby/buildkit v0.32.2 control/control.go, sendTimestampHeader).
            if call.initial_metadata():
                self._has_opened()
            for event in call:
                self._has_opened()
                self._take(event)
        except (
            grpc.RpcError,
            Misconfigured,
            ValueError,
        ) as exc:  # the last if the channel is closed
            if _is_over(exc):
                return
            _log.debug("requests to cancel cannot be heard: %s", exc)
        # A daemon that ends a stream by itself is about to go.
        self.broken.set()

    def _has_opened(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        # Later than that the stream before it may have ended, and a request have come between the two.
        if time.monotonic() - self._begun_at < _STREAM_SECONDS - _RENEWAL_SECONDS:
            self.opened_in_time = True
            self._open()


def _is_over(error: Exception) -> bool:
    """Return whether a stream ended because its time was over."""
    return isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
