"""One client's connection: its requests, one after the other, from the first byte to the last.

Everything here runs in the server's thread, except what RunningRequest says. A connection is

    HEAD        waiting for a request, or for the rest of its head
    BODY        receiving a body, or waiting for room in the budget
    DISCARDING  reading a refused body to its end, so that its sender reads the answer
    RUNNING     a request is with the application
    LINGERING   all is answered; what still comes is thrown away, so that the answer arrives
    CLOSED

What comes before it can be used waits in `_early`, which is bounded: reading pauses above it.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from . import hang_up, head, refusal, wsgi
from .arrival import Arrival
from .body import Body
from .budget import SMALL_BYTES
from .chunked import ChunkedBody
from .refusal import Refusal, Refused

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

    from .head import Head
    from .server import Server

# What one read may bring; shared by all connections, since it is used before the next read.
_scratch = memoryview(bytearray(256 << 10))

# Bytes of further requests, read while one runs, since only reading shows that a client has gone.
_MAX_EARLY_BYTES = 16 << 10

# A refused body is read on, and thrown away, for at most this much: clients that write everything
# before they read then see the answer instead of a reset connection.
_MAX_DISCARDED_BYTES = 1 << 30

_MAX_BLANK_LINES = 16

_RATE_SECONDS = 10.0
# A body that comes slower than so many times the least makes room for others when there is none.
_SLOW = 16
_LINGER_SECONDS = 2.0

# An answer pauses while this much of it waits for its client, rather than pile up.
_MAX_UNSENT_BYTES = 1 << 20


class State(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    DISCARDING = enum.auto()
    RUNNING = enum.auto()
    LINGERING = enum.auto()
    CLOSED = enum.auto()


class Connection(asyncio.BufferedProtocol):
    """Made by the server for each client; it tells the server of itself."""

    def __init__(self, server: Server, *, beyond_limit: bool) -> None:
        self.beyond_limit = beyond_limit
        self.state = State.HEAD
        self._server = server
        self._settings = server.settings
        self._transport: asyncio.Transport
        self._socket: TransportSocket
        self._since = time.monotonic()  # the state, or the last byte of nothing yet
        self._early = bytearray()
        self._searched = 0
        self._blank_lines = 0
        self._eof = False
        self._reading = True
        self._forget_request()

    def _forget_request(self) -> None:
        self._head: Head | None = None
        self._body: Body | None = None
        self._chunked: ChunkedBody | None = None
        self._arrival: Arrival | None = None
        self._refusal: Refusal | None = None
        self._discarded = 0
        self._waits_since: float | None = None
        self._rated: tuple[float, int] = (0.0, 0)
        self._was_slow = False
        self._awaits_continue = False
        self._probed = False
        self._close_after = False
        self.running: RunningRequest | None = None

    # ---- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)
        self._server.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        if self.state is State.BODY and self._body:
            if self._body.is_mapped and self._chunked is None:
                return self._body.window()
            return _scratch[: max(1, self._body.room)]
        if self.state in (State.HEAD, State.RUNNING):
            return _scratch[:_MAX_EARLY_BYTES]
        return _scratch

    def buffer_updated(self, nbytes: int) -> None:
        body = self._body
        if self.state is State.BODY and body and body.is_mapped and self._chunked is None:
            body.advance(nbytes)
            self._body_advanced()
        elif self.state is State.BODY and not self._early:
            self._early += self._receive_body(_scratch[:nbytes])
        elif self.state is State.DISCARDING:
            self._discard(_scratch[:nbytes])
        elif self.state in (State.HEAD, State.BODY, State.RUNNING):
            if self.state is State.HEAD and not self._early:
                self._since = time.monotonic()
            self._early += _scratch[:nbytes]
        self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        if self.state is State.RUNNING:
            if self.running:
                self.running.client_closed_its_side()
            return True
        if self.state in (State.BODY, State.DISCARDING) or self._early:
            self._refuse_now(_CUT_SHORT)
            return self.state is not State.CLOSED
        self.state = State.CLOSED
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.state = State.CLOSED
        if self.running:
            self.running.connection_lost()
        self._forget_request()
        self._early.clear()
        self._server.closed(self)

    def pause_writing(self) -> None:
        if self.running:
            self.running.may_send(allowed=False)

    def resume_writing(self) -> None:
        if self.running:
            self.running.may_send(allowed=True)

    # ---- what the server asks

    @property
    def is_answering(self) -> bool:
        """Say whether something is owed to the client: a running request, or an answer's rest."""
        return self.state is State.RUNNING or self._unsent > 0

    @property
    def received_bytes(self) -> int:
        """Return how much memory its unfinished body holds."""
        return self._body.share_size if self.state is State.BODY and self._body else 0

    @property
    def waits_for_room(self) -> bool:
        return self._waits_since is not None

    @property
    def is_slow(self) -> bool:
        """Say whether its body came slowly of late, though there was room for it."""
        return self._was_slow and self.state is State.BODY and not self.waits_for_room

    def rate(self, now: float) -> float:
        """Return how many bytes a second of its body have come lately."""
        since, before = self._rated
        return ((self._body.size if self._body else 0) - before) / max(now - since, 0.001)

    @property
    def _unsent(self) -> int:
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    def drain(self) -> None:
        """Refuse what has only half come: it would be refused when it had."""
        if self.state is State.HEAD and self._early:
            self._refuse_now(refusal.shutting_down())
        elif self.state in (State.BODY, State.DISCARDING):
            self._refusal = refusal.shutting_down()
            self._body = self._arrival = None
            self._close_after = True
            self._start()

    def room_again(self) -> bool:
        """Go on with a body that waited for room; False when there still is none."""
        if self._waits_since is not None:
            self._advance()
        return self._waits_since is None

    def shed(self) -> None:
        """Give up the memory of an unfinished body for others, and refuse it."""
        if self.state is State.BODY:
            self._refuse_body(refusal.no_memory())
            self._advance()

    def evict(self) -> None:
        """Make room for another connection."""
        self.state = State.CLOSED
        self._transport.abort()

    def tick(self, now: float) -> None:
        """Look at the clock, once a second."""
        settings = self._settings
        if self._unsent or (self.state is State.LINGERING and hang_up.unacknowledged(self._socket)):
            self._look_for_reader(now)
        else:
            self._reader = None
        if self.state is State.HEAD:
            if self._early and now - self._since > settings.header_timeout:
                self._refuse_now(_SLOW_HEAD)
            elif not self._early and now - self._since > settings.idle_timeout:
                self._transport.close()
        elif self.state in (State.BODY, State.DISCARDING):
            self._tick_body(now)
        elif self.state is State.LINGERING:
            if now - self._since > _LINGER_SECONDS and self._reader is None:
                self._transport.abort()
        elif self.running:
            self.running.tick(now)

    # ---- receiving

    def _advance(self) -> None:
        """Do all that can be done with what has come."""
        while True:
            before = (self.state, len(self._early))
            if self.state is State.HEAD and self._early:
                self._read_head()
            elif self.state is State.BODY:
                self._read_body()
            elif self.state is State.DISCARDING and self._early:
                data, self._early = self._early, bytearray()
                self._discard(memoryview(data))
            elif self.state in (State.LINGERING, State.CLOSED):
                self._early.clear()
            if (self.state, len(self._early)) == before:
                break
        full = len(self._early) >= _MAX_EARLY_BYTES and self.state is not State.HEAD
        self._read(wanted=not (full or self.waits_for_room))

    def _read(self, *, wanted: bool) -> None:
        if wanted != self._reading and not self._eof and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _read_head(self) -> None:
        # A blank line before a request is skipped (RFC 9112 2.2), and nobody sends many.
        while self._early[:2] == b"\r\n":
            del self._early[:2]
            self._blank_lines += 1
            if self._blank_lines > _MAX_BLANK_LINES:
                self._refuse_now(_BLANK)
                return
        end = self._early.find(head.END, max(0, self._searched - len(head.END)))
        self._searched = len(self._early)
        limit = self._settings.max_request_header_size
        if (end if end >= 0 else self._searched) > limit:
            self._refuse_now(
                Refusal(
                    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    reason="bad_request",
                    error=f"The request's head is larger than {limit} bytes; send fewer or shorter headers.",
                )
            )
            return
        if end < 0:
            return
        end += len(head.END)
        self._searched = 0
        try:
            found = head.parse(bytes(self._early[:end]))
        except Refused as refused:
            self._refuse_now(refusal.malformed(refused))
            return
        del self._early[:end]
        self._blank_lines = 0
        self._begin_request(found)

    def _begin_request(self, found: Head) -> None:
        self._head = found
        self._close_after = not found.keep_alive
        server = self._server
        if self.beyond_limit and not server.is_probe(found):
            self._refuse_now(refusal.too_many())
            return
        if server.draining:
            self._refusal = refusal.shutting_down()
        if not found.has_body:
            self._start()
            return
        self._rated = (time.monotonic(), 0)
        self._awaits_continue = found.expects_continue
        length = found.content_length
        if length is None:
            self._chunked = ChunkedBody()
        largest = server.max_body_bytes
        if self._refusal is None and length is not None and length > largest:
            self._refusal = refusal.too_large(largest)
        if self._refusal is not None:
            self._discard_or_answer()
            return
        self.state = State.BODY
        self._body = Body(server.budget.share(), limit=length or largest + 1)
        if server.arriving:
            self._arrival = Arrival(server.arriving, found, self._body, server.arriving_threads)

    def _read_body(self) -> None:
        """Take what has come early, and make room for what comes next."""
        body = self._body
        assert body is not None  # noqa: S101 - the state says so
        while self.state is State.BODY:
            if not body.reserve():
                self._wait_for_room()
                return
            self._waits_since = None
            if not self._early:
                break
            data, self._early = self._early, bytearray()
            self._early += self._receive_body(memoryview(data))
        if self.state is State.BODY and self._awaits_continue:
            self._awaits_continue = False
            if not body.size:
                self.write(hang_up.PROBE)

    def _receive_body(self, data: memoryview) -> bytes | memoryview:
        """Take from *data* what belongs to the body and has room; return the rest."""
        body = self._body
        assert body is not None  # noqa: S101 - the state says so
        if self._chunked is None:
            assert self._head is not None  # noqa: S101
            taken = min(len(data), body.room)
            body.write(data[:taken])
            self._body_advanced()
            return data[taken:]
        taken = min(len(data), body.room)
        try:
            body.write(self._chunked.decode(data[:taken]))
        except Refused as refused:
            self._refuse_now(refusal.malformed(refused))
            return b""
        self._body_advanced()
        return data[taken:]

    def _body_advanced(self) -> None:
        body, chunked, found = self._body, self._chunked, self._head
        assert body is not None  # noqa: S101
        assert found is not None  # noqa: S101
        if body.size > self._server.max_body_bytes:
            self._refuse_body(refusal.too_large(self._server.max_body_bytes))
            return
        complete = chunked.complete if chunked else body.size == found.content_length
        if complete:
            if chunked and chunked.followed:
                self._close_after = True
            self._start()
        elif self._arrival:
            self._arrival.advanced(body.size)

    def _wait_for_room(self) -> None:
        if self._waits_since is None:
            self._waits_since = time.monotonic()
            self._server.wait_for_room(self)

    def _refuse_body(self, why: Refusal) -> None:
        """Throw away what has come of a body, and what is to come."""
        assert self._body is not None  # noqa: S101
        self._discarded = self._body.size
        self._refusal = why
        self._body = self._arrival = self._waits_since = None
        self._discard_or_answer()

    def _discard_or_answer(self) -> None:
        if self._awaits_continue:
            # It asked before it sends, and is told at once.
            self._close_after = True
            self._start()
        else:
            self.state = State.DISCARDING

    def _discard(self, data: memoryview) -> None:
        found, chunked = self._head, self._chunked
        assert found is not None  # noqa: S101
        if chunked:
            try:
                self._discarded += len(chunked.decode(data))
            except Refused:
                self._discarded = _MAX_DISCARDED_BYTES
            complete = chunked.complete
        else:
            length = found.content_length or 0
            self._discarded += len(data)
            complete = self._discarded >= length
        if complete or self._discarded >= self._server.max_body_bytes + _MAX_DISCARDED_BYTES:
            self._close_after = True
            self._start()

    def _tick_body(self, now: float) -> None:
        if self._waits_since is not None:
            self._look_for_sender()
            # One after the other, so that what one gives up may be enough for those that follow.
            if now - self._waits_since >= self._settings.body_wait and not self.room_again():
                self.shed()
            self._rated = (now, self._rated[1])
            return
        since, before = self._rated
        if now - since < _RATE_SECONDS:
            return
        arrived = self._body.size if self._body else self._discarded
        least = self._settings.min_body_rate * (now - since)
        if arrived - before < least:
            self._refuse_now(_SLOW_BODY)
        else:
            self._rated = (now, arrived)
            self._was_slow = arrived - before < _SLOW * least

    def _look_for_sender(self) -> None:
        """Give up a body whose sender has gone: it is not being read, and so nothing else tells."""
        if hang_up.has_hung_up(self._socket):
            self._transport.abort()
        elif not self._probed and hang_up.closed_its_side(self._socket):
            self._probed = True
            self.write(hang_up.PROBE)

    # ---- answering

    def _start(self) -> None:
        """Give the request to the application."""
        assert self._head is not None  # noqa: S101
        self.state = State.RUNNING
        self._waits_since = None
        self.running = RunningRequest(
            self,
            self._server,
            self._transport,
            self._head,
            body=None if self._refusal else self._body,
            arrival=None if self._refusal else self._arrival,
            refused=self._refusal,
            keep_alive=not self._close_after,
        )
        self._body = self._chunked = self._arrival = None
        self._server.run_request(self.running)
        if self._eof:
            self.running.client_closed_its_side()

    def answered(self, *, intact: bool) -> None:
        """Go on after an answer; called by the RunningRequest in the server's thread."""
        if self.state is not State.RUNNING:
            return
        keep = intact and not self._close_after and not self._server.draining
        # One that closed its side has sent all its requests, which may be more than this one.
        keep = keep and (not self._eof or bool(self._early))
        self._forget_request()
        if not intact:
            self._transport.abort()
        elif keep:
            self._server.answered(self)
            self.state = State.HEAD
            self._since = time.monotonic()
            self._advance()
            if self._eof and not self.waits_for_room:
                self._end_input()
        else:
            self._linger()

    def _end_input(self) -> None:
        """Refuse a request of which the end will not come, or close where none was begun."""
        begun = self.state is State.HEAD and self._early
        if begun or self.state in (State.BODY, State.DISCARDING):
            self._refuse_now(_CUT_SHORT)
        elif self.state is State.HEAD:
            self._linger()

    def _refuse_now(self, why: Refusal) -> None:
        """Answer what no application is asked about, and close."""
        self._forget_request()
        if not self._transport.is_closing():
            self.write(wsgi.document(why.status, why.headers(), why.encoded()))
        self._linger()

    def _linger(self) -> None:
        # Closing with bytes unread would reset the connection, and take the answer with it.
        self._early.clear()
        self._since = time.monotonic()
        if self._transport.is_closing():
            self.state = State.CLOSED
        elif self._eof:
            self.state = State.CLOSED
            self._transport.close()
        else:
            self.state = State.LINGERING
            try:
                self._transport.write_eof()
            except OSError:  # it has been reset meanwhile
                self._transport.abort()
            self._read(wanted=True)

    def _look_for_reader(self, now: float) -> None:
        """Give up on a client that has taken nothing, or next to nothing, for send_timeout of what waits."""
        waiting = self._unsent + hang_up.unacknowledged(self._socket)
        taken = self._written - waiting
        if self._reader is None:
            self._reader = now, taken, waiting
        since, before, waited = self._reader
        seconds = max(1.0, self._settings.send_timeout)
        if now - since < seconds:
            return
        least = min(waited, self._settings.min_body_rate * seconds)
        if taken - before < max(1, least):
            self._transport.abort()
        self._reader = now, taken, waiting

    _written = 0
    _reader: tuple[float, int, int] | None = (
        None  # since when, what it had taken, and what waited then
    )

    def write(self, data: bytes) -> None:
        """Send *data* as soon as the client takes it; nothing if the connection is over."""
        if not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)


