"""Pure. Signs what is sent, and checks what is answered, with a payload secret.

Both ways it is `sha256=` and the hexadecimal HMAC-SHA256 of the exact bytes: of a request in go-sdk's
X-Build-Signature (v0.3.0 builder.go), of builder-fn's answer in X-Build-Result-Signature, or in the last line
of a stream.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from ..errors import UntrustedError

HEADER: Final = "X-Build-Signature"
RESULT_HEADER: Final = "X-Build-Result-Signature"
# What builder-fn adds to the last line of a stream, over the line without it.
_LAST = re.compile(rb', "signature": "(sha256=[0-9a-f]{64})"\}\s*$')


def sign(body: bytes, secret: bytes) -> str:
    """Sign *body*; like faas-cli, leave out white space around *secret*."""
    return f"sha256={hmac.new(secret.strip(), body, hashlib.sha256).hexdigest()}"


def signed_line(line: bytes) -> tuple[bytes, str | None]:
    """Split a line of a stream into what is signed, and the signature that stands last in it, if any."""
    match = _LAST.search(line)
    return (line[: match.start()] + b"}", match[1].decode()) if match else (line, None)


def check(body: bytes, signature: str | None, secret: bytes | None, *, required: bool) -> None:
    """Raise UntrustedError for a wrong signature, and for none where it is *required*."""
    if signature is not None and secret is not None:
        require_signed(body, signature, secret)
    elif required:
        raise UntrustedError(
            "The answer is not signed, so it may be anybody's, and --require-signed was asked for: check"
            " that nothing in between answers in the builder's place, and that the builder checks signatures"
            " itself. What became of the build is unknown."
        )


def require_signed(body: bytes, signature: str, secret: bytes) -> None:
    """Raise UntrustedError if *signature* is not *body*'s."""
    if not hmac.compare_digest(signature.encode(), sign(body, secret).encode()):
        raise UntrustedError(
            "The answer is not what the builder signed: something in between has changed it, or holds"
            " another payload secret. What became of the build is unknown."
        )
