"""The image that our client has built equals buildctl's, digest for digest, on the same real daemon."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stack import buildkitd, machine

from function.buildkit import Client
from function.context.shared_key import SharedKeys

from .builders import buildctls, ours
from .contexts import CONTEXTS, Context, Directory, File, HardLink, Link

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A daemon of its own: what others send between two builds would spoil buildctl's."""
    with buildkitd.start(machine.prepared()) as daemon:
        yield daemon.address


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, None, patience=30)


@pytest.fixture(scope="module")
def keys() -> SharedKeys:
    return SharedKeys()


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="differential-"))
    yield made
    shutil.rmtree(made)


def assert_alike(
    context: Context, client: Client, keys: SharedKeys, address: str, base: Path
) -> str:
    folder = base / "context"
    folder.mkdir()
    context.write(folder)
    theirs = buildctls(address, folder, base)
    assert ours(client, keys, folder) == theirs
    return theirs


@pytest.mark.parametrize("name", CONTEXTS)
def test_builds_what_buildctl_builds(
    name: str, client: Client, keys: SharedKeys, address: str, folder: Path
) -> None:
    digest = assert_alike(CONTEXTS[name], client, keys, address, folder)
    assert digest.startswith("sha256:"), f"{name}: neither can build it, so it proves nothing"


NAMES = st.sampled_from(["a", "a-b", "a.b", "b", "c d", "é", "k.md", "z.md", "secret", ".x"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
NODES = st.one_of(
    st.builds(File, st.binary(max_size=40), st.sampled_from([0o644, 0o755, 0o600, 0o4711])),
    st.builds(Directory, st.sampled_from([0o755, 0o700, 0o1777])),
    st.builds(Link, st.one_of(PATHS, st.just("/a"), st.just("../b"), st.just("."))),
)
PATTERNS = st.lists(
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(
                ["!", "*", "**", "**/", "/", "?", "a", "b", "k.md", "[a-c]", ".md", "secret", "\\a"]
            ),
            min_size=1,
            max_size=4,
        ),
    ),
    max_size=5,
)
SOURCES = st.one_of(st.just("."), PATHS, st.sampled_from(["a*", "*", "b/*", "*/a", "[ab]*"]))


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    nodes: dict[str, File | Directory | Link | HardLink] = {}
    for path, node in draw(st.dictionaries(PATHS, NODES, max_size=10)).items():
        parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        is_free = path not in nodes and not any(other.startswith(path + "/") for other in nodes)
        if is_free and all(
            isinstance(nodes.get(parent, Directory()), Directory) for parent in parents
        ):
            nodes[path] = node
    files = [path for path, node in nodes.items() if isinstance(node, File)]
    for target in draw(st.lists(st.sampled_from(files), max_size=1)) if files else []:
        nodes["hard"] = HardLink(target)
    # Each once: of a source that one COPY names twice the daemon makes now this and now that image
    # (buildctl alone two of them in 70 builds).
    drawn = dict.fromkeys(draw(st.lists(SOURCES, min_size=1, max_size=2)))
    sources = " ".join(f'"{source}",' for source in drawn)
    dockerfile = f'FROM scratch\nCOPY [{sources} "/d/"]\n'
    return Context(nodes, dockerfile, ignore="\n".join(draw(PATTERNS)))


@given(context=contexts())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # one run is like the next; a counterexample found elsewhere joins CONTEXTS
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.timeout(600)
def test_builds_or_refuses_whatever_buildctl_does(
    context: Context, client: Client, keys: SharedKeys, address: str
) -> None:
    base = Path(tempfile.mkdtemp(prefix="differential-"))
    try:
        assert_alike(context, client, keys, address, base)
    finally:
        shutil.rmtree(base)


def test_never_builds_a_file_the_daemon_has_instead_of_the_one_sent(
    client: Client, keys: SharedKeys, folder: Path
) -> None:
    """Same names, sizes, modes and times; other contents, back and forth, and some files unchanged."""
    contents = [b"one", b"two", b"one", b"six", b"two"]
    for number, content in enumerate(contents):
        context = Context({"changing": File(content), "constant": File(b"constant")})
        base = folder / str(number)
        (base / "context").mkdir(parents=True)
        context.write(base / "context")
        kept = ours(client, keys, base / "context", name="staleness")
        anew = ours(client, keys, base / "context")
        assert kept == anew


def test_family_is_large_enough() -> None:
    assert len(CONTEXTS) >= 60
