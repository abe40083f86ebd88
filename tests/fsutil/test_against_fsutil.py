"""Trees stated by us and by tonistiigi/fsutil: alike, for the same patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from function.fsutil import PatternError, Patterns, Sender, walk

from .packets import Stat, stated
from .reference import Refused
from .trees import patterns, tree, trees

if TYPE_CHECKING:
    from function.fsutil.tree import Tree

    from .reference import Reference


def ours(context: Tree, asked: Patterns) -> list[Stat] | None:
    """Return our entries, or None if the patterns are refused."""
    try:
        chosen = walk(context, asked)
    except PatternError:
        return None
    return stated(Sender(chosen))


def theirs(reference: Reference, context: Tree, asked: Patterns) -> list[Stat] | None:
    try:
        return reference.walk(context, asked)
    except Refused:
        return None


BADLY_SORTED = tree(
    "a b", "a-b", "a.b/x", "a/", "a/x/z", "a/x-y", "a0", "ab", "A", "é/é", "é-", "日本", "n" * 255
)  # fmt: skip
PROJECT = tree(
    "Dockerfile", "README.md", "src/a.py", "src/a.pyc", "src/deep/b.py", "src/deep/c.md", "src/[x]",
    "secret/key", "secret/pub", "secret/deep/pub", "node_modules/m/i.js", ".git/HEAD", "empty/",
    "a|b", "x{2}", "xx",
)  # fmt: skip
LINKED = tree(
    "real/file", "real/other", "link -> real", "absolute -> /real", "up -> ../../real", "chain -> link",
    "dangling -> nowhere", "loop -> loop", "here -> .", "dir/back -> ../real/file", "dir/own",
    "wild1 -> real/file", "wild2 -> real/other", "l* -> real", "long -> dir/back",
)  # fmt: skip
HARD = tree("a", "d/b = a", "z = a", "m", "n = m")


LATIN = tree(
    "caf\udce9/a", "caf\udce9/\udce9", "\udcff", "\udcff.md", "\ue000", "\ufffd", "\ufffd.md", "😀", "é",
    "l -> caf\udce9", "m -> \udcff", "n -> *\udcff", "o -> nowhere\udce9", "w -> ?\udce9",
)  # fmt: skip
PIPES = tree("a|", "b", "d/p|")


def excluding(*lines: str) -> Patterns:
    return Patterns(exclude=lines)


def including(*lines: str) -> Patterns:
    return Patterns(include=lines)


def following(*paths: str) -> Patterns:
    return Patterns(follow_paths=paths)


CASES = {
    "everything": (BADLY_SORTED, Patterns()),
    "names that sort badly, but one": (BADLY_SORTED, excluding("a/x")),
    "a directory": (PROJECT, excluding("secret")),
    "a directory with a slash": (PROJECT, excluding("secret/")),
    "a leading slash": (PROJECT, excluding("/secret")),
    "spaces around": (PROJECT, excluding("  secret \t", " ")),
    "an unclean path": (PROJECT, excluding("./src/../secret//deep/.")),
    "what is in a directory": (PROJECT, excluding("secret/*")),
    "an exception in a directory": (PROJECT, excluding("secret", "!secret/pub")),
    "an exception in its contents": (PROJECT, excluding("secret/*", "!secret/pub")),
    "an exception deep below": (PROJECT, excluding("*", "!src/deep/b.py")),
    "an exception by wildcard": (PROJECT, excluding("src", "!**/b.py")),
    "an exception that is taken back": (PROJECT, excluding("src", "!src/deep", "src/deep/c.md")),
    "the same line again": (PROJECT, excluding("src", "!src/deep", "src")),
    "exceptions only": (PROJECT, excluding("!src")),
    "everything but": (PROJECT, excluding("**", "!README.md")),
    "a suffix": (PROJECT, excluding("**/*.md")),
    "a suffix within a name": (PROJECT, excluding("**.py")),
    "a prefix": (PROJECT, excluding("s**")),
    "any depth": (PROJECT, excluding("**/deep/**")),
    "three stars": (PROJECT, excluding("src/***.py")),
    "a class": (PROJECT, excluding("[!s]*", "src/[a-c].py")),
    "an escaped class": (PROJECT, excluding("src/\\[x\\]")),
    "a star in a class": (PROJECT, excluding("src/[a*]?py")),
    "an alternative, which upstream forgets to escape": (PROJECT, excluding("src|b*")),
    "a count, which upstream forgets to escape": (PROJECT, excluding("x{2}*")),
    "a caret, which upstream forgets to escape": (PROJECT, excluding("^s*")),
    "a backslash that becomes a class of Go's": (PROJECT, excluding("src\\w", "s\\x72c/*")),
    "a backslash that Go has no meaning for": (PROJECT, excluding("src\\yes")),
    "a class that never ends": (PROJECT, excluding("[a")),
    "a class that never ends, later": (PROJECT, excluding("src*[a")),
    "a malformed pattern that is never tried": (PROJECT, excluding("**", "[b-a]")),
    "nothing but an exclamation mark": (PROJECT, excluding("!")),
    "a lone dot": (PROJECT, excluding(".")),
    "including a file deep below": (PROJECT, including("src/deep/b.py")),
    "including by wildcard": (PROJECT, including("**/*.py")),
    "including a directory": (PROJECT, including("src/deep")),
    "including what is excluded": (PROJECT, Patterns(("src",), ("src/deep",))),
    "including what is excepted": (PROJECT, Patterns(("src/deep",), ("src", "!**/c.md"))),
    "including exceptions only": (PROJECT, including("!src")),
    "including a dot": (PROJECT, including(".")),
    "including blanks": (PROJECT, including(" ")),
    "following a file": (PROJECT, following("README.md", "nowhere")),
    "following the root": (PROJECT, following("src", ".")),
    "following below what is followed": (PROJECT, following("src", "src/deep", "src/deep/b.py")),
    "following by wildcard": (PROJECT, following("src/*.py", "s*/deep")),
    "following what is excluded": (PROJECT, Patterns(("empty",), ("src/*.py",), ("src",))),
    "following upwards": (PROJECT, following("../src", "src/../secret")),
    "a link": (LINKED, following("link")),
    "through a link": (LINKED, following("link/file")),
    "through a link twice": (LINKED, following("link/file", "link/other")),
    "through an absolute link": (LINKED, following("absolute/file")),
    "through a link out of the tree": (LINKED, following("up/file")),
    "through a chain": (LINKED, following("chain/file")),
    "into a loop": (LINKED, following("loop/file")),
    "a dangling link": (LINKED, following("dangling")),
    "a link to the root": (LINKED, following("here")),
    "through a link to the root": (LINKED, following("here/dir/own")),
    "a link in a directory": (LINKED, following("dir/back")),
    "a link to a link": (LINKED, following("long")),
    "links by wildcard": (LINKED, following("wild*")),
    "through links by wildcard": (LINKED, following("?ink/oth*")),
    "a link in a wildcard directory": (LINKED, following("d*/back")),
    "a link whose name is a wildcard": (LINKED, following("l\\*")),
    "a malformed wildcard": (LINKED, following("[a")),
    "links by class": (LINKED, following("[lw]i*")),
    "hard links": (HARD, Patterns()),
    "hard links without the first": (HARD, excluding("a")),
    "hard links but one": (HARD, excluding("a", "z")),
    "following one hard link": (HARD, following("z", "n")),
    "bytes": (LATIN, Patterns()),
    "bytes, without the character that Go shows for them": (LATIN, excluding("\ufffd")),
    "bytes by a wildcard and the character that Go shows for them": (LATIN, excluding("*\ufffd*")),
    "bytes by that character before a wildcard": (LATIN, excluding("\ufffd*")),
    "bytes by that character before anything": (LATIN, excluding("\ufffd**")),
    "bytes by that character after anything": (LATIN, excluding("**\ufffd")),
    "bytes by a class of that character": (LATIN, excluding("[\ufffd]*")),
    "bytes by a range around that character": (LATIN, excluding("[\ufff0-\uffff]*")),
    "bytes by a class without that character": (LATIN, excluding("[^\ufffd]*")),
    "bytes by a question mark": (LATIN, excluding("caf?", "?")),
    "bytes by wildcard": (LATIN, excluding("caf*/*")),
    "following bytes": (LATIN, following("l", "m")),
    "following bytes further": (LATIN, following("l/a")),
    "following bytes by wildcard": (LATIN, following("caf?/*", "[\ufffd]*")),
    "following to bytes with a wildcard": (LATIN, following("n")),
    "following to bytes with a question mark": (LATIN, following("w")),
    "following to bytes that are nowhere": (LATIN, following("o")),
    "named pipes": (PIPES, Patterns()),
    "named pipes but one": (PIPES, excluding("d")),
}  # fmt: skip


@pytest.mark.parametrize(("context", "asked"), CASES.values(), ids=CASES)
def test_states_what_fsutil_states(context: Tree, asked: Patterns, reference: Reference) -> None:
    assert ours(context, asked) == theirs(reference, context, asked)


@given(context=trees(), asked=patterns())
@settings(max_examples=500, deadline=None)
def test_states_what_fsutil_states_of_any_tree_for_any_patterns(
    context: Tree, asked: Patterns, reference: Reference
) -> None:
    assert ours(context, asked) == theirs(reference, context, asked)
