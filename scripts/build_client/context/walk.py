"""Reads folders. Finds what of a folder travels.

What the ignore file leaves out is neither looked at nor judged. Sockets and named pipes are left out with a
notice, as they are nothing that an image could hold. What would have to travel and cannot is refused.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..text import shown
from .files import path_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ignore_file import IgnoreFile, Matched

_UNSENDABLE = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a named pipe"}


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on its way down. *home* is the folder whose links may lead anywhere below it, unmentioned."""

    source: Path
    path: str
    matched: Matched
    home: Path
    above: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk over *root*, which lies at *at* in the context. *notices* fills as it goes.

    Names in *keeps_out* are left out of the root itself.
    """

    root: Path
    ignore: IgnoreFile
    follows_links: bool
    at: str = ""
    keeps_out: frozenset[str] = frozenset()
    notices: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Yield each path of the context, folders before what they hold. Raises UsageError."""
        if not self.root.is_dir():
            raise UsageError(f"{shown(self.root)} is not a folder: check its name.")
        matched, path = self.ignore.root, ""
        for part in filter(None, self.at.split("/")):
            path = f"{path}/{part}" if path else part
            _, matched = self.ignore.judge(path, matched)
        home = _real(self.root)
        yield from self._descend(_Folder(self.root, path, matched, home, (home,)))

    def _descend(self, folder: _Folder) -> Iterator[tuple[str, Path]]:
        for source in _children(folder.source):
            if folder.source == self.root and source.name in self.keeps_out:
                self.notices.append(f"{shown(source)} is left out, as faas-cli does.")
                continue
            name = path_text(source.name)
            path = f"{folder.path}/{name}" if folder.path else name
            ignored, matched = self.ignore.judge(path, folder.matched)
            status = self._status(source)
            if status is None or not stat.S_ISDIR(status.st_mode):
                if not ignored and self._travels(source, status):
                    yield path, self._provider(source, path, folder)
                continue
            if ignored and not self.ignore.may_keep_below(path):
                continue
            inner = self._inner(source, path, matched, folder, ignored=ignored)
            if not ignored:
                yield path, source
                yield from inner
            elif kept := list(inner):
                yield path, source
                yield from kept

    def _inner(
        self, source: Path, path: str, matched: Matched, folder: _Folder, *, ignored: bool
    ) -> Iterator[tuple[str, Path]]:
        real = _real(source)
        if real in folder.above:
            if ignored:
                return
            raise UsageError(
                f"{shown(source)} is a link back to a folder that holds it: remove it, or name it in"
                " .dockerignore."
            )
        home = folder.home
        if source.is_symlink() and not real.is_relative_to(home):
            if not ignored:
                self._mention(source, real, folder, followed=True)
            home = real
        yield from self._descend(_Folder(source, path, matched, home, (*folder.above, real)))

    def _status(self, source: Path) -> os.stat_result | None:
        """Return what *source* is, or leads to; None for a link to nothing."""
        try:
            return source.stat() if self.follows_links else source.lstat()
        except OSError:
            return None

    def _travels(self, source: Path, status: os.stat_result | None) -> bool:
        if status is None:
            if source.is_symlink():
                raise UsageError(
                    f"{shown(source)} is a link to nothing: remove it, make its target, or name it in"
                    " .dockerignore."
                )
            return False  # it has gone while we looked
        if unsendable := _UNSENDABLE.get(stat.S_IFMT(status.st_mode)):
            self.notices.append(f"{shown(source)} is {unsendable}: it is left out.")
            return False
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            return True
        raise UsageError(
            f"{shown(source)} is neither a file nor a folder: move it out of {shown(self.root)}, or"
            " name it in .dockerignore."
        )

    def _provider(self, source: Path, path: str, folder: _Folder) -> Path:
        """Return the file that provides *path*: what a link leads to, for a file that the builder reads."""
        if not source.is_symlink() or (real := _real(source)).is_relative_to(folder.home):
            return source
        followed = self.follows_links or (path in self.ignore.kept and real.is_file())
        self._mention(source, real, folder, followed=followed)
        return real if followed else source

    def _mention(self, source: Path, real: Path, folder: _Folder, *, followed: bool) -> None:
        sent = "what it leads to is sent" if followed else "it is sent as a link alone"
        self.notices.append(
            f"{shown(source)} is a link to {shown(real)}, outside of {shown(folder.home)}: {sent}."
        )


def _real(source: Path) -> Path:
    """Return where *source* leads; unlike Path.resolve, also where links lead round in a circle."""
    return Path(os.path.realpath(source))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda child: os.fsencode(child.name))
    except OSError as exc:
        raise UsageError(
            f"{shown(folder)} cannot be read: {exc.strerror}. Allow it, or name it in .dockerignore."
        ) from exc
