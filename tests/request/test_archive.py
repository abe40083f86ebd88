from __future__ import annotations

import os
import subprocess
import tracemalloc
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function.errors import ArchiveError, BodyTooLarge, BuilderError
from function.fsutil.tree import Entry, Kind, encoded, sort_key
from function.request.archive import Archive, Limits, index

from ..tar_members import (
    BLOCK,
    CONFIG_NAME,
    Header,
    config,
    directory,
    file,
    gnu_long,
    hard_link,
    pax,
    request,
    symlink,
    tar,
)

SECRETS_NAME = "com.openfaas.secrets"


def read(body: bytes, **limits: int) -> Archive:
    return index(memoryview(body), Limits(**limits))


def entries(*members: Header, **limits: int) -> dict[str, Entry]:
    """Return the context that *members* make, less the Dockerfile of every request."""
    found = read(request(*members), **limits).context.entries
    return {entry.path: entry for entry in found if entry.path != "Dockerfile"}


def shape(*members: Header) -> dict[str, str]:
    return {path: entry.kind.value for path, entry in entries(*members).items()}


# What real archives look like.


def test_finds_config_secrets_and_context() -> None:
    body = tar(
        config("x/y"),
        directory("context"),
        file("context/Dockerfile", b"FROM x", mtime=b"00000000005\0"),
        file(SECRETS_NAME, b"version: v1"),
    )

    archive = read(body)

    assert archive.config == b'{"image": "x/y"}'
    assert archive.sealed_secrets == b"version: v1"
    [dockerfile] = archive.context.entries
    assert dockerfile == Entry(
        "Dockerfile", Kind.FILE, 0o644, 5 * 10**9, memoryview(b"FROM x"), "", 0
    )


def test_secrets_are_optional() -> None:
    assert read(request()).sealed_secrets is None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["context", "context/a", "context/a/b"], id="as go-sdk"),
        pytest.param(["./", "./context/", "./context/a/", "./context/a/b"], id="as GNU tar"),
        pytest.param(["./context/a/b"], id="without directories"),
        pytest.param(["/context/a", "/context/a/b"], id="absolute"),
        pytest.param(["context//a///b", ".//./context/./a"], id="as nobody should"),
        pytest.param(["context\\a", "context\\a\\b"], id="as go-sdk on Windows"),
        pytest.param(["./context\\a", ".\\context\\a/b"], id="from a folder of Windows"),
        pytest.param(["/context\\a", "\\context\\a\\b"], id="absolute on Windows"),
    ],
)
def test_every_spelling_of_a_path_is_the_same_path(names: list[str]) -> None:
    members = [file(name) if name.endswith("b") else directory(name) for name in names]

    assert shape(*members) == {"a": "directory", "a/b": "file"}


def test_backslashes_are_part_of_a_name_elsewhere() -> None:
    assert shape(file("context/a\\b")) == {"a\\b": "file"}


def test_the_config_may_come_last() -> None:
    assert read(tar(file("context/Dockerfile"), config())).config


def test_passes_over_what_is_beside_the_context() -> None:
    beside = [
        file("stack.yml", b"x"),
        directory("build"),
        file("build/context/x"),
        Header(name="pipe", type=b"6"),
        symlink("contextual", "context"),
        hard_link("again", "stack.yml"),
        file("."),
    ]

    assert shape(*beside) == {}


def test_keeps_all_twelve_permission_bits_and_nothing_else_of_a_mode() -> None:
    found = entries(
        file("context/a").but(mode=b"0107755\0"), directory("context/d", mode=b"0000700\0")
    )

    assert (found["a"].mode, found["d"].mode) == (0o7755, 0o700)


def test_implies_the_parents_that_no_member_states() -> None:
    found = entries(file("context/a/b/c", mtime=b"00000000007\0"))

    assert found["a"] == Entry("a", Kind.DIRECTORY, 0o755, 0)
    assert found["a/b"] == Entry("a/b", Kind.DIRECTORY, 0o755, 0)


def test_a_parent_stated_after_its_children_counts() -> None:
    assert (
        entries(file("context/a/b"), directory("context/a", mode=b"0000700\0"))["a"].mode == 0o700
    )


