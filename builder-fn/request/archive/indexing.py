"""Pure. Judges the members of a request's tar and keeps what a build needs of them.

What real archives do is no error: other files beside context/ are passed over, and of several members
with one name the last counts, as when tar extracts them. Nothing is ever unpacked or followed.

What a name can do harm with is refused here. What merely cannot be sent, such as a device, is noted:
whether it is to be sent is for .dockerignore and the Dockerfile to say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ArchiveError, BodyTooLarge
from ...fsutil.sparse import SparseFile
from ...fsutil.tree import Entry, Kind, Tree
from ...quoting import quoted
from ..memory import nothing_reserved
from . import members as tar
from .context import assemble, name_bytes, names_too_long, too_many
from .names import fault, fault_of_target, is_of_windows, to_path, to_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from .members import Member

# go-sdk builder/builder.go and builder/build_secrets.go.
CONFIG = "com.openfaas.docker.config"
SEALED_SECRETS = "com.openfaas.secrets"
CONTEXT = "context"
_DOCUMENTS = frozenset({CONFIG, SEALED_SECRETS})

_PERMISSIONS = 0o7777
_NAME_BYTES = 256  # of an entry's path and symlink target, on average: twice what pnpm's have
# What an entry takes in memory beside its texts, which it takes twice, the second time for their order; and
# what each attribute and each piece of a sparse file takes (measured, and a little more).
_ENTRY_BYTES = 600
_XATTR_BYTES = 200
_EXTENT_BYTES = 16
# Memory is asked for in steps of this: what a request of a few files takes is asked for once.
_STEP_BYTES = 64 << 10
_TIMES = range(-(1 << 63), 1 << 63)  # nanoseconds that fsutil's Stat has room for

_UNFIT = {
    tar.CHARACTER_DEVICE: "a character device",
    tar.BLOCK_DEVICE: "a block device",
}
_WITH_ATTRIBUTES = frozenset({tar.FILE, tar.DIRECTORY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """*entries* counts every member, and the parents that members imply; sizes are in bytes."""

    entries: int = 200_000
    context_bytes: int = 1 << 30  # of all files together, and of the tar that a body unpacks to
    # The config and the sealed secrets, each: both are parsed whole, into something larger.
    document_bytes: int = 1 << 20

    @property
    def name_bytes(self) -> int:
        """Return the most for all paths and symlink targets.

        One header can state 4 KiB for every member after it, and a path as long can imply hundreds of
        others: a few compressed bytes could fill the memory.
        """
        return self.entries * _NAME_BYTES


@dataclass(frozen=True, slots=True)
class Archive:
    """The members that a request holds. All data are views into its body."""

    config: memoryview
    sealed_secrets: memoryview | None
    context: Tree
    memory_bytes: int = 0  # of the entries, at most


def index(
    body: memoryview, limits: Limits, reserve: Callable[[int], None] = nothing_reserved
) -> Archive:
    """Index the archive in *body*, and tell *reserve* of the memory for its entries.

    Raises ArchiveError, BodyTooLarge, and whatever *reserve* does.
    """
    if not body:
        raise ArchiveError("The body is empty; send a tar archive.")
    found = _Index(limits, reserve)
    for member in tar.members(body):
        found.admit(member)
    return found.archive()


class _Index:
    """The members found so far, path by path."""

    def __init__(self, limits: Limits, reserve: Callable[[int], None]) -> None:
        self._limits = limits
        self._reserve = reserve
        self._memory = 0  # bytes
        self._reserved = 0
        self._enough_for = _STEP_BYTES
        self._members = 0
        self._context_bytes = 0
        self._name_bytes = 0
        self._inodes = 0
        self._extents = 0
        self._counted: set[int] = set()  # inodes whose files lie beside context/
        self._has_context = False
        self._documents: dict[str, memoryview] = {}
        self._entries: dict[str, Entry] = {}  # below context/
        self._beside: dict[str, Entry] = {}  # no folders, for they are never linked to

    def admit(self, member: Member) -> None:
        """Keep a member, pass it over or refuse it: the one place where that is decided."""
        self._members += 1
        if self._members > self._limits.entries:
            raise too_many(self._limits.entries)
        path = to_path(member.name)
        top, _, inner = path.partition("/")
        if top == CONTEXT:
            if inner:
                self._keep(self._entries, self._entry(inner, member))
            elif member.type != tar.DIRECTORY:
                raise ArchiveError("context must be a directory in the archive.")
            self._has_context = True
            return
        if path in _DOCUMENTS:
            self._keep_document(path, member)
        if member.type != tar.DIRECTORY:
            self._keep(self._beside, self._entry(path, member))

    def _keep(self, entries: dict[str, Entry], entry: Entry) -> None:
        names = name_bytes(entry)
        self._name_bytes += names
        if self._name_bytes > self._limits.name_bytes:
            raise names_too_long(self._limits.name_bytes)
        self._memory += _ENTRY_BYTES + 2 * names
        if entry.xattrs:
            self._memory += _XATTR_BYTES * len(entry.xattrs)
        if self._memory > self._enough_for:
            self._ask()
        if entries is self._entries:
            self._count(entry)
        entries[entry.path] = entry

    def _take(self, size: int) -> None:
        """Count *size* bytes more, and ask for them unless they are few."""
        self._memory += size
        if self._memory > self._enough_for:
            self._ask()

    def _ask(self) -> None:
        self._reserve(self._memory - self._reserved)
        self._reserved = self._memory
        self._enough_for = self._memory + _STEP_BYTES

    def _count(self, entry: Entry) -> None:
        """Hold *entry* against the limits. Holes count like data, as which they are sent."""
        if entry.inode:
            if entry.inode in self._counted:
                return
            self._counted.add(entry.inode)
        self._context_bytes += len(entry.data)
        if self._context_bytes > self._limits.context_bytes:
            raise BodyTooLarge(
                f"The files below context/ have more than {self._limits.context_bytes} bytes, "
                f"holes included, the most for your builds. {BodyTooLarge.remedy}"
            )

    def _keep_document(self, name: str, member: Member) -> None:
        if member.type != tar.FILE:
            raise ArchiveError(f"{name} must be a regular file in the archive.")
        if name in self._documents:
            raise ArchiveError(f"The archive has {name} twice; it must be there once.")
        if len(member.data) > self._limits.document_bytes:
            raise BodyTooLarge(
                f"{name} has {len(member.data)} bytes; {self._limits.document_bytes} are the most."
            )
        data = member.data
        self._documents[name] = data if isinstance(data, memoryview) else memoryview(bytes(data))

    def _entry(self, path: str, member: Member) -> Entry:
        name, unfit = member.name, fault(member.name, path)
        mode, mtime = member.mode & _PERMISSIONS, member.mtime
        if is_of_windows(name):
            mode = _mode_of_windows(mode)
        if mtime not in _TIMES:
            unfit, mtime = f"{quoted(name)} has a time of change out of all range.", 0
        xattrs = member.xattrs if member.type in _WITH_ATTRIBUTES else ()
        if member.type == tar.FILE:
            if isinstance(member.data, SparseFile):
                self._count_extents(member.data)
            return Entry(path, Kind.FILE, mode, mtime, member.data, "", 0, xattrs, unfit)
        if member.type == tar.DIRECTORY:
            return Entry(path, Kind.DIRECTORY, mode, mtime, xattrs=xattrs, unfit=unfit)
        if member.type == tar.SYMLINK:
            target = to_target(name, member.link)
            unfit = unfit or fault_of_target(name, target)
            return Entry(path, Kind.SYMLINK, mode, mtime, linkname=target, unfit=unfit)
        if member.type == tar.HARD_LINK:
            return self._hard_link(path, member)
        if member.type == tar.FIFO:
            return Entry(path, Kind.PIPE, mode, mtime, unfit=unfit)
        kind = _UNFIT.get(member.type, "of a type that no build context can hold")
        unfit = (
            f"{quoted(name)} is {kind}; only files, folders, links and named pipes can be built from. "
            "Leave it out, or add it to .dockerignore."
        )
        return Entry(path, Kind.DEVICE, mode, mtime, unfit=unfit)

    def _count_extents(self, file: SparseFile) -> None:
        self._extents += file.extents
        if self._extents > self._limits.entries:
            raise BodyTooLarge(
                f"The sparse files of the archive have more than {self._limits.entries} pieces, "
                "the most this builder takes. Make it without --sparse."
            )
        self._take(_EXTENT_BYTES * file.extents)

    def _hard_link(self, path: str, member: Member) -> Entry:
        """Return the same file again: as for tar, one that came before, with that one's mode and time.

        It may lie beside context/.
        """
        linked = to_path(member.link)
        top, _, inner = linked.partition("/")
        entries, key = (self._entries, inner) if top == CONTEXT else (self._beside, linked)
        target = entries.get(key)
        if target and linked == to_path(member.name):
            return target  # a link to itself changes nothing, even if that is a directory
        if target is None or target.kind is Kind.DIRECTORY:
            unfit = (
                f"{quoted(member.name)} is a hard link to {quoted(member.link)}, "
                "which is no file that comes before it in the archive."
            )
            return Entry(path, Kind.FILE, 0, 0, unfit=unfit)
        if not target.inode and target.kind is Kind.FILE:
            self._inodes += 1
            target = entries[key] = target._replace(inode=self._inodes)
            if entries is self._entries:
                self._counted.add(self._inodes)
        if is_of_windows(member.name):
            target = target._replace(mode=_mode_of_windows(target.mode))
        return target._replace(path=path)

    def archive(self) -> Archive:
        if CONFIG not in self._documents:
            raise ArchiveError(f"The archive has no {CONFIG}; put it beside context/.")
        if not self._has_context:
            raise ArchiveError(
                "The archive has no context/; put the Dockerfile and its files there."
            )
        self._forget_lone_inodes()
        context = assemble(
            self._entries, self._limits.entries, self._limits.name_bytes, self._take_implied
        )
        self._ask()
        return Archive(
            config=self._documents[CONFIG],
            sealed_secrets=self._documents.get(SEALED_SECRETS),
            context=context,
            memory_bytes=self._memory,
        )

    def _take_implied(self, names: int) -> None:
        """Reserve the memory of a directory that no member states, whose path takes *names* bytes."""
        self._take(_ENTRY_BYTES + 2 * names)

    def _forget_lone_inodes(self) -> None:
        """Forget the inode of a linked file whose other names later members took: it is linked no more."""
        if not self._inodes:
            return
        names = Counter(entry.inode for entry in self._entries.values())
        for path, entry in self._entries.items():
            if entry.inode and names[entry.inode] == 1:
                self._entries[path] = entry._replace(inode=0)


def _mode_of_windows(mode: int) -> int:
    """Return *mode* with the bit that Windows does not have, or its archives would hold no program.

    BuildKit's own client does the same there (fsutil stat.go).
    """
    return mode & ~0o777 | (mode | 0o111) & 0o755
