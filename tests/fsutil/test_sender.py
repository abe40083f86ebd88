"""The sending side of DiffCopy, spoken to as fsutil's receiver does, and as it never would."""

from __future__ import annotations

import gc
import tracemalloc
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.fsutil import Sender, SenderError, UnfitEntry
from function.fsutil.sender import CHUNK_BYTES, _data_packets, _small_file
from function.fsutil.sparse import SparseFile
from function.fsutil.tree import Entry, Kind, Tree, decoded, encoded
from function.fsutil.wire import framed
from function.pb import fsutil_pb2 as pb

from .packets import FIN, Packet, Receiver, drained, request, stated, unframed
from .trees import tree, trees

if TYPE_CHECKING:
    from random import Random


def file(path: str, data: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o644, 0, memoryview(data))


def exchange(sender: Sender, numbers: list[int], limit: int = 1 << 20) -> Receiver:
    """Hold a whole conversation in which the files of *numbers* are asked for, at once."""
    stream = drained(sender, limit)
    for number in numbers:
        sender.receive(request(number))
    sender.receive(FIN)
    stream += drained(sender, limit)
    receiver = Receiver()
    receiver.take(unframed(stream))
    return receiver


def test_states_every_entry_before_the_end_of_the_list() -> None:
    assert [stat.path for stat in stated(Sender(tree("a/b", "c", "l -> c").entries))] == [
        "a",
        "a/b",
        "c",
        "l",
    ]


def test_states_an_empty_context() -> None:
    assert stated(Sender(())) == []


@pytest.mark.parametrize(
    ("kind", "mode", "stated_mode"),
    [
        (Kind.FILE, 0o644, 0o644),
        (Kind.FILE, 0o4755, 0o755 | 1 << 23),
        (Kind.FILE, 0o2755, 0o755 | 1 << 22),
        (Kind.DIRECTORY, 0o1777, 0o777 | 1 << 31 | 1 << 20),
        (Kind.DIRECTORY, 0o700, 0o700 | 1 << 31),
        (Kind.SYMLINK, 0o644, 0o777 | 1 << 27),
        (Kind.PIPE, 0o640, 0o640 | 1 << 25),
    ],
)
def test_states_modes_as_go_numbers_them(kind: Kind, mode: int, stated_mode: int) -> None:
    [stat] = stated(Sender([Entry("x", kind, mode, 0)]))

    assert stat.mode == stated_mode


@pytest.mark.parametrize("mtime", [0, 1, -1, -(1 << 63), (1 << 63) - 1])
def test_states_times_of_all_ages(mtime: int) -> None:
    [stat] = stated(Sender([Entry("x", Kind.FILE, 0o644, mtime)]))

    assert stat.mod_time == mtime


def test_states_the_first_of_linked_files_as_the_file() -> None:
    stats = stated(Sender(tree("a", "b = a", "c = a", "d", "e = d").entries))

    assert [(stat.path, stat.linkname) for stat in stats] == [
        ("a", ""), ("b", "a"), ("c", "a"), ("d", ""), ("e", "d"),
    ]  # fmt: skip


def test_takes_nobody_for_the_owner() -> None:
    [stat] = stated(Sender([file("a", b"x")]))

    assert stat.owner == (0, 0)