def test_keeps_any_symlink_as_it_is() -> None:
    targets = ["/etc/passwd", "../../../x", "a", "loop", "dangling/../..", "./a//b/", "x" * 100]
    links = [symlink(f"context/{at}", target) for at, target in enumerate(targets)]

    assert [entry.linkname for entry in entries(*links).values()] == targets


def test_entries_are_in_the_order_of_the_file_sync() -> None:
    found = read(
        request(file("context/a-b"), file("context/a/x"), file("context/a"), directory("context/a"))
    )

    paths = [entry.path for entry in found.context.entries]
    assert paths == ["Dockerfile", "a", "a/x", "a-b"]


# A name twice: the last wins, as when tar extracts.


@pytest.mark.parametrize("last", ["file", "symlink", "directory"])
@pytest.mark.parametrize("first", ["file", "symlink", "directory"])
def test_the_last_member_of_a_name_wins(first: str, last: str) -> None:
    make = {
        "file": file("context/x", b"data"),
        "symlink": symlink("context/x", "y"),
        "directory": directory("context/x"),
    }

    assert shape(make[first], make[last]) == {"x": last}


def test_the_last_content_of_a_file_wins() -> None:
    assert entries(file("context/x", b"old"), file("./context/x", b"new"))["x"].data == b"new"


def test_children_stay_when_their_directory_is_stated_again() -> None:
    found = entries(
        directory("context/d"), file("context/d/x"), directory("context/d", mode=b"0000711\0")
    )

    assert found["d"].mode == 0o711
    assert "d/x" in found


@pytest.mark.parametrize(
    ("over", "kind"), [(file("context/d"), "file"), (symlink("context/d", "x"), "symlink")]
)
@pytest.mark.parametrize("child_first", [True, False])
def test_rejects_a_member_below_what_is_no_directory(
    over: Header, kind: str, child_first: bool
) -> None:
    members = [file("context/d/e/x"), over] if child_first else [over, file("context/d/e/x")]

    with pytest.raises(ArchiveError, match=f'below "d", which is a {kind}'):
        entries(*members)


# Hard links.


def test_hard_links_share_an_inode_and_the_data() -> None:
    found = entries(
        file("context/a", b"data", mode=b"0000600\0"),
        hard_link("context/b", "context/a"),
        hard_link("./context/d/c", "./context/b"),
        file("context/other", b"data"),
    )

    inode = found["a"].inode
    assert inode != 0
    assert [found[path].inode for path in ("a", "b", "d/c")] == [inode] * 3
    assert [found[path].data for path in ("b", "d/c")] == [b"data"] * 2
    assert found["b"].mode == 0o600
    assert found["other"].inode == 0


def test_two_files_with_links_have_two_inodes() -> None:
    found = entries(
        file("context/a"),
        file("context/b"),
        hard_link("context/a2", "context/a"),
        hard_link("context/b2", "context/b"),
    )

    assert found["a"].inode == found["a2"].inode != found["b"].inode == found["b2"].inode


def test_a_link_keeps_the_file_whose_first_name_was_taken_over() -> None:
    found = entries(
        file("context/a", b"old"), hard_link("context/b", "context/a"), file("context/a", b"new")
    )

    assert (found["a"].data, found["a"].inode) == (b"new", 0)
    assert (found["b"].data, found["b"].inode) == (b"old", 0)


def test_a_directory_may_link_to_itself_as_tar_lets_it() -> None:
    found = entries(
        directory("context/a"), file("context/a/b"), hard_link("context/a", "context/a")
    )

    assert (found["a"].kind, found["a"].unfit) == (Kind.DIRECTORY, "")


def test_a_file_archived_twice_may_link_to_itself() -> None:
    found = entries(file("context/a", b"data"), hard_link("context/a", "context/a"))

    assert (found["a"].data, found["a"].inode) == (b"data", 0)


def test_a_hard_link_to_a_symlink_is_another_symlink() -> None:
    found = entries(symlink("context/a", "x"), hard_link("context/b", "context/a"))

    assert found["b"] == Entry("b", Kind.SYMLINK, 0o777, 0, linkname="x")


