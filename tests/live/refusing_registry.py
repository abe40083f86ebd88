"""A registry that turns every call down, with the statuses that docker-registry never gives."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from stack.daemons import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def refusing(status: int, code: str, message: str) -> Iterator[str]:
    """Its host:port. The answer is as the distribution specification has errors."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - the base class looks for them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer((ports.LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{ports.LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
