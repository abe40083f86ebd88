"""I/O: keeps what a replica knows of one daemon's builds that ended: listens, and reads up on the rest.

The first question has it listen from then on, for as long as questions come, and the first that it cannot
answer has it read the daemon's history once. 10,000 records take 0.3 s of the daemon's time and as much of
ours (measured); nobody waits for that. After a gap in what was heard it reads again.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import grpc

from ..buildkit import Misconfigured
from ..pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..buildkit.rpc.control import Control
    from .attempt import Attempt
    from .cancellation import CancelListener
    from .ended import DaemonsEnded

# Between the beginnings of two readings: a daemon that comes and goes is not read all the time.
_PAUSE_SECONDS = 60.0
# For one reading: 100,000 records take some seconds.
_READING_SECONDS = 60.0
# Until the listener hears, before a reading begins; what is not heard yet would be missed by both.
_OPENING_SECONDS = 5.0
_POLL_SECONDS = 0.01
# The newest: more than there is room for.
_MOST_RECORDS = 50_000

_log = logging.getLogger(__name__)


class Memory:
    """One daemon's; safe for use by many threads."""

    def __init__(
        self,
        ended: DaemonsEnded,
        listener: CancelListener,
        control: Callable[[], Control],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember in *ended* what *listener* passes on to it, and what the daemon of *control* has."""
        self._ended = ended
        self._listener = listener
        self._control = control
        self._clock = clock
        self._lock = threading.Lock()
        self._begun_at: float | None = None  # the latest reading
        self._read_at: float | None = None  # the beginning of the latest that came to its end

    def attempts(self, build_id: str) -> Sequence[Attempt] | None:
        """Return the attempts at a build that has ended for good, the last one first; None of any other."""
        return self._ended.attempts(build_id)

    def listen(self, *, read: bool) -> None:
        """Listen, so that more is known when the next one asks; *read* after a question without answer."""
        if not self._ended.may_listen():
            return
        self._listener.listen()
        if read and self._is_due():
            threading.Thread(target=self._read, name="history", daemon=True).start()

    def heard(self, build_id: str) -> Sequence[Attempt] | None:
        """Return what was heard of a build's attempts that ended; None unless all that there is was read."""
        return self._ended.heard(build_id) if self._has_read() else None

    def take(self, record: pb.BuildHistoryRecord) -> None:
        """Remember a record that a search has found, if it is complete."""
        if record.HasField("CompletedAt"):
            self._ended.hear(pb.BuildHistoryEvent(type=pb.COMPLETE, record=record))

    def _has_read(self) -> bool:
        unbroken = self._listener.unbroken_since
        with self._lock:
            return self._read_at is not None and unbroken is not None and self._read_at >= unbroken

    def _is_due(self) -> bool:
        if self._has_read():
            return False
        with self._lock:
            now = self._clock()
            if self._begun_at is not None and now - self._begun_at < _PAUSE_SECONDS:
                return False
            self._begun_at = now
            return True

    def _read(self) -> None:
        deadline = self._clock() + _OPENING_SECONDS
        while self._listener.unbroken_since is None and self._clock() < deadline:
            time.sleep(_POLL_SECONDS)
        begun = self._clock()
        request = pb.BuildHistoryRequest(EarlyExit=True, Limit=_MOST_RECORDS)
        try:
            for event in self._control().listen_build_history(request, timeout=_READING_SECONDS):
                self._ended.hear(event)
        except (
            grpc.RpcError,
            Misconfigured,
            ValueError,
        ) as exc:  # the last if the channel is closed
            _log.debug("the history cannot be read: %s", exc)
            return
        with self._lock:
            self._read_at = begun
