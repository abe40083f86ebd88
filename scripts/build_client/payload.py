"""Reads files. What is sent: context and config as one tar, and the signature over its bytes.

Two equal trees give equal bytes, whoever made them and when: names are sorted, owners are 0, times
are fixed, and of the permissions only "executable" is kept, as git does. So an unchanged function
keeps its image digest, and a context by faas-cli (folders 0700) equals our own.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import tarfile
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .context import Context

# go-sdk v0.3.0 builder.go: BuilderConfigFileName, and the folder MakeTar puts the context in.
CONFIG_NAME = "com.openfaas.docker.config"
CONTEXT_NAME = "context"

# 2 January 1980: the first day that a zip file, and so a Python wheel built in the image, can hold
# in every time zone. The builder compares contents: a fixed time does not make it build stale ones.
FIXED_TIME = 315_619_200


def build_config(
    *, image: str, build_args: Mapping[str, str], platforms: Sequence[str], skip_push: bool
) -> bytes:
    """go-sdk's BuildConfig; what is not asked for is not said."""
    config: dict[str, object] = {"image": image}
    if build_args:
        config["buildArgs"] = dict(build_args)
    if platforms:
        config["platforms"] = list(platforms)
    if skip_push:
        config["skipPush"] = True
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def tar(context: Context, config: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        # First, so that a builder can judge it before the context has arrived.
        archive.addfile(_member(CONFIG_NAME, 0o644, len(config)), io.BytesIO(config))
        archive.addfile(_folder(CONTEXT_NAME))
        for path, source in sorted(context.sources.items(), key=lambda item: item[0].split("/")):
            name = f"{CONTEXT_NAME}/{path}"
            if source.is_dir():
                archive.addfile(_folder(name))
                continue
            data, executable = _read(source)
            archive.addfile(
                _member(name, 0o755 if executable else 0o644, len(data)), io.BytesIO(data)
            )
    return buffer.getvalue()


def compress(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


def signature(body: bytes, secret: bytes) -> str:
    """The value of X-Build-Signature. Like faas-cli, leaves out white space around *secret*."""
    return f"sha256={hmac.new(secret.strip(), body, hashlib.sha256).hexdigest()}"


def _member(name: str, mode: int, count: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.size, member.mtime = mode, count, FIXED_TIME
    return member


def _folder(name: str) -> tarfile.TarInfo:
    folder = _member(name, 0o755, 0)
    folder.type = tarfile.DIRTYPE
    return folder


def _read(source: Path) -> tuple[bytes, bool]:
    try:
        with source.open("rb") as file:
            return file.read(), bool(source.stat().st_mode & 0o100)
    except OSError as exc:
        raise UsageError(f"{source} cannot be read: {exc.strerror}.") from exc
