"""Pure (sans-IO). The sending side of DiffCopy: requests in, framed packets out.

The conversation (tonistiigi/fsutil send.go and receive.go, as vendored by moby/buildkit v0.32.2): we state
every entry in order, and an empty STAT ends the list; the daemon requests contents by an entry's index;
each content goes out in DATA packets, ended by an empty one; FIN is answered with FIN. A forgotten end
hangs the daemon for ever, so nothing here ends early without saying so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ..pb import fsutil_pb2 as pb
from ..tree import Entry, Kind
from ..wire import framed, message_prefix, varint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Buffer = bytes | bytearray | memoryview

# Throughput is flat from 256 KiB to 1 MiB (measured); the smaller keeps less in flight.
CHUNK_BYTES = 256 << 10

# Go's FileMode bits (io/fs): what Stat.mode holds instead of unix' S_IF* values.
_MODE_DIRECTORY = 1 << 31
_MODE_SYMLINK = 1 << 27
_MODE_SETUID = 1 << 23
_MODE_SETGID = 1 << 22
_MODE_STICKY = 1 << 20


class SenderError(Exception):
    """The daemon gave up, or asked for what it may not; the text is for its log and ours."""


class Sender:
    """One DiffCopy call over *entries*, which stay the caller's and are not changed."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._stats = _stat_packets(entries)
        self._requested: deque[int] = deque()
        self._answered: set[int] = set()
        self._content: Iterator[Buffer] = iter(())
        self._finishing = False
        self._stats_sent = False
        self.done = False

    def receive(self, message: bytes) -> None:
        """Take one packet from the daemon. Raises SenderError."""
        try:
            packet = pb.Packet.FromString(message)
        except DecodeError as exc:
            raise SenderError("the daemon sent a packet that cannot be read") from exc
        if packet.type == pb.Packet.PACKET_REQ:
            self._request(packet.ID)
        elif packet.type == pb.Packet.PACKET_FIN:
            self._finishing = True
        elif packet.type == pb.Packet.PACKET_ERR:
            raise SenderError(f"error from receiver: {packet.data.decode(errors='replace')}")
        else:
            raise SenderError(f"a receiver does not send packets of type {packet.type}")

    def send(self, limit: int) -> list[Buffer]:
        """Framed packets of about *limit* bytes; empty if the daemon must ask first."""
        chunks: list[Buffer] = []
        size = 0
        while size < limit:
            chunk = next(self._content, None) or self._next_small() or self._open_next()
            if chunk is None:
                break
            chunks.append(chunk)
            size += len(chunk)
        return chunks

    def _next_small(self) -> bytes | None:
        if not self._stats_sent:
            if (stat := next(self._stats, None)) is not None:
                return stat
            self._stats_sent = True
        return None

    def _open_next(self) -> Buffer | None:
        if self._requested:
            number = self._requested.popleft()
            self._content = _data_packets(number, self._entries[number].data)
            return next(self._content)
        if self._finishing and not self.done:
            self.done = True
            return framed(pb.Packet(type=pb.Packet.PACKET_FIN).SerializeToString())
        return None

    def _request(self, number: int) -> None:
        if self._finishing:
            raise SenderError(f"file {number} was requested after the end")
        if number >= len(self._entries) or self._entries[number].kind is not Kind.FILE:
            raise SenderError(f"invalid file id {number}")
        if number in self._answered:
            raise SenderError(f"file {number} was requested twice")
        self._answered.add(number)
        self._requested.append(number)


def _stat_packets(entries: Sequence[Entry]) -> Iterator[bytes]:
    first_of_inode: dict[int, str] = {}
    for entry in entries:
        linkname = entry.linkname
        if entry.inode:
            # The first link in the order of sending is the file (fsutil hardlinks.go).
            first = first_of_inode.setdefault(entry.inode, entry.path)
            linkname = first if first != entry.path else ""
        yield framed(pb.Packet(stat=_stat(entry, linkname)).SerializeToString())
    yield framed(b"")


def _stat(entry: Entry, linkname: str) -> pb.Stat:
    # uid and gid stay 0, as buildctl sends them: the caller's ids mean nothing to the image.
    return pb.Stat(
        path=entry.path,
        mode=go_file_mode(entry),
        size=len(entry.data) or len(entry.linkname.encode()),
        modTime=entry.mtime,
        linkname=linkname,
    )


def go_file_mode(entry: Entry) -> int:
    """*entry*'s mode as Go's FileMode."""
    mode = entry.mode & 0o777
    if entry.kind is Kind.SYMLINK:
        return 0o777 | _MODE_SYMLINK  # what Linux shows for every link
    if entry.kind is Kind.DIRECTORY:
        mode |= _MODE_DIRECTORY
    if entry.mode & 0o4000:
        mode |= _MODE_SETUID
    if entry.mode & 0o2000:
        mode |= _MODE_SETGID
    if entry.mode & 0o1000:
        mode |= _MODE_STICKY
    return mode


def _data_packets(number: int, data: memoryview) -> Iterator[Buffer]:
    """*data* in DATA packets, its bytes not copied, and the empty packet that ends it."""
    for start in range(0, len(data), CHUNK_BYTES):
        chunk = data[start : start + CHUNK_BYTES]
        # An empty field says neither tag nor length; protobuf allows fields in pieces, so the header is
        # the packet without its data, then data's tag and length by hand.
        head = _data_packet(number) + b"\x22" + varint(len(chunk))
        yield message_prefix(len(head) + len(chunk)) + head
        yield chunk
    yield framed(_data_packet(number))


def _data_packet(number: int) -> bytes:
    return pb.Packet(type=pb.Packet.PACKET_DATA, ID=number).SerializeToString()
