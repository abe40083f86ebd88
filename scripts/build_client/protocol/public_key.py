"""HTTP. Asks a builder for the key to seal for, so that nobody on the way can put another in its place."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Final

from ..errors import UntrustedError
from . import gateway, transport
from .documents import document
from .signature import HEADER, check, sign

if TYPE_CHECKING:
    from ..command_line import Builder

_OPERATION: Final = "publickey"
_QUESTION_HEADER: Final = "X-Build-Request"


def fetch(builder: Builder, secret: bytes | None) -> tuple[bytes, str]:
    """Return what the builder answers, and from where. Raises ClientError.

    With a *secret* the question is signed, and a builder that understands that signs its answer, with our
    nonce in it. Others answer as ever, which `builder.require_signed` does not let pass.
    """
    url = gateway.function_url(builder.url)  # a queue answers nothing
    nonce = secrets.token_hex(16)
    headers = {}
    if secret is not None:
        asked = json.dumps({"op": _OPERATION, "time": time.time(), "nonce": nonce})
        headers = {_QUESTION_HEADER: asked, HEADER: sign(asked.encode(), secret)}
    answer = transport.fetch(
        url, _OPERATION, idle=builder.idle, retries=builder.retries, headers=headers
    )
    check(answer.body, answer.signature, secret, required=builder.require_signed)
    signed = answer.signature is not None and secret is not None
    if signed and document(answer.body).get("nonce") != nonce:
        raise UntrustedError(
            "The public key is one that the builder signed for another question: something in between has"
            " kept it. Nothing was sent."
        )
    return answer.body, url
