from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from backports.zstd import CompressionParameter
from backports.zstd import compress as compress_zstd
from hypothesis import given
from hypothesis import strategies as st

from function.errors import ArchiveError, BodyTooLarge, BuilderError
from function.request import decompression
from function.request.decompression import decompressed

LIMIT = 1 << 20
Compress = Callable[[bytes], bytes]


def unpack(body: bytes, limit: int = LIMIT) -> bytes:
    return bytes(decompressed(memoryview(body), limit))


def noise(size: int) -> bytes:
    """Return the same bytes at every run, and none that compress."""
    return hashlib.shake_128(b"noise").digest(size)


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zstd(data: bytes, *, checksum: bool = True, content_size: bool = True) -> bytes:
    options: dict[int, int] = {
        CompressionParameter.checksum_flag: int(checksum),
        CompressionParameter.content_size_flag: int(content_size),
    }
    return compress_zstd(data, options=options)


def skippable(data: bytes, nibble: int = 0) -> bytes:
    return (0x184D2A50 + nibble).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data


@pytest.fixture(params=[gzipped, zstd], ids=["gzip", "zstd"])
def compress(request: pytest.FixtureRequest) -> Compress:
    chosen: Compress = request.param
    return chosen


def test_passes_other_bodies_through_without_a_copy() -> None:
    body = memoryview(b"context/" + bytes(504))

    assert decompressed(body, 1) is body


@given(st.lists(st.binary(), min_size=1, max_size=4), st.integers(0, 600))
def test_gzip_members_are_joined_and_zero_padding_dropped(parts: list[bytes], zeros: int) -> None:
    assert unpack(b"".join(map(gzipped, parts)) + bytes(zeros)) == b"".join(parts)


@given(
    st.lists(st.tuples(st.binary(), st.booleans(), st.booleans(), st.binary()), min_size=1),
    st.integers(0, 600),
)
def test_zstd_frames_are_joined_and_skippable_ones_skipped(
    parts: list[tuple[bytes, bool, bool, bytes]], zeros: int
) -> None:
    body = b"".join(
        skippable(skipped, nibble % 16) + zstd(data, checksum=checksum, content_size=sized)
        for nibble, (data, checksum, sized, skipped) in enumerate(parts)
    )

    assert unpack(body + bytes(zeros)) == b"".join(part[0] for part in parts)


@pytest.mark.parametrize("step", [*range(1, 40), 1000])
def test_unpacks_the_same_wherever_input_and_output_are_split(
    compress: Compress, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise(70) + b"a" * 3000 + bytes(500)
    body = compress(data) + compress(b"") + compress(data) + bytes(13)

    monkeypatch.setattr(decompression, "_INPUT_STEP", step)
    monkeypatch.setattr(decompression, "_OUTPUT_STEP", step + 1)

    assert unpack(body) == data + data


def test_unpacks_what_spans_many_steps(compress: Compress) -> None:
    data = noise(3 << 20) + bytes(3 << 20)

    assert unpack(compress(data), len(data)) == data


def test_zstd_of_many_blocks_of_every_kind() -> None:
    data = noise(300_000) + bytes(300_000) + b"ab" * 150_000

    assert unpack(zstd(data)) == data


def test_exactly_the_limit_is_allowed_and_a_byte_more_is_not(compress: Compress) -> None:
    body = compress(bytes(5000))

    assert len(unpack(body, 5000)) == 5000
    with pytest.raises(BodyTooLarge, match="unpacks to more than 4999 bytes"):
        unpack(body, 4999)


def test_a_bomb_is_stopped_long_before_it_is_unpacked(
    compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = compress(bytes(64 << 20))
    taken = 0
    for name in ("_gunzip", "_unzstd"):
        pieces = getattr(decompression, name)

        def counted(
            body: memoryview, pieces: Callable[[memoryview], Iterator[bytes]] = pieces
        ) -> Iterator[bytes]:
            nonlocal taken
            for piece in pieces(body):
                taken += len(piece)
                yield piece

        monkeypatch.setattr(decompression, name, counted)

    with pytest.raises(BodyTooLarge):
        unpack(bomb, LIMIT)
    assert taken <= LIMIT + (1 << 20)


def test_a_zstd_bomb_of_bare_run_length_blocks_is_stopped() -> None:
    # The densest there is: four bytes stand for 128 KiB.
    block = (128 << 10 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    header = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x38])

    with pytest.raises(BodyTooLarge):
        unpack(header + block * 50_000 + b"\x01\0\0")


def test_each_step_is_reserved_before_it_is_kept(compress: Compress) -> None:
    data = noise(3 << 20)
    reserved: list[int] = []

    decompressed(memoryview(compress(data)), len(data), reserved.append)

    assert sum(reserved) == len(data)
    assert max(reserved) <= 1 << 20


def test_a_refused_reservation_stops_the_unpacking(compress: Compress) -> None:
    left = 2 << 20

    def reserve(size: int) -> None:
        nonlocal left
        left -= size
        if left < 0:
            raise MemoryError

    with pytest.raises(MemoryError):
        decompressed(memoryview(compress(bytes(64 << 20))), 64 << 20, reserve)
    assert left >= -(1 << 20)


def test_every_truncation_is_an_error(compress: Compress) -> None:
    body = compress(b"some text, some more text, " * 20)

    for cut in range(4, len(body)):
        with pytest.raises(ArchiveError, match=r"is cut short|is damaged"):
            unpack(body[:cut])


def test_truncation_inside_a_skippable_frame_is_an_error() -> None:
    body = zstd(b"data") + skippable(b"12345")

    for cut in range(len(zstd(b"data")) + 4, len(body)):
        with pytest.raises(ArchiveError, match="is cut short"):
            unpack(body[:cut])


def test_gzip_followed_by_something_else_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(gzipped(b"data") + b"\0\0something else")


def test_zstd_followed_by_something_else_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="followed by something else"):
        unpack(zstd(b"data") + b"something else")


def test_a_wrong_checksum_is_an_error(compress: Compress) -> None:
    body = bytearray(compress(b"data" * 100))
    body[-5 if compress is gzipped else -1] ^= 1

    with pytest.raises(ArchiveError, match="damaged"):
        unpack(bytes(body))


def test_a_zstd_window_that_only_long_mode_makes_is_refused_by_name() -> None:
    # Window_Descriptor 0x90: exponent 18, 2 ** 28 bytes (RFC 8878 3.1.1.1.2).
    with pytest.raises(ArchiveError, match="without --long"):
        unpack(b"\x28\xb5\x2f\xfd\x00\x90\x01\0\0")


@given(
    st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b""]),
    st.binary(max_size=200),
)
def test_arbitrary_bytes_raise_only_our_own_errors(magic: bytes, rest: bytes) -> None:
    with suppress(BuilderError):
        unpack(magic + rest)


@given(st.data())
def test_mutated_bodies_raise_only_our_own_errors(data: st.DataObject) -> None:
    packs: list[Compress] = [gzipped, zstd, zlib.compress]
    pack = data.draw(st.sampled_from(packs))
    body = bytearray(pack(b"context/Dockerfile" * 30))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[at] = data.draw(st.integers(0, 255))

    with suppress(BuilderError):
        unpack(bytes(body))
