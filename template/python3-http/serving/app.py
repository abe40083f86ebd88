"""The handler's contract as a WSGI application; index.py states it. Does no I/O of its own."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, jsonify, request

from . import refusal
from .hooks import hook
from .server import ARRIVED, BODY, CLIENT_DISCONNECTED, REFUSAL, SHARE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from flask.typing import ResponseReturnValue
    from werkzeug.datastructures import Headers, MultiDict

    from .budget import Share
    from .refusal import Refusal


class Event:
    """One request. Needs no Flask context: a generator may use it after handle() has returned."""

    def __init__(self) -> None:
        environ = request.environ
        self.method: str = request.method
        self.path: str = request.path
        self.query: MultiDict[str, str] = request.args
        self.headers: Headers = request.headers
        self.buffer: memoryview = _body()
        self.arrived: Any = environ.get(ARRIVED)
        self._gone: Callable[[], bool] | None = environ.get(CLIENT_DISCONNECTED)
        self._share: Callable[[], Share] | None = environ.get(SHARE)
        self._copied: bytes | None = None

    @property
    def body(self) -> bytes:
        if self._copied is None:
            self._copied = bytes(self.buffer)
        return self._copied

    def share(self) -> Share | None:
        return self._share() if self._share else None

    def client_disconnected(self) -> bool:
        return bool(self._gone and self._gone())


class Context:
    def __init__(self) -> None:
        self.hostname: str = os.getenv("HOSTNAME", "localhost")


def create_app(handler: ModuleType) -> Flask:
    app = Flask(__name__, static_folder=None)
    refuse = hook(handler, "refuse", takes=3) or _refuse

    @app.before_request
    def call_handler() -> ResponseReturnValue:
        # Here and not in a rule, since every method and every path is the handler's to judge.
        why: Refusal | None = request.environ.get(REFUSAL)
        if why is not None:
            return answer(refuse(Event(), Context(), why))
        return answer(handler.handle(Event(), Context()))

    @app.errorhandler(HTTPStatus.INTERNAL_SERVER_ERROR)
    def failed(_error: Exception) -> ResponseReturnValue:
        why = refusal.internal()
        return why.document(), why.status

    return app


def answer(result: Any) -> ResponseReturnValue:
    """Return what Flask understands, made of what a handler returned."""
    if result is None:
        return "", 200
    if isinstance(result, dict):
        headers = result.get("headers", [])
        if isinstance(headers, dict):
            headers = list(headers.items())
        return _answer_body(result.get("body", "")), result.get("statusCode", 200), headers
    return result  # type: ignore[no-any-return]


def _answer_body(body: Any) -> Any:
    if isinstance(body, dict):
        return jsonify(body)
    if isinstance(body, memoryview):
        return bytes(body)
    if isinstance(body, bytes | bytearray | str) or hasattr(body, "__next__"):
        return body
    return str(body)


def _body() -> memoryview:
    body = request.environ.get(BODY)
    # Under another server, or in a test, it is wherever WSGI has it.
    return memoryview(request.get_data()) if body is None else body


def _refuse(_event: Event, _context: Context, why: Refusal) -> ResponseReturnValue:
    return why.document(), why.status, why.headers()
