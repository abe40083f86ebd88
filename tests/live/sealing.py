"""A caller's side of build secrets: keys, envelopes as go-sdk v0.3.0 seals them, and requests with one."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nacl.public import Box, PrivateKey, PublicKey

from .caller import Request, get

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY = "com.openfaas.secrets"


@dataclass(frozen=True)
class KeyPair:
    """In base64, as the operator's file and GET /publickey have them."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        key = PrivateKey.generate()
        return cls(_text(bytes(key)), _text(bytes(key.public_key)))


def public_key(url: str) -> str:
    """Return the key that the builder hands out."""
    return str(get(url, "/publickey").document["public_key"])


def seal(public: str, secrets: Mapping[str, str | bytes]) -> bytes:
    """Seal the envelope: each value in a box of its own, under a sender's key of this one call."""
    sender = PrivateKey.generate()
    box = Box(sender, PublicKey(base64.b64decode(public)))
    values = {
        name: _text(bytes(box.encrypt(value.encode() if isinstance(value, str) else value)))
        for name, value in secrets.items()
    }
    envelope = {
        "version": "v1",
        "algorithm": "nacl/box",
        "key_id": public[:8],
        "public_key": _text(bytes(sender.public_key)),
        "secrets": values,
    }
    return json.dumps(envelope, indent=2).encode()  # JSON is YAML


@dataclass
class SealedRequest(Request):
    """A request with secrets, sealed for *public* whenever the tar is made."""

    public: str = ""
    secrets: Mapping[str, str | bytes] = field(default_factory=dict, repr=False)

    def tar(self) -> bytes:
        buffer = io.BytesIO(super().tar())
        with tarfile.open(fileobj=buffer, mode="a") as tar:
            self._add(tar, ENTRY, seal(self.public, self.secrets))
        return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
