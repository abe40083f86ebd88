"""Pure. A failed Solve as the sentence and the fields its caller needs.

The daemon's details come in the grpc-status-details-bin trailer, each one JSON under a Go type's name
(moby/buildkit v0.32.2 util/grpcerrors and solver/errdefs). Some would leak the daemon's insides, stack
traces above all: only what is named here is ever read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from ..errors import BuildFailed
from ..outcome import FailedStep
from ..pb import rpc_status_pb2

if TYPE_CHECKING:
    from .progress import Progress

_SOURCE = "errdefs.Source+json"
_VERTEX = "errdefs.Vertex+json"
_EXIT = "gatewayapi.ExitMessage+json"

_EXCERPT_CONTEXT_LINES = 2

_NOISE = re.compile(r"^(?:failed to solve: |failed to compute cache key: |failed to prepare: )+")
_CHECKSUM = re.compile(r"failed to calculate checksum of ref [^:]+(?:::[^:]+)?: ")
# Absolute paths below the daemon's own folders; a path in the user's context or image is not one.
_DAEMON_PATH = re.compile(r"/[^\s\"':]*(?:/buildkit[^\s\"':]*|/runc-[a-z]+/|/snapshots/)[^\s\"':]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details:
    vertex: str = ""
    file: str = ""
    source: tuple[str, ...] = ()
    first_line: int | None = None
    last_line: int | None = None
    exit_code: int | None = None


def build_failed(message: str, details_bin: bytes, progress: Progress) -> BuildFailed:
    """The error of a Solve that the daemon ended with *message* and those details."""
    details = _details(details_bin)
    cause = clean_message(message)
    step = progress.step(details.vertex) if details.vertex else None
    if step is None and details.first_line is None:
        return BuildFailed(f"The build failed: {cause}")
    failed = FailedStep(
        name=step.name if step else "",
        file=details.file,
        line=details.first_line,
        exit_code=details.exit_code,
        output=tuple(step.tail) if step else (),
        excerpt=_excerpt(details),
    )
    return BuildFailed(_sentence(failed, cause), failed)


def clean_message(message: str) -> str:
    """*message* without the daemon's own paths and the words that only say that it failed."""
    message = _CHECKSUM.sub("", _NOISE.sub("", message))
    return _DAEMON_PATH.sub("(a path of the daemon)", message).strip()


def _sentence(failed: FailedStep, cause: str) -> str:
    where = f"{failed.file}:{failed.line}" if failed.file and failed.line else failed.file
    head = f"{failed.name or 'the build'} failed"
    lines = [f"{head} ({where}): {cause}" if where else f"{head}: {cause}"]
    if failed.output:
        lines += ["The step's last output:", *(f"  {line}" for line in failed.output)]
    return "\n".join(lines)


def _details(details_bin: bytes) -> _Details:
    try:
        status = rpc_status_pb2.Status.FromString(details_bin)
    except DecodeError:
        return _Details()
    found: dict[str, Any] = {}
    for detail in status.details:
        try:
            value = json.loads(detail.value)
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        if detail.type_url.endswith(_SOURCE):
            found |= _source(value)
        elif detail.type_url.endswith(_VERTEX):
            found["vertex"] = str(value.get("digest", ""))
        elif detail.type_url.endswith(_EXIT):
            code = value.get("Code", value.get("code"))
            found["exit_code"] = code if isinstance(code, int) else None
    return _Details(**found)


def _source(value: dict[str, Any]) -> dict[str, Any]:
    info = value.get("info")
    if not isinstance(info, dict):
        return {}
    found: dict[str, Any] = {"file": str(info.get("filename", ""))}
    try:
        text = base64.b64decode(str(info.get("data", ""))).decode(errors="replace")
    except binascii.Error:
        text = ""
    found["source"] = tuple(text.splitlines())
    lines = [
        line
        for span in value.get("ranges") or []
        for position in (span.get("start") or {}, span.get("end") or {})
        if isinstance(line := position.get("line"), int)
    ]
    if lines:
        found |= {"first_line": min(lines), "last_line": max(lines)}
    return found


def _excerpt(details: _Details) -> tuple[str, ...]:
    if details.first_line is None or details.last_line is None or not details.source:
        return ()
    first = max(1, details.first_line - _EXCERPT_CONTEXT_LINES)
    last = min(len(details.source), details.last_line + _EXCERPT_CONTEXT_LINES)
    return tuple(
        f"{number:4d} | "
        f"{'>>>' if details.first_line <= number <= details.last_line else '   '} "
        f"{details.source[number - 1]}"
        for number in range(first, last + 1)
    )