def test_a_hard_link_to_a_file_beside_the_context_has_its_bytes() -> None:
    found = entries(
        file("lib/a", b"data", mode=b"0000600\0"),
        hard_link("lib/b", "./lib/a"),
        hard_link("context/x", "lib/b"),
        hard_link("context/y", "lib/a"),
        hard_link("context/z", "context/y"),
    )

    assert [(entry.data, entry.mode) for entry in found.values()] == [(b"data", 0o600)] * 3
    assert found["x"].inode == found["y"].inode == found["z"].inode != 0


def test_a_lone_hard_link_to_a_file_beside_the_context_is_a_file_like_any_other() -> None:
    found = entries(file("a", b"data"), hard_link("context/x", "a"))

    assert (found["x"].data, found["x"].inode) == (b"data", 0)


def test_a_file_beside_the_context_may_be_linked_to_from_there_and_back() -> None:
    found = entries(
        file("context/a", b"data"), hard_link("b", "context/a"), hard_link("context/c", "b")
    )

    assert found["c"].data == b"data"
    assert found["a"].inode == found["c"].inode != 0


def test_a_hard_link_to_the_config_has_its_bytes() -> None:
    assert bytes(entries(hard_link("context/b", CONFIG_NAME))["b"].data).startswith(b"{")


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([hard_link("context/b", "/etc/shadow")], id="a file of the daemon"),
        pytest.param([hard_link("context/b", "context/a")], id="what is nowhere"),
        pytest.param(
            [hard_link("context/b", "context/a"), file("context/a")], id="what comes later"
        ),
        pytest.param([hard_link("context/b", "a"), file("a")], id="what comes later beside it"),
        pytest.param(
            [directory("context/d"), hard_link("context/b", "context/d")], id="a directory"
        ),
        pytest.param([directory("d"), hard_link("context/b", "d")], id="a directory beside it"),
        pytest.param([hard_link("context/b", "context")], id="the context itself"),
        pytest.param([hard_link("context/b", "")], id="nothing"),
    ],
)
def test_a_hard_link_to_no_file_is_unfit(members: list[Header]) -> None:
    assert entries(*members)["b"].unfit.startswith('"context/b" is a hard link to "')


# Bad input, each with its sentence.


def test_rejects_an_empty_body() -> None:
    with pytest.raises(ArchiveError, match="body is empty"):
        read(b"")


def test_rejects_an_empty_archive() -> None:
    with pytest.raises(ArchiveError, match=f"has no {CONFIG_NAME}"):
        read(tar())


def test_rejects_an_archive_without_a_config() -> None:
    with pytest.raises(ArchiveError, match=f"has no {CONFIG_NAME}"):
        read(tar(file("context/Dockerfile")))


def test_a_config_inside_the_context_is_none() -> None:
    with pytest.raises(ArchiveError, match=f"has no {CONFIG_NAME}"):
        read(tar(file(f"context/{CONFIG_NAME}")))


def test_rejects_an_archive_without_a_context() -> None:
    with pytest.raises(ArchiveError, match="has no context/"):
        read(tar(config(), file("Dockerfile")))


@pytest.mark.parametrize("name", [CONFIG_NAME, SECRETS_NAME])
def test_rejects_a_second_config_or_secrets(name: str) -> None:
    with pytest.raises(ArchiveError, match=f"has {name} twice"):
        read(tar(config(), file(SECRETS_NAME), file(f"./{name}"), file("context/Dockerfile")))


@pytest.mark.parametrize(
    "config_member",
    [
        directory(CONFIG_NAME),
        symlink(CONFIG_NAME, "context/x"),
        hard_link(CONFIG_NAME, "context/Dockerfile"),
        Header(name=CONFIG_NAME, type=b"6"),
    ],
    ids=["directory", "symlink", "hard link", "fifo"],
)
def test_rejects_a_config_that_is_no_regular_file(config_member: Header) -> None:
    with pytest.raises(ArchiveError, match=f"{CONFIG_NAME} must be a regular file"):
        read(tar(file("context/Dockerfile"), config_member))


@pytest.mark.parametrize("context", [file("context"), symlink("context", "/")])
def test_rejects_a_context_that_is_no_directory(context: Header) -> None:
    with pytest.raises(ArchiveError, match="context must be a directory"):
        read(tar(config(), context))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (b"3", "a character device"),
        (b"4", "a block device"),
        (b"M", "of a type that no"),
    ],
)
def test_devices_and_what_nobody_knows_are_unfit(kind: bytes, words: str) -> None:
    """Refuse them when they are to be sent: .dockerignore may leave them out, and no COPY take them."""
    found = entries(Header(name="context/x", type=kind))["x"]

    assert (found.kind, found.unfit.startswith(f'"context/x" is {words}')) == (Kind.DEVICE, True)


