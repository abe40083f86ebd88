"""Pure. A caller's own words in an error message: quoted, on one line, of bounded length."""

from __future__ import annotations

_MAX_SHOWN = 120


def quoted(text: str | bytes) -> str:
    if isinstance(text, bytes):
        text = text[: 4 * _MAX_SHOWN].decode(errors="backslashreplace")
    clipped = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in clipped) + '"'
