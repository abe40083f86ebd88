from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import ArchiveError, BuilderError
from function.request.archive.members import DIRECTORY, FILE, HARD_LINK, SYMLINK, Member, members

from ..tar_members import (
    BLOCK,
    END,
    Header,
    directory,
    file,
    gnu_long,
    hard_link,
    pax,
    pax_record,
    symlink,
    tar,
)

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000


def read(body: bytes) -> list[Member]:
    return list(members(memoryview(body)))


def only(body: bytes) -> Member:
    [member] = read(body)
    return member


def test_reads_a_plain_member() -> None:
    header = file("context/a", b"data", mode=b"0004751\0", mtime=b"00000000144\0")

    member = only(tar(header))

    assert member == (b"context/a", FILE, 0o4751, 100 * SECOND, b"", b"data", ())


def test_data_are_views_into_the_body() -> None:
    body = bytearray(tar(file("a", b"data")))
    [member] = members(memoryview(body))

    body[BLOCK : BLOCK + 4] = b"DATA"

    assert member.data == b"DATA"


def test_members_follow_one_another_whatever_their_sizes() -> None:
    sizes = [0, 1, 511, 512, 513, 1024, 0]

    found = read(tar(*(file(str(size), bytes(size)) for size in sizes)))

    assert [len(member.data) for member in found] == sizes


@pytest.mark.parametrize("kind", [b"\0", b"0", b"7"], ids=["V7", "ustar", "contiguous"])
def test_every_kind_of_file_is_a_file(kind: bytes) -> None:
    assert only(tar(file("a", b"data").but(type=kind))).type == FILE


@pytest.mark.parametrize("kind", [b"\0", b"0", b"5"])
def test_a_trailing_slash_makes_a_directory(kind: bytes) -> None:
    assert only(tar(file("a/").but(type=kind, magic=b""))).type == DIRECTORY


def test_links_have_targets_and_no_data_whatever_their_size_says() -> None:
    linked = hard_link("b", "a").but(size=b"00000000004\0")
    found = read(tar(linked, symlink("c", "../x"), file("d", b"d")))

    assert [(m.type, m.link, bytes(m.data)) for m in found] == [
        (HARD_LINK, b"a", b""),
        (SYMLINK, b"../x", b""),
        (FILE, b"", b"d"),
    ]


def test_joins_the_prefix_of_ustar() -> None:
    assert only(tar(file("n", prefix=b"p" * 155))).name == b"p" * 155 + b"/n"


def test_takes_gnus_other_fields_for_no_prefix() -> None:
    # GNU keeps atime where ustar has the prefix.
    assert only(tar(file("n", prefix=b"00000000001\0", magic=b"ustar  \0"))).name == b"n"


def test_fields_that_fill_their_room_need_no_nul() -> None:
    assert only(tar(file("n" * 100, link=b"l" * 100))).name == b"n" * 100


def test_reads_gnu_long_names_and_links() -> None:
    member = only(
        tar(gnu_long(b"K", b"l" * 300), gnu_long(b"L", b"n" * 600), symlink("short", "short"))
    )

    assert (member.name, member.link) == (b"n" * 600, b"l" * 300)


def test_a_long_name_is_for_the_next_member_only() -> None:
    found = read(tar(gnu_long(b"L", b"long"), file("a"), file("b")))

    assert [member.name for member in found] == [b"long", b"b"]


def test_passes_over_a_volume_label() -> None:
    label = Header(name="../label", type=b"V")

    assert [member.name for member in read(tar(label, file("a")))] == [b"a"]


@pytest.mark.parametrize("kind", [b"x", b"X"], ids=["POSIX", "Solaris"])
def test_pax_records_overrule_the_header(kind: bytes) -> None:
    records: dict[str, str | bytes] = {
        "path": "päth",
        "linkpath": "lïnk",
        "mtime": "12.5",
        "size": "3",
        "SCHILY.xattr.user.x": b"\xff\0=\n",
        "SCHILY.xattr.trusted.x": b"not a user's",
        "comment": "ignored",
    }

    member = only(tar(pax(records, kind), file("a", b"abc", size=b"\0")))

    assert member == (
        "päth".encode(),
        FILE,
        0o644,
        12_500_000_000,
        "lïnk".encode(),
        b"abc",
        ((b"user.x", b"\xff\0=\n"),),
    )


