"""Serves on loopback, in this process: takes callbacks, and answers as it is told to."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from function.callbacks.target import Target

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_SECONDS = 10.0
_DRIPS = 1000  # bytes of a header
_DRIP_SECONDS = 0.01


class Receiver(ThreadingHTTPServer):
    """Answers with *statuses*, one after the other, the last one for ever."""

    request_queue_size = 128  # connections beyond it wait for a second

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[str, bytes, dict[str, str]]] = []
        self.scheme = "http"
        self.drips = False  # sends its header byte for byte
        self.cut_off = threading.Event()  # meanwhile
        self.released = threading.Event()  # answers none before
        self.released.set()

    @property
    def target(self) -> Target:
        return Target(self.scheme, "127.0.0.1", self.server_address[1], "/built?a=1")

    def handle_error(self, *_: object) -> None:
        """Ignore callers that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body, dict(self.headers)))
        self.server.released.wait(_SECONDS)
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        if self.server.drips:
            self.flush_headers()
            self._drip()
        self.end_headers()

    def _drip(self) -> None:
        pause = threading.Event()
        try:
            self.wfile.write(b"X-Drip: ")
            for _ in range(_DRIPS):
                self.wfile.write(b"1")
                pause.wait(_DRIP_SECONDS)
            self.wfile.write(b"\r\n")
        except OSError:
            self.close_connection = True
            self.server.cut_off.set()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(*statuses: int, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    with Receiver(*statuses) as server:
        if tls:
            server.scheme = "https"
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
