from __future__ import annotations

from array import array

import pytest

from function.errors import ArchiveError, BodyTooLarge
from function.fsutil.sparse import SparseFile
from function.fsutil.tree import Entry, Kind, Tree, sort_key
from function.request.archive import DOCKERFILE, find, require_dockerfile, rooted_at


def tree(*lines: str) -> Tree:
    """Make a tree of one-line paths: a directory ends with a slash, a symlink states its target."""
    return Tree(tuple(sorted(map(entry, lines), key=lambda entry: sort_key(entry.path))))


def entry(line: str) -> Entry:
    path, arrow, target = line.partition(" -> ")
    if arrow:
        return Entry(path, Kind.SYMLINK, 0o777, 1, linkname=target)
    if path.endswith("/"):
        return Entry(path.rstrip("/"), Kind.DIRECTORY, 0o755, 2)
    if path.endswith("|"):
        return Entry(path.rstrip("|"), Kind.PIPE, 0o644, 4)
    return Entry(path, Kind.FILE, 0o644, 3, memoryview(b"data"))


def paths(found: Tree) -> list[str]:
    return [entry.path for entry in found.entries]


@pytest.mark.parametrize("name", ["Dockerfile", "dockerfile", "Dockerfile -> build.Dockerfile"])
def test_a_context_with_a_dockerfile_is_left_as_it_is(name: str) -> None:
    context = tree(name, "sub/", "sub/Dockerfile")

    assert rooted_at(context, [DOCKERFILE]) is context


def test_looks_into_a_lone_directory() -> None:
    context = tree("ctx/", "ctx/Dockerfile", "ctx/fn/", "ctx/fn/handler.py", "ctx/z -> fn")

    found = rooted_at(context, [DOCKERFILE])

    assert found == tree("Dockerfile", "fn/", "fn/handler.py", "z -> fn")


def test_looks_as_deep_as_there_is_nothing_but_one_directory() -> None:
    context = tree("build/", "build/fn/", "build/fn/Dockerfile", "build/fn/x")

    assert paths(rooted_at(context, [DOCKERFILE])) == ["Dockerfile", "x"]


def test_the_dockerfile_may_be_named_and_lie_deeper() -> None:
    context = tree("ctx/", "ctx/docker/", "ctx/docker/prod")

    assert rooted_at(context, ["ctx/docker/prod"]) is context
    assert paths(rooted_at(context, ["docker/prod"])) == ["docker", "docker/prod"]
    assert paths(rooted_at(context, ["prod"])) == ["prod"]


def test_an_earlier_name_goes_before_a_later_one() -> None:
    context = tree("fn/", "fn/Dockerfile", "fn/options")

    assert paths(rooted_at(context, [DOCKERFILE, "fn/options"])) == ["Dockerfile", "options"]
    assert rooted_at(context, ["fn/options", DOCKERFILE]) is context


def test_only_the_default_name_may_be_in_lower_case() -> None:
    require_dockerfile(tree("d/", "d/dockerfile"), "d/Dockerfile")
    with pytest.raises(ArchiveError, match=r"no Prod\.Dockerfile in context/"):
        require_dockerfile(tree("prod.dockerfile"), "Prod.Dockerfile")


def test_finds_an_entry_by_its_path() -> None:
    context = tree("a/", "a/x", "a-b", "b -> a")

    assert [find(context, path) for path in ("a", "a/x", "a-b", "b")] == list(context.entries)
    assert [find(context, path) for path in ("", "0", "a/", "a/y", "c")] == [None] * 5


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(tree(), id="nothing"),
        pytest.param(tree("handler.py"), id="a file"),
        pytest.param(tree("Dockerfile/"), id="a directory of that name"),
        pytest.param(tree("Dockerfile/", "Dockerfile/x"), id="a directory of that name, not empty"),
        pytest.param(tree("a/", "a/Dockerfile", "b"), id="beside another file"),
        pytest.param(tree("a/", "a/Dockerfile", "a-b"), id="beside a file that sorts after"),
        pytest.param(tree("a/", "a/Dockerfile", "ab/"), id="beside another directory"),
        pytest.param(tree("a -> b"), id="a symlink"),
        pytest.param(tree("a/", "a/b/"), id="directories only"),
    ],
)
def test_rejects_a_context_without_a_dockerfile(context: Tree) -> None:
    with pytest.raises(ArchiveError, match="no Dockerfile in context/"):
        require_dockerfile(rooted_at(context, [DOCKERFILE]), DOCKERFILE)


@pytest.mark.parametrize(
    ("names", "pipe"),
    [
        (["Dockerfile|"], "Dockerfile"),
        (["Dockerfile", ".dockerignore|"], ".dockerignore"),
        (["Dockerfile", "Dockerfile.dockerignore|"], "Dockerfile.dockerignore"),
        (["Dockerfile -> d/pipe", "d/", "d/pipe|"], "d/pipe"),
        (["Dockerfile", ".dockerignore -> d", "d -> pipe", "pipe|"], "pipe"),
    ],
)
def test_refuses_a_pipe_that_the_daemon_would_wait_at(names: list[str], pipe: str) -> None:
    with pytest.raises(ArchiveError, match=f'^"{pipe}" in context/ is a named pipe'):
        require_dockerfile(tree(*names), DOCKERFILE)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Dockerfile", []),
        (".dockerignore", ["Dockerfile"]),
        ("Dockerfile.dockerignore", ["Dockerfile"]),
        ("d/large", ["Dockerfile -> d/large", "d/"]),
    ],
)
def test_refuses_a_file_that_the_daemon_would_drown_in(name: str, names: list[str]) -> None:
    def context(size: int) -> Tree:
        content = SparseFile(memoryview(b""), array("q"), size)  # no memory here
        large = Entry(name, Kind.FILE, 0o644, 1, content)
        return Tree(
            tuple(sorted((*tree(*names).entries, large), key=lambda each: sort_key(each.path)))
        )

    require_dockerfile(context(4 << 20), DOCKERFILE)
    with pytest.raises(
        BodyTooLarge, match=f'^"{name}" in context/ has 4194305 bytes; a Dockerfile'
    ):
        require_dockerfile(context((4 << 20) + 1), DOCKERFILE)


def test_another_pipe_is_none_of_the_daemons() -> None:
    require_dockerfile(tree("Dockerfile", "pipe|", "x.dockerignore|"), DOCKERFILE)
