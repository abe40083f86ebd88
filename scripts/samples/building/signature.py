"""HMAC-SHA256 by the payload secret: of requests to builder-fn, and of what builder-fn answers."""

import hashlib
import hmac

from .secret_files import secret


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(secret("payload-secret"), body, hashlib.sha256).hexdigest()


def is_signed(body: bytes, given: str) -> bool:
    return hmac.compare_digest(signature(body).encode(), given.encode())