def test_a_named_pipe_is_one() -> None:
    pipe = Header(name="context/x", type=b"6", mode=b"0000600\0")

    assert entries(pipe)["x"] == Entry("x", Kind.PIPE, 0o600, 0)


def test_a_folder_of_an_incremental_archive_is_a_folder() -> None:
    listed = Header(name="context/d", type=b"D", data=b"Ya\0Nb\0\0", mode=b"0000700\0")

    found = entries(listed, file("context/d/a", b"data"))

    assert found["d"] == Entry("d", Kind.DIRECTORY, 0o700, 0)
    assert found["d/a"].data == b"data"


@pytest.mark.parametrize(
    "name",
    ["../x", "context/../x", "context/a/..", "..", "/..", "context/..", "context\\..\\x", "a/../b"],
)
def test_rejects_dot_dot_anywhere_in_a_name(name: str) -> None:
    with pytest.raises(ArchiveError, match=r'has "\.\." in its name'):
        entries(file(name))


@pytest.mark.parametrize("name", ["context/..a", "context/a..", "context/...", "context/.a"])
def test_dots_in_a_name_are_no_dot_dot(name: str) -> None:
    assert list(entries(file(name))) == [name.removeprefix("context/")]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([pax({"path": "context/a\0b"}), file("x")], id="PAX"),
        pytest.param([gnu_long(b"L", b"context/a\0b"), file("x")], id="GNU"),
    ],
)
def test_rejects_a_nul_in_a_name(members: list[Header]) -> None:
    with pytest.raises(ArchiveError, match=r'name "context/a\\x00b" has a NUL byte'):
        entries(*members)


def test_rejects_a_nul_in_a_symlink_target() -> None:
    with pytest.raises(ArchiveError, match=r"symlink target .* has a NUL byte"):
        entries(pax({"linkpath": "a\0b"}), symlink("context/x", "y"))


@pytest.mark.parametrize(
    "name", [b"\xff", b"\xed\xa0\x80", b"caf\xe9/\xe9", "\ufffd\ufffd".encode()]
)
def test_names_are_bytes(name: bytes) -> None:
    assert encoded(list(entries(file(b"context/" + name)))[-1]) == name


def test_targets_of_links_are_bytes() -> None:
    found = entries(
        symlink("context/x", b"caf\xe9"),
        file(b"context/caf\xe9", b"data"),
        hard_link(b"context/\xff", b"context/caf\xe9"),
    )

    assert encoded(found["x"].linkname) == b"caf\xe9"
    assert found["\udcff"].data == b"data"


@given(
    st.sets(
        st.binary(min_size=1, max_size=6).filter(lambda name: not {0, ord("/")} & {*name}),
        max_size=8,
    )
)
def test_names_that_are_bytes_are_in_the_order_of_the_file_sync(names: set[bytes]) -> None:
    """Go compares bytes; as text, those that are no UTF-8 would come before some that are."""
    names -= {b".", b".."}
    found = read(request(*(file(b"context/" + name) for name in names))).context.entries

    assert [encoded(entry.path) for entry in found] == sorted({*names, b"Dockerfile"})


@pytest.mark.parametrize("target", [b"", b"x" * 4096])
def test_a_symlink_target_that_linux_cannot_hold_is_unfit(target: bytes) -> None:
    found = entries(gnu_long(b"K", target), symlink("context/x", b""))

    assert f"target has {len(target)} bytes" in found["x"].unfit


def test_names_may_be_as_long_as_linux_takes_them() -> None:
    path = "/".join(["ä" * 127 + "a"] * 15)

    assert path in entries(gnu_long(b"L", f"context/{path}".encode()), file("x"))


@pytest.mark.parametrize("part", ["a" * 256, "ä" * 128, "\udcff" * 256])
def test_a_part_of_a_name_longer_than_255_bytes_is_unfit(part: str) -> None:
    [found] = entries(gnu_long(b"L", b"context/" + encoded(part)), file("x")).values()

    assert "part longer than 255 bytes" in found.unfit


