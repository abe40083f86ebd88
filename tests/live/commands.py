"""Requests about builds, signed as their callers sign them."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from .caller import NDJSON, Answer, connect, post, signature
from .waiting import wait_until

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator, Mapping


def document(operation: str, build_id: str = "", **more: object) -> bytes:
    said = {"op": operation, "time": time.time(), **more}
    return json.dumps({**said, "buildId": build_id} if build_id else said).encode()


def command(
    url: str, operation: str, build_id: str = "", *, accept: str = "*/*", **more: object
) -> Answer:
    """Call the operation at its own path."""
    body = document(operation, build_id, **more)
    return post(url, body, {"Accept": accept}, path=f"/{operation}")


@contextmanager
def live_log(url: str, build_id: str) -> Iterator[http.client.HTTPResponse]:
    """Yield the log as it comes. Leaving the block early stops reading, and not the build."""
    body = document("logs", build_id)
    headers = {"X-Build-Signature": signature(body), "Accept": NDJSON}
    with closing(connect(url)) as connection:
        connection.request("POST", "/logs", body, headers)
        with connection.getresponse() as response:
            yield response


def at_the_root(url: str, operation: str, build_id: str = "") -> Answer:
    return post(url, document(operation, build_id), {}, path=f"/?op={operation}")


def in_a_header(url: str, operation: str, build_id: str = "") -> Answer:
    said = document(operation, build_id)
    headers: Mapping[str, str] = {
        "X-Build-Request": said.decode(),
        "X-Build-Signature": signature(said),
    }
    with closing(connect(url)) as connection:
        connection.request("GET", f"/{operation}", headers=dict(headers))
        with connection.getresponse() as response:
            return Answer(response.status, dict(response.getheaders()), response.read())


def state(url: str, build_id: str) -> str:
    found: str = command(url, "status", build_id).document.get("state", "unknown")
    return found


def wait_for_state(url: str, build_id: str, *wanted: str) -> dict[str, Any]:
    """Return the status once it is one of those *wanted*."""
    wait_until(lambda: state(url, build_id) in wanted)
    return command(url, "status", build_id).document
