from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.rpc.control import _bytes_message, _bytes_of_message
from function.fsutil.wire import MESSAGE_PREFIX, framed, message_prefix, varint
from function.pb import control_pb2 as pb


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_a_varint_is_read_by_protobuf_as_the_same_number(number: int) -> None:
    # VertexStatus.current: field 4, varint.
    assert pb.VertexStatus.FromString(b"\x20" + varint(number)).current == number


@given(st.binary())
def test_a_message_is_framed_as_uncompressed_with_its_length(message: bytes) -> None:
    assert framed(message) == message_prefix(len(message)) + message
    assert MESSAGE_PREFIX.unpack_from(framed(message)) == (0, len(message))


@given(st.lists(st.binary(max_size=300) | st.integers(0, 70_000).map(bytes), max_size=4))
def test_pieces_framed_by_hand_are_protobufs_bytes_message(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    message = _bytes_message(pieces)

    assert pb.BytesMessage.FromString(message).data == payload
    assert bytes(_bytes_of_message(pb.BytesMessage(data=payload).SerializeToString())) == payload


def test_a_bytes_message_with_a_field_of_the_future_is_read_by_protobuf() -> None:
    assert bytes(_bytes_of_message(b"\x10\x01" + _bytes_message([b"data"]))) == b"data"
