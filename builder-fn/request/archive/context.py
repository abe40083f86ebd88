"""Pure. Makes a tree of what was found below context/, and finds the directory to build in it."""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import ArchiveError, BodyTooLarge
from ...fsutil.tree import Entry, Kind, Tree, sort_key
from ...quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IMPLIED_MODE = 0o755
DOCKERFILE = "Dockerfile"


def assemble(entries: dict[str, Entry], most: int, most_name_bytes: int) -> Tree:
    """The tree of *entries*, by path, to which it adds the parents that no member states.

    Raises ArchiveError for an entry below one that is no directory, and BodyTooLarge for more than
    *most* entries, or names of more than *most_name_bytes*.
    """
    names = sum(map(name_bytes, entries.values()))
    for path in list(entries):
        parent = path.rpartition("/")[0]
        while parent:
            above = entries.get(parent)
            if above is None:
                added = Entry(parent, Kind.DIRECTORY, _IMPLIED_MODE, mtime=0)
                entries[parent] = added
                names += name_bytes(added)
                if len(entries) > most:
                    raise too_many(most)
                if names > most_name_bytes:
                    raise names_too_long(most_name_bytes)
            elif above.kind is Kind.DIRECTORY:
                break  # its own parents are seen to in its turn
            else:
                raise ArchiveError(
                    f"{quoted(path)} lies below {quoted(parent)}, "
                    f"which is a {above.kind.value} in the same archive."
                )
            parent = parent.rpartition("/")[0]
    return Tree(tuple(sorted(entries.values(), key=lambda entry: sort_key(entry.path))))


def too_many(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The archive has more than {most} entries, the most this builder takes.")


def name_bytes(entry: Entry) -> int:
    """What the path and the target of *entry* take in memory, at most."""
    return _text_bytes(entry.path) + _text_bytes(entry.linkname)


def names_too_long(most: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The paths and symlink targets below context/ take more than {most} bytes of memory, "
        "the most this builder takes."
    )


def rooted_at(context: Tree, names: Sequence[str]) -> Tree:
    """*context*, or the directory in it where a file of *names* is, if nothing else is beside that.

    go-sdk puts a directory that it was given as "./a/b" below context/a/b (builder/builder.go,
    MakeTar). Earlier names go before later ones; without any of them *context* is left as it is.
    """
    files = {entry.path for entry in context.entries if entry.kind is not Kind.DIRECTORY}
    candidates = list(_lone_directories(context))
    for name in names:
        for depth, prefix in enumerate(candidates):
            if any(prefix + spelling in files for spelling in _spellings(name)):
                return _below(context, depth, prefix)
    return context


def find(context: Tree, path: str) -> Entry | None:
    key = sort_key(path)
    at = bisect.bisect_left(context.entries, key, key=lambda entry: sort_key(entry.path))
    found = context.entries[at : at + 1]
    return found[0] if found and found[0].path == path else None


def require_dockerfile(context: Tree, path: str) -> None:
    """Raises ArchiveError, naming *path*."""
    for spelling in _spellings(path):
        found = find(context, spelling)
        if found and found.kind is not Kind.DIRECTORY:
            return
    raise ArchiveError(f"There is no {quoted(path)[1:-1]} in context/ of the archive.")


def _text_bytes(text: str) -> int:
    """Python gives all characters of a text what its widest one needs."""
    return len(text) if text.isascii() else 4 * len(text)


def _lone_directories(context: Tree) -> Iterator[str]:
    """The root as "", and then, as "a/", "a/b/", each directory that nothing else is beside."""
    prefix = ""
    for top in context.entries:
        yield prefix
        # In the order of a tree all that is below a directory follows it directly.
        prefix = f"{top.path}/"
        if not context.entries[-1].path.startswith(prefix):
            return


def _spellings(dockerfile: str) -> tuple[str, ...]:
    """moby/buildkit v0.32.2 frontend/dockerui/config.go takes the default name in lower case too."""
    parent, slash, name = dockerfile.rpartition("/")
    if name != DOCKERFILE:
        return (dockerfile,)
    return dockerfile, parent + slash + name.lower()


def _below(context: Tree, depth: int, prefix: str) -> Tree:
    if not prefix:
        return context
    return Tree(
        tuple(
            replace(entry, path=entry.path.removeprefix(prefix))
            for entry in context.entries[depth:]
        )
    )
