"""Reads files. Makes what is sent: context and config as one tar.

Of its owner nothing travels: files are root's, as for docker build. Their times and modes do, to the
nanosecond, since make, cargo and ninja go by them. Names are sorted, so that the same files give the same
bytes. Sealed secrets alone are other bytes each time.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .files import Context

# go-sdk v0.3.0 builder.go: BuilderConfigFileName, and the folder MakeTar puts the context in;
# build_secrets.go: BuildSecretsFileName.
CONFIG_NAME = "com.openfaas.docker.config"
SECRETS_NAME = "com.openfaas.secrets"
CONTEXT_NAME = "context"

_SECOND: Final = 10**9  # nanoseconds
_IS_WINDOWS: Final = os.name == "nt"


def build_config(options: Mapping[str, object]) -> bytes:
    """Return go-sdk's BuildConfig with builder-fn's own options, without those that are not given."""
    given = {key: value for key, value in options.items() if value}
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"An option is not UTF-8: {text[exc.start - 8 : exc.end]!a}.") from exc


def tar(context: Context, config: bytes, sealed_secrets: bytes | None = None) -> bytes:
    """Return the request's body. Raises UsageError for a file that cannot be read."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer,
        mode="w",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        # First, so that a builder can judge it before the context has arrived.
        _add(archive, _bare(CONFIG_NAME, 0o644), config)
        archive.addfile(_folder(CONTEXT_NAME, context.root))
        for path, source in sorted(context.sources.items(), key=lambda item: item[0].split("/")):
            name = f"{CONTEXT_NAME}/{path}"
            if context.is_link(source):
                archive.addfile(_link(name, source))
            elif source.is_dir():
                archive.addfile(_folder(name, source))
            else:
                _add(archive, *_file(name, source))
        if sealed_secrets is not None:
            # Last, where go-sdk appends it.
            _add(archive, _bare(SECRETS_NAME, 0o600), sealed_secrets)
    return buffer.getvalue()


def compress(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


def _add(archive: tarfile.TarFile, member: tarfile.TarInfo, data: bytes) -> None:
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _bare(name: str, mode: int) -> tarfile.TarInfo:
    """Describe what is no file of the caller's; nothing is built by its time."""
    member = tarfile.TarInfo(name)
    member.mode = mode
    return member


def _described(name: str, status: os.stat_result) -> tarfile.TarInfo:
    member = _bare(name, _mode(status.st_mode))
    seconds, rest = divmod(status.st_mtime_ns, _SECOND)
    member.mtime = seconds
    if rest:
        # A header of its own, as the field in the tar's own has whole seconds. Never by way of a float.
        sign = "-" if status.st_mtime_ns < 0 else ""
        seconds, rest = divmod(abs(status.st_mtime_ns), _SECOND)
        member.pax_headers = {"mtime": f"{sign}{seconds}.{rest:09}"}
    return member


def _mode(mode: int) -> int:
    """Return the permissions; for Windows, which has none, those that BuildKit's own client sends there."""
    return (mode | 0o111) & 0o755 if _IS_WINDOWS else stat.S_IMODE(mode)


def _folder(name: str, source: Path) -> tarfile.TarInfo:
    try:
        folder = _described(name, source.stat())
    except OSError as exc:
        raise _unreadable(source, exc) from exc
    folder.type = tarfile.DIRTYPE
    return folder


def _link(name: str, source: Path) -> tarfile.TarInfo:
    try:
        link = _described(name, source.lstat())
        # Verbatim: a Path would leave out "./" and "//".
        target = os.fsencode(os.readlink(source))  # noqa: PTH115
    except OSError as exc:
        raise _unreadable(source, exc) from exc
    link.type, link.mode = tarfile.SYMTYPE, 0o777
    link.linkname = target.decode("utf-8", "surrogateescape")
    return link


def _file(name: str, source: Path) -> tuple[tarfile.TarInfo, bytes]:
    try:
        with source.open("rb") as file:
            return _described(name, os.fstat(file.fileno())), file.read()
    except OSError as exc:
        raise _unreadable(source, exc) from exc


def _unreadable(source: Path, exc: OSError) -> UsageError:
    return UsageError(f"{shown(source)} cannot be read: {exc.strerror}.")
