"""Pure. Makes ids for a build's secrets that change with their values.

The daemon's cache key of a step holds the id of each secret it mounts, but never the value (moby/buildkit
v0.32.2 solver/llbsolver/ops/exec.go, CacheMap): with another value the step would stay cached. So the daemon
is given an id that ends in a keyed hash of the value. Another value is another step, also to builds that run
side by side, and nobody gets a step from the cache without having its secret.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PURPOSE = (
    b"builder-fn: stamps of build secrets, version 1"  # another text rebuilds every such step
)
_HASH_DIGITS = 32  # 128 bits, in hexadecimal


@dataclass(frozen=True, slots=True)
class KeyedSecrets:
    """A build's secrets: *ids* by name for its SolveSpec, and what its session is to offer, values by id."""

    ids: Mapping[str, str]
    offered: Mapping[str, bytes] = field(repr=False)


def keyed(secrets: Mapping[str, bytes], key: bytes) -> KeyedSecrets:
    """Give each of *secrets* an id, made with a key of its own that is derived from *key*.

    They are offered by their plain names, too: a source that the frontend reads, such as a Git repository,
    asks for its token by that.
    """
    own_key = hmac.digest(key, _PURPOSE, hashlib.sha256)
    ids = {name: f"{name}@{_hash(own_key, name, value)}" for name, value in secrets.items()}
    by_id = {ids[name]: value for name, value in secrets.items()}
    return KeyedSecrets(ids, {**by_id, **secrets})


def _hash(key: bytes, name: str, value: bytes) -> str:
    encoded = name.encode()
    # Without the length, a name's end could pass for a value's beginning.
    message = b"".join((len(encoded).to_bytes(8, "big"), encoded, value))
    return hmac.digest(key, message, hashlib.sha256).hex()[:_HASH_DIGITS]
