"""Disk I/O. Folders and files that root makes for the account, without being led astray by it.

The owner of a folder decides what its names lead to, at any moment. So root makes, writes and gives away only
what stands in folders of its own, follows no link, and gives away what it has opened, never a name.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import StackError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOG = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def keep(folder: Path, mode: int = 0o755) -> Path:
    """Make the folder, with its parents, and keep it: what stands in it is ours to decide."""
    return give(folder, os.geteuid(), os.getegid(), mode)


def give(folder: Path, uid: int, gid: int, mode: int) -> Path:
    """Make the folder, and give it to the user. Its parents are ours.

    Raises:
        StackError: somebody else could have exchanged it for another.
    """
    if not folder.parent.exists():
        keep(folder.parent)
    _require_ours(folder)
    if not os.path.lexists(folder):
        folder.mkdir()
    try:
        descriptor = os.open(folder, _FOLDER)
    except OSError as exc:
        raise StackError(f"{folder} is no folder: remove it, and try again.") from exc
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return folder


def write(
    file: Path, content: str | bytes, *, mode: int = 0o644, uid: int = -1, gid: int = -1
) -> Path:
    """Replace the file by a new one with this content, the user's unless that is -1."""
    _require_ours(file)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, _NEW_FILE, 0o600), "wb") as written:
        written.write(content.encode() if isinstance(content, str) else content)
        os.fchown(written.fileno(), uid, gid)
        os.fchmod(written.fileno(), mode)
    return file


def open_log(file: Path) -> IO[bytes]:
    """Open the file to add to it."""
    _require_ours(file)
    if os.path.lexists(file) and not _is_our_file(file.lstat()):
        file.unlink()
    return os.fdopen(os.open(file, _LOG, 0o644), "ab")


def _require_ours(path: Path) -> None:
    for folder in _above(path):
        status = folder.lstat()
        open_to_all = stat.S_ISDIR(status.st_mode) and status.st_mode & 0o022
        sticky = status.st_mode & stat.S_ISVTX
        if status.st_uid not in {0, os.geteuid()} or (open_to_all and not sticky):
            raise StackError(
                f"{path} cannot be made safely: {folder} can be changed by others than root. Make it "
                "root's own (chown root, chmod 755), and try again."
            )


def _above(path: Path) -> Iterator[Path]:
    """Yield the folders that lead there, by the names given and, for links, by those behind them."""
    yield from path.absolute().parents
    yield from path.absolute().parent.resolve().parents
    yield path.absolute().parent.resolve()


def _is_our_file(status: os.stat_result) -> bool:
    ours = status.st_uid == os.geteuid() and status.st_nlink == 1
    return stat.S_ISREG(status.st_mode) and ours
