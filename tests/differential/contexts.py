"""The family of contexts that the builder and buildctl must build alike: each a Dockerfile and a folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ALL = "FROM scratch\nCOPY . /\n"
EPOCH = (
    1_600_000_000_123_456_789  # nanoseconds; every entry's time is counted from here, in seconds
)


@dataclass(frozen=True)
class File:
    content: bytes = b"content"
    mode: int = 0o644
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Directory:
    mode: int = 0o755
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class HardLink:
    to: str


@dataclass(frozen=True)
class Pipe:
    mode: int = 0o644


@dataclass(frozen=True)
class Device:
    """Stands for the null device, which no rootless daemon can make."""


Node = File | Directory | Link | HardLink | Pipe | Device


@dataclass(frozen=True)
class Context:
    """*nodes* by path; parents are implied, hard links come after what they link to."""

    nodes: dict[str, Node]
    dockerfile: str = ALL
    ignore: str | bytes | None = None
    ignore_name: str = ".dockerignore"

    def write(self, folder: Path) -> None:
        """Lay the context out in *folder*, with modes and times that hold whatever the umask."""
        nodes = {"Dockerfile": File(os.fsencode(self.dockerfile)), **self.nodes}
        if self.ignore is not None:
            ignore = self.ignore if isinstance(self.ignore, bytes) else self.ignore.encode()
            nodes[self.ignore_name] = File(ignore)
        for path, node in nodes.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(folder, place, node)
        modes = {
            folder / path: node.mode for path, node in nodes.items() if isinstance(node, Directory)
        }
        # From the leaves up, since writing into a folder changes its time.
        for number, place in enumerate(sorted(folder.rglob("*"), reverse=True)):
            if place.is_dir() and not place.is_symlink():
                place.chmod(modes.get(place, 0o755))
            time = EPOCH + number * 1_000_000_000
            os.utime(place, ns=(time, time), follow_symlinks=False)


def _write(folder: Path, place: Path, node: Node) -> None:
    match node:
        case Directory(_, xattrs):
            place.mkdir(exist_ok=True)
            _mark(place, xattrs)
        case Link(target):
            place.symlink_to(target)
        case HardLink(to):
            place.hardlink_to(folder / to)
        case File(content, mode, xattrs):
            place.write_bytes(content)
            _mark(place, xattrs)
            place.chmod(mode)
        case Pipe(mode):
            os.mkfifo(place)
            place.chmod(mode)
        case Device():
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))


def _mark(place: Path, xattrs: tuple[tuple[str, bytes], ...]) -> None:
    for name, value in xattrs:
        os.setxattr(place, name, value)


def _files(*paths: str) -> dict[str, Node]:
    return {path: File(os.fsencode(path)) for path in paths}


TREE = _files(
    "a", "a-b", "b/x", "b/y.md", "b/c/z.md", "b/c/k.py", "README.md", "secret/key",
    "secret/pub", "secret/deep/pub", "node_modules/m/i.js", "x.tmp", "b/x.tmp",
)  # fmt: skip


def _ignoring(ignore: str | bytes) -> Context:
    return Context(TREE, ignore=ignore)


def _copying(
    *instructions: str, nodes: dict[str, Node] | None = None, ignore: str | None = None
) -> Context:
    return Context(nodes or TREE, "FROM scratch\n" + "\n".join(instructions) + "\n", ignore)


IGNORES: dict[str, str | bytes] = {
    "a name": "secret",
    "a name with a slash": "secret/",
    "a leading slash": "/secret",
    "a path": "b/c",
    "a star": "*.md",
    "a star in a folder": "b/*.md",
    "a question mark": "?",
    "a class": "[ab]",
    "a range": "[a-b]*",
    "a negated class": "b/[^x]*",
    "double star first": "**/*.md",
    "double star last": "b/**",
    "double star between": "b/**/z.md",
    "double star alone": "**",
    "double star and a name": "**/pub",
    "double star in a name": "b**",
    "everything": "*",
    "everything but one file": "*\n!README.md",
    "everything but a folder": "*\n!b",
    "everything but a deep file": "*\n!b/c/z.md",
    "an exception in an ignored folder": "secret\n!secret/pub",
    "an exception by wildcard": "secret/*\n!secret/*ub",
    "an exception by double star": "**\n!**/pub",
    "an exception taken back": "b\n!b/c\nb/c/k.py",
    "exceptions in the wrong order": "!README.md\n*.md",
    "nested rules": "secret/*\n!secret/pub\n**/*.tmp\nnode_modules\n!b/x.tmp",
    "trailing spaces": "secret   \n  *.md  \n",
    "a comment": "# secret\n#b\nREADME.md",
    "a byte order mark": b"\xef\xbb\xbfsecret\n",
    "carriage returns": "secret\r\n*.md\r\n",
    "empty lines": "\n\n\nsecret\n\n",
    "a dot": ".",
    "dot slash": "./secret",
    "a parent that leads back": "b/../secret",
    "an escape": "\\a",
    "nothing": "",
    "the Dockerfile and itself": "Dockerfile\n.dockerignore",
}

CONTEXTS: dict[str, Context] = {
    **{f"ignoring: {name}": _ignoring(text) for name, text in IGNORES.items()},
    "ignoring by Dockerfile.dockerignore": Context(TREE, ignore="b", ignore_name="Dockerfile.dockerignore"),
    "Dockerfile.dockerignore over .dockerignore": Context(
        {**TREE, ".dockerignore": File(b"README.md")}, ignore="b", ignore_name="Dockerfile.dockerignore"
    ),
    "copying a file": _copying("COPY README.md /"),
    "copying a folder": _copying("COPY b /b"),
    "copying several": _copying("COPY README.md b/y.md a /d/"),
    "copying by wildcard": _copying("COPY b/*.md /d/"),
    "copying by a wildcard folder": _copying("COPY b/*/z.md /d/"),
    "copying by class": _copying("COPY [ab]* /d/"),
    "copying in two steps": _copying("COPY a /", "COPY b /b"),
    "copying with owner and mode": _copying("COPY --chown=1:2 --chmod=0750 b /b"),
    "copying an ignored folder's exception": _copying("COPY secret /s", ignore="secret\n!secret/pub"),
    "copying below an ignored name": _copying("COPY b/c /c", ignore="**/k.py"),
    "adding": _copying("ADD README.md b /d/"),
    "a name before its folder's": Context(_files("a", "a-b", "a.d/x", "ab", "a b")),
    "names that sort badly": Context(_files("a/x", "a-b", "a.b", "a0", "a/-", "A/z")),
    "long names": Context(_files("n" * 255, "d" * 200 + "/" + "e" * 200 + "/" + "f" * 100)),
    "spaces": Context(
        _files("a b", " c", "d ", "e  f/g h"), 'FROM scratch\nCOPY ["a b", "e  f", "/x/"]\n'
    ),
    "unicode": Context(
        _files("ä", "日本/語", "e\u0301", "é", "😀"), "FROM scratch\nCOPY . /\nCOPY 日本 /j\n"
    ),
    "ignoring unicode": Context(_files("ä", "日本/語", "x"), ignore="日本\nä"),
    "odd characters": Context(_files("a+b", "a%20b", "a'b", 'a"b', "a,b", "a;b", "{a}", "$a", "~", "a:b")),
    "an empty file": Context({"empty": File(b"")}),
    "an empty folder": Context({"empty": Directory()}),
    "nothing but a Dockerfile": Context({}),
    "a large file": Context({"large": File(bytes(range(256)) * 8192)}),
    "a file of a chunk exactly": Context({"chunk": File(b"c" * (256 << 10))}),
    "many files": Context(_files(*(f"d{n % 7}/f{n}" for n in range(300)))),
    "deep folders": Context(_files("/".join("d" * 60) + "/f")),
    "setuid, setgid, sticky": Context(
        {"u": File(mode=0o4755), "g": File(mode=0o2755), "t": Directory(0o1777), "ug": File(mode=0o6711)}
    ),
    "odd modes": Context({f"m{mode:o}": File(mode=mode) for mode in (0o000, 0o111, 0o400, 0o777, 0o7777)}),
    "closed folders": Context(
        {"closed/x": File(), "closed": Directory(0o700), "d/y": File(), "d": Directory(0o2750)}
    ),
    "a link to a file": Context({"f": File(), "l": Link("f")}),
    "a link to a folder": Context({"d/f": File(), "l": Link("d")}),
    "a dangling link": Context({"l": Link("nowhere")}),
    "an absolute link": Context({"l": Link("/etc/passwd")}),
    "a link out of the context": Context({"d/l": Link("../../outside")}),
    "a link to itself": Context({"l": Link("l")}),
    "copying a link to a file": _copying("COPY l /d/", nodes={"f": File(), "l": Link("f"), "o": File()}),
    "copying a link to a folder": _copying("COPY l /d/", nodes={"d/f": File(), "l": Link("d"), "o": File()}),
    "copying through a link": _copying("COPY l/f /d/", nodes={"d/f": File(), "d/g": File(), "l": Link("d")}),
    "copying through an absolute link": _copying(
        "COPY l/f /d/", nodes={"d/f": File(), "l": Link("/d"), "o": File()}
    ),
    "copying through a chain of links": _copying(
        "COPY l/f /d/", nodes={"d/f": File(), "l": Link("m"), "m": Link("n/../d"), "n/x": File()}
    ),
    "copying links by wildcard": _copying(
        "COPY l* /d/", nodes={"f": File(b"1"), "g": File(b"2"), "l1": Link("f"), "l2": Link("g")}
    ),
    "hard links": Context({"f": File(b"shared"), "g": HardLink("f"), "d/h": HardLink("f")}),
    "a hard link before its file": Context({"z": File(b"shared"), "a": HardLink("z")}),
    "a hard link whose file is ignored": Context(
        {"a": File(b"s"), "b": HardLink("a"), "c": HardLink("a")}, ignore="a"
    ),
    "copying one hard link": _copying("COPY b /", nodes={"a": File(b"s"), "b": HardLink("a")}),
    "bytes": Context(_files("caf\udce9", "\udcff", "\ue000", "d\udce9/caf\udce9", "😀")),
    "bytes that are linked to": Context(
        {"caf\udce9": File(b"s"), "l": Link("caf\udce9"), "h": HardLink("caf\udce9"), "z": Link("\udcff/x")}
    ),
    "copying bytes by wildcard": _copying("COPY caf* ?f /d/", nodes=_files("caf\udce9", "\udcfff", "o")),
    "copying through a link to bytes": _copying(
        "COPY l/f /d/", nodes={"caf\udce9/f": File(), "caf\udce9/g": File(), "l": Link("caf\udce9")}
    ),
    "ignoring what has bytes": Context(_files("a", "d/caf\udce9", "d/b"), ignore="d"),
    "ignoring bytes by wildcard": Context(_files("a", "caf\udce9", "cafe"), ignore="caf?"),
    "ignoring bytes by themselves": Context(_files("a", "caf\udce9", "caf\ufffd"), ignore=b"caf\xe9"),
    "ignoring bytes among wildcards": Context(_files("a", "caf\udce9", "caf\ufffd"), ignore=b"*\xe9*"),
    "copying by a Dockerfile with bytes": Context(
        _files("caf\udce9", "a"), "FROM scratch\n# caf\udce9\nCOPY . /\n"
    ),
    "a named pipe": Context({"p": Pipe(0o600), "d/p": Pipe(0o4755), "a": File()}),
    "a named pipe that nobody copies": _copying("COPY a /", nodes={"p": Pipe(), "a": File()}),
    "a device that is ignored": Context({"d/null": Device(), "a": File()}, ignore="d/null"),
    "a device that nobody copies": _copying("COPY a /", nodes={"null": Device(), "a": File()}),
    "attributes": Context({
        "a": File(xattrs=(("user.a", b"1"), ("user.b", b"\0\xff\n"))), "h": HardLink("a"),
        "d": Directory(xattrs=(("user.d", b""),)), "d/x": File(mode=0o400, xattrs=(("user.=%", b"x"),)),
    }),
    "two stages": _copying("COPY . /x", "FROM scratch", "COPY --from=0 /x/b /b", "COPY a /"),
}  # fmt: skip