def test_rejects_a_path_longer_than_4095_bytes() -> None:
    with pytest.raises(ArchiveError, match="longer than 4095 bytes"):
        entries(gnu_long(b"L", b"context/" + b"a/" * 2044), file("x"))


def test_a_path_may_have_256_parts_and_its_spelling_does_not_count() -> None:
    name = "context/" + ".//" * 400 + "/".join("a" * 255)

    assert len(entries(gnu_long(b"L", name.encode()), file("x"))) == 255


def test_rejects_a_path_of_more_than_256_parts() -> None:
    name = "context/" + "/".join("a" * 256)

    with pytest.raises(ArchiveError, match="a path of 257 parts; 256 are the most"):
        entries(gnu_long(b"L", name.encode()), file("x"))


def test_a_time_that_the_protocol_has_no_room_for_is_unfit() -> None:
    found = entries(file("context/x", mtime=b"\x80" + b"\x7f" * 11))["x"]

    assert found.unfit.startswith('"context/x" has a time of change out of all range')


# Windows.


def test_what_windows_archives_is_executable_as_buildkits_own_client_makes_it() -> None:
    found = entries(
        file("context\\run.sh", mode=b"0000666\0"),
        file("context\\d\\x", mode=b"0000444\0"),
        directory("context\\d", mode=b"0000777\0"),
    )

    assert {path: entry.mode for path, entry in found.items()} == {
        "d": 0o755,
        "d/x": 0o555,
        "run.sh": 0o755,
    }


def test_a_link_of_windows_leads_to_where_it_led_there() -> None:
    found = entries(
        file("context\\d\\f", b"data"),
        symlink("context\\l", "d\\f"),
        hard_link("context\\h", "context\\d\\f"),
    )

    assert (found["l"].linkname, found["h"].data) == ("d/f", b"data")


def test_a_link_of_windows_to_a_file_beside_the_context_is_executable_as_well() -> None:
    found = entries(
        file("shared\\run.sh", b"data", mode=b"0000666\0"),
        hard_link(".\\context\\h", "shared\\run.sh"),
    )

    assert (found["h"].mode, found["h"].data) == (0o755, b"data")


def test_config_and_secrets_may_have_the_separators_of_windows() -> None:
    body = tar(
        config().but(name=".\\com.openfaas.docker.config"),
        file(f".\\{SECRETS_NAME}", b"version: v1"),
        file(".\\context\\Dockerfile", b"FROM x"),
    )

    assert read(body).sealed_secrets == b"version: v1"


def test_modes_and_targets_of_other_archives_stay_as_they_are() -> None:
    found = entries(file("context/x", mode=b"0000666\0"), symlink("context/l", "d\\f"))

    assert (found["x"].mode, found["l"].linkname) == (0o666, "d\\f")


# Extended attributes.


def test_keeps_a_users_attributes_of_files_and_folders() -> None:
    records: dict[str, str | bytes] = {
        "SCHILY.xattr.user.b": b"\xff\0\n",
        "SCHILY.xattr.user.a%3D%25": "1",
        "SCHILY.xattr.security.capability": "no",
        "LIBARCHIVE.xattr.user.b": "AA",
    }
    found = entries(
        pax(records), file("context/x"), pax(records), directory("context/d"), file("context/y"),
        pax(records), symlink("context/l", "x"),
    )  # fmt: skip

    assert found["x"].xattrs == found["d"].xattrs == ((b"user.a=%", b"1"), (b"user.b", b"\xff\0\n"))
    assert found["y"].xattrs == found["l"].xattrs == ()


def test_reads_the_names_of_attributes_that_bsdtar_writes() -> None:
    """It has read "user.é=%41" on a disk."""
    found = entries(pax({"SCHILY.xattr.user.%C3%A9%3D%2541": "1"}), file("context/x"))

    assert found["x"].xattrs == (("user.é=%41".encode(), b"1"),)


def test_a_hard_link_has_its_files_attributes() -> None:
    found = entries(
        pax({"SCHILY.xattr.user.a": "1"}), file("context/x"), hard_link("context/y", "context/x")
    )

    assert found["y"].xattrs == ((b"user.a", b"1"),)