class RunningRequest:
    """A request with the application, and the way back for its answer.

    head, keep_alive, begin_answer, send, finish and the questions about the client are for other threads.
    """

    def __init__(  # noqa: PLR0913 - keywords
        self,
        connection: Connection,
        server: Server,
        transport: asyncio.Transport,
        found: Head,
        *,
        body: Body | None,
        arrival: Arrival | None,
        refused: Refusal | None,
        keep_alive: bool,
    ) -> None:
        self.head = found
        self.refused = refused
        self.body = body.view() if body else memoryview(b"")
        self.arrival = arrival if body and body.size > SMALL_BYTES else None
        self.peer: tuple[str, int] = transport.get_extra_info("peername") or ("", 0)
        self._server = server
        self._connection = connection
        self._transport = transport
        self._socket: TransportSocket = transport.get_extra_info("socket")
        self._keep_alive = keep_alive
        self._changed = threading.Condition()
        self._gone = False
        self._may_send = True
        self._in_flight = 0  # bytes on their way to the server's thread
        self._begun = False
        self._probed: float | None = None

    @property
    def keep_alive(self) -> bool:
        return self._keep_alive and not self._server.draining

    def client_disconnected(self) -> bool:
        return self._gone

    def client_half_closed(self) -> bool:
        return self._probed is not None

    def begin_answer(self) -> None:
        self._begun = True

    def send(self, data: bytes) -> None:
        with self._changed:
            while not self._gone and not (self._may_send and self._in_flight <= _MAX_UNSENT_BYTES):
                self._changed.wait()
            if self._gone:
                raise wsgi.ClientGone
            self._in_flight += len(data)
        self._server.call(self._write, data)

    def finish(self, *, intact: bool) -> None:
        self.body = memoryview(b"")
        self._server.call(self._finished, intact)

    # ---- in the server's thread

    def _write(self, data: bytes) -> None:
        self._connection.write(data)
        with self._changed:
            self._in_flight -= len(data)
            self._changed.notify_all()

    def _finished(self, intact: bool) -> None:
        self._server.ended(self)
        self._connection.answered(intact=intact)

    def may_send(self, *, allowed: bool) -> None:
        with self._changed:
            self._may_send = allowed
            self._changed.notify_all()

    def connection_lost(self) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def client_closed_its_side(self) -> None:
        """Find out, again and again, whether the client has gone altogether."""
        hang_up.prepare(self._socket)
        self._probe(time.monotonic())
        for seconds in hang_up.LOOK_SECONDS:
            self._server.call_later(seconds, self._look)

    def tick(self, now: float) -> None:
        if self._probed is None:
            # With enough of further requests unread, what comes after them is not noticed.
            if hang_up.closed_its_side(self._socket):
                self.client_closed_its_side()
        else:
            self._look()
            if now - self._probed >= hang_up.PROBE_SECONDS:
                self._probe(now)

    def _probe(self, now: float) -> None:
        self._probed = now
        # Once the answer has begun its own bytes tell, and nothing else may be sent.
        if not self._begun and self.head.version == "1.1":
            self._connection.write(hang_up.PROBE)

    def _look(self) -> None:
        if (
            not self._gone
            and not self._transport.is_closing()
            and hang_up.has_hung_up(self._socket)
        ):
            self._transport.abort()


_CUT_SHORT = Refusal(
    status=HTTPStatus.BAD_REQUEST,
    reason="bad_request",
    error="The connection was closed before the request had come to its end.",
)
_BLANK = Refusal(
    status=HTTPStatus.BAD_REQUEST,
    reason="bad_request",
    error="The connection brings blank lines in place of a request.",
)
_SLOW_HEAD = Refusal(
    status=HTTPStatus.REQUEST_TIMEOUT,
    reason="too_slow",
    error="The request's head took too long to arrive.",
)
_SLOW_BODY = Refusal(
    status=HTTPStatus.REQUEST_TIMEOUT,
    reason="too_slow",
    error="The request's body arrives too slowly.",
)
