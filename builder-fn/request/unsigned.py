"""Pure. Reads what a request says outside of its signed body. None of it decides who may do what.

`event` is the template's (template/python3-http/index.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import go_duration
from ..config import FAILED_STATUSES
from ..errors import RequestError
from ..quoting import quoted
from .signature import KEY_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_PROXIES = ("X-Forwarded-For", "X-Forwarded-Host", "X-Call-Id", "Forwarded")


def caller_gone(event: Any) -> Callable[[], bool]:
    """Return what tells whether the caller has hung up, where the template can tell."""
    gone: Callable[[], bool] = getattr(event, "client_disconnected", never)
    return gone


def caller_half_closed(event: Any) -> Callable[[], bool]:
    """Return what tells whether the caller has closed its sending side, as one who hangs up does, too."""
    half_closed: Callable[[], bool] = getattr(event, "client_half_closed", never)
    return half_closed


def never() -> bool:
    return False


def call_id(event: Any) -> str:
    """Return what OpenFaaS calls this call; nothing if it came another way."""
    return str(event.headers.get("X-Call-Id", ""))


def accept(event: Any) -> str:
    return str(event.headers.get("Accept", ""))


def key_name(event: Any) -> str:
    """Return the name of the key that the request says it is signed with."""
    return str(event.headers.get(KEY_HEADER, ""))


def came_by_proxy(event: Any) -> bool:
    """Return whether somebody passed the request on, as OpenFaaS' gateway and every ingress say of it.

    Source: openfaas/faas 0.27, gateway/handlers/forwarding_proxy.go: a caller cannot take these away.
    """
    return any(name in event.headers for name in _OF_PROXIES)


def bearer_token(event: Any) -> str:
    """Return the token that a scraper proves itself with."""
    scheme, _, token = str(event.headers.get("Authorization", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_queued(event: Any) -> bool:
    """Return whether OpenFaaS' queue delivers this call, and posts the answer to a callback."""
    return "X-Callback-Url" in event.headers


def patience(event: Any) -> float:
    """Return how many seconds the caller waits, if it says so in of-watchdog's own header.

    Source: openfaas/of-watchdog 0.11, executor/http_runner.go.
    """
    try:
        return go_duration.seconds(event.headers.get("X-Timeout", ""))
    except ValueError:
        return math.inf


def require_nothing_that_must_be_signed(event: Any) -> None:
    """Refuse a query that asks for what only a signed config may. Raises RequestError."""
    if "detach" in event.query:
        raise RequestError(
            'A query is not signed, and cannot detach a build: put "detach": true into '
            "com.openfaas.docker.config."
        )


def failed_status(event: Any, otherwise: int) -> int:
    """Return the status that a failed build is to be answered with. Raises RequestError."""
    chosen = event.query.get("failed")
    if chosen is None:
        return otherwise
    if chosen not in FAILED_STATUSES:
        allowed = " or ".join(FAILED_STATUSES)
        raise RequestError(f"failed in the query must be {allowed}, not {quoted(chosen)}.")
    return FAILED_STATUSES[chosen]


def status_url(event: Any) -> str:
    """Return where to ask for the build's status, relative to the request's own address.

    What the gateway has in front of a path is unknown here.
    """
    return "status" if event.path.strip("/") else "?op=status"
