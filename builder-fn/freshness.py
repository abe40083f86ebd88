"""Pure. Keeps the daemon from building a context it has seen before instead of the one just sent.

Between builds the daemon keeps what it received under the session's shared key, and compares sizes, modes
and times only, never contents (moby/buildkit v0.32.2 source/local/source.go, fsutil diff_containerd.go).
Archives with fixed times, which reproducible tools write, would be built stale. A key made of the contents
themselves cannot be: another content is another key, and an unchanged context is not sent twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tree import Tree


def shared_key(tree: Tree) -> str:
    """Differs whenever a path's content does."""
    digest = hashlib.sha256()
    for entry in tree.entries:
        digest.update(f"{entry.path}\0{len(entry.data)}\0".encode())
        digest.update(entry.data)
    return digest.hexdigest()
