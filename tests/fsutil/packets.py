"""The daemon's side of DiffCopy: takes a sender's bytes apart, and is as strict as fsutil's receiver."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from function.fsutil.tree import sort_key
from function.fsutil.wire import MESSAGE_PREFIX
from function.pb import fsutil_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from function.fsutil import Sender

Packet = pb.Packet

_DIRECTORY = 1 << 31
_LINK = 1 << 27


def request(number: int) -> bytes:
    return bytes(pb.Packet(type=pb.Packet.PACKET_REQ, ID=number).SerializeToString())


FIN = pb.Packet(type=pb.Packet.PACKET_FIN).SerializeToString()


def unframed(stream: bytes) -> Iterator[pb.Packet]:
    """The packets in *stream*, which holds whole messages."""
    position = 0
    while position < len(stream):
        compressed, length = MESSAGE_PREFIX.unpack_from(stream, position)
        position += MESSAGE_PREFIX.size
        assert not compressed
        assert position + length <= len(stream), "the stream ends within a message"
        yield pb.Packet.FromString(stream[position : position + length])
        position += length


def drained(sender: Sender, limit: int = 1 << 20) -> bytes:
    """All that *sender* can send before it is asked again."""
    out: list[bytes] = []
    while chunks := sender.send(limit):
        out.extend(map(bytes, chunks))
    return b"".join(out)


@dataclass
class Receiver:
    """What fsutil's receiver knows at the end. It asserts what that one would report as an error."""

    stats: list[pb.Stat] = field(default_factory=list)
    listed: bool = False
    contents: dict[int, bytes] = field(default_factory=dict)
    complete: list[int] = field(default_factory=list)
    finished: bool = False

    def take(self, packets: Iterable[pb.Packet]) -> None:
        for packet in packets:
            assert not self.finished, "a packet comes after FIN"
            if packet.type == pb.Packet.PACKET_STAT:
                self._stat(packet)
            elif packet.type == pb.Packet.PACKET_DATA:
                self._data(packet)
            else:
                assert packet.type == pb.Packet.PACKET_FIN
                self.finished = True

    def _stat(self, packet: pb.Packet) -> None:
        assert not self.listed, "a STAT comes after the empty one"
        if not packet.HasField("stat"):
            self.listed = True
            return
        stat = packet.stat
        # fsutil validator.go and hardlinks.go
        assert stat.path == posixpath.normpath(stat.path), "unclean path"
        assert not stat.path.startswith(("/", "../"))
        if self.stats:
            assert sort_key(self.stats[-1].path) < sort_key(stat.path), "changes out of order"
        earlier = {each.path: each for each in self.stats}
        if parent := posixpath.dirname(stat.path):
            assert earlier[parent].mode & _DIRECTORY, "the parent is no directory"
        if stat.linkname and not stat.mode & _LINK:
            assert not earlier[stat.linkname].linkname, "invalid link"
        self.stats.append(stat)

    def _data(self, packet: pb.Packet) -> None:
        assert packet.ID not in self.complete, "data comes after the file's end"
        if packet.data:
            self.contents[packet.ID] = self.contents.get(packet.ID, b"") + packet.data
        else:
            self.contents.setdefault(packet.ID, b"")
            self.complete.append(packet.ID)


def stated(sender: Sender) -> list[pb.Stat]:
    """What *sender* states first of all."""
    receiver = Receiver()
    receiver.take(unframed(drained(sender)))
    assert receiver.listed
    return receiver.stats
