"""Pure. Works out the id of a build that is queued: the builder makes the same one of the same call.

The first digits are a hash of the image's name, so that the builder knows by an id alone which of several
daemons to ask; the others are one of the call and its body.
"""

from __future__ import annotations

import hashlib
from typing import Final

_DIGITS: Final = 32
_KEY_DIGITS: Final = 8


def id_of_call(image: str, call_id: str, body: bytes, signature: str | None) -> str:
    """Return the build of *image* that a queued call will be, however often it is delivered."""
    told_by = signature or hashlib.sha256(body).hexdigest()
    call = hashlib.sha256(f"{len(call_id)}:{call_id}{told_by}".encode()).hexdigest()
    key = hashlib.sha256(canonical_name(image).encode(errors="surrogateescape")).hexdigest()
    return (key[:_KEY_DIGITS] + call)[:_DIGITS]


def canonical_name(image: str) -> str:
    """Return *image* with its registry, and without tag and digest.

    Source: github.com/distribution/reference v0.6, normalize.go, splitDockerDomain.
    """
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        domain, path = first, rest
    else:
        domain, path = "docker.io", name
    if domain == "index.docker.io":
        domain = "docker.io"
    path = path.partition(":")[0]
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{domain}/{path}"