def test_global_pax_records_hold_until_overruled_or_taken_back() -> None:
    found = read(
        tar(
            pax({"mtime": "1", "comment": "of git archive"}, b"g"),
            file("a"),
            pax({"mtime": "2"}),
            file("b"),
            pax({"mtime": ""}),
            file("c", mtime=b"00000000003\0"),
            file("d"),
        )
    )

    assert [member.mtime // SECOND for member in found] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        ("1.0000000019", 1_000_000_001),
        ("1.", SECOND),
        ("1.5", 1_500_000_000),
        ("-1.5", -1_500_000_000),
        ("-0.000000001", -1),
    ],
)
def test_pax_times_are_exact_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert only(tar(pax({"mtime": text}), file("a"))).mtime == nanoseconds


@pytest.mark.parametrize(
    ("field", "number"),
    [
        pytest.param(b"00000000012\0", 10, id="digits and NUL"),
        pytest.param(b"00000000012 ", 10, id="digits and space"),
        pytest.param(b"        12 \0", 10, id="padded with spaces"),
        pytest.param(b"12\0" + bytes(9), 10, id="NULs after"),
        pytest.param(b"777777777777", 8**12 - 1, id="digits all over"),
        pytest.param(bytes(12), 0, id="nothing"),
        pytest.param(b" " * 12, 0, id="spaces"),
        pytest.param(b"\x80" + bytes(10) + b"\x0a", 10, id="base 256"),
        pytest.param(b"\x80" + bytes(6) + b"\x02" + bytes(4), 1 << 33, id="base 256, large"),
        pytest.param(b"\xff" * 12, -1, id="base 256, negative"),
        pytest.param(b"\xff" * 10 + b"\xfe\x0c", -500, id="base 256, more negative"),
    ],
)
def test_numbers_are_octal_or_base_256(field: bytes, number: int) -> None:
    assert only(tar(file("a", mtime=field))).mtime == number * SECOND


@pytest.mark.parametrize(
    "field",
    [
        b"00000000008\0",
        b"0x000000012\0",
        b"-0000000012\0",
        b"1_2\0" + bytes(8),
        b"12\x0034\0" + bytes(6),
    ],
)
def test_rejects_numbers_that_are_not_octal(field: bytes) -> None:
    with pytest.raises(ArchiveError, match="is not octal"):
        read(tar(file("a", mtime=field)))


def test_takes_the_checksum_that_adds_signed_bytes() -> None:
    block = bytearray(bytes(file("näme")))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(memoryview(bytes(block)).cast("b"))

    assert only(bytes(block) + END).name == "näme".encode()


@given(at=st.integers(0, BLOCK - 1), change=st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_noticed(at: int, change: int) -> None:
    first = bytes(file("first"))
    second = bytearray(bytes(file("second", b"data")))
    second[at] = (second[at] + change) % 256

    if 148 <= at < 156:  # the checksum itself, where spaces and NULs are as good as one another
        with suppress(ArchiveError):
            read(first + bytes(second) + END)
    else:
        with pytest.raises(ArchiveError, match="no tar header at byte 512"):
            read(first + bytes(second) + END)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"hello", id="short text"),
        pytest.param(b"PK\x03\x04" + b"zip" * 500, id="a zip"),
        pytest.param(b'{"image": "x"}' * 100, id="JSON"),
        pytest.param(b"-----boundary\r\n" + tar(file("a")), id="a form"),
    ],
)
def test_rejects_what_is_no_tar(body: bytes) -> None:
    with pytest.raises(ArchiveError, match="not a tar archive"):
        read(body)


def test_every_truncation_is_noticed_unless_it_takes_only_padding() -> None:
    first = bytes(file("a", b"x" * 700))
    second = bytes(pax({"path": "b"})) + bytes(file("", b"y" * 10))
    harmless = {*range(BLOCK + 700, len(first) + 1), *range(len(first + second) - 502, 10**4)}

    for cut in range(1, len(first + second)):
        body = (first + second)[:cut]
        if cut in harmless:
            read(body)
        else:
            with pytest.raises(ArchiveError, match=r"cut short|not a tar"):
                read(body)


