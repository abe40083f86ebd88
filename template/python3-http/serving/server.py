"""The HTTP server: one thread that receives and sends for all connections, and some that answer.

Made of asyncio and httptools, since no WSGI server that is well kept has what it takes to stand in front of
unsigned senders: deadlines for heads and rates for bodies, one budget for the memory of all bodies, room for
probes, an answer for clients that close their side, and one JSON for every refusal.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import threading
import time
from typing import TYPE_CHECKING, Any

from . import wsgi
from .budget import SMALL_BYTES, ByteBudget
from .connection import Connection, State
from .memory import memory_limit
from .threads import Threads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    from .arrival import Arrived
    from .connection import RunningRequest
    from .head import Head
    from .settings import ServerSettings

# What a request's environ holds beside what PEP 3333 names; serving/app.py reads it.
CLIENT_DISCONNECTED = "serving.client_disconnected"
CLIENT_HALF_CLOSED = "serving.client_half_closed"
BODY = "serving.body"
ARRIVED = "serving.arrived"
SHARE = "serving.share"
PARSED_SHARE = "serving.parsed_share"
REFUSAL = "serving.refusal"

# Of the memory limit. A second part as large is for what is made of bodies; the rest is for all else.
_PART_FOR_BODIES = 4

# Connections that wait to be accepted, and how many are accepted in one go.
_BACKLOG = 1024

_TICK_SECONDS = 1.0

# Of slow bodies so much is given up at once: what the next step of a large one takes.
_SHED_BYTES = 2 << 20

# Connections above the limit, for probes alone; a few per prober.
_BEYOND_LIMIT = 64

# Descriptors that are no clients' connections.
_OTHER_FILES = 256

_log = logging.getLogger("serving")


class Server:
    """Serves *application* on *listener*, which it owns from here on."""

    def __init__(
        self,
        application: WSGIApplication,
        listener: socket.socket,
        settings: ServerSettings,
        *,
        probes: frozenset[str] = frozenset(),
        arriving: Callable[[Head], Arrived | None] | None = None,
    ) -> None:
        """Serve *application*; answer *probes* whatever else goes on, and call *arriving* as the hook."""
        self.settings = settings
        self.draining = False
        self.budget = ByteBudget(settings.body_budget or memory_limit() // _PART_FOR_BODIES)
        self.parsed = ByteBudget(self.budget.total)
        self.max_body_bytes = min(settings.max_body_bytes, self.budget.largest)
        self.arriving = arriving
        self.arriving_threads = Threads(2, "arriving")
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._application = application
        self._listener = listener
        self._probes = probes
        self._connections: dict[Connection, None] = {}  # unused for longest first
        self._running: set[RunningRequest] = set()
        self._waiting: dict[Connection, None] = {}  # for room, the longest first
        self._waking = threading.Event()
        self._threads = Threads(settings.threads, "request")
        self._probe_threads = Threads(settings.probe_threads, "probe")
        self._limit = min(settings.connection_limit, _most_files() - _OTHER_FILES)
        self._loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()

    def run(self) -> None:
        """Serve; the body of a thread. Returns only if it cannot go on."""
        loop = self._loop
        asyncio.set_event_loop(loop)
        self.budget.when_released(self._more_room)
        loop.run_until_complete(
            loop.create_server(self._connection, sock=self._listener, backlog=_BACKLOG)
        )
        loop.call_later(_TICK_SECONDS, self._tick)
        loop.run_forever()

    def drain(self) -> None:
        """Refuse every new request from now on. Those that run go on."""
        self.draining = True
        self.call(self._drain)

    @property
    def idle(self) -> bool:
        """Say whether no request is running or half answered; what half came was refused."""
        connections = list(self._connections)
        return not self._running and not any(found.is_answering for found in connections)

    # ---- for connections, and for the threads that answer

    def call(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Have *callback* called in the server's thread."""
        self._loop.call_soon_threadsafe(callback, *arguments)

    def call_later(self, seconds: float, callback: Callable[..., object]) -> None:
        self._loop.call_later(seconds, callback)

    def opened(self, connection: Connection) -> None:
        self._connections[connection] = None
        if len(self._connections) > self._limit:
            self._make_room()

    def answered(self, connection: Connection) -> None:
        """Count *connection* among those used last."""
        if self._connections.pop(connection, self) is None:
            self._connections[connection] = None

    def closed(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._waiting.pop(connection, None)

    def is_probe(self, head: Head) -> bool:
        return head.method in ("GET", "HEAD") and head.path in self._probes

    def run_request(self, request: RunningRequest) -> None:
        """Have a thread answer it."""
        self._running.add(request)
        threads = self._probe_threads if self.is_probe(request.head) else self._threads
        threads.submit(self._answer, request)

    def ended(self, request: RunningRequest) -> None:
        self._running.discard(request)

    def wait_for_room(self, connection: Connection) -> None:
        """Have *connection* told when the budget has room.

        A small body does not wait behind large ones, and large ones do not wait for each other: of those the
        one that has come least is refused, when nobody else holds what they wait for. And none waits for
        bodies that come slowly.
        """
        self._waiting[connection] = None
        large = [found for found in self._waiting if found.received_bytes >= SMALL_BYTES]
        held_by_others = self.budget.used - sum(found.received_bytes for found in large)
        kept_for_small = self.budget.total - self.budget.largest
        is_small = connection.received_bytes < SMALL_BYTES
        if large and (is_small or (len(large) > 1 and held_by_others <= kept_for_small)):
            shed = min(large, key=lambda found: found.received_bytes)
            self._waiting.pop(shed)
            self._loop.call_soon(shed.shed)
            return
        freed = 0
        for found in self._connections:
            if freed >= _SHED_BYTES:
                return
            if found.is_slow:
                freed += found.received_bytes
                self._loop.call_soon(found.shed)

    # ---- in the server's thread

    def _connection(self) -> Connection:
        return Connection(self, beyond_limit=len(self._connections) >= self._limit)

    def _drain(self) -> None:
        for connection in list(self._connections):
            connection.drain()

    def _make_room(self) -> None:
        """Close what is worth least: a connection unused for longest, else the slowest body."""
        unused = (found for found in self._connections if found.state is State.HEAD)
        oldest = next(unused, None)
        newest = next(reversed(self._connections))
        if oldest is not None and oldest is not newest:
            oldest.evict()
            newest.beyond_limit = False
            return
        now = time.monotonic()
        bodies = [found for found in self._connections if found.state is State.BODY]
        if bodies:
            min(bodies, key=lambda found: found.rate(now)).evict()
            newest.beyond_limit = False
        elif len(self._connections) > self._limit + _BEYOND_LIMIT:
            newest.evict()

    def _answer(self, request: RunningRequest) -> None:
        """Run the application; in a thread of its own."""
        try:
            arrived = request.arrival.finish() if request.arrival else None
            environ = wsgi.environment(
                request.head, request.body, server=self.address, client=request.peer
            )
            environ[CLIENT_DISCONNECTED] = request.client_disconnected
            environ[CLIENT_HALF_CLOSED] = request.client_half_closed
            environ[BODY] = request.body
            environ[ARRIVED] = arrived
            environ[SHARE] = self.budget.share
            environ[PARSED_SHARE] = self.parsed.share
            environ[REFUSAL] = request.refused
        except Exception:
            _log.exception("A request could not be read")
            request.finish(intact=False)
            return
        request.arrival = None
        wsgi.run(self._application, environ, request)
        # Werkzeug's request is in its environ, and the environ in it: a garbage collection would have to
        # come before the body's memory goes.
        for name in (BODY, ARRIVED, "wsgi.input"):
            environ.pop(name)

    def _more_room(self) -> None:
        # From any thread, even in the middle of a garbage collection: do next to nothing.
        if self._waiting and not self._waking.is_set():
            self._waking.set()
            self.call(self._wake)

    def _wake(self) -> None:
        self._waking.clear()
        for connection in list(self._waiting):
            if connection.room_again():
                self._waiting.pop(connection, None)

    def _tick(self) -> None:
        self._loop.call_later(_TICK_SECONDS, self._tick)
        now = time.monotonic()
        for connection in list(self._connections):
            connection.tick(now)


def _most_files() -> int:
    """Return how many files this process may have open, after asking for as many as it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard if hard != resource.RLIM_INFINITY else 1 << 20
