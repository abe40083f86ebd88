"""A registry that claims to have each image that it is asked for, and knows no more than its digest."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from stack.daemons import ports

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        _, is_manifest, digest = self.path.rpartition("/manifests/")
        self.send_response(200 if is_manifest else 404)
        self.send_header("Content-Type", _MANIFEST)
        self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Length", "1")  # the daemon does not look at what it has
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def claiming() -> Iterator[str]:
    """Its host:port."""
    with ThreadingHTTPServer((ports.LOOPBACK, 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{ports.LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
