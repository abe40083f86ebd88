"""Pure. Decides whether the holder of a payload secret signed a request's body, and signs our answers.

The scheme is go-sdk's (builder/builder.go): `X-Build-Signature: sha256=<hex>`, an HMAC-SHA256 over
the exact bytes of the body. Where secrets are kept, and whether signing is on at all, is decided
elsewhere.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import NotReady, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADER = "X-Build-Signature"
# Names the key that it is signed with. It is not signed itself: that key is tried first, and no more.
KEY_HEADER = "X-Build-Key"
# Beside our answers: the same, by the key that the request was signed with.
RESULT_HEADER = "X-Build-Result-Signature"

# Of a secret, in bytes: of hexadecimal digits so many still have 64 bits.
_LEAST_BYTES = 16

_VALUE = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """A payload secret under the name that logs may show. Raises NotReady for a blank secret."""

    name: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secret.strip():
            raise NotReady(
                f'The payload secret "{self.name}" is empty; write a random value to it.'
            )

    @property
    def weakness(self) -> str:
        """A sentence for the operator of a secret that can be guessed; nothing if it is long enough."""
        length = len(self.secret.strip())
        if length >= _LEAST_BYTES:
            return ""
        return (
            f'The payload secret "{self.name}" has {length} bytes, and with one signed request anybody can '
            f"try all of that length: use {_LEAST_BYTES} random ones or more, as faas-cli secret generate "
            "does."
        )

    @property
    def variants(self) -> tuple[bytes, ...]:
        """The secret as clients read it from a file: faas-cli trims whitespace, go-sdk does not."""
        trimmed = self.secret.strip()
        return (trimmed,) if trimmed == self.secret else (trimmed, self.secret)


def sign(body: bytes, key: Key) -> str:
    """Return the signature to send beside *body*."""
    return "sha256=" + hmac.new(key.secret, body, "sha256").hexdigest()


class Arriving:
    """The signature of a body that is still arriving, by the secret that most clients sign with.

    That is the first one, trimmed. Each further secret costs a pass over the body, made only when needed.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._secret = keys[0].variants[0] if keys else b""
        self._hmac = hmac.new(self._secret, digestmod="sha256")
        self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take in the next *piece* of the body. hashlib lets other threads run meanwhile."""
        self._hmac.update(piece)
        self._size += len(piece)

    def digest(self, body: bytes | memoryview, secret: bytes) -> bytes | None:
        """Return the HMAC of *body* by *secret*; None if another was followed, or not all of it."""
        if secret != self._secret or len(body) != self._size:
            return None
        return self._hmac.digest()


def verify(
    body: bytes | memoryview,
    header_values: Sequence[str],
    keys: Iterable[Key],
    arrived: Arriving | None = None,
) -> Key:
    """Return the key that signed *body*, with its secret as the signer has it.

    *header_values* are the header's values as received; one that a proxy joined with commas counts
    as several. Each variant of a secret tried costs one pass over the body, except the one that *arrived*
    has made. Raises SignatureError.
    """
    given = _given_digest(header_values)
    for key in keys:
        for secret in key.variants:
            digest = arrived.digest(body, secret) if arrived else None
            digest = digest or hmac.new(secret, body, "sha256").digest()
            if hmac.compare_digest(digest, given):
                return Key(key.name, secret)
    raise SignatureError(
        f"The signature in {HEADER} does not match the body: sign the exact bytes sent, "
        "with the payload secret of this builder."
    )


def _given_digest(header_values: Sequence[str]) -> bytes:
    values = [part.strip() for value in header_values for part in value.split(",")]
    if not any(values):
        raise SignatureError(
            f'The request is not signed: send {HEADER} as "sha256=" and the hexadecimal '
            "HMAC-SHA256 of the body."
        )
    if len(values) > 1:
        raise SignatureError(f"{HEADER} was sent {len(values)} times; send it once.")
    match = _VALUE.fullmatch(values[0])
    if match is None:
        raise SignatureError(
            f'{HEADER} is malformed: it must be "sha256=" followed by 64 hexadecimal digits.'
        )
    return bytes.fromhex(match[1])
