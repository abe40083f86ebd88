"""Pure. Build secrets opened: com.openfaas.secrets, under the private keys of this builder.

The envelope is go-sdk v0.3.0's (seal/seal.go): a YAML mapping of `version`, `algorithm`, `key_id`, the
sender's `public_key`, and `secrets`: for each name the base64 of a nonce and a NaCl box, which is
Curve25519, XSalsa20 and Poly1305. Names are readable by anyone, values by this builder alone; so an
error here may say a name and never a value.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from ..errors import NotReady, SecretsError
from ..quoting import quoted
from ..request.archive import SEALED_SECRETS
from .plain_yaml import NotPlainYAML, Value, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = "v1"
ALGORITHM = "nacl/box"

# What `docker build` and buildctl give a step at most (moby/buildkit v0.32.2,
# session/secrets/secretsprovider/secretsprovider.go, MaxSecretSize).
MAX_SECRET_BYTES = 500 * 1024
# A Dockerfile mounts a handful; each secret costs a decryption, and a search of every log line.
MAX_SECRETS = 256
# Of a name in UTF-8: a secret is mounted as /run/secrets/NAME, and no file's name is longer.
MAX_NAME_BYTES = 255

_KEY_BYTES = PrivateKey.SIZE
_OVERHEAD = Box.NONCE_SIZE + 16  # the nonce, and Poly1305's tag
_KEY_ID_LENGTH = 8

# What cannot stand in the one line of a Dockerfile that mounts a secret, or in the UTF-8 of a message.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_SEAL_AGAIN = "seal the secrets again, with faas-cli or go-sdk"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key pair under the name of the file that holds it; *private_key* is the 32 bytes themselves."""

    name: str
    private_key: bytes = field(repr=False)

    @classmethod
    def from_file(cls, name: str, content: bytes) -> Self:
        """Read a key as `faas-cli secret keygen` writes it. Raises NotReady: it is the operator's file."""
        key = _from_base64(content.decode(errors="replace"))
        if key is None or len(key) != _KEY_BYTES:
            raise NotReady(
                f'The key "{name}" for build secrets cannot be used: it must be the base64 of '
                f"{_KEY_BYTES} bytes, as scripts/generate-key and faas-cli secret keygen write it."
            )
        return cls(name, key)

    def derived(self, tenant: str) -> Self:
        """Return the key that is made of this one for a *tenant*; it tells nothing of others'."""
        said = f"builder-fn sealing key of the tenant {tenant}".encode()
        private_key = hmac.digest(self.private_key, said, "sha256")
        return type(self)(f"{self.name} for {tenant}", private_key)

    @property
    def public_key(self) -> str:
        """Return the key in base64, as clients want it."""
        return base64.b64encode(bytes(PrivateKey(self.private_key).public_key)).decode()

    @property
    def key_id(self) -> str:
        """The first characters of the public key, as go-sdk derives it (DeriveKeyID)."""
        return self.public_key[:_KEY_ID_LENGTH]


def handed_out(keys: Sequence[SealingKey]) -> SealingKey:
    """Return the key whose public half clients are given. Raises NotReady if there is none."""
    if not keys:
        raise NotReady(
            "The builder has no key to open build secrets with: make one with scripts/generate-key, "
            "create the OpenFaaS secret build-secrets-key from it, and give that to the function."
        )
    return keys[0]


def open_envelope(document: bytes | memoryview, keys: Sequence[SealingKey]) -> dict[str, bytes]:
    """Open an envelope and return the values by name. Raises SecretsError; NotReady if there is no key."""
    envelope = _Envelope.parse(bytes(document))
    boxes = [envelope.box(key) for key in _fitting(keys, envelope.key_id)]
    return {name: _opened(name, sealed, boxes) for name, sealed in envelope.secrets.items()}


