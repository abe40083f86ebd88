"""Reads files. What is sent: context and config as one tar.

Two equal trees give equal bytes, whoever made them and when: names are sorted, owners are 0, times
are fixed, and of the permissions only "executable" is kept, as git does. So an unchanged function
keeps its image digest, and a context by faas-cli (folders 0700) equals our own. Sealed secrets alone
are other bytes each time.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .overlay import Context

# go-sdk v0.3.0 builder.go: BuilderConfigFileName, and the folder MakeTar puts the context in;
# build_secrets.go: BuildSecretsFileName.
CONFIG_NAME = "com.openfaas.docker.config"
SECRETS_NAME = "com.openfaas.secrets"
CONTEXT_NAME = "context"

# 2 January 1980: the first day that a zip file, and so a Python wheel built in the image, can hold
# in every time zone. The builder compares contents: a fixed time does not make it build stale ones.
FIXED_TIME = 315_619_200


def build_config(options: Mapping[str, object]) -> bytes:
    """go-sdk's BuildConfig, and builder-fn's own options; what is not asked for is not said."""
    said = {key: value for key, value in options.items() if value}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"An option is not UTF-8: {text[exc.start - 8 : exc.end]!a}.") from exc


def tar(context: Context, config: bytes, sealed_secrets: bytes | None = None) -> bytes:
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
        if sealed_secrets is not None:
            # Last, where go-sdk appends it.
            member = _member(SECRETS_NAME, 0o600, len(sealed_secrets))
            archive.addfile(member, io.BytesIO(sealed_secrets))
    return buffer.getvalue()


def compress(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


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
