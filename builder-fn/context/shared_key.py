"""Chooses the shared keys of builds, so that the daemon never builds an old file in place of the new one.

Between builds the daemon keeps what it received under the session's shared key. Of a file it has, it
compares the size, the mode and the time, never the content (moby/buildkit v0.32.2 source/local/source.go,
fsutil diff_containerd.go). Archives with fixed times, which reproducible tools write, would be built stale.

So all that was ever sent under a key is remembered: how each file looked, and a hash of its content. Where
another content would look like one that was sent, the key cannot tell them apart and is never used again: the
build gets a new one, and everything is sent. Files themselves go out as the archive has them.

A content is compared only if its look is known, and only then does a build wait for its hash. Contents that
are new are hashed while they are sent.

What stays inexact, as with buildctl, is the time of a folder in which the daemon replaced a file. Where
the image must be the same to the bit, `once` sends everything under a key of its own.

State shared by the server's threads, and no other I/O.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from ..fsutil.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blake3 import blake3

    from ..fsutil.tree import Entry, Tree

# Measured: two numbers, a hash and their place in a dictionary that has just grown.
_BYTES_OF_A_LOOK = 250
_BYTES_OF_A_NAME = 1000  # with its lock, its key and its empty dictionary
# What a single name may hold of the bound. Else one whose times all change with each build drives out the
# others. A context that is larger has as much as it needs.
_SHARE = 8

# Up to here new contents are hashed at once: 2 ms, and a thread costs a tenth of one.
_FEW_BYTES = 1 << 20

# Seconds that every file system of a daemon's keeps as they are (ext4, XFS); others it moves to these ends.
_EARLIEST, _LATEST = -(1 << 31) * 10**9, ((1 << 31) - 1) * 10**9


@dataclass(slots=True)
class _Memory:
    """The memory of what has been sent under one key. The key is random: no other process ever used it."""

    key: str = field(default_factory=lambda: secrets.token_hex(16))
    # The hash of each content, by how its file looked. A look is kept as its hash: where two are the same,
    # that can only make two contents seem harder to tell apart than they are.
    contents: dict[int, bytes] = field(default_factory=dict)
    # Held from a build's choice of the key until its contents are known.
    lock: threading.Lock = field(default_factory=threading.Lock)
    counted: int = 0  # bytes

    def forget(self) -> None:
        self.key = secrets.token_hex(16)
        self.contents = {}

    @property
    def size(self) -> int:
        return _BYTES_OF_A_NAME + _BYTES_OF_A_LOOK * len(self.contents)


class SharedKeys:
    """Chooses the shared key of each build."""

    def __init__(self, *, most_bytes: int = 64 << 20) -> None:
        """Remember the names that were built last, in *most_bytes* of memory: 250,000 files."""
        self._most_bytes = most_bytes
        self._memories: OrderedDict[str, _Memory] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def choose(self, name: str, tree: Tree) -> str:
        """Return the shared key to send *tree* under.

        Builds of one *name* share what the daemon already has.
        """
        # The daemon never compares extended attributes, and never replaces a folder that it has.
        if any(entry.xattrs and entry.kind is Kind.DIRECTORY for entry in tree.entries):
            return once()
        files = {_look(entry): entry for entry in tree.entries if entry.kind is Kind.FILE}
        with self._lock:
            memory = self._memories.setdefault(name, _Memory())
            self._memories.move_to_end(name)
        memory.lock.acquire()
        with ExitStack() as last_things:
            last_things.callback(memory.lock.release)
            if not self._admits(memory, files):
                memory.forget()
            key = memory.key
            unknown = {look: entry for look, entry in files.items() if look not in memory.contents}
            if sum(len(entry.data) for entry in unknown.values()) <= _FEW_BYTES:
                self._learn(name, memory, unknown)
            else:
                threading.Thread(
                    target=self._learn_meanwhile,
                    args=(name, memory, unknown),
                    name="contents",
                    daemon=True,
                ).start()
                last_things.pop_all()  # the thread is to release it
        return key

    def _admits(self, memory: _Memory, files: Mapping[int, Entry]) -> bool:
        """Return whether the daemon can tell all of *files* from what it got, and there is room for them."""
        known = memory.contents.keys() & files.keys()
        share = max(self._most_bytes // _SHARE // _BYTES_OF_A_LOOK, len(files))
        if len(memory.contents) + len(files) - len(known) > share:
            return False
        return all(memory.contents[look] == _content(files[look]) for look in known)

    def _learn_meanwhile(self, name: str, memory: _Memory, files: Mapping[int, Entry]) -> None:
        """Remember *files* while they are sent; the next build of *name* waits for that."""
        try:
            self._learn(name, memory, files)
        finally:
            memory.lock.release()

    def _learn(self, name: str, memory: _Memory, files: Mapping[int, Entry]) -> None:
        try:
            memory.contents.update((look, _content(entry)) for look, entry in files.items())
        except BaseException:
            memory.forget()  # a key must not vouch for what is not known
            raise
        finally:
            self._make_room(name, memory)

    def _make_room(self, name: str, memory: _Memory) -> None:
        with self._lock:
            if self._memories.get(name) is not memory:
                return  # forgotten meanwhile
            self._bytes += memory.size - memory.counted
            memory.counted = memory.size
            while self._bytes > self._most_bytes and len(self._memories) > 1:
                oldest = next(each for each in self._memories if each != name)
                self._bytes -= self._memories.pop(oldest).counted


def once() -> str:
    """Return a shared key that finds nothing at the daemon and leaves nothing to be found."""
    return secrets.token_hex(16)


def _look(entry: Entry) -> int:
    """Return a hash of all that the daemon compares of a file."""
    time = max(_EARLIEST, min(entry.mtime, _LATEST))
    return hash((entry.path, len(entry.data), entry.mode, time))


@cache
def _hash() -> type[blake3]:
    """Return BLAKE3, which takes 40 ms of CPU for 200 MiB, where SHA-256 takes 180 (measured)."""
    # Not before there is a content: an idle replica has no need of its 900 KiB.
    from blake3 import blake3  # noqa: PLC0415

    return blake3


def _content(entry: Entry) -> bytes:
    """Return a hash of what the daemon does not compare of a file."""
    found = _hash()()
    if isinstance(entry.data, memoryview):
        found.update(entry.data)
    else:
        # Its holes may be larger than any body. It equals only files that are stored like it.
        for part in entry.data.identity():
            found.update(part)
        found.update(b"sparse")
    for key, value in entry.xattrs:
        found.update(b"%d %d " % (len(key), len(value)) + key + value)
    return found.digest()
