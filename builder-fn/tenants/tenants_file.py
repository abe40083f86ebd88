"""I/O: the tenants file, read again when it changes; the last good one is kept while a new one is malformed.

Kubernetes exchanges a mounted secret by a symlink, so the file that a path leads to is another one then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from stat import S_ISLNK
from typing import TYPE_CHECKING

from ..errors import NotReady
from .parsing import Tenants, parsed
from .reading import Malformed, Where

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("builder-fn")

# The names that a secret of tenants is mounted under, by faas-cli and by kubectl --from-file. Other names are
# for the setting: one that is nearly right must not leave the builder without its tenants.
NAMES = (
    "tenants",
    "builder-tenants",
    "builder-tenants.json",
    "builder-tenants.yaml",
    "builder-tenants.yml",
    "tenants.json",
    "tenants.yaml",
    "tenants.yml",
)

# A file that was written so short a time ago may be written again without another time of change.
_SETTLED_NANOSECONDS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at the folder: which file is there, and its state, by which a change is told."""

    paths: tuple[Path, ...]
    stat: tuple[int, ...]
    settled: bool


class TenantsFile:
    """Safe for use by many threads."""

    def __init__(self, folder: Path, name: str = "") -> None:
        """Read the file *name* in *folder*, which must be there then; else one of NAMES, if one is there."""
        self._name = name
        self._paths = tuple(folder / each for each in ((name,) if name else NAMES))
        self._lock = threading.Lock()
        self._seen: _Seen | None = None
        self._content: bytes | None = None
        self._tenants: Tenants | None = None
        self._trouble: Malformed | None = None

    def current(self) -> Tenants | None:
        """Return what the file says; None if there is none, and never was one.

        Raises NotReady for a file that is malformed, if none before it was in order: nobody is let in then.
        """
        with self._lock:
            self._look()
            if self._trouble is not None and self._tenants is None:
                raise NotReady(f"Nobody can be let in: {self._sentence()}")
            return self._tenants

    @property
    def warning(self) -> str:
        """A sentence for the operator while the last good file is kept in place of a malformed one."""
        with self._lock:
            if self._trouble is None or self._tenants is None:
                return ""
            return f"{self._sentence()} The one before it is kept."

    def _sentence(self) -> str:
        assert self._trouble is not None  # noqa: S101 - by both callers
        return f"The tenants file cannot be used: {self._trouble.public}."

    def _look(self) -> None:
        """Read the file again if it is another one than was seen last, or if it could not be read."""
        try:
            seen = self._state()
            if seen == self._seen and seen.settled:
                return
            content = self._read(seen)
            self._seen = seen
            self._take(content)
        except _Unreadable as exc:
            self._seen = None
            self._refuse(exc)
        except Malformed as exc:
            self._refuse(exc)

    def _state(self) -> _Seen:
        found = [(path, stat) for path in self._paths if (stat := _stat(path))]
        state = tuple(
            value
            for _, stat in found
            for value in (
                stat.st_dev,
                stat.st_ino,
                stat.st_size,
                stat.st_mtime_ns,
                stat.st_ctime_ns,
            )
        )
        now = time.time_ns()
        settled = all(now - stat.st_ctime_ns > _SETTLED_NANOSECONDS for _, stat in found)
        return _Seen(tuple(path for path, _ in found), state, settled)

    def _read(self, seen: _Seen) -> bytes | None:
        if len(seen.paths) > 1:
            names = " and ".join(path.name for path in seen.paths)
            raise _Unreadable(f"is there more than once, as {names}; mount one")
        if not seen.paths:
            if self._name or self._content is not None:
                raise _Unreadable("is not there; mount it, or start the builder without one")
            return None
        try:
            return seen.paths[0].read_bytes()
        except OSError as exc:
            raise _Unreadable.because_of(exc) from exc

    def _take(self, content: bytes | None) -> None:
        if content is None or (content == self._content and self._trouble is None):
            return
        self._tenants = parsed(content)
        self._content = content
        self._trouble = None
        _log.info("the tenants file is in use: %d tenants", len(self._tenants.tenants))

    def _refuse(self, trouble: Malformed) -> None:
        if self._trouble is None or str(self._trouble) != str(trouble):
            kept = "the one before it is kept" if self._tenants else "nobody is let in"
            _log.error("the tenants file cannot be used: %s; %s", trouble, kept)
        self._trouble = trouble.with_traceback(None)


def _stat(path: Path) -> os.stat_result | None:
    """Return the state of the file that *path* leads to; None if there is none. Raises Malformed."""
    # All requests look at all names, and pathlib takes twice as long for it.
    try:
        is_link = S_ISLNK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _Unreadable.because_of(exc) from exc
    try:
        return os.stat(path)  # noqa: PTH116 - see above
    except FileNotFoundError as exc:
        if is_link:
            raise _Unreadable("is a link that leads nowhere") from exc
        return None
    except OSError as exc:
        raise _Unreadable.because_of(exc) from exc


class _Unreadable(Malformed):
    """Says that there is no file to judge: the next look may find one that can be read, and is the same."""

    def __init__(self, why: str) -> None:
        super().__init__(Where(), why)

    @classmethod
    def because_of(cls, error: OSError) -> _Unreadable:
        return cls(f"cannot be read: {os.strerror(error.errno or 0)}")
