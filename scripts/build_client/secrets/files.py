"""Reads files. Fetches what the caller keeps secret, or seals for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..text import shown

if TYPE_CHECKING:
    from pathlib import Path


def content(path: Path, what: str) -> bytes:
    """Read *path*, which messages call *what*. Raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{what} cannot be read: {exc.strerror}.") from exc


def payload_secret(path: Path | None) -> bytes | None:
    """Read the key to sign with; None for a builder that wants no signature. Raises UsageError."""
    if path is None:
        return None
    secret = content(path, f"The payload secret {shown(path)}").strip()
    if not secret:
        raise UsageError(f"The payload secret {shown(path)} is empty.")
    return secret
