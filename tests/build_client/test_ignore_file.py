"""The files that .dockerignore leaves out, as scripts/build.py reads it, beside the builder's own reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from build_client.context.ignore_file import IgnoreFile
from hypothesis import example, given
from hypothesis import strategies as st

from function.fsutil.filepath_match import PatternError
from function.fsutil.patterns import PatternList, clean_path

if TYPE_CHECKING:
    from collections.abc import Sequence

parts = st.text("ab.*?[]^-!\\|\x80é", min_size=1, max_size=4) | st.sampled_from(
    ["**", "a", "ab", ".a"]
)
patterns = st.lists(parts, min_size=1, max_size=3).map("/".join)
lines = st.tuples(st.sampled_from(["", "", "!", "/"]), patterns).map("".join)
paths = st.lists(st.text("ab.-é\x80", min_size=1, max_size=3), min_size=1, max_size=4)


def ignored(text: bytes, path: str, kept: frozenset[str] = frozenset()) -> bool:
    file = IgnoreFile.parse(text, kept)
    matched, verdict, at = file.root, False, ""
    for part in path.split("/"):
        at = f"{at}/{part}" if at else part
        verdict, matched = file.judge(at, matched)
    return verdict


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        (b"fixtures", "fixtures/caf", True),
        (b"fixtures/", "fixtures/caf", True),
        (b"/fixtures", "fixtures/caf", True),
        (b"./fixtures", "fixtures/caf", True),
        (b"*.sock", "run.sock", True),
        (b"*.sock", "var/run.sock", False),
        (b"**/*.sock", "var/run.sock", True),
        (b"**/*.sock", "run.sock", True),
        (b"**/node_modules", "a/b/node_modules/c", True),
        (b"a/**/z", "a/b/c/z", True),
        (b"a/**", "a/b", True),
        (b"*\n!src", "src/main.c", False),
        (b"*\n!src\nsrc/old", "src/old/x", True),
        (b"# comment\n\n  a  \r\n", "a", True),
        (b"#a", "#a", False),
        (b"\xef\xbb\xbfa", "a", True),
        (b"caf\xe9", "caf\udce9", True),
        (b"a[0-9]", "a5", True),
        (b"a[^0-9]", "a5", False),
        (b"a.b", "axb", False),
        (rb"a\*", "a*", True),
        (rb"a\*", "ab", False),
        (b"a b", "a b", True),
    ],
)
def test_a_path_is_ignored_as_docker_build_does(text: bytes, path: str, expected: bool) -> None:
    assert ignored(text, path) is expected


def test_what_the_builder_reads_itself_is_kept() -> None:
    file = IgnoreFile.parse(b"*", frozenset({"docker/Dockerfile"}))

    assert not file.judge("docker/Dockerfile", (True,))[0]
    assert file.may_keep_below("docker")
    assert not file.may_keep_below("dock")


@pytest.mark.parametrize(
    "text", [b"a[", b"[]a]", b"!", b"*.{a,b}|c", b"^?", b"[?a]", b"a\\", b"/!a"]
)
def test_what_is_not_understood_is_left_to_the_builder(text: bytes) -> None:
    assert not ignored(b"a\n" + text, "a")


@given(st.lists(lines, max_size=4), paths)
@example(["**a", "!b/**"], ["b", "a"])
@example(["a", "!a/b", "a/b/**"], ["a", "b", "c"])
@example(["?", "/!?"], ["a"])
def test_nothing_is_left_out_that_the_builder_would_take(
    patterns: Sequence[str], parts: Sequence[str]
) -> None:
    text = "\n".join(patterns).encode("utf-8", "surrogateescape")
    ours = IgnoreFile.parse(text, frozenset())
    if not ours.patterns:
        return
    try:
        theirs = PatternList(as_read(patterns))
        theirs_says, places, at = False, theirs.root, ""
        ours_says, matched = False, ours.root
        for part in parts:
            at = f"{at}/{part}" if at else part
            theirs_says, places = theirs.enter(part, places)
            ours_says, matched = ours.judge(at, matched)
            assert ours_says == theirs_says
    except PatternError:
        return  # the build fails, whatever was sent


def as_read(patterns: Sequence[str]) -> list[str]:
    """Read the lines as the daemon reads an ignore file (moby/patternmatcher ignorefile)."""
    read = []
    for line in patterns:
        pattern = line.removeprefix("!")
        if line.startswith("#") or not pattern:
            continue
        cleaned = clean_path(pattern)
        cleaned = cleaned[1:] if len(cleaned) > 1 and cleaned.startswith("/") else cleaned
        read.append(f"!{cleaned}" if line.startswith("!") else cleaned)
    return read
