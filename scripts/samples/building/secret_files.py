"""Reads what OpenFaaS has mounted: a file for each secret."""

import os
from pathlib import Path

_FOLDER = Path(os.environ.get("secret_mount_path", "/var/openfaas/secrets"))


def secret(name: str) -> bytes:
    return (_FOLDER / name).read_bytes().strip()
