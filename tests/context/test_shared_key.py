from __future__ import annotations

import threading
import tracemalloc
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.context import shared_key
from function.context.shared_key import SharedKeys, once
from function.fsutil.sparse import SparseFile
from function.fsutil.tree import Entry, Kind, Tree

SECOND = 1_000_000_000
MIB = 1 << 20


def tree(*contents: bytes, mtime: int = 7 * SECOND, mode: int = 0o644) -> Tree:
    """Make a file "0", "1" … of each content."""
    return Tree(
        tuple(
            Entry(str(number), Kind.FILE, mode, mtime, memoryview(content))
            for number, content in enumerate(contents)
        )
    )


def many(count: int, *, mtime: int = 0) -> Tree:
    return tree(*[b""] * count, mtime=mtime)


def test_an_unchanged_context_is_sent_under_the_same_key() -> None:
    keys = SharedKeys()

    assert keys.choose("image", tree(b"a", b"b")) == keys.choose("image", tree(b"a", b"b"))


@pytest.mark.parametrize("size", [3, 2 * MIB])
def test_another_content_of_the_same_look_is_sent_under_another_key(size: int) -> None:
    keys = SharedKeys()
    before = keys.choose("image", tree(b"a" * size))

    assert keys.choose("image", tree(b"b" * size)) != before


def test_a_key_is_never_used_again_for_what_it_cannot_tell_apart() -> None:
    keys = SharedKeys()

    chosen = [keys.choose("image", tree(content)) for content in (b"a", b"b", b"a", b"b")]

    assert len(set(chosen)) == 4


def test_a_key_remembers_more_than_the_build_before() -> None:
    keys = SharedKeys()
    first = keys.choose("image", tree(b"old", mtime=1))
    assert keys.choose("image", tree(b"new", mtime=2)) == first

    assert keys.choose("image", tree(b"odd", mtime=1)) != first


OLD = Entry("0", Kind.FILE, 0o644, 7 * SECOND, memoryview(b"old"))
NEW = OLD._replace(data=memoryview(b"new"))


@pytest.mark.parametrize(
    "changed",
    [
        NEW._replace(mtime=8 * SECOND),
        NEW._replace(mtime=7 * SECOND + 1),
        NEW._replace(mode=0o755),
        NEW._replace(data=memoryview(b"longer")),
    ],
    ids=["second", "nanosecond", "mode", "size"],
)
def test_a_change_that_the_daemon_sees_keeps_the_key(changed: Entry) -> None:
    keys = SharedKeys()
    before = keys.choose("image", Tree((OLD,)))

    assert keys.choose("image", Tree((changed,))) == before


@pytest.mark.parametrize(("one", "other"), [(-(1 << 62), -(1 << 31) * SECOND), (1 << 62, 1 << 61)])
def test_times_that_a_file_system_moves_to_its_ends_are_taken_for_the_same(
    one: int, other: int
) -> None:
    """Try the ends of time: ext4 and XFS begin in 1901, and some XFS end in 2038."""
    keys = SharedKeys()
    before = keys.choose("image", tree(b"old", mtime=one))

    assert keys.choose("image", tree(b"new", mtime=other)) != before


BUILDS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.sampled_from([b"aa", b"bb", b"cc"]), max_size=3),
        st.integers(0, 2),
    ),
    max_size=12,
)


@given(BUILDS, st.sampled_from([0, 3_000, 64 * MIB]))
def test_under_one_key_one_look_is_one_content(
    builds: list[tuple[str, list[bytes], int]], most_bytes: int
) -> None:
    keys = SharedKeys(most_bytes=most_bytes)
    seen: dict[object, bytes] = {}

    for name, contents, mtime in builds:
        sent = tree(*contents, mtime=mtime)
        key = keys.choose(name, sent)
        for entry in sent.entries:
            look = (key, entry.path, len(entry.data), entry.mode, entry.mtime)
            assert seen.setdefault(look, bytes(entry.data)) == entry.data


