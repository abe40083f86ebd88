"""Pure. Headers before a member, which say of it what its own has no room for: PAX' and GNU's."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from ...errors import ArchiveError
from . import pax, sparse

_PAX_ALL = b"g"
_PAX_NEXT = b"x"
_SOLARIS_PAX_NEXT = b"X"
_GNU_LONG_NAME = b"L"
_GNU_LONG_LINK = b"K"
_GNU_VOLUME_LABEL = b"V"
EXTENDED_HEADERS = frozenset(
    {_PAX_ALL, _PAX_NEXT, _SOLARIS_PAX_NEXT, _GNU_LONG_NAME, _GNU_LONG_LINK, _GNU_VOLUME_LABEL}
)
_MAX_BYTES = 1 << 20  # of one, as in Go's archive/tar, so that no real tar has more

# Real archives have some ten records to a member. It takes half a microsecond to read one, and a header has
# room for 200,000.
_FREE_RECORDS = 100_000
_RECORDS_TO_A_MEMBER = 32

# Of all sparse files together: it takes 0.2 s to read a MiB of a map, and a real one has 20 bytes to a piece.
_MAX_MAP_BYTES = 8 << 20

_KEYWORDS = frozenset({b"path", b"linkpath", b"size", b"mtime"})

_XATTR = b"SCHILY.xattr."  # as star and GNU tar name them, and bsdtar, too
_USER_XATTR = _XATTR + b"user."
_MAX_XATTR_NAME, _MAX_XATTR_VALUE = 255, 65536  # bytes (linux/limits.h)
_MAX_XATTR_NAMES = 65536  # of all of a file's, each with a NUL


class ExtendedHeaders:
    """Collects what was said of the next member, and of all that follow."""

    def __init__(self) -> None:
        self._of_all: dict[bytes, bytes] = {}  # by PAX' keywords
        self._of_next: dict[bytes, bytes] = {}
        self._xattrs: dict[bytes, bytes] = {}
        self._xattr_names = 0  # bytes
        self.sparse: sparse.Records | None = None
        self._records = 0
        self._map_bytes = 0
        self.silent = True  # there is nothing said that bears on the next member

    @property
    def are_for_next(self) -> bool:
        return bool(self._of_next or self._xattrs or self.sparse)

    def extend(self, kind: bytes, data: memoryview, members: int) -> None:
        """Keep what a header of *kind*, after so many *members*, says in its *data*. Raises ArchiveError."""
        if len(data) > _MAX_BYTES:
            raise ArchiveError(
                f"The archive is damaged: a header in it extends over {len(data)} bytes."
            )
        self.silent = False
        most = _FREE_RECORDS + _RECORDS_TO_A_MEMBER * members
        if kind == _GNU_LONG_NAME:
            self._of_next[b"path"] = bytes(data).rstrip(b"\0")
        elif kind == _GNU_LONG_LINK:
            self._of_next[b"linkpath"] = bytes(data).rstrip(b"\0")
        elif kind == _PAX_ALL:
            self._extend_all(bytes(data), most)
        elif kind != _GNU_VOLUME_LABEL:
            self._extend_next(bytes(data), most)

    def overrule(
        self, name: bytes, link: bytes, length: int, time: int
    ) -> tuple[bytes, bytes, int, int]:
        """Return what is said in place of a member's own header; an empty value stands for that one.

        Raises ArchiveError.
        """
        said = self._of_all | self._of_next
        name = (self.sparse and self.sparse.name) or said.get(b"path") or name
        link = said.get(b"linkpath") or link
        if text := said.get(b"size"):
            length = pax.size(text)
        if text := said.get(b"mtime"):
            time = pax.nanoseconds(text)
        self._of_next = {}
        return name, link, length, time

    def count_map(self, size: int) -> None:
        """Count a sparse file's map of *size* bytes. Raises ArchiveError if all have too many."""
        self._map_bytes += size
        if self._map_bytes > _MAX_MAP_BYTES:
            raise ArchiveError(
                f"The archive has maps of sparse files of more than {_MAX_MAP_BYTES} bytes. "
                "Make it without --sparse."
            )

    def take_xattrs(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the member's attributes by name, and end what was said of it alone."""
        self.silent = not self._of_all
        if not (self._xattrs or self.sparse):
            return ()
        xattrs = tuple(sorted(self._xattrs.items()))
        self._xattrs, self._xattr_names, self.sparse = {}, 0, None
        return xattrs

    def _extend_all(self, data: bytes, most: int) -> None:
        for keyword, value in pax.records(data):
            self._count(most)
            if keyword in _KEYWORDS:
                self._of_all[keyword] = value
            elif sparse.is_sparse(keyword):
                raise ArchiveError("The archive is damaged: it calls all its members sparse files.")

    def _extend_next(self, data: bytes, most: int) -> None:
        for keyword, value in pax.records(data):
            self._count(most)
            if keyword in _KEYWORDS:
                self._of_next[keyword] = value
            elif keyword.startswith(_USER_XATTR):
                self._keep_xattr(keyword, value)
            elif sparse.is_sparse(keyword):
                self.sparse = self.sparse or sparse.Records()
                self.sparse.add(keyword, value)

    def _keep_xattr(self, keyword: bytes, value: bytes) -> None:
        # GNU tar's way to write what would end a keyword; bsdtar writes all but ASCII so, too.
        name = unquote_to_bytes(keyword.removeprefix(_XATTR))
        # What Linux does not have, no client could read from a disk.
        if len(name) > _MAX_XATTR_NAME or len(value) > _MAX_XATTR_VALUE or b"\0" in name:
            return
        if name not in self._xattrs:
            if self._xattr_names + len(name) + 1 > _MAX_XATTR_NAMES:
                return
            self._xattr_names += len(name) + 1
        self._xattrs[name] = value

    def _count(self, most: int) -> None:
        self._records += 1
        if self._records > most:
            raise ArchiveError(
                f"The archive has PAX records by the thousand and few members: {_RECORDS_TO_A_MEMBER} to a "
                "member are the most. Leave out what your program adds to each, or use another format."
            )
