"""Pure. A request, read and checked: its config, and the context to build."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import ArchiveError, BodyTooLarge
from ..fsutil.tree import Kind, Tree
from .archive import CONFIG, find, index, require_dockerfile, rooted_at
from .decompression import decompressed
from .memory import UNBOUNDED, Memory
from .options import OPTIONS_FILES, BuildConfig, Document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .archive import Limits


# JSON such as "[[],[],…" takes so many times its own length when it is parsed (measured).
_PARSED_TIMES = 32


@dataclass(frozen=True, slots=True)
class Bundle:
    """A build request whose every part was judged; *sealed_secrets* are still sealed.

    *size* is what it holds in memory, in bytes, for which *memory* was asked.
    """

    config: BuildConfig
    context: Tree
    sealed_secrets: memoryview | None
    size: int
    memory: Memory = field(default=UNBOUNDED, repr=False, compare=False)

    def without_sources(self) -> Bundle:
        return replace(self, context=Tree(()), sealed_secrets=None, memory=UNBOUNDED)


def unpack(body: memoryview, limits: Limits, memory: Memory = UNBOUNDED) -> Bundle:
    """Unpack a request, after asking *memory* for what it takes. The context's data are views into the tar.

    Raises ArchiveError, ConfigError, BodyTooLarge, and whatever *memory* does.
    """
    tar = decompressed(body, limits.context_bytes, memory.unpacked)
    archive = index(tar, limits, memory.parsed)
    request = Document(CONFIG, archive.config)
    memory.parsed(_PARSED_TIMES * len(archive.config))
    config = BuildConfig.parse(request)
    context = rooted_at(archive.context, (config.dockerfile, *OPTIONS_FILES))
    if files := tuple(_options_files(context, limits.document_bytes)):
        memory.parsed(_PARSED_TIMES * sum(len(file.data) for file in files))
        config = BuildConfig.parse(request, files)
    require_dockerfile(context, config.dockerfile)
    return Bundle(
        config=config,
        context=context,
        sealed_secrets=archive.sealed_secrets,
        # While a request waits, its server keeps the body as well.
        size=archive.memory_bytes + (len(tar) if tar is body else len(body) + len(tar)),
        memory=memory,
    )


def _options_files(context: Tree, most: int) -> Iterator[Document]:
    for path in OPTIONS_FILES:
        entry = find(context, path)
        if entry is None:
            continue
        name = f"context/{path}"
        if entry.unfit:
            raise ArchiveError(entry.unfit)
        if entry.kind is not Kind.FILE:
            raise ArchiveError(f"{name} is a {entry.kind.value}; it must be a regular file.")
        if len(entry.data) > most:
            raise BodyTooLarge(f"{name} has {len(entry.data)} bytes; {most} are the most.")
        yield Document(name, bytes(entry.data))
