"""Pure. A warning as BuildKit words it (its linter's above all) as a value.

The linter ends its sentences with "(line 3)", without the file (moby/buildkit v0.32.2
frontend/dockerfile/linter, LintFormatShort); both are fields here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..outcome import BuildWarning
from ..text.display_strings import LINTED_LINE
from ..text.plain_text import plain

if TYPE_CHECKING:
    from ...pb import control_pb2 as pb


def build_warning(message: pb.VertexWarning) -> BuildWarning:
    lines = [span.start.line for span in message.ranges if span.start.line > 0]
    line = min(lines, default=None)
    sentence = _text(message.short)
    linted = LINTED_LINE.search(sentence)
    if linted and int(linted["line"]) == line:
        sentence = sentence[: linted.start()]
    return BuildWarning(
        message=sentence,
        file=plain(message.info.filename),
        line=line,
        url=message.url,
        detail=tuple(_text(paragraph) for paragraph in message.detail),
    )


def _text(data: bytes) -> str:
    return plain(data.decode(errors="replace"))
