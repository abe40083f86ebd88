"""Disk I/O. The secret that callers sign with and the function verifies with."""

import os
import secrets

from .. import console
from ..install import ownership
from ..install.account import Account
from ..paths import Paths

SECRET_BYTES = 32
# A key of HMAC-SHA256 that is shorter than its digest weakens it (RFC 2104, section 3).
MINIMUM_BYTES = 32


def ensure(paths: Paths, account: Account) -> None:
    """Make the secret once, readable for the function's account and for the person who ran sudo."""
    file = paths.payload_secret
    ownership.keep(file.parent)
    secret = file.read_text() if file.exists() else secrets.token_urlsafe(SECRET_BYTES)
    if advice := too_short(secret):
        console.step("secret", f"{file}: {advice}")
    owner = int(os.environ.get("SUDO_UID", "0"))
    ownership.write(file, secret, mode=0o640, uid=owner, gid=account.gid)


def too_short(secret: str) -> str | None:
    """Return what to do about a secret that can be guessed, if this is one."""
    length = len(secret.strip().encode())
    if length >= MINIMUM_BYTES:
        return None
    return (
        f"{length} bytes can be guessed, and {MINIMUM_BYTES} cannot. Remove the file, and "
        "./scripts/up makes a new one"
    )
