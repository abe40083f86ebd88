"""Pure. Makes requests of what is asked about builds.

Such a request is a small JSON document, signed as a tar is; it says when, so that a signature is not
good for ever.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .transport import Request

if TYPE_CHECKING:
    from ..command_line import Builder


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
