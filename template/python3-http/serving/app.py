"""The handler's contract as a WSGI application; index.py states it. Does no I/O of its own."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from . import refusal
from .hooks import hook
from .server import (
    ARRIVED,
    BODY,
    CLIENT_DISCONNECTED,
    CLIENT_HALF_CLOSED,
    PARSED_SHARE,
    REFUSAL,
    SHARE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from werkzeug.datastructures import MultiDict

    from .budget import Share
    from .refusal import Refusal


_log = logging.getLogger("serving")


class Event:
    """One request; a generator may use it after handle() has returned."""

    def __init__(self, request: Request) -> None:
        environ = request.environ
        self.method: str = request.method
        self.path: str = request.path
        self.query: MultiDict[str, str] = request.args
        self.headers: Headers = request.headers
        self.buffer: memoryview = _body(request)
        self.arrived: Any = environ.get(ARRIVED)
        self._gone: Callable[[], bool] | None = environ.get(CLIENT_DISCONNECTED)
        self._half_closed: Callable[[], bool] | None = environ.get(CLIENT_HALF_CLOSED)
        self._share: Callable[[], Share] | None = environ.get(SHARE)
        self._parsed_share: Callable[[], Share] | None = environ.get(PARSED_SHARE)
        self._copied: bytes | None = None

    @property
    def body(self) -> bytes:
        if self._copied is None:
            self._copied = bytes(self.buffer)
        return self._copied

    def share(self) -> Share | None:
        return self._share() if self._share else None

    def parsed_share(self) -> Share | None:
        return self._parsed_share() if self._parsed_share else None

    def client_disconnected(self) -> bool:
        return bool(self._gone and self._gone())

    def client_half_closed(self) -> bool:
        return bool(self._half_closed and self._half_closed())


class Context:
    def __init__(self) -> None:
        self.hostname: str = os.getenv("HOSTNAME", "localhost")


def create_app(handler: ModuleType) -> WSGIApplication:
    refuse = hook(handler, "refuse", takes=3) or _refuse

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return call_handler(Request(environ))(environ, start_response)

    def call_handler(request: Request) -> WSGIApplication:
        why: Refusal | None = request.environ.get(REFUSAL)
        try:
            event = Event(request)
            if why is not None:
                return answer(refuse(event, Context(), why))
            return answer(handler.handle(event, Context()))
        except HTTPException as exc:  # werkzeug's abort()
            return exc
        except Exception:
            _log.exception("The handler failed")
            failed = refusal.internal()
            return answer((failed.document(), failed.status))

    return application


class _Response(Response):
    default_mimetype = "text/html"  # as of the public template


def answer(result: Any) -> Response:
    """Return the response that a handler's *result* stands for. Raises TypeError for one that is none."""
    if isinstance(result, Response):
        return result
    if isinstance(result, dict):
        body, status = result.get("body", ""), result.get("statusCode", 200)
        if not isinstance(body, dict | memoryview | bytes | bytearray | str | Iterator):
            body = str(body)
        return _response(body, status, result.get("headers"))
    if isinstance(result, tuple):
        match result:
            case (body, dict() | list() as headers):
                return _response(body, 200, headers)
            case (body, status):
                return _response(body, status)
            case (body, status, headers):
                return _response(body, status, headers)
        raise TypeError(f"A handler's tuple has two or three items, not {len(result)}.")
    return _response("" if result is None else result)


def _response(body: Any, status: Any = 200, headers: Any = None) -> Response:
    if not isinstance(status, int | str):
        raise TypeError(f"A handler's status is a number or a string, not {type(status).__name__}.")
    if isinstance(body, Response):
        body.status = status
        body.headers.extend(headers or {})
        return body
    mimetype = None
    if isinstance(body, dict | list):
        body, mimetype = json.dumps(body), "application/json"
    elif isinstance(body, memoryview):
        body = bytes(body)
    elif not isinstance(body, bytes | bytearray | str | Iterator):
        raise TypeError(f"A handler cannot answer with {type(body).__name__}.")
    given = Headers(headers or {})
    return _Response(body, status, given, None if "Content-Type" in given else mimetype)


def _body(request: Request) -> memoryview:
    body: memoryview | None = request.environ.get(BODY)
    # Under another server, or in a test, it is wherever WSGI has it.
    return memoryview(request.get_data()) if body is None else body


def _refuse(_event: Event, _context: Context, why: Refusal) -> Response:
    return answer((why.document(), why.status, why.headers()))
