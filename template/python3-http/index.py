#!/usr/bin/env python
"""Serve function/handler.py over HTTP until SIGTERM. This is the contract between the two.

    def handle(event, context): ...

`event` has what the public python3-http template gives, so its handlers work unchanged:

    method, path      strings
    query, headers    werkzeug's MultiDict and Headers
    body              bytes, a copy made when they are first asked for

and more:

    buffer            the request's body where it was received, also a chunked one: a read-only
                      memoryview, whose slices copy nothing
    arrived           what the hook `arriving` returned, given the whole body by now; None without
    share()           a share of the memory that all requests in flight have for bodies, for what is
                      unpacked of one: grow(bytes) and wait_to_grow(bytes, seconds) say whether there
                      is room and then it is reserved; could_grow(bytes) whether there ever is;
                      release() returns it, and so does its end.
                      `buffer` has its own for as long as anybody has a view of it. None under
                      another server.
    parsed_share()    the same of as much memory again, for what is made of a body beside its bytes: an
                      index, parsed values. So a body that took all of the first can still be read.
    client_disconnected()
        whether the client has hung up. Cheap, and may be asked from any thread, also after handle()
        has returned a generator. A client that only closed its sending side has not: it gets its
        answer. One that has read next to nothing for `send_timeout`, though more waits for it, has.
        Limits: one that vanished without closing is not noticed before something is sent to it; one
        of HTTP/1.0 that closed not before its answer; behind of-watchdog it is the watchdog that
        hangs up, when it sees its own client close, be it only one side.
    client_half_closed()
        whether the client has closed its sending side, as one that hangs up does, too. In an answer that
        has begun only what the handler itself sends can tell the two apart: a heartbeat, say, once this
        turns true.

`context.hostname` names the replica. A handler returns one of

    None, str, bytes, a generator of str or bytes
    (body, status), (body, headers) or (body, status, headers), where a dict or a list is sent as JSON
    a werkzeug Response, which flask.Response is, too
    {"statusCode": 200, "body": ..., "headers": {...}}
        where a dict as body is sent as JSON; str, bytes and iterators as they are; anything else as
        str(body)

A generator's chunks leave one by one, each at once. Its close() is called when the client has gone,
which is noticed at the next chunk: send a heartbeat now and then. All paths and all methods arrive;
what is no HTTP/1.1, or names no such method, gets a JSON document like all refusals of the server's own:
{"status": "failed", "reason": ..., "error": ...}.

A handler module may also have any of these:

    probes    paths, as a tuple of strings: GET and HEAD requests for them have threads of their own, and
              connections above `connection_limit`, so that they are answered whatever else goes on.
    start()   called once after the import, before the first request is served; must return at once.
              To refuse to start: raise SystemExit("one sentence").
    drain()   called at SIGTERM, in a thread of its own. From then on new requests get a 503 with
              Retry-After, while those that run go on for `shutdown_grace`.
    idle()    asked after SIGTERM, until it says True: whether the handler's own threads have ended
              what no request waits for. Must answer at once.
    stop()    called in a thread of its own when requests still run after `shutdown_grace`, or at a
              second signal, or when the handler is not idle: they must answer now. 3 seconds later
              the process is gone regardless.
    arriving(head)
              called in a thread of its own when a body of more than 1 MiB arrives, before it has come,
              with serving.head.Head (method, path, query, headers). What it returns has update(piece),
              called with each piece of the body in order, while the next ones are received: for a
              signature or a digest, which is then done when the body has come. Nothing about the
              request is decided yet: parse nothing. None: nothing is wanted.
    refuse(event, context, refusal)
              answers in place of handle() what the server will not let through: refusal.reason is
              "too_large" (longer than `max_body_bytes`, or than the memory for bodies),
              "no_memory" (none for the body in `body_wait`) or "interrupted" (after SIGTERM); refusal.status,
              .error and .retry_after are what is answered without this hook. event.buffer is empty: the
              body was read to its end and thrown away; a client that sent "Expect: 100-continue" is
              answered before it sends.

Settings come from the environment: see serving/settings.py. Exit code: 0 after SIGTERM or SIGINT,
2 when a setting makes no sense or the port cannot be had.
"""

from __future__ import annotations

import signal

# First of all: what stops us while we still import must find us listening.
_signalled: list[int] = []
for _number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(_number, lambda received, _frame: _signalled.append(received))
# The process that started us may have blocked them until here: env --block-signal=TERM.
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

import gc
import os
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from serving import lock_file
from serving.hooks import hook, paths
from serving.memory import map_large_buffers
from serving.settings import ServerSettings, SettingsError
from serving.shutdown import ServerDied, Signals, shut_down

if TYPE_CHECKING:
    from types import ModuleType

    from serving.server import Server

_BACKLOG = 1024  # connections that wait to be accepted, until we can
_EXIT_SECONDS = 2.0
_STDERR = 2


def main() -> int:
    signals = Signals(_signalled)
    try:
        settings = ServerSettings.from_env(os.environ)
        listener = _listen(settings)
    except SettingsError as error:
        _say(str(error))
        return 2
    if settings.suppress_lock:
        lock_file.remove()  # one of an earlier start, in a folder that outlives containers
    map_large_buffers()
    # The handler may take a third of a second to import. The port is open before that:
    # callers wait in its backlog, where of-watchdog would turn a refused connection into a 500, or,
    # for a stream, into an empty 200.
    # What is imported stays: looking for garbage in it, again and again, takes a tenth of the start.
    gc.disable()
    handler = import_module("function.handler")
    if start := hook(handler, "start"):
        start()
    server = _serve(handler, listener, settings, signals)
    gc.freeze()
    gc.enable()
    if settings.suppress_lock:
        try:
            lock_file.write()
        except OSError as error:
            _say(
                f"Cannot write {lock_file.path()}: {error.strerror}. of-watchdog would never call this "
                "function healthy: let it write there, or take suppress_lock away."
            )
            return 2
    host, port = server.address
    _say(f"Listening on {host}:{port}")
    try:
        shut_down(server, handler, settings, signals, say=_say)
    except ServerDied:
        return 1
    finally:
        if settings.suppress_lock:
            lock_file.remove()
    return 0


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Free that port, or choose another one with the environment variable port."
        ) from error


def _serve(
    handler: ModuleType, listener: socket.socket, settings: ServerSettings, signals: Signals
) -> Server:
    """Return a server that already runs, in a thread of its own."""
    from serving.app import create_app  # noqa: PLC0415 - slow, see main()
    from serving.server import Server  # noqa: PLC0415

    server = Server(
        create_app(handler),
        listener,
        settings,
        probes=paths(handler, "probes"),
        arriving=hook(handler, "arriving", takes=1),
    )

    def run() -> None:
        try:
            server.run()
        finally:
            signals.server_died()

    threading.Thread(target=run, name="server", daemon=True).start()
    return server


def _say(sentence: str) -> None:
    # The reader of this may be gone; requests and their shutdown go on without.
    with suppress(OSError):
        os.write(_STDERR, f"{sentence}\n".encode())


def _leave(code: int) -> NoReturn:
    """Exit as Python does, exit handlers included, but wait for no thread that does not end."""
    overdue = threading.Timer(_EXIT_SECONDS, os._exit, (code,))
    overdue.daemon = True
    overdue.start()
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
