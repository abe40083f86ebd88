#!/usr/bin/env python
"""Serves function/handler.py over HTTP until SIGTERM. This is the contract between the two.

    def handle(event, context): ...

`event` has what the public python3-http template gives, so its handlers work unchanged:

    method, path      strings
    query, headers    werkzeug's MultiDict and Headers
    body              bytes: the only copy of the request's body in memory, also of a chunked one

and more:

    buffer            a read-only memoryview of `body`; its slices copy nothing
    client_disconnected()
        whether the client has hung up. Cheap, and may be asked from any thread, also after handle()
        has returned a generator. A client that has read nothing for `send_timeout`, though something
        waits for it, counts as gone, too. Limits: one that vanished without closing is not noticed
        sooner; one that only closed its sending side counts as gone; behind of-watchdog it is the
        watchdog that hangs up, when it sees its own client go.

`context.hostname` names the replica. A handler returns one of

    None, str, bytes, a flask.Response, (body, status, headers), a generator of str or bytes
    {"statusCode": 200, "body": ..., "headers": {...}}
        where a dict as body is sent as JSON; str, bytes and iterators as they are; anything else as
        str(body)

A generator's chunks leave one by one, each at once. Its close() is called when the client has gone,
which is noticed at the next chunk: send a heartbeat now and then. All paths arrive, and the methods
GET, PUT, POST, PATCH, DELETE and HEAD; OPTIONS is answered by Flask.

A handler module may also have any of these:

    start()   called once after the import, before the first request is served; must return at once.
              To refuse to start: raise SystemExit("one sentence").
    drain()   called at SIGTERM, in a thread of its own. From then on new requests get a 503 with
              Retry-After, while those that run go on for `shutdown_grace`.
    idle()    asked after SIGTERM, until it says True: whether the handler's own threads have ended
              what no request waits for. Must answer at once.
    stop()    called in a thread of its own when requests still run after `shutdown_grace`, or at a
              second signal, or when the handler is not idle: they must answer now. 3 seconds later
              the process is gone regardless.
    too_large(event, context)
              answers in place of handle() a request whose body is longer than `max_body_bytes`;
              event.body is empty. Without it: 413 and {"status": "failed", "error": ...} as JSON.
              The body was read to its end and thrown away; a client that sent
              "Expect: 100-continue" is answered before it sends.

Settings come from the environment: see serving/settings.py. Exit code: 0 after SIGTERM or SIGINT,
2 when a setting makes no sense or the port cannot be had.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from serving.hooks import hook
from serving.memory import map_large_buffers
from serving.settings import ServerSettings, SettingsError
from serving.shutdown import ServerDied, Signals, shut_down

if TYPE_CHECKING:
    from types import ModuleType

    from serving.server import Server

_BACKLOG = 1024  # connections that wait to be accepted, as many as waitress lets wait
_EXIT_SECONDS = 2.0
_STDERR = 2


def main() -> int:
    signals = Signals()
    try:
        settings = ServerSettings.from_env(os.environ)
        listener = _listen(settings)
    except SettingsError as error:
        _say(str(error))
        return 2
    map_large_buffers()
    # Flask and the handler take a third of a second to import. The port is open before that:
    # callers wait in its backlog, where of-watchdog would turn a refused connection into a 500.
    # What is imported stays: looking for garbage in it, again and again, takes a tenth of the start.
    gc.disable()
    handler = import_module("function.handler")
    if start := hook(handler, "start"):
        start()
    server = _serve(handler, listener, settings, signals)
    gc.freeze()
    gc.enable()
    _say(f"Listening on {server.effective_host}:{server.effective_port}")
    try:
        shut_down(server, handler, settings, signals, say=_say)
    except ServerDied:
        return 1
    return 0


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Free that port, or choose another one with the environment variable port."
        ) from error


def _serve(
    handler: ModuleType, listener: socket.socket, settings: ServerSettings, signals: Signals
) -> Server:
    """A server that already runs, in a thread of its own."""
    from serving.app import create_app  # noqa: PLC0415 - slow, see main()
    from serving.server import Server  # noqa: PLC0415

    server = Server(create_app(handler), listener, settings)

    def run() -> None:
        try:
            server.run()
        finally:
            signals.server_died()

    threading.Thread(target=run, name="server", daemon=True).start()
    return server


def _say(sentence: str) -> None:
    # Whoever reads this may be gone; requests and their shutdown go on without.
    with suppress(OSError):
        os.write(_STDERR, f"{sentence}\n".encode())


def _leave(code: int) -> NoReturn:
    """Exits as Python does, exit handlers included, but waits for no thread that does not end."""
    overdue = threading.Timer(_EXIT_SECONDS, os._exit, (code,))
    overdue.daemon = True
    overdue.start()
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
