from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.session.bytes_message import bytes_of, framed_bytes
from function.fsutil.wire import framed
from function.pb import control_pb2 as pb


@given(st.lists(st.binary(max_size=300) | st.integers(0, 70_000).map(bytes), max_size=4))
def test_pieces_framed_by_hand_are_protobufs_bytes_message(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    message = b"".join(framed_bytes(pieces))

    assert message.startswith(framed(message[5:]))
    assert pb.BytesMessage.FromString(message[5:]).data == payload
    assert bytes(bytes_of(message[5:])) == payload
    assert bytes(bytes_of(pb.BytesMessage(data=payload).SerializeToString())) == payload


def test_a_bytes_message_with_a_field_of_the_future_is_read_by_protobuf() -> None:
    assert bytes(bytes_of(b"\x10\x01" + b"\x0a\x04data")) == b"data"
