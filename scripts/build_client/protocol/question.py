"""Pure. Makes requests of what is asked about builds.

Such a request is a small JSON document, signed as a tar is; it says when, so that a signature is not
good for ever.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from .transport import Request

if TYPE_CHECKING:
    from ..command_line import Builder

_ID_DIGITS: Final = 32


def request(
    builder: Builder,
    secret: bytes | None,
    operation: str,
    *,
    now: float,
    live: bool = False,
    **fields: object,
) -> Request:
    """Ask at *now*, in seconds since 1970; *fields* are the document's others; empty ones are left out."""
    document = {"op": operation, "time": now} | {
        key: value for key, value in fields.items() if value
    }
    return Request(
        url=builder.url,
        body=json.dumps(document).encode(),
        secret=secret,
        idle=builder.idle,
        retries=builder.retries,
        operation=operation,
        content_type="application/json",
        live=live,
        require_signed=builder.require_signed,
    )


def id_of_call(call_id: str, body: bytes, signature: str | None) -> str:
    """Return the build that a queued call will be, however often it is delivered."""
    told_by = signature or hashlib.sha256(body).hexdigest()
    return hashlib.sha256(f"{len(call_id)}:{call_id}{told_by}".encode()).hexdigest()[:_ID_DIGITS]
