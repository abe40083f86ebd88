"""The daemon's side of DiffCopy: takes a sender's bytes apart, and is as strict as fsutil's receiver."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from function.fsutil.tree import decoded, sort_key
from function.fsutil.wire import MESSAGE_PREFIX
from function.pb import fsutil_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from function.fsutil import Sender

Packet = pb.Packet


def _as_go_reads_it() -> Any:
    """Make a Packet with bytes for texts, as which Go takes what is no UTF-8, and with the attributes."""
    file = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    types = descriptor_pb2.FieldDescriptorProto
    [stat] = (message for message in file.message_type if message.name == "Stat")
    for each in stat.field:
        if each.type == types.TYPE_STRING:
            each.type = types.TYPE_BYTES
    entry = stat.nested_type.add(name="Attribute")  # what a map is made of
    for number, name in enumerate(("key", "value"), start=1):
        entry.field.add(name=name, number=number, type=types.TYPE_BYTES, label=types.LABEL_OPTIONAL)
    stat.field.add(
        name="xattrs",
        number=10,
        type=types.TYPE_MESSAGE,
        label=types.LABEL_REPEATED,
        type_name=f".{file.package}.Stat.Attribute",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{file.package}.Packet")
    return message_factory.GetMessageClass(found)


_RawPacket = _as_go_reads_it()


@dataclass(frozen=True, slots=True)
class Stat:
    path: str
    mode: int
    size: int
    mod_time: int
    linkname: str
    owner: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def parsed(cls, message: bytes) -> Stat:
        """Read a packet; one without a stat raises an error."""
        packet = _RawPacket.FromString(message)
        assert packet.HasField("stat")
        stat = packet.stat
        return cls(
            decoded(stat.path),
            stat.mode,
            stat.size,
            stat.modTime,
            decoded(stat.linkname),
            (stat.uid, stat.gid),
            tuple(sorted((each.key, each.value) for each in stat.xattrs)),
        )


_DIRECTORY = 1 << 31
_LINK = 1 << 27


def request(number: int) -> bytes:
    return bytes(pb.Packet(type=pb.Packet.PACKET_REQ, ID=number).SerializeToString())


FIN = pb.Packet(type=pb.Packet.PACKET_FIN).SerializeToString()


def unframed(stream: bytes) -> Iterator[bytes]:
    """Yield the messages in *stream*, which holds whole ones."""
    position = 0
    while position < len(stream):
        compressed, length = MESSAGE_PREFIX.unpack_from(stream, position)
        position += MESSAGE_PREFIX.size
        assert not compressed
        assert position + length <= len(stream), "the stream ends within a message"
        yield stream[position : position + length]
        position += length


def drained(sender: Sender, limit: int = 1 << 20) -> bytes:
    """Return all that *sender* can send before it is asked again."""
    out: list[bytes] = []
    while chunks := sender.send(limit):
        out.extend(map(bytes, chunks))
    return b"".join(out)


@dataclass
class Receiver:
    """The state of fsutil's receiver at the end. It asserts what that one would report as an error."""

    stats: list[Stat] = field(default_factory=list)
    listed: bool = False
    contents: dict[int, bytes] = field(default_factory=dict)
    complete: list[int] = field(default_factory=list)
    finished: bool = False

    def take(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            assert not self.finished, "a packet comes after FIN"
            packet = _RawPacket.FromString(message)
            if packet.type == pb.Packet.PACKET_STAT:
                self._stat(message)
            elif packet.type == pb.Packet.PACKET_DATA:
                self._data(packet)
            else:
                assert packet.type == pb.Packet.PACKET_FIN
                self.finished = True

    def _stat(self, message: bytes) -> None:
        assert not self.listed, "a STAT comes after the empty one"
        if not message:
            self.listed = True
            return
        stat = Stat.parsed(message)
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

    def _data(self, packet: Any) -> None:
        assert packet.ID not in self.complete, "data comes after the file's end"
        if packet.data:
            self.contents[packet.ID] = self.contents.get(packet.ID, b"") + packet.data
        else:
            self.contents.setdefault(packet.ID, b"")
            self.complete.append(packet.ID)


def stated(sender: Sender) -> list[Stat]:
    """Return what *sender* states first of all."""
    receiver = Receiver()
    receiver.take(unframed(drained(sender)))
    assert receiver.listed
    return receiver.stats
