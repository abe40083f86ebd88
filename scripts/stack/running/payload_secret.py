"""Disk I/O. The secret that callers sign with and the function verifies with."""

import os
import secrets

from ..install.account import Account
from ..paths import Paths

SECRET_BYTES = 32


def ensure(paths: Paths, account: Account) -> str:
    """Makes the secret once; readable for the function's account and for who ran sudo."""
    file = paths.payload_secret
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o640)
        file.write_text(secrets.token_urlsafe(SECRET_BYTES))
    os.chown(file, int(os.environ.get("SUDO_UID", "0")), account.gid)
    file.chmod(0o640)
    return file.read_text()
