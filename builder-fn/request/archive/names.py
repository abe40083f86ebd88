"""Pure. Turns the names that tars hold into paths."""

from __future__ import annotations

from ...errors import ArchiveError
from ...quoting import quoted

_MAX_PATH_BYTES = 4095  # PATH_MAX less its final NUL (linux/limits.h)
_MAX_PART_BYTES = 255  # NAME_MAX
# Far more than real paths have. Each is a directory, which a name of 4 KiB could imply 2,000 of.
_MAX_PARTS = 256
_MEANINGLESS = ("", "/", ".")  # as a name's first character: it may be "./x", "../x" or ".x"


def to_path(name: bytes) -> str:
    """*name* relative to the archive's root, "/"-separated; empty for the root itself.

    A leading "/" and the parts "." and "" mean nothing, as for tar. Raises ArchiveError for a name
    that no Linux path can be, for one too deep, and for one that has a part "..".
    """
    text = _to_text(name, "name")
    if text.startswith("context\\"):  # go-sdk on Windows joins by the local separator
        text = text.replace("\\", "/")
    if len(name) > _MAX_PART_BYTES:
        _require_short(name, text)
    if "//" not in text and "/." not in text and text[:1] not in _MEANINGLESS:
        return text.removesuffix("/")  # nearly all names, in half the time
    parts = _parts(text)
    if ".." in parts:
        raise ArchiveError(f'{quoted(name)} has ".." in its name; store it under a plain path.')
    return "/".join(parts)


def to_target(name: bytes, target: bytes) -> str:
    """The *target* of the symlink *name*: verbatim, for it is never followed. Raises ArchiveError."""
    if not 0 < len(target) <= _MAX_PATH_BYTES:
        raise ArchiveError(
            f"{quoted(name)} is a symlink whose target has {len(target)} bytes; "
            f"it must have 1 to {_MAX_PATH_BYTES}."
        )
    return _to_text(target, "symlink target")


def _require_short(name: bytes, text: str) -> None:
    if len(name) > _MAX_PATH_BYTES:
        raise ArchiveError(f"{quoted(name)} is a path longer than {_MAX_PATH_BYTES} bytes.")
    parts = _parts(text)
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        raise ArchiveError(f"{quoted(name)} has a part longer than {_MAX_PART_BYTES} bytes.")
    if len(parts) > _MAX_PARTS:
        raise ArchiveError(
            f"{quoted(name)} is a path of {len(parts)} parts; {_MAX_PARTS} are the most."
        )


def _parts(text: str) -> list[str]:
    return [part for part in text.split("/") if part and part != "."]


def _to_text(stored: bytes, what: str) -> str:
    if b"\0" in stored:
        raise ArchiveError(f"The {what} {quoted(stored)} has a NUL byte in it.")
    try:
        return stored.decode()
    except UnicodeDecodeError as exc:
        raise ArchiveError(f"The {what} {quoted(stored)} is not UTF-8.") from exc