@pytest.mark.parametrize(
    "records",
    [
        {"SCHILY.xattr.user." + "n" * 251: "1"},
        {"SCHILY.xattr.user.a": "v" * 65537},
        {"SCHILY.xattr.user.a\0b": "1"},
    ],
)
def test_passes_over_attributes_that_linux_cannot_hold(records: dict[str, str | bytes]) -> None:
    assert entries(pax(records), file("context/x"))["x"].xattrs == ()


def test_attributes_count_towards_the_limit_of_names() -> None:
    marked = [pax({"SCHILY.xattr.user.a": "v" * 60000}), file("context/x")]

    with pytest.raises(BodyTooLarge, match="attributes in the archive take more than"):
        entries(*marked, entries=100)


# Sparse files.


def hole(size: int, data: bytes = b"") -> list[Header]:
    """Store a file of *size* bytes that begins with *data* as GNU tar --sparse --format=posix does."""
    records: dict[str, str | bytes] = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": "context/x", "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    said = b"1\n0\n%d\n" % len(data)
    return [pax(records), file("context/GNUSparseFile.0/x", said.ljust(BLOCK, b"\0") + data)]


def test_holes_count_towards_the_limit_before_they_exist() -> None:
    tracemalloc.start()
    try:
        found = entries(*hole(1 << 30), context_bytes=(1 << 30) + 100)["x"]
        with pytest.raises(BodyTooLarge, match="holes included"):
            entries(*hole(1 << 30), context_bytes=1 << 30)
        with pytest.raises(BodyTooLarge, match="holes included"):
            entries(*hole((1 << 63) - 1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(found.data) == 1 << 30
    assert peak < 1 << 20


def test_the_pieces_of_all_sparse_files_are_limited() -> None:
    stored = [
        pax({"GNU.sparse.map": "0,1,5,1,9,1", "GNU.sparse.size": "20"}),
        file("context/x", b"abc"),
    ]

    assert entries(*stored, entries=6)
    with pytest.raises(BodyTooLarge, match="more than 5 pieces"):
        entries(*stored, *stored, entries=5)


def test_a_sparse_config_is_a_config() -> None:
    said = b'{"image": "x/y"}'
    stored = [
        pax({"GNU.sparse.map": f"0,{len(said)}", "GNU.sparse.size": str(len(said))}),
        file(CONFIG_NAME, said),
        directory("context"),
    ]

    assert read(tar(*stored)).config == said


def test_error_messages_stay_on_one_line_and_short() -> None:
    with pytest.raises(ArchiveError) as caught:
        entries(gnu_long(b"L", b"context/../\n\x1b[2J" + b"x" * 100_000), file("x"))

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


# Limits.


def test_counts_every_member_towards_the_limit() -> None:
    members = [file("beside"), file("context/a")]

    assert entries(*members, entries=5)
    with pytest.raises(BodyTooLarge, match="more than 4 entries"):
        entries(*members, entries=4)


def test_counts_implied_parents_towards_the_limit() -> None:
    deep = file("context/" + "d/" * 40 + "x")

    with pytest.raises(BodyTooLarge, match="more than 20 entries"):
        entries(deep, entries=20)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(
            [pax({"linkpath": "a" * 4000}, kind=b"g"), *[symlink("context/x", "y")] * 7],
            id="a target for all that follow",
        ),
        pytest.param(
            [pax({"path": "context/" + "a" * 15 + "/b" * 250}), file("x")], id="implied parents"
        ),
        pytest.param(
            [
                pax({"path": "context/" + "/".join(["a" * 250] * 10 + ["\N{PACKAGE}"] * 5)}),
                file("x"),
            ],
            id="wide characters",
        ),
    ],
)
def test_limits_the_memory_that_names_take(members: list[Header]) -> None:
    assert entries(*members, entries=1000)
    with pytest.raises(BodyTooLarge, match=r"symlink targets .* more than 25600 bytes"):
        entries(*members, entries=100)