@pytest.mark.parametrize(
    "size", [0, 1, 4096, 4097, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_sends_contents_of_every_size(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    entries = [file("a", data[:size]), file("b", b"after")]

    receiver = exchange(Sender(entries), [0, 1])

    assert receiver.contents == {0: data[:size], 1: b"after"}
    assert receiver.complete == [0, 1]


@given(st.integers(0, 1 << 21), st.binary(max_size=300) | st.integers(0, 20_000).map(bytes))
def test_data_packets_are_protobufs_own(number: int, content: bytes) -> None:
    data = pb.Packet(type=pb.Packet.PACKET_DATA, ID=number, data=content)
    end = pb.Packet(type=pb.Packet.PACKET_DATA, ID=number)
    packets = [data, end] if content else [end]
    expected = b"".join(framed(packet.SerializeToString()) for packet in packets)

    assert _small_file(number, memoryview(content)) == expected
    assert b"".join(_data_packets(number, memoryview(content))) == expected


@given(
    st.binary(min_size=1, max_size=20).filter(
        lambda name: b"/" not in name and name not in {b".", b".."}
    ),
    st.binary(max_size=20),
    st.dictionaries(st.binary(min_size=1, max_size=9), st.binary(max_size=9)),
)
def test_states_names_and_attributes_byte_for_byte(
    name: bytes, target: bytes, xattrs: dict[bytes, bytes]
) -> None:
    marked = tuple(sorted(xattrs.items()))
    plain = Entry(decoded(name), Kind.FILE, 0o4644, -5, memoryview(b"data"), "", 1, marked)
    entries = [
        plain,
        plain._replace(path=decoded(name) + "0"),
        Entry(decoded(name) + "1", Kind.SYMLINK, 0o777, 7, linkname=decoded(target)),
    ]

    file, linked, link = stated(Sender(entries))

    assert (encoded(file.path), file.linkname, file.xattrs) == (name, "", marked)
    assert (encoded(linked.path), encoded(linked.linkname)) == (name + b"0", name)
    assert (encoded(link.path), encoded(link.linkname)) == (name + b"1", target)
    assert (file.mode, file.size, file.mod_time) == (0o644 | 1 << 23, 4, -5)
    assert (link.mode, link.size, link.mod_time) == (0o777 | 1 << 27, len(target), 7)


def test_refuses_to_send_what_is_unfit_before_anything_is_sent() -> None:
    unfit = file("b", b"")._replace(unfit='"b" is a block device.')

    assert Sender([file("a", b"x")])
    with pytest.raises(UnfitEntry, match=r'^"b" is a block device\.$'):
        Sender([file("a", b"x"), unfit])


@pytest.mark.parametrize("size", [7, 4096, 4097, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
def test_sends_holes_as_zeros(size: int) -> None:
    sparse = SparseFile(memoryview(b"abcd"), array("q", [1, 2, 4, 2]), size)
    entry = Entry("a", Kind.FILE, 0o644, 0, sparse)

    receiver = exchange(Sender([entry, file("b", b"after")]), [0, 1])

    assert receiver.stats[0].size == size
    assert receiver.contents == {0: b"\0ab\0cd".ljust(size, b"\0"), 1: b"after"}


def test_sends_holes_without_memory_for_them() -> None:
    entry = Entry("a", Kind.FILE, 0o644, 0, SparseFile(memoryview(b""), array("q"), 1 << 28))
    sender = Sender([entry])
    drained(sender)
    sender.receive(request(0))

    tracemalloc.start()
    try:
        sent = 0
        while chunks := sender.send(CHUNK_BYTES):
            sent += sum(map(len, chunks))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sent > 1 << 28
    assert peak < 1 << 20


def test_sends_large_contents_without_copying_them() -> None:
    data = bytes(2 * CHUNK_BYTES)
    sender = Sender([file("a", data)])
    drained(sender)
    sender.receive(request(0))

    views = [chunk for chunk in sender.send(len(data)) if isinstance(chunk, memoryview)]

    assert [view.obj is data for view in views] == [True, True]


def test_sends_no_more_than_about_the_limit() -> None:
    sender = Sender([file("a", bytes(8 * CHUNK_BYTES))])
    drained(sender)
    sender.receive(request(0))

    assert sum(map(len, sender.send(CHUNK_BYTES))) < 2 * CHUNK_BYTES


def test_waits_to_be_asked() -> None:
    sender = Sender([file("a", b"x")])
    drained(sender)

    assert sender.send(1) == []
    assert not sender.done
    sender.receive(request(0))
    assert sender.send(1)


def test_answers_the_end_with_the_end_once_all_is_sent() -> None:
    sender = Sender([file("a", b"x")])
    for message in (request(0), FIN):
        sender.receive(message)

    before = sender.done
    packets = list(unframed(drained(sender)))
    assert Packet.FromString(packets[-1]).type == Packet.PACKET_FIN
    assert (before, sender.done) == (False, True)
    assert sender.send(1) == []


def test_says_why_the_daemon_gave_up() -> None:
    with pytest.raises(SenderError, match="error from receiver: no space left"):
        Sender(()).receive(
            Packet(type=Packet.PACKET_ERR, data=b"no space left").SerializeToString()
        )


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([request(9)], "invalid file id 9"),
        ([request(0)], "invalid file id 0"),
        ([request(2)], "invalid file id 2"),
        ([request(1), request(1)], "file 1 was requested twice"),
        ([FIN, request(1)], "file 1 was requested after the end"),
        ([b"\xff"], "cannot be read"),
        ([b""], "does not send packets of type 0"),
        ([Packet(type=Packet.PACKET_DATA).SerializeToString()], "does not send packets of type 2"),
        ([b"\x08\x63"], "does not send packets of type 99"),
    ],
)
def test_refuses_what_no_receiver_asks(messages: list[bytes], said: str) -> None:
    sender = Sender(tree("d/f", "l -> d").entries)
    *before, last = messages
    for message in before:
        sender.receive(message)
    with pytest.raises(SenderError, match=said):
        sender.receive(last)


def test_lets_go_of_the_body_when_it_is_dropped_halfway() -> None:
    """Let go without the collector, which may be long in coming: the next body must fit beside nothing."""
    body = bytearray(b"content")
    view = memoryview(body)
    sender = Sender([Entry("a", Kind.FILE, 0o644, 0, view[2:])])
    drained(sender)
    gc.disable()
    try:
        del sender
        view.release()
        body.clear()  # a BufferError if anything still looks at it
    finally:
        gc.enable()


@given(trees(), st.randoms(use_true_random=False), st.integers(1, 300))
def test_gives_what_was_asked_for_in_any_order_and_in_any_pieces(
    context: Tree, random: Random, limit: int
) -> None:
    numbers = [number for number, entry in enumerate(context.entries) if entry.kind is Kind.FILE]
    random.shuffle(numbers)

    receiver = exchange(Sender(context.entries), numbers, limit)

    assert receiver.finished
    assert [stat.path for stat in receiver.stats] == [entry.path for entry in context.entries]
    assert receiver.complete == numbers
    assert all(data == context.entries[number].data for number, data in receiver.contents.items())


MESSAGES = st.one_of(
    st.integers(0, 6).map(request),
    st.just(FIN),
    st.builds(
        lambda kind, number, data: Packet(type=kind, ID=number, data=data).SerializeToString(),
        st.integers(0, 5), st.integers(0, (1 << 32) - 1), st.binary(max_size=4),
    ),
    st.binary(max_size=12),
)  # fmt: skip


@given(trees(), st.lists(st.one_of(MESSAGES, st.integers(1, 200))))
def test_any_conversation_is_answered_or_ends_in_its_one_error(
    context: Tree, steps: list[bytes | int]
) -> None:
    sender = Sender(context.entries)
    stream = b""
    for step in steps:
        if isinstance(step, int):
            stream += b"".join(map(bytes, sender.send(step)))
            continue
        try:
            sender.receive(step)
        except SenderError:
            break
    stream += drained(sender)

    receiver = Receiver()
    receiver.take(unframed(stream))
    assert receiver.listed
    assert receiver.finished == sender.done
