"""Pure (sans-IO). The sending side of DiffCopy: requests in, framed packets out.

The conversation (tonistiigi/fsutil send.go and receive.go, as vendored by moby/buildkit v0.32.2): we state
every entry in order, and an empty STAT ends the list; the daemon requests contents by an entry's index;
each content goes out in DATA packets, ended by an empty one; FIN is answered with FIN. A forgotten end
hangs the daemon for ever, so nothing here ends early without saying so.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ..pb import fsutil_pb2 as pb
from .tree import Entry, Kind, encoded, pieces
from .wire import field, framed, message_prefix, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .tree import Content

    Buffer = bytes | bytearray | memoryview

# Throughput is flat from 256 KiB to 1 MiB (measured); the smaller keeps less in flight.
CHUNK_BYTES = 256 << 10
# Up to here a copy is cheaper than a chunk of its own; and so many bytes of small packets make a chunk.
_FEW_BYTES = 4 << 10
_JOINED_BYTES = 16 << 10

# The numbers of Packet's and Stat's fields (fsutil types/wire.proto and stat.proto).
_STAT = 2
_PATH, _LINKNAME, _XATTRS = 1, 7, 10

# What a DATA packet is made of: its type, and the tags of its ID and its data.
_DATA_TYPE = pb.Packet(type=pb.Packet.PACKET_DATA).SerializeToString()
_ID_TAG = b"\x18"
_DATA_TAG = b"\x22"

# Go's FileMode bits (io/fs): what Stat.mode holds instead of unix' S_IF* values.
_MODE_DIRECTORY = 1 << 31
_MODE_SYMLINK = 1 << 27
_MODE_NAMED_PIPE = 1 << 25
_MODE_SETUID = 1 << 23
_MODE_SETGID = 1 << 22
_MODE_STICKY = 1 << 20


class SenderError(Exception):
    """The daemon gave up, or asked for what it may not; the text is for its log and ours."""


class UnfitEntry(Exception):
    """Says which entry is to be sent and cannot be, and why."""


@dataclass(slots=True)
class _Asked:
    """The files that the daemon has asked for and has not been given yet."""

    files: deque[int] = dataclasses.field(default_factory=deque)
    end: bool = False
    end_given: bool = False


class Sender:
    """One DiffCopy call over *entries*, which stay the caller's and are not changed."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Prepare to send *entries*. Raises UnfitEntry."""
        for entry in entries:
            if entry.unfit:
                raise UnfitEntry(entry.unfit)
        self._entries = entries
        self._known: set[int] = set()
        self._asked = _Asked()
        # Not a method: one that refers to its own object would keep the context alive after the build.
        self._outgoing = _conversation(entries, self._asked)

    @property
    def done(self) -> bool:
        """Tell whether `send` has returned the last packet."""
        return self._asked.end_given

    def receive(self, message: bytes) -> None:
        """Take one packet from the daemon. Raises SenderError."""
        try:
            packet = pb.Packet.FromString(message)
        except DecodeError as exc:
            raise SenderError("the daemon sent a packet that cannot be read") from exc
        if packet.type == pb.Packet.PACKET_REQ:
            self._request(packet.ID)
        elif packet.type == pb.Packet.PACKET_FIN:
            self._asked.end = True
        elif packet.type == pb.Packet.PACKET_ERR:
            raise SenderError(f"error from receiver: {packet.data.decode(errors='replace')}")
        else:
            raise SenderError(f"a receiver does not send packets of type {packet.type}")

    def send(self, limit: int) -> list[Buffer]:
        """Return framed packets of about *limit* bytes; nothing if the daemon must ask first."""
        chunks: list[Buffer] = []
        size = 0
        while size < limit and (chunk := next(self._outgoing, None)) is not None:
            chunks.append(chunk)
            size += len(chunk)
        return chunks

    def _request(self, number: int) -> None:
        if self._asked.end:
            raise SenderError(f"file {number} was requested after the end")
        if number >= len(self._entries) or self._entries[number].kind is not Kind.FILE:
            raise SenderError(f"invalid file id {number}")
        if number in self._known:
            raise SenderError(f"file {number} was requested twice")
        self._known.add(number)
        self._asked.files.append(number)


def _conversation(entries: Sequence[Entry], asked: _Asked) -> Iterator[Buffer | None]:
    """Yield all that is to be sent, in order; None wherever the daemon has to speak first."""
    yield from _joined(_stat_packets(entries))
    while asked.files or not asked.end:
        if asked.files:
            yield from _joined(_small_files(entries, asked.files))
        if asked.files:
            number = asked.files.popleft()
            yield from _data_packets(number, entries[number].data)
        elif not asked.end:
            yield None
    asked.end_given = True
    yield framed(pb.Packet(type=pb.Packet.PACKET_FIN).SerializeToString())