@pytest.mark.parametrize("part", ["a", "a" * 15, "\N{PACKAGE}" * 3])
def test_a_small_archive_never_makes_a_large_tree(part: str) -> None:
    deep = [pax({"path": f"context/{at}" + f"/{part}" * 240}) for at in range(80)]
    body = request(*(header for path in deep for header in (path, file("x"))))

    tracemalloc.start()
    with suppress(BodyTooLarge):
        read(body, entries=20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 25 << 20  # 5 MB of names, once more to sort by, and 20,000 entries


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([file(f"context/{at}") for at in range(3000)], id="empty files"),
        pytest.param([file(f"beside/{at}") for at in range(3000)], id="files beside the context"),
        pytest.param([file(f"context/{at}" + "\N{PACKAGE}" * 10) for at in range(3000)], id="wide"),
        pytest.param(
            [
                file(f"context/{at}", mtime=b"%011o\0" % (at << 16), mode=b"%07o\0" % (at % 512))
                for at in range(3000)
            ],
            id="times and modes of their own",
        ),
        pytest.param(
            [hard_link(f"context/{at}", "context/Dockerfile") for at in range(3000)],
            id="hard links",
        ),
        pytest.param([Header(name=f"context/{at}", type=b"3") for at in range(3000)], id="devices"),
        pytest.param(
            [
                each
                for at in range(20)
                for each in (pax({"path": f"context/{at}" + "/a" * 240}), file("x"))
            ],
            id="implied parents",
        ),
        pytest.param(
            [
                pax({"linkpath": "b" * 4000}, kind=b"g"),
                *(symlink(f"context/{at}", "x") for at in range(500)),
            ],
            id="long targets",
        ),
        pytest.param(
            [
                each
                for at in range(100)
                for each in (
                    pax({f"SCHILY.xattr.user.{number:x}": "" for number in range(32)}),
                    file(f"context/{at}"),
                )
            ],
            id="attributes",
        ),
        pytest.param(
            [
                pax({f"SCHILY.xattr.user.{number:x}": "" for number in range(35_000)}),
                file("context/one"),
            ],
            id="attributes of one file",
        ),
        pytest.param(
            [
                pax(
                    {
                        "GNU.sparse.map": ",".join(f"{at * 2},1" for at in range(60_000)),
                        "GNU.sparse.size": "200000",
                        "GNU.sparse.name": "context/one",
                    }
                ),
                file("x", b"x" * 60_000),
            ],
            id="pieces of a sparse file",
        ),
        pytest.param(
            [
                pax(
                    {
                        "GNU.sparse.map": ",".join(["300,0"] * 150_000),
                        "GNU.sparse.size": "1000",
                        "GNU.sparse.name": "context/one",
                    }
                ),
                file("x"),
            ],
            id="empty pieces of a sparse file",
        ),
    ],
)
def test_the_memory_for_an_archives_entries_is_asked_for(members: list[Header]) -> None:
    body = request(*members)
    asked: list[int] = []

    tracemalloc.start()
    archive = index(memoryview(body), Limits(), asked.append)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # Beside it one extended header at a time, and its records.
    most = max(len(member.data) for member in members)
    assert peak < sum(asked) + 4 * most + (64 << 10)
    assert sum(asked) == archive.memory_bytes


def test_no_more_entries_are_made_than_there_is_memory_for() -> None:
    asked = 0

    def reserve(size: int) -> None:
        nonlocal asked
        asked += size
        if asked > 1 << 20:
            raise BodyTooLarge("no memory")

    body = request(*(file(f"context/{at}") for at in range(20_000)))
    tracemalloc.start()
    with pytest.raises(BodyTooLarge, match="no memory"):
        index(memoryview(body), Limits(), reserve)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 << 20


def test_the_maps_of_sparse_files_are_no_longer_than_those_of_real_ones() -> None:
    empty = pax(
        {
            "GNU.sparse.map": ",".join(["0,0"] * 200_000),
            "GNU.sparse.size": "1",
            "GNU.sparse.name": "context/x",
        }
    )

    with pytest.raises(ArchiveError, match="maps of sparse files of more than"):
        entries(*([empty, file("x")] * 12))


def test_a_flood_of_entries_is_refused_without_reading_on() -> None:
    flood = bytes(file("context/x")) * 1001 + b"damage" * BLOCK

    with pytest.raises(BodyTooLarge, match="more than 1000 entries"):
        read(flood, entries=1000)


def test_limits_the_bytes_of_all_files_together() -> None:
    members = [file("context/a", bytes(300)), file("context/a", bytes(300))]
    dockerfile = len(b"FROM scratch\n")

    assert entries(*members, context_bytes=600 + dockerfile)
    with pytest.raises(BodyTooLarge, match=f"more than {599 + dockerfile} bytes"):
        entries(*members, context_bytes=599 + dockerfile)


