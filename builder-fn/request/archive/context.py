"""Pure. Makes a tree of what was found below context/, and finds the directory to build in it."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from ...errors import ArchiveError, BodyTooLarge
from ...fsutil import PatternError, follow
from ...fsutil.tree import Entry, Kind, Tree, sort_key
from ...quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_IMPLIED_MODE = 0o755
DOCKERFILE = "Dockerfile"
DOCKERIGNORE = ".dockerignore"

# buildkitd took 6 GiB of memory for a Dockerfile of 512 MiB, and answered nobody for twenty seconds. For
# 4 MiB, more than anybody writes, it takes half a GiB at the worst, and 40 MiB for comments (measured).
_MAX_DOCKERFILE_BYTES = 4 << 20


def assemble(
    entries: dict[str, Entry], most: int, most_name_bytes: int, take: Callable[[int], None]
) -> Tree:
    """Make the tree of *entries*, by path, and add the parents that no member states.

    *take* is told how many bytes the path of each such parent has.

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
                take(name_bytes(added))
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
    return BodyTooLarge(
        f"The archive has more than {most} entries, the most for your builds. {BodyTooLarge.remedy}"
    )


def name_bytes(entry: Entry) -> int:
    """Return what the texts and the attributes of *entry* take in memory, at most."""
    size = _text_bytes(entry.path)
    if entry.linkname or entry.unfit or entry.xattrs:
        size += _text_bytes(entry.linkname) + _text_bytes(entry.unfit)
        size += sum(len(name) + len(value) for name, value in entry.xattrs)
    return size


def names_too_long(most: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The paths, symlink targets and attributes in the archive take more than {most} bytes of memory, "
        f"the most this builder takes. {BodyTooLarge.remedy}"
    )


def rooted_at(context: Tree, names: Sequence[str]) -> Tree:
    """Return *context*, or the directory in it where a file of *names* is, if nothing else is beside that.

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


def dockerfile_of(context: Tree, path: str) -> bytes:
    """Return the Dockerfile at *path* as the daemon reads it; nothing if that is no file of its own."""
    for name in _spellings(path):
        entry = find(context, name)
        if entry and entry.kind is Kind.FILE and isinstance(entry.data, memoryview):
            return bytes(entry.data)
    return b""


def require_dockerfile(context: Tree, path: str) -> None:
    """Refuse a *context* without a Dockerfile at *path*, or with one that no daemon should read.

    Raises ArchiveError and BodyTooLarge.
    """
    found = [entry for name in _spellings(path) if (entry := find(context, name))]
    if all(entry.kind is Kind.DIRECTORY for entry in found):
        raise ArchiveError(f"There is no {quoted(path)[1:-1]} in context/ of the archive.")
    _refuse_unreadable(context, (*_spellings(path), f"{path}{DOCKERIGNORE}", DOCKERIGNORE))


def _refuse_unreadable(context: Tree, names: Sequence[str]) -> None:
    """Refuse what would harm the daemon under *names*, which it reads itself, or where links of them lead.

    For a pipe it would wait for ever; a large file it takes into memory a dozen times over.
    """
    try:
        led_to = follow(context.entries, names)
    except PatternError:
        return  # a link that leads nowhere
    for path in led_to:
        entry = find(context, path)
        if entry and entry.kind is Kind.PIPE:
            raise ArchiveError(
                f"{quoted(path)} in context/ is a named pipe, from which no Dockerfile can be read, "
                "and no .dockerignore; make it a regular file."
            )
        if entry and len(entry.data) > _MAX_DOCKERFILE_BYTES:
            raise BodyTooLarge(
                f"{quoted(path)} in context/ has {len(entry.data)} bytes; a Dockerfile and a .dockerignore "
                f"have at most {_MAX_DOCKERFILE_BYTES}."
            )


def _text_bytes(text: str) -> int:
    """Return the bytes of a text in memory: Python gives each character what the widest one needs."""
    return len(text) if text.isascii() else 4 * len(text)


def _lone_directories(context: Tree) -> Iterator[str]:
    """Yield the root as "", and then, as "a/", "a/b/", each directory that nothing else is beside."""
    prefix = ""
    for top in context.entries:
        yield prefix
        # In the order of a tree all that is below a directory follows it directly.
        prefix = f"{top.path}/"
        if not context.entries[-1].path.startswith(prefix):
            return


def _spellings(dockerfile: str) -> tuple[str, ...]:
    """Return the names to look for: upstream takes the default name in lower case too.

    See moby/buildkit v0.32.2 frontend/dockerui/config.go.
    """
    parent, slash, name = dockerfile.rpartition("/")
    if name != DOCKERFILE:
        return (dockerfile,)
    return dockerfile, parent + slash + name.lower()


def _below(context: Tree, depth: int, prefix: str) -> Tree:
    if not prefix:
        return context
    return Tree(
        tuple(
            entry._replace(path=entry.path.removeprefix(prefix))
            for entry in context.entries[depth:]
        )
    )