@pytest.mark.parametrize(
    "end",
    [b"", bytes(1), bytes(BLOCK - 1), bytes(BLOCK), END, bytes(20 * BLOCK)],
    ids=lambda end: f"{len(end)} zeros",
)
def test_the_end_may_be_marked_by_any_number_of_zeros(end: bytes) -> None:
    assert only(tar(file("a", b"data"), end=end)).data == b"data"


def test_what_follows_the_end_is_not_read() -> None:
    assert only(tar(file("a")) + b"anything").name == b"a"


def test_rejects_members_after_a_lone_block_of_zeros() -> None:
    with pytest.raises(ArchiveError, match="goes on after one block of zeros"):
        read(tar(file("a"), end=bytes(BLOCK)) + bytes(file("b")))


def test_rejects_what_go_sdk_makes_of_data_that_end_in_zeros() -> None:
    # Its appendToTar cuts all zero blocks off the end, those of the last member's data too.
    with pytest.raises(ArchiveError, match="cut short"):
        read(tar(file("a", b"x" + bytes(5000))).rstrip(b"\0") + bytes(511) + tar(file("b")))


def old_gnu(*pairs: tuple[int, int], size: int, data: bytes) -> bytes:
    """Make a member of type S, with as many blocks after its header as its map needs."""
    block = bytearray(bytes(file("context/big", data, type=b"S", magic=b"ustar  \0"))[:BLOCK])
    written = [b"%011o\0%011o\0" % pair for pair in pairs]
    block[386:482] = b"".join(written[:4]).ljust(96, b"\0")
    block[482] = len(written) > 4
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    out = bytes(block)
    rest = written[4:]
    while rest:
        out += b"".join(rest[:21]).ljust(504, b"\0") + bytes([len(rest) > 21]) + bytes(7)
        rest = rest[21:]
    return out + data + bytes(-len(data) % BLOCK)


def of_map(version: str, *pairs: tuple[int, int], size: int, data: bytes) -> bytes:
    """Make a member as GNU tar writes it in one of PAX' versions."""
    if version == "0.0":
        said = pax({"GNU.sparse.size": str(size), "GNU.sparse.numblocks": str(len(pairs))})
        split = b"".join(
            pax_record("GNU.sparse.offset", b"%d" % offset)
            + pax_record("GNU.sparse.numbytes", b"%d" % length)
            for offset, length in pairs
        )
        return tar(said.but(data=said.data + split), file("context/big", data), end=b"")
    numbers = [str(number) for pair in pairs for number in pair]
    records: dict[str, str | bytes] = {"GNU.sparse.name": "context/big"}
    if version == "0.1":
        records |= {"GNU.sparse.size": str(size), "GNU.sparse.map": ",".join(numbers)}
    else:
        records |= {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": str(size),
        }
        text = "\n".join([str(len(pairs)), *numbers, ""]).encode()
        data = text + bytes(-len(text) % BLOCK) + data
    return tar(pax(records), file("./GNUSparseFile.0/big", data), end=b"")


def sparse_member(version: str, *pairs: tuple[int, int], size: int, data: bytes) -> bytes:
    if version == "old GNU":
        return old_gnu(*pairs, size=size, data=data)
    return of_map(version, *pairs, size=size, data=data)


versions = pytest.mark.parametrize("version", ["old GNU", "0.0", "0.1", "1.0"])


@versions
@pytest.mark.parametrize(
    ("pairs", "size", "content"),
    [
        ([(0, 1), (3, 2)], 5, b"a\0\0bc"),
        ([(2, 3), (9, 0)], 9, b"\0\0abc\0\0\0\0"),
        ([(0, 3)], 3, b"abc"),
        ([], 4, bytes(4)),
        ([(4, 0)], 4, bytes(4)),
        ([(0, 0)], 0, b""),
        ([(2 * at + 1, 1) for at in range(60)], 130, b"\0a" * 60 + bytes(10)),
    ],
)
def test_reads_sparse_files(
    version: str, pairs: list[tuple[int, int]], size: int, content: bytes
) -> None:
    data = content.replace(b"\0", b"")
    body = sparse_member(version, *pairs, size=size, data=data) + tar(file("after", b"after"))

    sparse, after = read(body)

    assert (sparse.name, sparse.type, len(sparse.data), bytes(sparse.data)) == (
        b"context/big",
        FILE,
        size,
        content,
    )
    assert after[:6] == (b"after", FILE, 0o644, 0, b"", b"after")


