"""A web server on loopback. Takes callbacks of asynchronous invocations, or stands for a function."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_SECONDS = 60.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Received:
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """Keeps every request for callers of `next`, in the order in which they came.

    With `held` it answers none before `release`. Port 0 is any.
    """

    def __init__(self, *, held: bool = False, port: int = 0) -> None:
        arrived: queue.Queue[Received] = queue.Queue()
        released = threading.Event()
        if not held:
            released.set()

        class Handler(_Reader):
            def do_POST(self) -> None:  # http.server names it
                arrived.put(Received(dict(self.headers), self.body()))
                released.wait(_SECONDS)
                self.send_response(202)
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as above

        self._arrived = arrived
        self._released = released
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next(self) -> Received:
        return self._arrived.get(timeout=_SECONDS)

    def release(self) -> None:
        self._released.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Reader(BaseHTTPRequestHandler):
    def body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: object) -> None:
        pass
