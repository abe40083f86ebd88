"""Seals build secrets, with fresh keys and nonces, for the holder of one builder's private key alone.

The envelope is go-sdk v0.3.0's (seal/seal.go). Needs PyNaCl, for this alone and only when it is done.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM: Final = "nacl/box"
_KEY_BYTES: Final = 32
_KEY_ID_LENGTH: Final = 8  # DeriveKeyID


def public_key(document: bytes, origin: str) -> bytes:
    """Read the key's 32 bytes, from base64 or from what /publickey answers, as faas-cli takes either.

    *origin* is for messages. Raises UsageError.
    """
    text = document.decode(errors="replace").strip()
    if text.startswith("{"):
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = {}
        if answer.get("algorithm") not in (None, "", _ALGORITHM):
            raise UsageError(f"{origin} wants secrets sealed in a way that is not known here.")
        text = str(answer.get("public_key", ""))
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise UsageError(
            f"{origin} has no public key of a builder:"
            f" it should be the base64 of {_KEY_BYTES} bytes, or what a builder's /publickey answers."
        )
    return key


def seal(secrets: Mapping[str, bytes], key: bytes) -> bytes:
    """Make com.openfaas.secrets. Raises UsageError if there is no PyNaCl."""
    try:
        from nacl.exceptions import CryptoError  # noqa: PLC0415
        from nacl.public import Box, PrivateKey, PublicKey  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "--build-secret needs PyNaCl to seal with: install it for the Python that runs this,"
            " by `python3 -m pip install PyNaCl` or as your system's package python3-nacl."
        ) from None
    sender = PrivateKey.generate()
    try:
        box = Box(sender, PublicKey(key))
    except CryptoError as exc:
        # One of the few points that keep nothing secret: libsodium refuses them.
        raise UsageError("The builder's public key is none that could seal anything.") from exc
    public = base64.b64encode(key).decode()
    lines = [
        "version: v1",
        f"algorithm: {_ALGORITHM}",
        f'key_id: "{public[:_KEY_ID_LENGTH]}"',
        f'public_key: "{base64.b64encode(bytes(sender.public_key)).decode()}"',
        "secrets:" if secrets else "secrets: {}",
    ]
    for name, value in secrets.items():
        # A JSON string of printable text is a YAML string.
        quoted = json.dumps(name, ensure_ascii=False)
        lines.append(f'  {quoted}: "{base64.b64encode(box.encrypt(value)).decode()}"')
    return "".join(f"{line}\n" for line in lines).encode()
