from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.context import shared_key
from function.context.shared_key import SharedKeys, once
from function.fsutil.tree import Entry, Kind, Tree

SECOND = 1_000_000_000


def tree(*contents: bytes, mtime: int = 7 * SECOND, mode: int = 0o644) -> Tree:
    """A file "0", "1" … of each content."""
    return Tree(
        tuple(
            Entry(str(number), Kind.FILE, mode, mtime, memoryview(content))
            for number, content in enumerate(contents)
        )
    )


def looks(sent: Tree) -> list[tuple[str, int, int, int]]:
    """All that the daemon compares."""
    return [(entry.path, len(entry.data), entry.mode, entry.mtime) for entry in sent.entries]


def test_an_unchanged_context_is_not_sent_twice() -> None:
    fresh = SharedKeys()

    assert fresh.prepare("image", tree(b"a", b"b")) == fresh.prepare("image", tree(b"a", b"b"))


def test_a_changed_file_of_the_same_size_and_time_looks_different() -> None:
    fresh = SharedKeys()
    _, before = fresh.prepare("image", tree(b"old"))

    _, after = fresh.prepare("image", tree(b"new"))

    assert looks(before) != looks(after)


def test_only_the_changed_file_looks_different() -> None:
    fresh = SharedKeys()
    key, before = fresh.prepare("image", tree(b"same", b"old"))

    key_after, after = fresh.prepare("image", tree(b"same", b"new"))

    assert key_after == key
    assert looks(after)[0] == looks(before)[0]
    assert looks(after)[1] != looks(before)[1]


@given(st.integers(min_value=-(10**18), max_value=4 * 10**18))
def test_the_second_that_an_image_keeps_is_never_changed(mtime: int) -> None:
    _, sent = SharedKeys().prepare("image", tree(b"a", mtime=mtime))

    assert sent.entries[0].mtime // SECOND == mtime // SECOND


@given(st.lists(st.lists(st.sampled_from([b"aa", b"bb", b"cc"]), max_size=3), max_size=8))
def test_under_one_key_one_look_is_one_content(builds: list[list[bytes]]) -> None:
    fresh = SharedKeys(names=2, files=4)
    seen: dict[object, bytes] = {}

    for contents in builds:
        key, sent = fresh.prepare("image", tree(*contents))
        for entry, look in zip(sent.entries, looks(sent), strict=True):
            assert seen.setdefault((key, look), bytes(entry.data)) == entry.data


def test_contents_that_look_alike_by_chance_are_kept_apart_by_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_key, "_NANOSECONDS", 1)  # every stamp is the same
    fresh = SharedKeys()
    key, before = fresh.prepare("image", tree(b"old"))

    key_after, after = fresh.prepare("image", tree(b"new"))

    assert looks(before) == looks(after)
    assert key_after != key


def test_contexts_of_different_images_have_different_keys() -> None:
    fresh = SharedKeys()

    assert fresh.prepare("a", tree(b"x"))[0] != fresh.prepare("b", tree(b"x"))[0]


def test_another_replica_never_has_the_same_key() -> None:
    assert SharedKeys().prepare("a", tree(b"x"))[0] != SharedKeys().prepare("a", tree(b"x"))[0]


def test_what_is_forgotten_gets_a_new_key() -> None:
    fresh = SharedKeys(names=1)
    key, _ = fresh.prepare("a", tree(b"x"))
    fresh.prepare("b", tree(b"x"))

    assert fresh.prepare("a", tree(b"x"))[0] != key


def test_a_memory_that_is_full_starts_anew() -> None:
    fresh = SharedKeys(files=1)
    key, _ = fresh.prepare("a", tree(b"x"))

    assert fresh.prepare("a", tree(b"y"))[0] != key


def test_a_directory_keeps_its_time_to_the_nanosecond() -> None:
    folder = Entry("d", Kind.DIRECTORY, 0o755, 123_456_789)

    assert SharedKeys().prepare("a", Tree((folder,)))[1] == Tree((folder,))


def test_a_key_for_once_is_never_repeated() -> None:
    assert len({once() for _ in range(100)}) == 100


@pytest.mark.parametrize("mtime", [-(1 << 63), (1 << 63) - 1], ids=["earliest", "latest"])
def test_a_stamp_never_carries_a_time_out_of_its_64_bits(mtime: int) -> None:
    for number in range(50):
        content = memoryview(str(number).encode())
        entry = Entry("a", Kind.FILE, 0o644, mtime, content)
        _, sent = SharedKeys().prepare("fn", Tree((entry,)))
        assert -(1 << 63) <= sent.entries[0].mtime < 1 << 63
