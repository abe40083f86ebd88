"""Pure. A context as the signed request that go-sdk would make of it."""

import hashlib
import hmac
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from .contexts import Context, File

CONFIG_NAME = "com.openfaas.docker.config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    body: bytes
    signature: str  # the value of X-Build-Signature


def request(context: Context, *, image: str, pushed: bool, secret: bytes) -> Request:
    body = b"".join(_archive(context, image=image, pushed=pushed))
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return Request(body=body, signature=f"sha256={signature}")


def folders(context: Context) -> list[str]:
    """Return every folder that the files stand in, parents first."""
    found = set()
    for file in context:
        parts = file.path.split("/")[:-1]
        found |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return sorted(found)


def _archive(context: Context, *, image: str, pushed: bool) -> Iterator[bytes]:
    # The order of openfaas/go-sdk v0.3.0 builder/builder.go: the context, then its configuration.
    oldest = min(file.modified for file in context)
    for folder in ("context", *(f"context/{folder}" for folder in folders(context))):
        yield _header(folder, tarfile.DIRTYPE, mode=0o755, modified=oldest)
    for file in context:
        yield from _member(f"context/{file.path}", file)
    config = {"image": image, "skipPush": not pushed}
    yield from _member(
        CONFIG_NAME,
        File(path=CONFIG_NAME, content=json.dumps(config).encode(), modified=0, mode=0o664),
    )
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(name: str, file: File) -> Iterator[bytes]:
    size = len(file.content)
    yield _header(name, tarfile.REGTYPE, mode=file.mode, modified=file.modified, size=size)
    yield file.content
    yield bytes(-size % tarfile.BLOCKSIZE)


def _header(name: str, kind: bytes, *, mode: int, modified: int, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size = kind, mode, modified, size
    return info.tobuf(tarfile.USTAR_FORMAT)
