"""Trees of one line per entry, and trees and patterns by chance."""

from __future__ import annotations

from hypothesis import strategies as st

from function.fsutil import Patterns
from function.fsutil.tree import Entry, Kind, Tree, encoded, sort_key


def tree(*lines: str) -> Tree:
    """Read entries as "file", "directory/", "pipe|", "link -> target" and "name = file", its hard link.

    Parents are implied. Every file holds its own path, and every entry has a time of its own.
    """
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, start=1):
        path, arrow, target = line.partition(" -> ")
        name, equals, first = line.partition(" = ")
        if arrow:
            add(entries, Entry(path, Kind.SYMLINK, 0o777, number, linkname=target))
        elif equals:
            old = entries[first]
            inode = old.inode or number
            for linked in (first, name):
                add(entries, old._replace(path=linked, inode=inode))
        elif line.endswith("|"):
            add(entries, Entry(line[:-1], Kind.PIPE, 0o640, number))
        elif line.endswith("/"):
            add(entries, Entry(line[:-1], Kind.DIRECTORY, 0o755, number))
        else:
            add(entries, Entry(line, Kind.FILE, 0o644, number, memoryview(encoded(line))))
    return in_order(entries)


def add(entries: dict[str, Entry], entry: Entry) -> None:
    entries[entry.path] = entry
    parent = entry.path.rpartition("/")[0]
    if parent and parent not in entries:
        add(entries, Entry(parent, Kind.DIRECTORY, 0o755, 1))


def in_order(entries: dict[str, Entry]) -> Tree:
    return Tree(tuple(sorted(entries.values(), key=lambda entry: sort_key(entry.path))))


NAMES = st.sampled_from(
    [
        "a",
        "b",
        "x",
        "ab",
        "aa",
        "a-b",
        "a b",
        "é",
        ".x",
        "1",
        "d1",
        "b.md",
        "a|b",
        "{2}",
        "a*",
        "[a]",
        "caf\udce9",
        "\udcff",
        "\ue000",
        "\ufffd",
        "😀",
    ]
)
TARGETS = st.sampled_from(
    [
        "a",
        "b",
        "/a",
        "../b",
        "a/b",
        ".",
        "..",
        "/",
        "x/a",
        "../../a",
        "nope",
        "a/../b",
        "./ab",
        "/ab/x",
        "caf\udce9",
        "/\udcff/a",
    ]
)
ATTRIBUTES = st.sampled_from(
    [(), (), ((b"user.a", b"1"),), ((b"user.\xff", b"\xff\0"), (b"user.b", b""))]
)
# Whole seconds, so that every file system keeps them, on both sides of 1970.
TIMES = st.integers(-(10**9), 2 * 10**9).map(lambda seconds: seconds * 10**9)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    entries: dict[str, Entry] = {}
    directories = [""]
    for number in range(1, draw(st.integers(1, 14)) + 1):
        directory = draw(st.sampled_from(directories))
        path = f"{directory}/{draw(NAMES)}".lstrip("/")
        if path in entries:
            continue
        kind = draw(
            st.sampled_from([Kind.DIRECTORY, Kind.FILE, Kind.FILE, Kind.SYMLINK, Kind.PIPE])
        )
        mtime = draw(TIMES)
        if kind is Kind.DIRECTORY:
            mode = draw(st.sampled_from([0o755, 0o700, 0o2755, 0o1777]))
            entries[path] = Entry(path, kind, mode, mtime, xattrs=draw(ATTRIBUTES))
            directories.append(path)
        elif kind is Kind.PIPE:
            entries[path] = Entry(path, kind, draw(st.sampled_from([0o644, 0o4755])), mtime)
        elif kind is Kind.SYMLINK:
            entries[path] = Entry(path, kind, 0o777, mtime, linkname=draw(TARGETS))
        else:
            linkable = [entry for entry in entries.values() if entry.inode]
            old = draw(st.sampled_from([None, *linkable]))
            if old:
                mode, mtime, data, inode = old.mode, old.mtime, old.data, old.inode
                xattrs = old.xattrs
            else:
                xattrs = draw(ATTRIBUTES)
                mode = draw(st.sampled_from([0o644, 0o4755, 0o6711, 0]))
                data = memoryview(bytes(draw(st.integers(0, 5))))
                inode = number if draw(st.booleans()) else 0
            entries[path] = Entry(path, kind, mode, mtime, data, "", inode, xattrs)
    return in_order(entries)


# What patterns are made of: all that means something to one of the languages they pass through.
ATOMS = st.sampled_from([
    *"ab1x.*?/!^-|$+()[] \\", "aa", "ab", "é", "..", ".x", "b.md", "md", "d1", "**", "**/", "/**", "/*",
    "\ufffd", "[\ufffd]", "[\ufff0-\uffff]", "caf",
    "[ab]", "[^a]", "[a-c]", "[a*]", "[?]", "[**]", "[b-a]", "[[:alpha:]]", "[[:^word:]]", "[\\d]", "\\*",
    "\\d", "\\w", "\\W", "\\b", "\\B", "\\A", "\\z", "\\x61", "\\141", "\\Q", "\\E", "{2}", "{0,1}", "{2,}",
    "{1001}",
])  # fmt: skip
ODD = st.lists(ATOMS, min_size=1, max_size=7).map("".join)
USUAL = st.lists(
    st.one_of(NAMES, st.sampled_from(["*", "**", "a*", "*b", "?", ".", "[ab]*"])),
    min_size=1,
    max_size=3,
).map("/".join)
LINES = st.builds(str.__add__, st.sampled_from(["", "", "!"]), st.one_of(USUAL, ODD))


def patterns() -> st.SearchStrategy[Patterns]:
    lines = st.lists(LINES, max_size=4).map(tuple)
    paths = st.lists(st.one_of(USUAL, ODD), max_size=2).map(tuple)
    return st.builds(
        Patterns, include=st.one_of(st.just(()), lines), exclude=lines, follow_paths=paths
    )