def _joined(packets: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *packets*, which are small, in fewer pieces: each costs as much as its making."""
    pieces_: list[bytes] = []
    size = 0
    for packet in packets:
        pieces_.append(packet)
        size += len(packet)
        if size >= _JOINED_BYTES:
            yield b"".join(pieces_)
            pieces_, size = [], 0
    if pieces_:
        yield b"".join(pieces_)


def _small_files(entries: Sequence[Entry], asked: deque[int]) -> Iterator[bytes]:
    """Yield what is asked for, up to the first file that is not small."""
    while asked:
        number = asked[0]
        data = entries[number].data
        if len(data) > _FEW_BYTES:
            return
        asked.popleft()
        yield _small_file(number, data)


def _small_file(number: int, data: Content) -> bytes:
    """Return the DATA packet of *data* and the empty one that ends it."""
    empty = _data_head(number)
    end = framed(empty)
    if not len(data):
        return end
    head = b"".join((empty, _DATA_TAG, varint(len(data))))
    content = data if isinstance(data, memoryview) else bytes(data)
    return b"".join((message_prefix(len(head) + len(data)), head, content, end))


def _stat_packets(entries: Sequence[Entry]) -> Iterator[bytes]:
    first_of_inode: dict[int, str] = {}
    # One message serves all entries: making each its own takes three times as long (measured).
    packet = pb.Packet()
    stat = packet.stat
    # uid and gid stay 0, as buildctl sends them: the caller's ids mean nothing to the image.
    for entry in entries:
        linkname = entry.linkname
        if entry.inode:
            # The first link in the order of sending is the file (fsutil hardlinks.go).
            first = first_of_inode.setdefault(entry.inode, entry.path)
            linkname = first if first != entry.path else ""
        stat.mode = go_file_mode(entry)
        stat.modTime = entry.mtime
        stat.size = len(entry.data) or len(encoded(entry.linkname))
        try:
            stat.path = entry.path
            stat.linkname = linkname
        except UnicodeEncodeError:
            yield framed(_stat_in_bytes(stat, entry, linkname))
            continue
        if entry.xattrs:
            yield framed(_stat_in_bytes(stat, entry, linkname))
        else:
            yield framed(packet.SerializeToString())
    yield framed(b"")


def _stat_in_bytes(stat: pb.Stat, entry: Entry, linkname: str) -> bytes:
    """Return the packet of *stat* with its names as they are, and with the attributes of *entry*.

    A text must be UTF-8 to Python's protobuf; to Go's, as fsutil makes and reads these messages, it is bytes.
    """
    stat.path = stat.linkname = ""
    attributes = (field(1, name) + field(2, value) for name, value in entry.xattrs)
    parts = (
        field(_PATH, encoded(entry.path)),
        stat.SerializeToString(),
        field(_LINKNAME, encoded(linkname)),
        *(field(_XATTRS, attribute) for attribute in attributes),
    )
    return field(_STAT, b"".join(parts))


def go_file_mode(entry: Entry) -> int:
    """Return *entry*'s mode as Go's FileMode."""
    mode = entry.mode & 0o777
    if entry.kind is Kind.SYMLINK:
        return 0o777 | _MODE_SYMLINK  # what Linux shows for every link
    if entry.kind is Kind.DIRECTORY:
        mode |= _MODE_DIRECTORY
    elif entry.kind is Kind.PIPE:
        mode |= _MODE_NAMED_PIPE
    if entry.mode & 0o4000:
        mode |= _MODE_SETUID
    if entry.mode & 0o2000:
        mode |= _MODE_SETGID
    if entry.mode & 0o1000:
        mode |= _MODE_STICKY
    return mode


def _data_packets(number: int, data: Content) -> Iterator[Buffer]:
    """Yield *data* in DATA packets, its bytes not copied, and the empty packet that ends it."""
    empty = _data_head(number)
    for chunk in pieces(data, CHUNK_BYTES):
        head = b"".join((empty, _DATA_TAG, varint(len(chunk))))
        yield message_prefix(len(head) + len(chunk)) + head
        yield chunk
    yield framed(empty)


def _data_head(number: int) -> bytes:
    """Return an empty DATA packet of a file. With the field of its data after it, it has them."""
    return _DATA_TYPE + (_ID_TAG + varint(number) if number else b"")