@dataclass(frozen=True, slots=True)
class _Envelope:
    """Judged, but for what only a key can tell; *secrets* are still sealed."""

    key_id: str
    sender: PublicKey
    secrets: Mapping[str, Value]

    @classmethod
    def parse(cls, document: bytes) -> Self:
        try:
            value = parse(document)
        except NotPlainYAML as exc:
            raise SecretsError(f"{SEALED_SECRETS} cannot be read: {exc}; {_SEAL_AGAIN}.") from exc
        if not isinstance(value, dict):
            raise SecretsError(f"{SEALED_SECRETS} must be a YAML mapping; {_SEAL_AGAIN}.")
        _expect(value, "version", VERSION)
        _expect(value, "algorithm", ALGORITHM)
        key_id = value.get("key_id") or ""
        if not isinstance(key_id, str):
            raise SecretsError(f"key_id in {SEALED_SECRETS} must be text; {_SEAL_AGAIN}.")
        return cls(key_id, _sender(value.get("public_key")), _secrets(value.get("secrets")))

    def box(self, key: SealingKey) -> Box:
        try:
            return Box(PrivateKey(key.private_key), self.sender)
        except CryptoError as exc:
            # One of the few points that make the same box under every key: libsodium refuses them.
            raise SecretsError(
                f"public_key in {SEALED_SECRETS} is no key that seals anything; {_SEAL_AGAIN}."
            ) from exc


def _expect(envelope: Mapping[str, Value], field_name: str, wanted: str) -> None:
    found = envelope.get(field_name)
    if found != wanted:
        said = f"the {field_name} {quoted(found)}" if isinstance(found, str) else f"no {field_name}"
        raise SecretsError(
            f'{SEALED_SECRETS} has {said}; this builder opens the {field_name} "{wanted}".'
        )


def _sender(value: Value) -> PublicKey:
    key = _from_base64(value) if isinstance(value, str) else None
    if key is None or len(key) != _KEY_BYTES:
        raise SecretsError(
            f"public_key in {SEALED_SECRETS} must be the sender's, the base64 of {_KEY_BYTES} bytes; "
            f"{_SEAL_AGAIN}."
        )
    return PublicKey(key)


def _secrets(value: Value) -> Mapping[str, Value]:
    if not isinstance(value, dict):
        raise SecretsError(
            f"secrets in {SEALED_SECRETS} must be a mapping of names; {_SEAL_AGAIN}."
        )
    if len(value) > MAX_SECRETS:
        raise SecretsError(
            f"{SEALED_SECRETS} has {len(value)} secrets; {MAX_SECRETS} are the most for one build."
        )
    for name in value:
        if not name or _UNFIT.search(name) or len(name.encode()) > MAX_NAME_BYTES:
            raise SecretsError(
                f"{quoted(name)} in {SEALED_SECRETS} cannot be the id of a secret mount; give the "
                f"secret a name of 1 to {MAX_NAME_BYTES} bytes without control characters."
            )
    return value


def _fitting(keys: Sequence[SealingKey], key_id: str) -> Sequence[SealingKey]:
    """Return the keys that the envelope may be sealed for; a sender need not say for which one."""
    handed_out(keys)  # there must be one at all
    fitting = [key for key in keys if key_id in ("", key.key_id)]
    if not fitting:
        ours = " and ".join(f'"{key.key_id}"' for key in keys)
        raise SecretsError(
            f"The build secrets are sealed for the key {quoted(key_id)}, and this builder has {ours}; "
            "fetch /publickey again and seal them for that."
        )
    return fitting


def _opened(name: str, sealed: Value, boxes: Sequence[Box]) -> bytes:
    combined = _from_base64(sealed) if isinstance(sealed, str) else None
    if combined is None:
        raise SecretsError(
            f"The value of the secret {quoted(name)} is not base64, so it is not sealed; {_SEAL_AGAIN}."
        )
    if len(combined) < _OVERHEAD:
        raise SecretsError(
            f"The value of the secret {quoted(name)} is too short: it must be the base64 of a nonce "
            f"of {Box.NONCE_SIZE} bytes and a box; {_SEAL_AGAIN}."
        )
    if len(combined) - _OVERHEAD > MAX_SECRET_BYTES:
        raise SecretsError(
            f"The secret {quoted(name)} has {len(combined) - _OVERHEAD} bytes; "
            f"{MAX_SECRET_BYTES} are the most that BuildKit mounts."
        )
    for box in boxes:
        try:
            return box.decrypt(combined)
        except CryptoError:
            continue
    raise SecretsError(
        f"The secret {quoted(name)} does not open: it was sealed for another key, or changed since; "
        "fetch /publickey again and seal it for that."
    )


def _from_base64(text: str) -> bytes | None:
    """Decode base64, or return None; line breaks do not count, as in Go's decoder, nor other white space."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None
