"""Pure. A request, read and checked: its config, and the context to build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import ArchiveError, BodyTooLarge
from ..fsutil.tree import Kind, Tree
from .archive import CONFIG, find, index, require_dockerfile, rooted_at
from .decompression import decompressed, nothing_reserved
from .options import OPTIONS_FILES, BuildConfig, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .archive import Limits


@dataclass(frozen=True, slots=True)
class Bundle:
    """A build request whose every part was judged; *sealed_secrets* are still sealed.

    *size* is what it holds in memory, in bytes.
    """

    config: BuildConfig
    context: Tree
    sealed_secrets: memoryview | None
    size: int

    def without_sources(self) -> Bundle:
        return replace(self, context=Tree(()), sealed_secrets=None)


def unpack(
    body: memoryview, limits: Limits, reserve: Callable[[int], None] = nothing_reserved
) -> Bundle:
    """Unpack a request, after telling *reserve* of the memory. The context's data are views into the tar.

    Raises ArchiveError, ConfigError, BodyTooLarge, and whatever *reserve* does.
    """
    tar = decompressed(body, limits.context_bytes, reserve)
    archive = index(tar, limits)
    request = Document(CONFIG, archive.config)
    config = BuildConfig.parse(request)
    context = rooted_at(archive.context, (config.dockerfile, *OPTIONS_FILES))
    if files := tuple(_options_files(context, limits.document_bytes)):
        config = BuildConfig.parse(request, files)
    require_dockerfile(context, config.dockerfile)
    return Bundle(
        config=config,
        context=context,
        sealed_secrets=archive.sealed_secrets,
        # While a request waits, its server keeps the body as well.
        size=len(tar) if tar is body else len(body) + len(tar),
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
