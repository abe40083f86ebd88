"""Keeps the daemon from building files it has seen before instead of those just sent.

Between builds the daemon keeps what it received under the session's shared key. Of a file it has, it
compares the size, the mode and the time, never the content (moby/buildkit v0.32.2 source/local/source.go,
fsutil diff_containerd.go). Archives with fixed times, which reproducible tools write, would be built stale.

So a file's content is written into its time, below the second: a layer keeps whole seconds only
(containerd archive/tar.go), so the image does not change, and the daemon asks for just the files whose
content has. That leaves one chance in 10⁹ for two contents of one size to look alike; what was sent under
a key is remembered, and in that case, too, the key is changed and everything is sent anew.

What stays inexact, as with buildctl, is the time of a folder in which the daemon replaced a file. Where
the image must be the same to the bit, `once` sends everything under a key of its own.

State shared by the server's threads, and no other I/O.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from ..fsutil.tree import Entry, Kind, Tree

_NANOSECONDS = 1_000_000_000
_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1

# What a file looks like to the daemon: path, size, mode, time.
_Look = tuple[str, int, int, int]


@dataclass(slots=True)
class _Memory:
    """What has been sent under one key. The key is random: no other process ever sent anything under it."""

    key: str = field(default_factory=lambda: secrets.token_hex(16))
    contents: dict[_Look, bytes] = field(default_factory=dict)

    def admits(self, looks: dict[_Look, bytes]) -> bool:
        """Whether the daemon can tell all of *looks* from what it got before."""
        return all(self.contents.get(look, content) == content for look, content in looks.items())


class SharedKeys:
    """Chooses the shared key of each build."""

    def __init__(self, *, names: int = 128, files: int = 100_000) -> None:
        """Remembers so many *names*, each with so many *files*: some 250 bytes a file."""
        self._most_names = names
        self._most_files = files
        self._memories: OrderedDict[str, _Memory] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, name: str, tree: Tree) -> tuple[str, Tree]:
        """The shared key to send *tree* under, and the tree to send.

        Builds of one *name* share what the daemon already has.
        """
        looks: dict[_Look, bytes] = {}
        stamped = Tree(tuple(_stamped(entry, looks) for entry in tree.entries))
        with self._lock:
            memory = self._memories.pop(name, None) or _Memory()
            fits = len(memory.contents) + len(looks) <= self._most_files
            if not (fits and memory.admits(looks)):
                memory = _Memory()
            memory.contents.update(looks)
            self._memories[name] = memory
            if len(self._memories) > self._most_names:
                self._memories.popitem(last=False)
        return memory.key, stamped


def once() -> str:
    """A shared key that finds nothing at the daemon and leaves nothing to be found."""
    return secrets.token_hex(16)


def _stamped(entry: Entry, looks: dict[_Look, bytes]) -> Entry:
    if entry.kind is not Kind.FILE:
        return entry
    content = hashlib.sha256(entry.data).digest()
    stamp = int.from_bytes(content[:8], "big") % _NANOSECONDS
    # A stamp must not carry the time out of the 64 bits that Stat has for it.
    mtime = max(_EARLIEST, min(entry.mtime // _NANOSECONDS * _NANOSECONDS + stamp, _LATEST))
    looks[entry.path, len(entry.data), entry.mode, mtime] = content
    return replace(entry, mtime=mtime)
