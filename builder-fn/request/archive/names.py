"""Pure. Turns the names that tars hold into paths."""

from __future__ import annotations

import re

from ...errors import ArchiveError
from ...fsutil.tree import decoded, encoded
from ...quoting import quoted

# Programs on Windows may join names by the local separator, as go-sdk does, and put "./" in front.
_OF_WINDOWS = re.compile(rb"\.?\\|(?:\.?/)*context\\")
_MAX_PATH_BYTES = 4095  # PATH_MAX less its final NUL (linux/limits.h)
_MAX_PART_BYTES = 255  # NAME_MAX
# Far more than real paths have. Each is a directory, which a name of 4 KiB could imply 2,000 of.
_MAX_PARTS = 256
# As numbers, which are looked for in bytes without an exception on the way: a tenth of the time.
_NUL, _BACKSLASH = ord("\0"), ord("\\")
_MEANINGLESS = ("", "/", ".")  # as a name's first character: it may be "./x", "../x" or ".x"


def is_of_windows(name: bytes) -> bool:
    """Return whether *name* has the separators of Windows: below context/ a backslash is a character."""
    return _BACKSLASH in name and _OF_WINDOWS.match(name) is not None


def to_path(name: bytes) -> str:
    """Return *name* relative to the archive's root, "/"-separated; empty for the root itself.

    A leading "/" and the parts "." and "" mean nothing, as for tar. Raises ArchiveError for a name
    that is longer than any path, for one too deep, and for one that has a NUL or a part "..".
    """
    if is_of_windows(name):
        name = name.replace(b"\\", b"/")
    text = _to_text(name, "name")
    if len(name) > _MAX_PART_BYTES:
        _require_short(name, text)
    if "//" not in text and "/." not in text and text[:1] not in _MEANINGLESS:
        return text.removesuffix("/")  # nearly all names, in half the time
    parts = _parts(text)
    if ".." in parts:
        raise ArchiveError(f'{quoted(name)} has ".." in its name; store it under a plain path.')
    return "/".join(parts)


def to_target(name: bytes, target: bytes) -> str:
    """Return the *target* of the symlink *name*: verbatim, for it is never followed.

    Raises ArchiveError for one that has a NUL.
    """
    if is_of_windows(name):
        target = target.replace(b"\\", b"/")
    return _to_text(target, "symlink target")


def fault(name: bytes, path: str) -> str:
    """Return why Linux could not have *name*, whose *path* that is; empty if it could."""
    if len(name) > _MAX_PART_BYTES and max(map(len, encoded(path).split(b"/"))) > _MAX_PART_BYTES:
        return f"{quoted(name)} has a part longer than {_MAX_PART_BYTES} bytes."
    return ""


def fault_of_target(name: bytes, target: str) -> str:
    """Return why Linux could not have the symlink *name* with that *target*; empty if it could."""
    length = len(encoded(target))
    if 0 < length <= _MAX_PATH_BYTES:
        return ""
    return (
        f"{quoted(name)} is a symlink whose target has {length} bytes; "
        f"it must have 1 to {_MAX_PATH_BYTES}."
    )


def _require_short(name: bytes, text: str) -> None:
    if len(name) > _MAX_PATH_BYTES:
        raise ArchiveError(f"{quoted(name)} is a path longer than {_MAX_PATH_BYTES} bytes.")
    parts = _parts(text)
    if len(parts) > _MAX_PARTS:
        raise ArchiveError(
            f"{quoted(name)} is a path of {len(parts)} parts; {_MAX_PARTS} are the most."
        )


def _parts(text: str) -> list[str]:
    return [part for part in text.split("/") if part and part != "."]


def _to_text(stored: bytes, what: str) -> str:
    if _NUL in stored:
        raise ArchiveError(f"The {what} {quoted(stored)} has a NUL byte in it.")
    return decoded(stored)
