"""Runs a WSGI application for one request, in a thread, and puts its answer into HTTP/1.1's form.

PEP 3333. The connection is somebody else's: an Exchange says what to answer and takes the bytes.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from . import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from .head import Head

# An answer goes out in pieces of at most this, so that no more than that is copied at a time.
_PIECE = 256 << 10

# What PEP 3333 forbids an application to say, since it is the server's to know.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}
)

_log = logging.getLogger("serving")


class ClientGone(ConnectionError):
    """There is nobody left to send an answer to."""


class Exchange(Protocol):
    """A request that has come, and the way back."""

    head: Head

    @property
    def keep_alive(self) -> bool: ...

    def begin_answer(self) -> None:
        """Say that nothing but the answer may be sent from here on."""

    def send(self, data: bytes) -> None:
        """Wait until there is room for *data*. Raises ClientGone."""

    def finish(self, *, intact: bool) -> None:
        """End the answer; unless it is *intact*, so that its client can tell."""


class BodyStream(io.RawIOBase):
    """A body as the file that WSGI gives an application. Copies what is read, and nothing else."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        piece = self._view[self._at : self._at + len(target)]
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def environment(
    head: Head, body: memoryview, *, server: tuple[str, int], client: tuple[str, int]
) -> WSGIEnvironment:
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "REQUEST_URI": head.target,
        "RAW_URI": head.target,
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BufferedReader(BodyStream(body)),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in head.headers:
        # "_" could not be told from "-" any more: a client could write what only a proxy may.
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            continue
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ", "
            environ[key] += separator + value
        else:
            environ[key] = value
    if head.has_body:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def run(application: WSGIApplication, environ: WSGIEnvironment, exchange: Exchange) -> None:
    """Answer one request. Whatever the application does, the exchange ends, and nothing is raised."""
    answer = _Answer(exchange)
    intact = False
    try:
        pieces = application(environ, answer.start)
        try:
            answer.send_all(pieces)
            intact = True
        finally:
            if close := getattr(pieces, "close", None):
                close()
    except ClientGone:
        pass
    except Exception:
        _log.exception("A request could not be answered")
        if not answer.begun:
            intact = answer.fail()
    finally:
        exchange.finish(intact=intact)


class _Answer:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._left: int | None = None  # of what Content-Length promised
        self._chunked = False
        self._bodiless = False
        self.begun = False

    def start(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
        | None = None,
        /,
    ) -> Callable[[bytes], object]:
        if exc_info and exc_info[1] and self.begun:
            raise exc_info[1].with_traceback(exc_info[2])
        self._status = status
        self._headers = list(headers)
        return self._send

    def send_all(self, pieces: Iterable[bytes]) -> None:
        """Send what an application returned. Raises ClientGone, and whatever the application does."""
        whole = isinstance(pieces, list | tuple) and len(pieces) <= 1
        if whole and self._value("content-length") is None:
            self._headers.append(("Content-Length", str(sum(map(len, pieces)))))
        for piece in pieces:
            if piece:
                self._send(piece)
        if not self.begun:
            self._begin(memoryview(b""))
        if self._chunked:
            self._exchange.send(b"0\r\n\r\n")
        if self._left:
            raise RuntimeError(f"The answer lacks {self._left} bytes of its Content-Length.")

    def fail(self) -> bool:
        """Answer in place of an application that raised; say whether that arrived."""
        body = refusal.internal().encoded()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        self.start("500 Internal Server Error", headers)
        try:
            self._send(body)
        except ClientGone:
            return False
        return True

    def _send(self, piece: bytes) -> None:
        left = memoryview(piece).cast("B")
        if not self.begun:
            left = self._begin(left)
        while len(left) and not self._bodiless:
            self._exchange.send(self._framed(left))
            left = left[_PIECE:]

    def _begin(self, body: memoryview) -> memoryview:
        """Send the head with the beginning of *body*, in one packet if small, and return the rest."""
        if not self._status:
            raise RuntimeError("The application did not call start_response().")
        self._decide_framing()
        lines = [f"HTTP/1.1 {self._status}"]
        lines += [
            f"{name}: {value}" for name, value in self._headers if name.lower() not in _HOP_BY_HOP
        ]
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        if not self._exchange.keep_alive:
            lines.append("Connection: close")
        if self._value("date") is None:
            lines.append(f"Date: {_date(int(time.time()))}")
        if any("\r" in line or "\n" in line for line in lines):
            raise RuntimeError("A header of the answer has a line break in it.")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.begun = True
        self._exchange.begin_answer()
        self._exchange.send(head if self._bodiless or not body else head + self._framed(body))
        return body[_PIECE:]

    def _decide_framing(self) -> None:
        """Decide how a client is told where the body ends."""
        head = self._exchange.head
        code = self._status[:3]
        length = self._value("content-length")
        self._left, self._chunked = None, False
        self._bodiless = head.method == "HEAD" or code in ("204", "304") or code.startswith("1")
        if self._bodiless:
            return
        if length is not None:
            self._left = int(length)
        else:
            self._chunked = head.version == "1.1"

    def _framed(self, body: memoryview) -> bytes:
        """Return the next piece of *body* as it travels."""
        piece = bytes(body[:_PIECE])
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._left is not None:
            # RFC 9112 6.3: more would be taken for the next answer.
            piece = piece[: self._left]
            self._left -= len(piece)
        return piece

    def _value(self, wanted: str) -> str | None:
        return next((value for name, value in self._headers if name.lower() == wanted), None)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def document(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """Return a whole answer in JSON, after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        f"Date: {_date(int(time.time()))}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
