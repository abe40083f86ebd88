"""Pure. A secret as programs write it: plainly, in base64, in hexadecimal.

What base64 makes of a value depends on where in a longer text it begins, modulo 3, and on its neighbours
by its first and last bits. The characters that hold nothing but the value are a form; there are three.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from .index import MIN_FORM, Form
from .parts import Part, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# So many characters of a token or of anything encoded: 12 bytes in base64, 8 in hexadecimal, two lines of
# `fold -w 8`; text does not contain them by chance.
_RUN = 16
# Of long ones, whose seeds would fill memory: less than a line of `base64` (76), `xxd -p` (60) or PEM (64).
_LONG, _LONG_RUN = 64 * 1024, 48
# So much of a text in a language may be a name, a host and a path that others use as well.
_TEXT_RUN = 64

# What base64 makes of a part with at least so many bytes has a run in what it makes of the whole value;
# shorter ones have forms of their own. A part of a long value is looked for as it is.
_BYTES_OF_RUN = 14

_ASCII_SPACE = b" \t\r\n\x0b\x0c"


def forms_of(value: bytes) -> Iterator[Form]:
    """Yield all forms of *value* but the short ones; see `short_forms_of`."""
    core = value.strip(_ASCII_SPACE)
    yield from _encoded(core, begins=True)
    short = 0 if _run(2 * len(core)) > _RUN else _BYTES_OF_RUN
    for number, text in enumerate(_texts(core)):
        for index, part in enumerate(parts_of(text)):
            begins = index == 0 and number == 0
            yield from _plain(part, begins=begins)
            data = part.text.encode()
            if index and number == 0 and (len(data) < short or not part.verbatim):
                yield from _encoded(data, begins=False)


def short_forms_of(value: bytes) -> Iterator[str]:
    """Yield the forms that are looked for where they stand alone, since they are short or no word at all."""
    core = value.strip(_ASCII_SPACE)
    if not core:
        return
    for text in _texts(core):
        whole = next(parts_of(text)).text
        if whole and not _is_findable(whole):
            yield whole
    if len(core) < MIN_FORM:
        for data in (core, core + b"\n", core + b"\r\n"):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(data).decode()
                yield encode(data).decode().rstrip("=")


def _texts(core: bytes) -> Iterator[str]:
    """Yield *core* as a log's decoder leaves it, and if that loses bytes, as Latin-1 does."""
    try:
        yield core.decode()
    except UnicodeDecodeError:
        yield core.decode(errors="replace")
        yield core.decode("latin-1")


def _plain(part: Part, *, begins: bool) -> Iterator[Form]:
    if _is_findable(part.text):
        run = _run(len(part.text)) if part.opaque else _TEXT_RUN
        yield Form(part.text, run, begins=begins or part.opaque)


def _is_findable(text: str) -> bool:
    """Return whether *text* is long enough to be looked for inside words, and more than spaces and dashes."""
    return len(text) >= MIN_FORM and bool(re.search(r"\w", text.replace("_", "")))


def _encoded(data: bytes, *, begins: bool) -> Iterator[Form]:
    if len(data) < MIN_FORM:
        return
    run = _run(2 * len(data))
    for digits in (data.hex(), data.hex().upper()):
        yield Form(digits, run, begins=begins)
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + data).decode()
        first, last = -(-8 * shift // 6), 8 * (shift + len(data)) // 6
        yield Form(
            text[first:last],
            run,
            before=bool(shift),
            after=bool(8 * (shift + len(data)) % 6),
            begins=begins,
        )


def _run(length: int) -> int:
    return _LONG_RUN if length > _LONG else _RUN
