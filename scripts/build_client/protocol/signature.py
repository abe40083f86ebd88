"""Pure. Signs what is sent, and checks what is answered, with a payload secret.

Both ways it is `sha256=` and the hexadecimal HMAC-SHA256 of the exact bytes: of a request in go-sdk's
X-Build-Signature (v0.3.0 builder.go), of builder-fn's answer in X-Build-Result-Signature.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from ..errors import UntrustedError

HEADER: Final = "X-Build-Signature"
RESULT_HEADER: Final = "X-Build-Result-Signature"


def sign(body: bytes, secret: bytes) -> str:
    """Sign *body*; like faas-cli, leave out white space around *secret*."""
    return f"sha256={hmac.new(secret.strip(), body, hashlib.sha256).hexdigest()}"


def require_signed(body: bytes, signature: str, secret: bytes) -> None:
    """Raise UntrustedError if *signature* is not *body*'s."""
    if not hmac.compare_digest(signature.encode(), sign(body, secret).encode()):
        raise UntrustedError(
            "The answer is not what the builder signed: something in between has changed it, or holds"
            " another payload secret. What became of the build is unknown."
        )