@versions
@pytest.mark.parametrize(
    ("pairs", "size", "data"),
    [
        pytest.param([(0, 2), (1, 1)], 9, b"abc", id="pieces that overlap"),
        pytest.param([(5, 1), (1, 1)], 9, b"ab", id="pieces out of order"),
        pytest.param([(8, 2)], 9, b"ab", id="a piece beyond the end"),
        pytest.param([(0, 2)], 9, b"abc", id="more data than pieces"),
        pytest.param([(0, 3)], 9, b"ab", id="less data than pieces"),
        pytest.param([(0, 8**11 - 1)], 8**11 - 1, b"", id="a piece without its data"),
    ],
)
def test_rejects_a_sparse_file_whose_map_contradicts_itself(
    version: str, pairs: list[tuple[int, int]], size: int, data: bytes
) -> None:
    with pytest.raises(ArchiveError, match='"context/big" is a sparse file, and what says where'):
        read(sparse_member(version, *pairs, size=size, data=data))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"x\n",
        b"1\n0\n",
        b"1\n0\n-1\n",
        b"9999999999\n",
        b"1" * 30,
        b"1\n0\n" + b"1" * 30 + b"\n",
    ],
)
def test_rejects_a_map_of_1_0_that_cannot_be_read(text: bytes) -> None:
    said = {"GNU.sparse.major": "1", "GNU.sparse.name": "context/big", "GNU.sparse.realsize": "9"}

    with pytest.raises(ArchiveError, match='"context/big" is a sparse file, and what says where'):
        read(tar(pax(said), file("x", text)))


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.map": "0,1"},
        {"GNU.sparse.map": "0", "GNU.sparse.size": "1"},
        {"GNU.sparse.map": "0,x", "GNU.sparse.size": "1"},
        {"GNU.sparse.offset": "0", "GNU.sparse.size": "1"},
        {"GNU.sparse.name": "context/big"},
    ],
)
def test_rejects_a_map_of_pax_that_cannot_be_read(records: dict[str, str | bytes]) -> None:
    with pytest.raises(ArchiveError, match='"context/big" is a sparse file, and what says where'):
        read(tar(pax(records), file("context/big", b"x")))


def test_rejects_an_archive_that_calls_all_its_members_sparse() -> None:
    with pytest.raises(ArchiveError, match="calls all its members sparse"):
        read(tar(pax({"GNU.sparse.size": "9"}, b"g"), file("a")))


