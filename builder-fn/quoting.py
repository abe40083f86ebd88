"""Pure. Words of error messages: a caller's own, quoted, on one line, of bounded length; and JSON's."""

from __future__ import annotations

_MAX_SHOWN = 120

_JSON_TYPES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def quoted(text: str | bytes) -> str:
    r"""Return *text* in quotes, with a byte that is no UTF-8, or the lone surrogate for it, as "\xff"."""
    if isinstance(text, bytes):
        text = text[: 4 * _MAX_SHOWN].decode(errors="surrogateescape")
    clipped = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return '"' + "".join(c if c.isprintable() else _escaped(c) for c in clipped) + '"'


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


def json_type(value: object) -> str:
    """Return JSON's name for the type of *value*."""
    return _JSON_TYPES[type(value)]
