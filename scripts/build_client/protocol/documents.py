"""Reads HTTP answers: JSON documents, one a line as they come, or a single one that may be signed."""

from __future__ import annotations

import http.client
import itertools
import json
import math
from typing import TYPE_CHECKING, Final

from ..errors import RefusedError, StreamBrokenError
from ..text import printable
from .signature import RESULT_HEADER, check, signed_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IN_PROGRESS: Final = "in_progress"

# Of a document, or of one in a stream: a log in it has 16 million characters at most, some of them escapes.
_MAX_BYTES: Final = 256 << 20


def documents(
    response: http.client.HTTPResponse,
    *,
    idle: float,
    secret: bytes | None,
    require_signed: bool = False,
) -> Iterator[Mapping[str, object]]:
    """Yield what *response* holds; nothing at all for one without a body.

    A signature is checked where there is one and a *secret*; with *require_signed* there must be one for
    whatever says how a build stands. *idle* is for messages. Raises RefusedError, StreamBrokenError and
    UntrustedError.
    """
    kind = response.getheader("Content-Type", "")
    chunks = _chunks(response, idle)
    first = next(chunks, b"")
    if not first:
        return
    chunks = itertools.chain((first,), chunks)
    if "json" not in kind:
        raise RefusedError(
            "What answered is not a builder: JSON was expected,"
            f" and {printable(kind) or 'an unknown type'} came; check --url."
        )
    if "ndjson" not in kind:
        body = b"".join(_whole(chunks))
        check(body, response.getheader(RESULT_HEADER), secret, required=require_signed)
        yield document(body)
        return
    for line in lines(chunks):
        if line.strip():
            found = document(line)
            # The lines of a log come as they are; the last one, which says how it ended, is signed.
            required = require_signed and found.get("status") != _IN_PROGRESS
            check(*signed_line(line), secret, required=required)
            yield found


def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split at newlines wherever *chunks* happen to be cut; the last line needs none.

    Raises StreamBrokenError.
    """
    rest: list[bytes] = []  # of a line that goes on, in pieces: joined once, however many they are
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest.append(first)
        size += len(first)
        for other in others:
            yield b"".join(rest)
            rest, size = [other], len(other)
        _require_end(size)
    if line := b"".join(rest):
        yield line


def _whole(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        _require_end(size)
        yield chunk


def _require_end(size: int) -> None:
    if size > _MAX_BYTES:
        raise StreamBrokenError("The builder's answer does not come to an end: check --url.")


def document(text: bytes) -> Mapping[str, object]:
    """Read one JSON object. Raises StreamBrokenError."""
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as exc:
        raise StreamBrokenError("The builder's answer is not JSON: check --url.") from exc
    if not isinstance(value, dict):
        raise StreamBrokenError("The builder's answer is not a JSON object: check --url.")
    return value


def _finite(number: str) -> float | None:
    """Read a number; None for one that JSON cannot write again: NaN, and what is larger than any float."""
    value = float(number)
    return value if math.isfinite(value) else None


def _chunks(response: http.client.HTTPResponse, idle: float) -> Iterator[bytes]:
    try:
        while chunk := response.read1(1 << 16):
            yield chunk
    except TimeoutError as exc:
        raise StreamBrokenError(
            f"The builder fell silent for {idle:g} seconds in the middle of its answer."
            " If something in between holds lines back, allow more with --idle-timeout."
        ) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise StreamBrokenError("The connection broke in the middle of the answer.") from exc
