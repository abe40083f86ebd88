"""Serves on loopback, in this process: a builder that speaks the protocol, and says what it is told to."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import re
import tarfile
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Reply = Callable[["Handler"], None]

SECRET = "a-payload-secret"
NDJSON = "application/x-ndjson"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    replies: ClassVar[list[Reply]]
    bodies: ClassVar[list[bytes]]
    paths: ClassVar[list[str]]
    headers_seen: ClassVar[list[Mapping[str, str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).bodies.append(body)
        type(self).paths.append(self.path)
        type(self).headers_seen.append(dict(self.headers))
        if self.headers["X-Build-Signature"] != signed(body):
            one(401, {"status": "failed", "error": "signature mismatch"})(self)
            return
        type(self).replies.pop(0)(self)

    def do_GET(self) -> None:
        type(self).paths.append(self.path)
        type(self).replies.pop(0)(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        pass


def one(status: int, document: object, **headers: str) -> Reply:
    """Reply with a single JSON document."""

    def reply(handler: Handler) -> None:
        body = json.dumps(document, indent=2).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def stream(*documents: object, cut: int = 1 << 20, ends: bool = True) -> Reply:
    """Reply with chunked ndjson, a chunk every *cut* bytes; without *ends* the connection just closes."""

    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", NDJSON)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = "".join(f"{json.dumps(document)}\n" for document in documents).encode()
        for start in range(0, len(data), cut):
            chunk = data[start : start + cut]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if ends:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return reply


def progress(*lines: str) -> dict[str, object]:
    return {"status": "in_progress", "log": list(lines)}


class Builder:
    """A server in this process; *replies* are given one a request."""

    def __init__(self, url: str, handler: type[Handler]) -> None:
        self.url = url
        self._handler = handler

    def will(self, *replies: Reply) -> None:
        self._handler.replies[:] = replies

    @property
    def bodies(self) -> list[bytes]:
        return self._handler.bodies

    @property
    def paths(self) -> list[str]:
        return self._handler.paths

    @property
    def headers(self) -> list[Mapping[str, str]]:
        return self._handler.headers_seen


@contextmanager
def scripted_builder() -> Iterator[Builder]:
    kept: dict[str, list[object]] = {"replies": [], "bodies": [], "paths": [], "headers_seen": []}
    handler = type("Handler", (Handler,), kept)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Builder(f"http://127.0.0.1:{server.server_port}", handler)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def config_of(body: bytes) -> dict[str, object]:
    """Return the config in a request, but for what is new each time: when it was signed, and its nonce."""
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        file = archive.extractfile("com.openfaas.docker.config")
        assert file is not None
        config: dict[str, object] = json.load(file)
    signed_at, nonce = config.pop("time"), config.pop("nonce")
    assert isinstance(signed_at, float)
    assert abs(signed_at - time.time()) < 60
    assert isinstance(nonce, str)
    assert re.fullmatch("[0-9a-f]{32}", nonce)
    return config


def last(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the last line of a stream, as a builder signs it."""
    signature = signed(json.dumps(document).encode())
    return {**document, "signature": signature}


def signed(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
