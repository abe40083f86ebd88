"""I/O: one connection to the daemon, read by the thread that waits for what comes.

That thread takes what there is, answers what has to be answered, and goes on with what it was told, so no
other one is woken. While it does something else (the caller may be slow to read a log), the keeper reads.
"""

from __future__ import annotations

import math
import select
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from ....fsutil.wire import framed
from ..grpc_status import Code
from .call import CallFailed
from .client import ConnectionBroken, Http2Client

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from .call import Buffer, Call

_READ_BYTES = 64 << 10
# Made at a time, so that nothing large waits for a socket that takes no more.
_BATCH_BYTES = 512 << 10
# Of what is given to the kernel at once (IOV_MAX, limits.h).
_MOST_PIECES = 1024
# TLS copies what it encrypts.
_TLS_BYTES = 64 << 10


class Connection:
    """Lives until `close`; safe for use by many threads, of which one at a time should `wait`."""

    def __init__(self, opened: socket.socket, authority: str) -> None:
        """Speak on a socket that does not block."""
        self._socket = opened
        self._is_tls = isinstance(opened, ssl.SSLSocket)
        self._client = Http2Client(authority, "https" if self._is_tls else "http")
        self.lock = threading.RLock()  # of all below, held for as long as one batch takes
        self._unsent: deque[Buffer] = deque()
        self._ended: list[Callable[[], None]] = []
        self._poll = select.poll()
        self._events = 0
        self._closed = False
        self.waited_for = False
        self.served_at = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Tell whether no call is under way."""
        return not self._client.calls

    @property
    def takes_calls(self) -> bool:
        return self._client.takes_calls and not self._closed

    @property
    def events(self) -> int:
        """The events to wait for, as poll(2) names them."""
        return select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN

    def fileno(self) -> int:
        return self._socket.fileno()

    def open(self, path: str, metadata: Iterable[tuple[str, str]] = ()) -> Call:
        """Begin a call; under the lock, until `flush`."""
        call = self._client.open(path, metadata)
        if not self.takes_calls:
            self._client.lost("the connection has ended")
        return call

    def begin(self, path: str, request: bytes, metadata: Iterable[tuple[str, str]] = ()) -> Call:
        """Begin a call of one request; under the lock, until `flush`."""
        call = self.open(path, metadata)
        call.unsent.append(framed(request))
        call.closes = True
        return call

    def ask(
        self,
        path: str,
        request: bytes,
        metadata: Iterable[tuple[str, str]] = (),
        *,
        deadline: float = math.inf,
    ) -> Call:
        """Begin a call of one request, which is sent at once; it is ended at *deadline*."""
        with self.lock:
            call = self.begin(path, request, metadata)
            call.deadline = deadline
            self.flush()
        return call

    def take(self, call: Call) -> list[bytes]:
        """Return the messages that have come for *call*."""
        if not call.messages:
            return []
        with self.lock:
            taken = self._client.take(call)
            if call.unacknowledged == 0:
                self.flush()
            return taken

    def cancel(self, *calls: Call) -> None:
        """End calls now, here and on the daemon."""
        with self.lock:
            for call in calls:
                self._client.cancel(call)
            self.flush()
        self._tell_ends()

    def end_overdue(self) -> None:
        """End the calls whose time is over."""
        now = time.monotonic()
        if all(call.deadline > now for call in self._client.calls.copy().values()):
            return
        with self.lock:
            for call in [each for each in self._client.calls.values() if each.deadline <= now]:
                self._client.cancel(call, CallFailed(Code.DEADLINE_EXCEEDED, "no answer in time"))
            self.flush()
        self._tell_ends()

    def when_ended(self, call: Call, then: Callable[[], None]) -> None:
        """Call *then*, from any thread and without the lock, once *call* has ended."""
        with self.lock:
            if not call.ended:
                before = call.on_end

                def ended() -> None:
                    if before:
                        before()
                    self._ended.append(then)

                call.on_end = ended
                return
        then()

    def wait(self, seconds: float) -> bool:
        """Wait for the daemon and take what comes; tell whether it was word of any call."""
        self.waited_for = True
        before = self._client.words
        try:
            if self._closed:
                time.sleep(seconds)
                return False
            if self._events != self.events:
                self._events = self.events
                self._poll.register(self._socket, self._events)
            came = bool(self._poll.poll(seconds * 1000)) and self.serve()
        except (OSError, ValueError):  # it was closed meanwhile
            return False
        else:
            return came and self._client.words > before
        finally:
            self.served_at = time.monotonic()
            self.waited_for = False

    def serve(self) -> bool:
        """Take what has come and send what there is, without a wait; tell whether anything came."""
        with self.lock:
            came = self._read()
            self.flush()
        if self._ended:
            self._tell_ends()
        return came

    def flush(self) -> None:
        """Send what there is, as far as the socket takes it; under the lock."""
        try:
            while not self._closed:
                if not self._unsent:
                    self._unsent.extend(self._client.send(_BATCH_BYTES))
                    if not self._unsent:
                        return
                self._sent(self._encrypted() if self._is_tls else self._written())
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as exc:
            self._lose(str(exc))

    def close(self) -> None:
        """End all calls and the connection, now."""
        with self.lock:
            self._lose("the connection was closed")
        self._tell_ends()

    def _read(self) -> bool:
        came = False
        try:
            while not self._closed:
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    self._lose("the daemon closed the connection")
                    break
                came = True
                self._client.receive(data)
                if len(data) < _READ_BYTES and not self._is_tls:
                    break
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (OSError, ConnectionBroken) as exc:
            self._lose(str(exc))
        return came

    def _written(self) -> int:
        if len(self._unsent) == 1:
            return self._socket.send(self._unsent[0])
        return self._socket.sendmsg(islice(self._unsent, _MOST_PIECES))

    def _encrypted(self) -> int:
        # What could not be sent has to be offered again as it was: the first piece.
        if len(self._unsent) > 1 and len(self._unsent[0]) < _TLS_BYTES:
            joined, size = [], 0
            while self._unsent and size < _TLS_BYTES:
                joined.append(self._unsent.popleft())
                size += len(joined[-1])
            self._unsent.appendleft(b"".join(joined))
        return self._socket.send(self._unsent[0])

    def _sent(self, count: int) -> None:
        while count:
            piece = self._unsent.popleft()
            if len(piece) > count:
                self._unsent.appendleft(memoryview(piece)[count:])
                return
            count -= len(piece)

    def _lose(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._unsent.clear()
        self._client.lost(reason)
        with suppress(OSError):
            self._socket.shutdown(2)  # a thread that waits for it is woken
        self._socket.close()

    def _tell_ends(self) -> None:
        ended, self._ended = self._ended, []
        for then in ended:
            then()
