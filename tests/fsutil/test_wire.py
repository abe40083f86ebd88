from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