def test_what_is_said_of_a_sparse_file_is_said_of_no_other() -> None:
    records: dict[str, str | bytes] = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "2"}
    _, second = read(tar(pax(records), file("a", b"x"), file("b", b"y")))

    assert (second.name, second.data) == (b"b", b"y")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=3)), max_size=80),
    st.integers(0, 3),
    st.sampled_from(["old GNU", "0.0", "0.1", "1.0"]),
)
def test_agrees_with_tarfile_on_sparse_files(
    pieces: list[tuple[int, bytes]], tail: int, version: str
) -> None:
    pairs, at = [], 0
    for gap, data in pieces:
        pairs.append((at + gap, len(data)))
        at += gap + len(data)
    size = at + tail
    pairs.append((size, 0))
    body = (
        sparse_member(version, *pairs, size=size, data=b"".join(data for _, data in pieces)) + END
    )

    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        [info] = archive
        extracted = archive.extractfile(info)
        assert extracted
        assert bytes(only(body).data) == extracted.read()


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=" ".join,
)
def test_reads_the_sparse_files_of_gnu_tar(options: list[str], tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as big:
        for at in range(40):
            big.seek(at << 17)
            big.write(b"data %d" % at)
        big.truncate(6 << 20)
    written = subprocess.run(
        ["tar", "-C", tmp_path, "--sparse", *options, "-cf", "-", "big"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout

    assert len(written) < 1 << 20
    assert bytes(only(written).data) == (tmp_path / "big").read_bytes()


def test_reads_the_attributes_that_gnu_tar_stores(tmp_path: Path) -> None:
    marked = tmp_path / "a"
    marked.write_bytes(b"data")
    xattrs = ((b"user.=%\xff", b"\0\n=\xff"), (b"user.a", b"1"))
    for name, value in xattrs:
        os.setxattr(marked, name, value)
    written = subprocess.run(
        ["tar", "-C", tmp_path, "--xattrs", "-cf", "-", "a"], stdout=subprocess.PIPE, check=True
    ).stdout

    assert only(written).xattrs == xattrs


def test_reads_the_folders_of_an_incremental_archive(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"data")
    written = subprocess.run(
        ["tar", "-C", tmp_path, f"--listed-incremental={tmp_path}/snapshot", "-cf", "-", "d"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout

    assert [(member.name, member.type) for member in read(written)] == [
        (b"d/", DIRECTORY),
        (b"d/a", FILE),
    ]


@pytest.mark.parametrize("record", [b"5 a=\n", b"9 mtime=\n", b"8 a=bbb\n"])
@pytest.mark.parametrize("kind", [b"x", b"g"])
def test_tiny_pax_records_are_bounded(kind: bytes, record: bytes) -> None:
    """Read a few megabytes of 95 MiB of records before it is known that no tar has so many."""
    header = bytes(Header(name="pax", type=kind, data=record * ((1 << 20) // len(record))))
    body = header * 95 + bytes(file("a")) + END

    begun = time.thread_time()
    with pytest.raises(ArchiveError, match="PAX records by the thousand"):
        read(body)
    assert time.thread_time() - begun < 1


def test_thirty_records_to_a_member_are_read() -> None:
    said = pax({f"comment.{number}": "x" for number in range(30)})

    assert len(read(tar(*[said, file("a")] * 4000))) == 4000


def test_a_keyword_without_its_end_is_looked_for_once() -> None:
    """Look for the "=" once, and not for each record through all that follows."""
    body = bytes(Header(name="pax", type=b"x", data=b"4 a\n" * (1 << 18))) * 50

    begun = time.thread_time()
    with pytest.raises(ArchiveError, match="malformed record"):
        read(body)
    assert time.thread_time() - begun < 0.5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"path=x\n", "record length"),
        (b"9 path=x", "malformed record"),
        (b"99 path=x\n", "malformed record"),
        (b"0 path=x\n", "malformed record"),
        (b"8 pathx\n", "malformed record"),
        (b"-9 path=x\n", "record length"),
        (b"1" * 5000 + b" path=x\n", "record length"),
    ],
)
def test_rejects_malformed_pax_records(data: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        read(tar(Header(name="pax", type=b"x", data=data), file("a")))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("size", "-1"), ("size", "1.5"), ("size", "9" * 5000), ("mtime", "noon"), ("mtime", "1e9")],
)
def test_rejects_malformed_pax_values(keyword: str, value: str) -> None:
    with pytest.raises(ArchiveError, match=f"malformed {keyword}"):
        read(tar(pax({keyword: value}), file("a")))


def test_rejects_an_extended_header_that_no_tar_would_write() -> None:
    with pytest.raises(ArchiveError, match="extends over"):
        read(tar(gnu_long(b"L", b"n" * (2 << 20)), file("a")))


def test_rejects_an_extended_header_without_its_member() -> None:
    with pytest.raises(ArchiveError, match="has no member after it"):
        read(tar(pax({"path": "a"})))


def test_rejects_a_negative_size() -> None:
    with pytest.raises(ArchiveError, match='"a" has a negative size'):
        read(tar(file("a", size=b"\xff" * 12)))


def test_a_size_beyond_the_body_says_how_much_is_missing() -> None:
    with pytest.raises(ArchiveError, match='"a" should have 4096 bytes, but 1024 are there'):
        read(tar(file("a", size=b"00000010000\0")))


@st.composite
def tar_infos(draw: st.DrawFn, *, times: st.SearchStrategy[float]) -> tuple[tarfile.TarInfo, bytes]:
    parts = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=80)
    info = tarfile.TarInfo("/".join(draw(st.lists(parts, min_size=1, max_size=4))))
    info.type = draw(st.sampled_from([FILE, DIRECTORY, SYMLINK, HARD_LINK]))
    info.mode = draw(st.integers(0, 0o7777))
    info.mtime = draw(times)
    data = b""
    if info.type in (SYMLINK, HARD_LINK):
        info.linkname = "/".join(draw(st.lists(parts, min_size=1, max_size=4)))
    elif info.type == FILE:
        data = draw(st.binary(max_size=1200))
        info.size = len(data)
    return info, data


def written(infos: list[tuple[tarfile.TarInfo, bytes]], dialect: int) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=dialect) as archive:
        for info, data in infos:
            archive.addfile(info, io.BytesIO(data))
    return body.getvalue()


def expected(info: tarfile.TarInfo, data: bytes, mtime: int) -> Member:
    name = info.name.encode() + (b"/" if info.type == DIRECTORY else b"")
    return Member(name, info.type, info.mode, mtime, info.linkname.encode(), memoryview(data))


whole_seconds = st.integers(0, 8**11 - 1)


@given(st.lists(tar_infos(times=whole_seconds), max_size=6))
def test_agrees_with_tarfile_on_gnu(infos: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    body = written(infos, tarfile.GNU_FORMAT)

    assert read(body) == [expected(info, data, int(info.mtime) * SECOND) for info, data in infos]


@given(st.lists(tar_infos(times=st.integers(-(1 << 40), 1 << 40)), max_size=6))
def test_agrees_with_tarfile_on_gnus_wide_and_negative_times(
    infos: list[tuple[tarfile.TarInfo, bytes]],
) -> None:
    body = written(infos, tarfile.GNU_FORMAT)

    assert [member.mtime for member in read(body)] == [int(i.mtime) * SECOND for i, _ in infos]


# Quarters are exact in a float, and so in tarfile's decimals.
quarters = st.integers(-(1 << 35), 1 << 35).map(lambda quarter: quarter / 4)


@given(st.lists(tar_infos(times=quarters), max_size=6))
def test_agrees_with_tarfile_on_pax(infos: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    body = written(infos, tarfile.PAX_FORMAT)

    assert read(body) == [
        expected(info, data, int(info.mtime * 4) * (SECOND // 4)) for info, data in infos
    ]


@given(st.lists(tar_infos(times=whole_seconds), max_size=6))
def test_agrees_with_tarfile_on_ustar(infos: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with suppress(ValueError):  # a name too long for ustar
        body = written(infos, tarfile.USTAR_FORMAT)

        assert read(body) == [
            expected(info, data, int(info.mtime) * SECOND) for info, data in infos
        ]


@given(st.binary(max_size=4 * BLOCK))
def test_arbitrary_bytes_raise_only_our_own_errors(body: bytes) -> None:
    with suppress(BuilderError):
        read(body)


fields = st.one_of(
    st.binary(max_size=8), st.from_regex(rb"[ \x00]{0,2}[0-8]{0,4}[ \x00]{0,2}", fullmatch=True)
)
records = st.from_regex(rb"([0-9]{1,2} [a-z]{0,9}=.{0,9}\n){0,3}", fullmatch=True)
headers = st.builds(
    Header,
    name=st.binary(max_size=100),
    data=st.one_of(st.binary(max_size=600), records),
    type=st.sampled_from([bytes([kind]) for kind in b"\x000123456789xXgLKSVDMN"]),
    link=st.binary(max_size=100),
    mode=fields,
    mtime=fields,
    size=st.one_of(st.none(), fields),
    magic=st.sampled_from([b"ustar\x0000", b"ustar  \0", b""]),
    prefix=st.binary(max_size=155),
)


@given(st.lists(headers, max_size=5))
def test_hostile_headers_raise_only_our_own_errors(found: list[Header]) -> None:
    with suppress(BuilderError):
        read(tar(*found))


def test_directory_headers_without_a_slash_are_directories() -> None:
    assert only(tar(directory("context"))).type == DIRECTORY
