from __future__ import annotations

import pytest

from function.context.ignore_file import local_trees, with_ignore_file
from function.fsutil.tree import Entry, Kind, Tree, sort_key

OFFERED = "Dockerfile.dockerignore"


def tree(**files: bytes) -> Tree:
    entries = [Entry(path, Kind.FILE, 0o644, 0, memoryview(data)) for path, data in files.items()]
    return Tree(tuple(sorted(entries, key=lambda entry: sort_key(entry.path))))


def contents(of: Tree) -> dict[str, bytes]:
    return {entry.path: bytes(entry.data) for entry in of.entries}


def test_offers_the_ignore_file_beside_the_dockerfile_and_nowhere_else() -> None:
    context = tree(**{"Dockerfile": b"FROM x", ".dockerignore": b"secret", "z": b""})
    trees = local_trees(with_ignore_file(context), context)
    assert trees["context"] == context
    assert contents(trees["dockerfile"])[OFFERED].splitlines()[0] == b"secret"


def test_an_absent_ignore_file_is_offered_as_one_that_ignores_nothing() -> None:
    offered = contents(with_ignore_file(tree(Dockerfile=b"FROM x")))[OFFERED]
    rules = [line for line in offered.splitlines() if line and not line.startswith(b"#")]
    assert (offered != b"", rules) == (True, [])


def test_a_dockerfiles_own_ignore_file_stands() -> None:
    context = tree(**{"Dockerfile": b"FROM x", ".dockerignore": b"a", OFFERED: b"b"})
    assert with_ignore_file(context) is context
    assert local_trees(context, context) == {"context": context, "dockerfile": context}


def test_an_ignore_file_that_is_a_link_is_left_to_the_daemon() -> None:
    link = Entry(".dockerignore", Kind.SYMLINK, 0o777, 0, linkname="elsewhere")
    context = Tree((link, *tree(Dockerfile=b"FROM x").entries))
    assert with_ignore_file(context) is context


def test_what_is_offered_stays_in_the_order_of_sending() -> None:
    paths = [entry.path for entry in with_ignore_file(tree(Dockerfile=b"", a=b"", Z=b"")).entries]
    assert paths == sorted(paths, key=sort_key)


def test_what_is_offered_looks_changed_when_the_ignore_file_does() -> None:
    """Compare times, as the daemon and the shared keys do: one that never changed would cost the key."""
    ignore = Entry(".dockerignore", Kind.FILE, 0o644, 1_700_000_000_123_456_789)
    [_, _, offered] = with_ignore_file(Tree((ignore, *tree(Dockerfile=b"").entries))).entries
    assert (offered.path, offered.mtime) == (OFFERED, ignore.mtime)


@pytest.mark.parametrize("before", [b"", b"a\n", b"\r\n"])
@pytest.mark.parametrize("after", [b"", b"\n", b"\nb"])
def test_a_line_that_the_daemon_refuses_stays_in_the_file_it_is_in(
    before: bytes, after: bytes
) -> None:
    def offered(size: int) -> bool:
        ignore = before + b"x" * size + after
        context = tree(**{"Dockerfile": b"FROM x", ".dockerignore": ignore})
        return with_ignore_file(context) is not context

    assert offered(65_535)
    assert not offered(65_536)