def test_under_one_key_one_look_is_one_content_however_many_build_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_key, "_FEW_BYTES", 0)
    keys = SharedKeys()
    chosen: list[tuple[str, int]] = []

    def build(number: int) -> None:
        content = number % 3
        chosen.append((keys.choose("image", tree(b"%d" % content * MIB)), content))

    threads = [threading.Thread(target=build, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(chosen) == 30
    assert len(dict(chosen)) == len(set(chosen))


def test_a_new_content_is_hashed_while_it_is_sent_and_a_known_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashing, may_end = threading.Event(), threading.Event()
    content = shared_key._content

    def held(entry: Entry) -> bytes:
        hashing.set()
        assert may_end.wait(30)
        return content(entry)

    monkeypatch.setattr(shared_key, "_content", held)
    keys, large = SharedKeys(), tree(bytes(2 * MIB))

    key = keys.choose("image", large)

    assert hashing.wait(30)
    with ThreadPoolExecutor(1) as threads:
        known = threads.submit(keys.choose, "image", large)
        with pytest.raises(TimeoutError):
            known.result(0.05)
        may_end.set()
        assert known.result(30) == key


def test_contents_that_cannot_be_remembered_leave_a_key_that_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = SharedKeys()
    key = keys.choose("image", tree(b"a"))

    def fail(entry: Entry) -> bytes:
        raise MemoryError(entry.path)

    with monkeypatch.context() as patch:
        patch.setattr(shared_key, "_content", fail)
        with pytest.raises(MemoryError):
            keys.choose("image", tree(b"longer"))

    assert keys.choose("image", tree(b"a")) != key


def test_contexts_of_different_images_have_different_keys() -> None:
    keys = SharedKeys()

    assert keys.choose("a", tree(b"x")) != keys.choose("b", tree(b"x"))


def test_another_replica_never_has_the_same_key() -> None:
    assert SharedKeys().choose("a", tree(b"x")) != SharedKeys().choose("a", tree(b"x"))


def test_what_was_built_last_is_remembered() -> None:
    keys = SharedKeys(most_bytes=2 * shared_key._BYTES_OF_A_NAME + 1000)
    first, second = (keys.choose(name, tree(b"x")) for name in "ab")
    assert keys.choose("a", tree(b"x")) == first
    keys.choose("c", tree(b"x"))

    assert keys.choose("a", tree(b"x")) == first
    assert keys.choose("b", tree(b"x")) != second


def test_a_name_that_changes_all_its_times_drives_no_other_out() -> None:
    keys = SharedKeys(most_bytes=MIB)
    quiet = keys.choose("quiet", many(100))
    for build in range(200):
        keys.choose("loud", many(400, mtime=build))

    assert keys.choose("quiet", many(100)) == quiet


def test_one_context_may_take_more_than_a_names_share() -> None:
    keys = SharedKeys(most_bytes=MIB)

    assert keys.choose("a", many(3000)) == keys.choose("a", many(3000))


def test_the_bound_holds_in_bytes_over_all_names() -> None:
    most = 4 * MIB
    keys = SharedKeys(most_bytes=most)
    tracemalloc.start()
    try:
        for name in range(400):
            keys.choose(f"registry.example.com/team/{name}", many(500, mtime=name << 40))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most / 3 < taken < most


def test_the_bound_holds_for_one_name_of_many_builds() -> None:
    most = 4 * MIB
    keys = SharedKeys(most_bytes=most)
    tracemalloc.start()
    try:
        for build in range(300):
            keys.choose("a", many(500, mtime=build << 40))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < most / 4


def test_another_attribute_of_the_same_file_is_sent_under_another_key() -> None:
    keys = SharedKeys()
    [entry] = tree(b"a").entries
    chosen = [
        keys.choose("image", Tree((entry._replace(xattrs=xattrs),)))
        for xattrs in ((), ((b"user.a", b"1"),), ((b"user.a", b"2"),))
    ]

    assert len(set(chosen)) == 3


def test_a_folder_with_attributes_is_sent_under_a_key_of_its_own() -> None:
    """Ask for another key: the daemon would keep its folder, without attributes or with others."""
    keys = SharedKeys()
    folder = Entry("d", Kind.DIRECTORY, 0o755, 0)
    plain = keys.choose("image", Tree((folder,)))
    marked = Tree((folder._replace(xattrs=((b"user.a", b"1"),)),))

    assert len({plain, keys.choose("image", marked), keys.choose("image", marked)}) == 3
    assert keys.choose("image", Tree((folder,))) == plain


def test_a_sparse_file_is_known_again_and_told_from_others() -> None:
    keys = SharedKeys()

    def sparse(place: int, stored: bytes = b"x") -> Tree:
        content = SparseFile(memoryview(stored), array("q", [place, 1]), 1 << 40)
        return Tree((Entry("a", Kind.FILE, 0o644, 0, content),))

    key = keys.choose("image", sparse(7))

    assert keys.choose("image", sparse(7)) == key
    moved = keys.choose("image", sparse(8))
    assert moved != key
    assert keys.choose("image", sparse(8, b"y")) not in (key, moved)


def test_a_key_for_once_is_never_repeated() -> None:
    assert len({once() for _ in range(100)}) == 100
