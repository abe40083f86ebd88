"""Pure. Hands the daemon .dockerignore together with the Dockerfile, and so spares it a round trip.

The Dockerfile frontend fetches Dockerfile and Dockerfile.dockerignore in one DiffCopy. Only where the
second is missing or empty does it fetch .dockerignore, in another (moby/buildkit v0.32.2
frontend/dockerui/config.go): a tenth of a warm build (measured). So what it would find there is offered in
the first place, and to that request only: the context itself stays as it is.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from ..fsutil.tree import Entry, Kind, Tree, sort_key

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKERIGNORE = ".dockerignore"

_MAX_BYTES = 1 << 20  # of one that is worth a second copy
# The daemon refuses a longer line, and names the file that it is in (Go's bufio.MaxScanTokenSize, in bytes).
_MAX_LINE = 64 * 1024 - 1

# An empty file would be looked past; a comment ignores nothing.
_NOT_EMPTY = b"\n#\n"


def with_ignore_file(context: Tree, dockerfile: str = "Dockerfile") -> Tree:
    """Return *context* with `Dockerfile.dockerignore` as .dockerignore, where that changes nothing."""
    name = dockerfile + DOCKERIGNORE
    ignore, mtime = b"", 0
    for entry in context.entries:
        if entry.path == name or (entry.path == DOCKERIGNORE and not _is_plain(entry)):
            return context
        if entry.path == DOCKERIGNORE:
            ignore, mtime = bytes(entry.data), entry.mtime
            if any(len(line) > _MAX_LINE for line in ignore.split(b"\n")):
                return context
    # It looks changed to the daemon when .dockerignore does.
    offered = Entry(name, Kind.FILE, 0o644, mtime, memoryview(ignore + _NOT_EMPTY))
    entries = list(context.entries)
    bisect.insort(entries, offered, key=lambda entry: sort_key(entry.path))
    return Tree(tuple(entries))


def _is_plain(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and not entry.unfit and len(entry.data) <= _MAX_BYTES


def local_trees(offered: Tree, context: Tree, dockerfile: str = "Dockerfile") -> Mapping[str, Tree]:
    """Return by name the trees for the daemon: *offered*, made of *context*, as each request is to see it."""
    own = offered
    if len(offered.entries) > len(context.entries):
        name = dockerfile + DOCKERIGNORE
        own = Tree(tuple(entry for entry in offered.entries if entry.path != name))
    return {"context": own, "dockerfile": offered}
