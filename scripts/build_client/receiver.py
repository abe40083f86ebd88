"""A web server. Waits for the callback of one asynchronous build.

Where it listens is in nobody's secret, so the address it is called at ends in a word that is.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Final

from .documents import document
from .errors import StreamBrokenError, UntrustedError, UsageError
from .signature import RESULT_HEADER, require_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LONGEST: Final = 4 << 20  # bytes; a result that comes from a queue is smaller
_PATIENCE: Final = 10.0  # seconds a caller may say nothing


@dataclass(frozen=True, slots=True)
class Callback:
    """As the queue has sent it. *status* is what the function answered, or the queue for it."""

    status: str
    signature: str | None
    body: bytes

    def document(self, secret: bytes | None) -> Mapping[str, object]:
        """What it says. Raises StreamBrokenError if that is nothing, and UntrustedError.

        A refusal need not be signed: whoever is refused may have no secret.
        """
        if not self.body:
            raise StreamBrokenError(
                f"The queue has no result, and reports status {self.status or 'unknown'} instead:"
                " see its worker's log, and build again."
            )
        if secret is not None and self.signature is not None:
            require_signed(self.body, self.signature, secret)
        told = document(self.body)
        if secret is not None and self.signature is None and told.get("status") != "failed":
            raise UntrustedError(
                "A result came without the builder's signature: do not rely on it."
            )
        return told


@contextlib.contextmanager
def listening(address: str, public_url: str = "") -> Iterator[tuple[str, Callable[[], Callback]]]:
    """The URL to be called at, and what waits for the call.

    *address* is HOST:PORT; *public_url* is what others have for it. Raises UsageError.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(f'--wait takes HOST:PORT to listen at, not "{address}".')
    path = f"/{secrets.token_urlsafe(16)}"
    received: list[Callback] = []
    try:
        server = HTTPServer((host, int(port)), _handler(path, received.append))
    except OSError as exc:
        raise UsageError(f"Nothing can listen at {address}: {exc.strerror or exc}.") from exc

    def next_callback() -> Callback:
        while not received:
            server.handle_request()
        return received[0]

    with server:
        own = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
        yield (public_url or own).rstrip("/") + path, next_callback


def _handler(path: str, take: Callable[[Callback], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE

        def do_POST(self) -> None:
            if not secrets.compare_digest(self.path.encode()[-len(path) :], path.encode()):
                self._answer(HTTPStatus.NOT_FOUND)
                return
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LONGEST:
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(int(length))
            self._answer(HTTPStatus.ACCEPTED)
            status = self.headers.get("X-Function-Status", "")
            take(Callback(status, self.headers.get(RESULT_HEADER), body))

        def _answer(self, status: HTTPStatus) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    return Handler
