"""Pure. Ids for a build's secrets that change with their values.

The daemon's cache key of a step holds the id of each secret it mounts, but never the value (moby/buildkit
v0.32.2 solver/llbsolver/ops/exec.go, CacheMap): with another value the step would stay cached. So the daemon
is given an id that ends in a stamp, which is a keyed hash of the value. Another value is another step, also
to builds that run side by side, and nobody gets a step from the cache whose secret he does not have.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PURPOSE = b"builder-fn: stamps of build secrets, version 1"
_STAMP_DIGITS = 32  # 128 bits of hash, in hexadecimal


@dataclass(frozen=True, slots=True)
class StampedSecrets:
    """A build's secrets: *stamps* for its SolveSpec, and what its session is to offer, values by id."""

    stamps: Mapping[str, str]  # by name
    offered: Mapping[str, bytes] = field(repr=False)


def stamped(secrets: Mapping[str, bytes], key: bytes) -> StampedSecrets:
    """*secrets* with a stamp each, made with a key of its own that is derived from *key*.

    They are offered by their plain names, too: a source that the frontend reads, such as a Git repository,
    asks for its token by that.
    """
    own_key = hmac.digest(key, _PURPOSE, hashlib.sha256)
    stamps = {name: _stamp(own_key, name, value) for name, value in secrets.items()}
    by_stamped_id = {stamped_id(name, stamps[name]): value for name, value in secrets.items()}
    return StampedSecrets(stamps, {**by_stamped_id, **secrets})


def stamped_id(name: str, stamp: str) -> str:
    """What the daemon is told a secret's id is."""
    return f"{name}@{stamp}"


def _stamp(key: bytes, name: str, value: bytes) -> str:
    encoded = name.encode()
    # Without the length, a name's end could pass for a value's beginning.
    message = b"".join((len(encoded).to_bytes(8, "big"), encoded, value))
    return hmac.digest(key, message, hashlib.sha256).hex()[:_STAMP_DIGITS]