def test_counts_the_data_of_hard_links_once() -> None:
    links = [hard_link(f"context/{at}", "context/a") for at in range(10)]

    assert entries(file("context/a", bytes(500)), *links, context_bytes=600)


def test_limits_the_size_of_the_config() -> None:
    with pytest.raises(BodyTooLarge, match=rf"{CONFIG_NAME} has .* bytes; 100 are the most"):
        read(tar(config("x" * 200), file("context/Dockerfile")), document_bytes=100)


# Properties.

parts = st.sampled_from(["a", "b", "a-b", "a.b", "ä", "A"])
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
context_members = st.one_of(
    st.builds(lambda path, data: file(f"context/{path}", data), paths, st.binary(max_size=9)),
    st.builds(lambda path: directory(f"context/{path}"), paths),
    st.builds(lambda path, to: symlink(f"context/{path}", to), paths, paths),
    st.builds(lambda path, to: hard_link(f"context/{path}", f"context/{to}"), paths, paths),
)


@given(st.lists(context_members, max_size=12))
def test_a_tree_keeps_its_promises(members: list[Header]) -> None:
    with suppress(ArchiveError):
        found = read(request(*members)).context.entries

        paths = [entry.path for entry in found]
        assert paths == sorted(set(paths), key=sort_key)
        directories = {entry.path for entry in found if entry.kind is Kind.DIRECTORY}
        assert all(path.rpartition("/")[0] in directories | {""} for path in paths)
        inodes = [entry.inode for entry in found if entry.inode]
        assert all(inodes.count(inode) > 1 for inode in inodes)


@settings(max_examples=60, deadline=None)
@given(st.lists(context_members, max_size=8))
def test_what_tar_extracts_is_what_is_built(members: list[Header]) -> None:
    body = request(*members)
    with TemporaryDirectory() as folder, suppress(ArchiveError, subprocess.CalledProcessError):
        subprocess.run(
            ["tar", "-xf", "-", "-C", folder], input=body, capture_output=True, check=True
        )
        ours = {
            entry.path: (entry.kind.value, bytes(entry.data) or entry.linkname.encode())
            for entry in read(body).context.entries
        }

        assert ours == on_disk(Path(folder, "context"))


def on_disk(root: Path) -> dict[str, tuple[str, bytes]]:
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("symlink", os.fsencode(path.readlink()))
        elif path.is_dir():
            found[name] = ("directory", b"")
        else:
            found[name] = ("file", path.read_bytes())
    return found


@given(
    st.lists(context_members, max_size=6), st.lists(st.tuples(st.integers(0), st.integers(0, 255)))
)
def test_mutated_requests_raise_only_our_own_errors(
    members: list[Header], changes: list[tuple[int, int]]
) -> None:
    body = bytearray(request(*members))
    for at, value in changes:
        body[at % len(body)] = value

    with suppress(BuilderError):
        read(bytes(body))


@given(st.binary(max_size=3 * BLOCK))
def test_arbitrary_bytes_raise_only_our_own_errors(body: bytes) -> None:
    with suppress(BuilderError):
        read(body)


@pytest.mark.parametrize("dialect", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_reads_every_dialect_of_the_real_tar(dialect: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\n")
    (context / "sub" / "tool").write_bytes(b"\x7fELF")
    (context / "sub" / "tool").chmod(0o755)
    (context / "again").hardlink_to(context / "sub" / "tool")
    (context / "link").symlink_to("sub/tool")
    (tmp_path / CONFIG_NAME).write_text("{}")

    done = subprocess.run(
        ["tar", f"--format={dialect}", "-cf", "-", "-C", tmp_path, "."],
        capture_output=True,
        check=True,
    )
    found = {entry.path: entry for entry in read(done.stdout).context.entries}

    assert list(found) == ["Dockerfile", "again", "link", "sub", "sub/tool"]
    assert found["again"].inode == found["sub/tool"].inode != 0
    assert found["again"].data == found["sub/tool"].data == b"\x7fELF"
    assert found["sub/tool"].mode == 0o755
    assert found["link"].linkname == "sub/tool"
