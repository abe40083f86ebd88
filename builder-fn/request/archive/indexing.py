"""Pure. Judges the members of a request's tar and keeps what a build needs of them.

What real archives do is no error: other files beside context/ are passed over, and of several members
with one name the last counts, as when tar extracts them. Nothing is ever unpacked or followed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import ArchiveError, BodyTooLarge
from ...fsutil.tree import Entry, Kind, Tree
from ...quoting import quoted
from . import members as tar
from .context import assemble, name_bytes, names_too_long, too_many
from .names import to_path, to_target

if TYPE_CHECKING:
    from .members import Member

# go-sdk builder/builder.go and builder/build_secrets.go.
CONFIG = "com.openfaas.docker.config"
SEALED_SECRETS = "com.openfaas.secrets"
CONTEXT = "context"
_DOCUMENTS = frozenset({CONFIG, SEALED_SECRETS})

_PERMISSIONS = 0o7777
_NAME_BYTES = 256  # of an entry's path and symlink target, on average: twice what pnpm's have
_TIMES = range(-(1 << 63), 1 << 63)  # nanoseconds that fsutil's Stat has room for

_UNFIT = {
    tar.CHARACTER_DEVICE: "a character device",
    tar.BLOCK_DEVICE: "a block device",
    tar.FIFO: "a named pipe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """*entries* counts every member, and the parents that members imply; sizes are in bytes."""

    entries: int = 200_000
    context_bytes: int = 1 << 30  # of all files together, and of the tar that a body unpacks to
    # The config and the sealed secrets, each: both are parsed whole, into something larger.
    document_bytes: int = 1 << 20

    @property
    def name_bytes(self) -> int:
        """Of all paths and symlink targets. One header can state 4 KiB for every member after it, and a
        path as long can imply hundreds of others: a few compressed bytes could fill the memory.
        """
        return self.entries * _NAME_BYTES


@dataclass(frozen=True, slots=True)
class Archive:
    """What a request holds. All data are views into its body."""

    config: memoryview
    sealed_secrets: memoryview | None
    context: Tree


def index(body: memoryview, limits: Limits) -> Archive:
    """Raises ArchiveError and BodyTooLarge."""
    if not body:
        raise ArchiveError("The body is empty; send a tar archive.")
    found = _Index(limits)
    for member in tar.members(body):
        found.admit(member)
    return found.archive()


class _Index:
    """What was found so far, path by path."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members = 0
        self._context_bytes = 0
        self._name_bytes = 0
        self._inodes = 0
        self._has_context = False
        self._documents: dict[str, memoryview] = {}
        self._entries: dict[str, Entry] = {}

    def admit(self, member: Member) -> None:
        """The one place where a member is kept, passed over or refused."""
        self._members += 1
        if self._members > self._limits.entries:
            raise too_many(self._limits.entries)
        path = to_path(member.name)
        top, _, inner = path.partition("/")
        if top == CONTEXT:
            if inner:
                self._keep(self._entry(inner, member))
            elif member.type != tar.DIRECTORY:
                raise ArchiveError("context must be a directory in the archive.")
            self._has_context = True
        elif path in _DOCUMENTS:
            self._keep_document(path, member)

    def _keep(self, entry: Entry) -> None:
        self._name_bytes += name_bytes(entry)
        if self._name_bytes > self._limits.name_bytes:
            raise names_too_long(self._limits.name_bytes)
        self._entries[entry.path] = entry

    def _keep_document(self, name: str, member: Member) -> None:
        if member.type != tar.FILE:
            raise ArchiveError(f"{name} must be a regular file in the archive.")
        if name in self._documents:
            raise ArchiveError(f"The archive has {name} twice; it must be there once.")
        if len(member.data) > self._limits.document_bytes:
            raise BodyTooLarge(
                f"{name} has {len(member.data)} bytes; {self._limits.document_bytes} are the most."
            )
        self._documents[name] = member.data

    def _entry(self, path: str, member: Member) -> Entry:
        if member.mtime not in _TIMES:
            raise ArchiveError(f"{quoted(member.name)} has a time of change out of all range.")
        mode = member.mode & _PERMISSIONS
        if member.type == tar.FILE:
            self._context_bytes += len(member.data)
            if self._context_bytes > self._limits.context_bytes:
                raise BodyTooLarge(
                    f"The files below context/ have more than {self._limits.context_bytes} bytes, "
                    "the most this builder takes."
                )
            return Entry(path, Kind.FILE, mode, member.mtime, member.data)
        if member.type == tar.DIRECTORY:
            return Entry(path, Kind.DIRECTORY, mode, member.mtime)
        if member.type == tar.SYMLINK:
            target = to_target(member.name, member.link)
            return Entry(path, Kind.SYMLINK, mode, member.mtime, linkname=target)
        if member.type == tar.HARD_LINK:
            return self._hard_link(path, member)
        kind = _UNFIT.get(member.type, "of a type that no build context can hold")
        raise ArchiveError(
            f"{quoted(member.name)} is {kind}; only files, directories and links can be built from."
        )

    def _hard_link(self, path: str, member: Member) -> Entry:
        """The same file again: as for tar, one that came before, with that one's mode and time."""
        top, _, inner = to_path(member.link).partition("/")
        target = self._entries.get(inner) if top == CONTEXT else None
        if target is None or target.kind is Kind.DIRECTORY:
            raise ArchiveError(
                f"{quoted(member.name)} is a hard link to {quoted(member.link)}, "
                "which is no file that comes before it in context/."
            )
        if not target.inode and target.kind is Kind.FILE:
            self._inodes += 1
            target = self._entries[inner] = replace(target, inode=self._inodes)
        return replace(target, path=path)

    def archive(self) -> Archive:
        if CONFIG not in self._documents:
            raise ArchiveError(f"The archive has no {CONFIG}; put it beside context/.")
        if not self._has_context:
            raise ArchiveError(
                "The archive has no context/; put the Dockerfile and its files there."
            )
        self._forget_lone_inodes()
        return Archive(
            config=self._documents[CONFIG],
            sealed_secrets=self._documents.get(SEALED_SECRETS),
            context=assemble(self._entries, self._limits.entries, self._limits.name_bytes),
        )

    def _forget_lone_inodes(self) -> None:
        """A linked file whose other names were taken by later members is a file like any other."""
        if not self._inodes:
            return
        names = Counter(entry.inode for entry in self._entries.values())
        for path, entry in self._entries.items():
            if entry.inode and names[entry.inode] == 1:
                self._entries[path] = replace(entry, inode=0)
