"""Servers of the tests' own, that answer on loopback while they are needed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from stack.daemons import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    """Says nothing of what it is asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """Serve until the end of the block, at the host:port that it is given."""
    with ThreadingHTTPServer((ports.LOOPBACK, 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{ports.LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
