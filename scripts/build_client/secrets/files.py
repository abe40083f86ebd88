"""Reads files. What the caller keeps secret, or seals for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def content(path: Path, what: str) -> bytes:
    """*what* names the file in messages. Raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{what} cannot be read: {exc.strerror}.") from exc


def payload_secret(path: Path | None) -> bytes | None:
    """None for a builder that wants no signature. Raises UsageError."""
    if path is None:
        return None
    secret = content(path, f"The payload secret {path}").strip()
    if not secret:
        raise UsageError(f"The payload secret {path} is empty.")
    return secret
