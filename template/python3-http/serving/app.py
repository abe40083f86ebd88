"""The handler's contract as a WSGI application; index.py states it. Does no I/O of its own."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Flask, jsonify, request

from .hooks import hook
from .server import BODY_LIMIT_PASSED

if TYPE_CHECKING:
    from types import ModuleType

    from flask.typing import ResponseReturnValue
    from werkzeug.datastructures import Headers, MultiDict

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")


class Event:
    """One request. Needs no Flask context: a generator may use it after handle() has returned."""

    def __init__(self) -> None:
        self.method: str = request.method
        self.path: str = request.path
        self.query: MultiDict[str, str] = request.args
        self.headers: Headers = request.headers
        self.body: bytes = _body()
        self._gone = request.environ.get("waitress.client_disconnected")

    @property
    def buffer(self) -> memoryview:
        return memoryview(self.body)

    def client_disconnected(self) -> bool:
        return bool(self._gone and self._gone())


class Context:
    def __init__(self) -> None:
        self.hostname: str = os.getenv("HOSTNAME", "localhost")


def create_app(handler: ModuleType) -> Flask:
    app = Flask(__name__)
    # Answering "//" with a redirect would make clients send the whole body again.
    app.url_map.merge_slashes = False
    handle_too_large = hook(handler, "too_large", takes=2) or _refuse_body

    def call_handler(path: str) -> ResponseReturnValue:  # noqa: ARG001 - the event has it
        chosen = handle_too_large if BODY_LIMIT_PASSED in request.environ else handler.handle
        return answer(chosen(Event(), Context()))

    app.add_url_rule("/", view_func=call_handler, defaults={"path": ""}, methods=METHODS)
    app.add_url_rule("/<path:path>", view_func=call_handler, methods=METHODS)
    return app


def answer(result: Any) -> ResponseReturnValue:
    """What Flask understands, made of what a handler returned."""
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


def _body() -> bytes:
    stream = request.environ["wsgi.input"]
    # The bytes waitress collected, without a copy: CPython's BytesIO hands out its own buffer,
    # which is copied only if somebody writes to it again. Flask's request.get_data() still finds
    # the stream at its beginning.
    return stream.getvalue() if isinstance(stream, BytesIO) else request.get_data()


def _refuse_body(_event: Event, _context: Context) -> ResponseReturnValue:
    limit = request.environ[BODY_LIMIT_PASSED]
    error = f"The request's body is larger than {limit} bytes, the most that is accepted here."
    return {"status": "failed", "error": error}, 413
